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


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 6, 15), (3, 8, 18), (3, 15, 0), (4, 0, 0)])
def test_another_python_is_named_with_what_to_install(version):
    run = run_machine(f"sys.version_info = {version}")
    assert_one_error(run, "is Python {}.{}:".format(*version), "3.9 to 3.14", "python3-dev and python3-venv")


@pytest.mark.parametrize("version", [(3, 9, 0), (3, 11, 99), (3, 12, 1), (3, 14, 99)])
def test_the_supported_pythons_are_accepted(version):
    run = run_machine(f"sys.version_info = {version}")
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("python", sorted(Path.home().glob(".pyenv/versions/3.*/bin/python")) or [sys.executable])
def test_real_interpreters_run_it(python):
    version = subprocess.run(
        [python, "-c", "import sys; print(sys.version_info[0], sys.version_info[1])"], capture_output=True, text=True
    ).stdout
    run = subprocess.run([python, MACHINE], capture_output=True, text=True)
    if (3, 9) <= tuple(map(int, version.split())) <= (3, 14):
        assert (run.returncode, run.stderr) == (0, "")
    else:
        assert_one_error(run, "this library needs Python 3.9 to 3.14")


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
    run = run_machine("sys.version_info = (3, 15, 0); sys.modules['ensurepip'] = None", PATH="")
    assert_one_error(run, "is Python 3.15:")


# make setup


@pytest.fixture
def checkout(tmp_path):
    """What ``make setup`` reads, without a virtual environment."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "hatch_build.py", "README.md"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "theano_tutorials", folder / "theano_tutorials", ignore=shutil.ignore_patterns("*.pyc"))
    return folder


def make_setup(checkout, *variables, **env):
    # Without what make tells the makes that it starts, since make test runs this.
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PYTHON"))}
    return subprocess.run(
        ["make", "setup", *variables], cwd=checkout, capture_output=True, text=True, env={**outside, **env}
    )


def assert_nothing_was_made(checkout):
    assert not (checkout / ".venv").exists()


def test_setup_with_a_wrong_interpreter_makes_nothing(checkout, tmp_path):
    python = tmp_path / "python3.15"
    python.write_text(
        f"#!{sys.executable}\n"
        "import runpy, sys\n"
        "sys.version_info = (3, 15, 0)\n"
        "runpy.run_path(sys.argv[1], run_name='__main__')\n"
    )
    python.chmod(0o755)
    run = make_setup(checkout, f"PYTHON={python}")
    errors = [line for line in run.stderr.splitlines() if not line.startswith("make")]
    assert run.returncode == 2
    assert run.stdout == ""
    assert len(errors) == 1
    assert "is Python 3.15: this library needs Python 3.9 to 3.14" in errors[0]
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
    assert errors == ["error: no Python: install python3, python3-dev and python3-venv"]
    assert_nothing_was_made(checkout)


@pytest.fixture
def interpreters(tmp_path):
    """A folder to stand for a PATH, with interpreters of this and of other versions that make no environment."""
    folder = folder_with(tmp_path, "make", "sh", "echo", "test", "g++")
    for name, version in {"python3.14": "3, 15, 0", "python3.12": "3, 12, 1", "python3.9": "3, 9, 0"}.items():
        (folder / name).write_text(
            f"#!{sys.executable}\n"
            "import runpy, sys, sysconfig\n"
            "sysconfig.get_paths()\n"
            f"sys.version_info = ({version})\n"
            "if sys.argv[1:] == ['--version']: print('this one')\n"
            "elif sys.argv[1].endswith('machine.py'): runpy.run_path(sys.argv[1], run_name='__main__')\n"
            "else: sys.exit('no environment')\n"
        )
        (folder / name).chmod(0o755)
    return folder


def test_setup_takes_the_newest_interpreter_that_will_do_and_says_which(checkout, interpreters):
    run = make_setup(checkout, PATH=str(interpreters))
    assert run.stdout == "Setting up .venv with python3.12: this one\n"


def test_setup_takes_the_interpreter_that_is_named(checkout, interpreters):
    run = make_setup(checkout, PATH=str(interpreters), PYTHON="python3.9")
    assert run.stdout == "Setting up .venv with python3.9: this one\n"


@pytest.mark.parametrize("is_other", [True, False])
def test_an_environment_of_another_interpreter_is_made_anew(is_other, checkout):
    (checkout / ".venv" / "bin").mkdir(parents=True)
    of_the_environment = checkout / ".venv" / "bin" / "python"
    of_the_environment.write_text(
        "#!/bin/sh\necho another\n" if is_other else f'#!/bin/sh\nexec {sys.executable} "$@"\n'
    )
    of_the_environment.chmod(0o755)
    (checkout / ".venv" / "installed").touch()
    run = make_setup(checkout, f"PYTHON={sys.executable}", "--dry-run")
    assert ("-m venv --clear .venv" in run.stdout) == is_other
