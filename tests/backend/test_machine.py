"""What a bare machine is told: one line that names what to install."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MACHINE = ROOT / "theano_tutorials" / "backend" / "machine.py"


def run_machine(prologue="", **env):
    """Run machine.py as the Makefile does, after some lines that change the interpreter."""
    code = f"import runpy, sys, sysconfig\n{prologue}\nrunpy.run_path({str(MACHINE)!r}, run_name='__main__')"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **env})


def assert_one_error(run, *parts):
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.startswith("error: ")
    assert run.stderr.count("\n") == 1
    for part in parts:
        assert part in run.stderr


def folder_with(tmp_path, *programs):
    """A folder to stand for a PATH, with links to these programs alone."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in programs:
        (folder / program).symlink_to(shutil.which(program))
    return folder


def test_nothing_is_said_where_nothing_is_missing():
    run = subprocess.run([sys.executable, MACHINE], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 6, 15), (3, 8, 18), (3, 12, 1), (3, 13, 0), (4, 0, 0)])
def test_another_python_is_named_with_what_to_install(version):
    run = run_machine(f"sys.version_info = {version}")
    assert_one_error(run, "is Python {}.{}:".format(*version), "3.9 to 3.11", "Install python3.11, python3.11-dev")


@pytest.mark.parametrize("version", [(3, 9, 0), (3, 10, 13), (3, 11, 99)])
def test_the_supported_pythons_are_accepted(version):
    run = run_machine(f"sys.version_info = {version}")
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("python", sorted(Path.home().glob(".pyenv/versions/3.*/bin/python")) or [sys.executable])
def test_real_interpreters_run_it(python):
    version = subprocess.run(
        [python, "-c", "import sys; print(sys.version_info[0], sys.version_info[1])"], capture_output=True, text=True
    ).stdout
    run = subprocess.run([python, MACHINE], capture_output=True, text=True)
    if (3, 9) <= tuple(map(int, version.split())) <= (3, 11):
        assert (run.returncode, run.stderr) == (0, "")
    else:
        assert_one_error(run, "Install python3.11")


def test_a_missing_compiler_is_named(tmp_path):
    assert_one_error(run_machine(PATH=str(tmp_path)), "no C++ compiler", "apt-get install g++")


def test_missing_headers_are_named(tmp_path):
    changed = f"{{**paths, 'include': {str(tmp_path)!r}}}"
    run = run_machine(f"paths = sysconfig.get_paths()\nsysconfig.get_paths = lambda *_: {changed}")
    package = "python{}.{}-dev".format(*sys.version_info[:2])
    assert_one_error(run, str(tmp_path / "Python.h"), f"install {package}")


def test_a_missing_ensurepip_is_named():
    # As on Debian without python3.x-venv.
    run = run_machine("sys.modules['ensurepip'] = None")
    assert_one_error(run, "install python{}.{}-venv".format(*sys.version_info[:2]))


def test_of_several_problems_the_python_comes_first():
    run = run_machine("sys.version_info = (3, 13, 0); sys.modules['ensurepip'] = None", PATH="")
    assert_one_error(run, "is Python 3.13:")


# make setup


@pytest.fixture
def checkout(tmp_path):
    """What ``make setup`` reads, without a virtual environment."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "theano_tutorials", folder / "theano_tutorials", ignore=shutil.ignore_patterns("*.pyc"))
    return folder


def make_setup(checkout, *variables, **env):
    # Without what make tells the makes that it starts, since make test runs this.
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", "setup", *variables], cwd=checkout, capture_output=True, text=True, env={**outside, **env}
    )


def assert_nothing_was_made(checkout):
    assert not (checkout / ".venv").exists()


def test_setup_with_a_wrong_interpreter_makes_nothing(checkout, tmp_path):
    python = tmp_path / "python3.13"
    python.write_text(
        f"#!{sys.executable}\n"
        "import runpy, sys\n"
        "sys.version_info = (3, 13, 0)\n"
        "runpy.run_path(sys.argv[1], run_name='__main__')\n"
    )
    python.chmod(0o755)
    run = make_setup(checkout, f"PYTHON={python}")
    errors = [line for line in run.stderr.splitlines() if not line.startswith("make")]
    assert run.returncode == 2
    assert run.stdout == ""
    assert len(errors) == 1
    assert "is Python 3.13: Theano 1.0.5 needs Python 3.9 to 3.11" in errors[0]
    assert_nothing_was_made(checkout)


def test_setup_with_an_interpreter_that_is_not_there_names_it(checkout):
    run = make_setup(checkout, "PYTHON=/nonexistent/python")
    assert run.returncode == 2
    assert run.stdout == ""
    assert "/nonexistent/python" in run.stderr
    assert_nothing_was_made(checkout)


def test_setup_without_any_python_says_what_to_install(checkout, tmp_path):
    # Not an empty PYTHON=: the Makefile must look, and find none.
    run = make_setup(checkout, PATH=str(folder_with(tmp_path, "make", "sh", "echo", "test")))
    errors = [line for line in run.stderr.splitlines() if not line.startswith("make")]
    assert run.returncode == 2
    assert errors == ["error: no Python: install python3.11, python3.11-dev and python3.11-venv"]
    assert_nothing_was_made(checkout)
