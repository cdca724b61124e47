"""Theano's compile cache as machines leave it: damaged, read-only, filled elsewhere, and emptied by the command."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import theano

from theano_tutorials.backend.compiling import cache

ROOT = Path(__file__).parents[2]
# The sum of a product: compiled code of Theano's own, and of a BLAS. Then what was compiled, and where.
PRODUCT = """
import theano_tutorials, theano, theano.tensor as T, numpy as np
from theano.gof.cc import get_module_cache
x = T.matrix()
product = theano.function([x], T.tanh(T.dot(x, x)).sum())
expected = 4 * np.tanh(np.float32(2))
assert abs(product(np.ones((2, 2), "float32")) - expected) < 1e-5
print(get_module_cache().stats[2], theano.config.compiledir)
"""
# Root writes everywhere, but not without these capabilities.
WITHOUT_ROOTS_RIGHTS = [
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
]


def start(*arguments, home, temporary=None, flags="", prefix=()):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home), "THEANO_FLAGS": flags}
    environment.pop("THEANORC", None)
    if temporary:
        environment["TMPDIR"] = str(temporary)
    command = [*prefix, sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)


def product(**where):
    """Number of modules that a process compiled, the folder, and its lines on standard error."""
    finished = start("-c", PRODUCT, **where)
    assert finished.returncode == 0, finished.stderr[-2000:]
    n_compiled, folder = finished.stdout.split(maxsplit=1)
    return int(n_compiled), Path(folder.strip()), finished.stderr.splitlines()


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A home directory in which the modules of PRODUCT are compiled."""
    home = tmp_path_factory.mktemp("filled")
    product(home=home)
    return home


@pytest.fixture
def home(filled, tmp_path):
    return Path(shutil.copytree(filled, tmp_path / "home"))


# Damaged


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def emptied(path):
    os.truncate(path, 0)


def gone(path):
    path.unlink()


def zeros_at_the_end(path):
    size = path.stat().st_size
    os.truncate(path, size // 2)
    os.truncate(path, size)


def another_file(path):
    path.write_text("a page of the web" * 100)


DAMAGES = [cut, emptied, gone, zeros_at_the_end, another_file]


@pytest.mark.one_python
@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_libraries_are_compiled_again(home, damage):
    libraries = list(home.glob(".theano/*/*/*.so"))
    assert {"cutils_ext", "lazylinker_ext"} < {library.parent.name for library in libraries}
    for library in libraries:
        damage(library)
    n_compiled, _, errors = product(home=home)
    assert (n_compiled > 0, errors) == (True, [])
    assert product(home=home)[0] == 0
    assert not list(home.glob(".theano/*/tmp_removed_*"))


@pytest.mark.one_python
@pytest.mark.slow
@pytest.mark.parametrize("damage", [cut, emptied])
def test_damaged_keys_are_removed(home, damage):
    keys = list(home.glob(".theano/*/*/key.pkl"))
    for key in keys:
        damage(key)
    n_compiled, _, errors = product(home=home)
    assert (n_compiled, errors) == (len(keys), [])
    assert len(list(home.glob(".theano/*/*/key.pkl"))) == len(keys)


def test_a_library_that_is_cut_anywhere_is_seen(tmp_path):
    library = next(Path(theano.config.compiledir).glob("cutils_ext/*.so"))
    assert cache._is_whole(library)
    content, copy = library.read_bytes(), tmp_path / "copy.so"
    for length in [*range(0, len(content), 997), *range(len(content) - 64, len(content))]:
        copy.write_bytes(content[:length])
        assert not cache._is_whole(copy)


def test_what_is_whole_stays(home):
    before = sorted(path for path in home.rglob("*"))
    found = cache.folders({"base_compiledir": str(home / ".theano")})
    cache.remove_damaged(found)
    assert len(found) == 1
    assert sorted(path for path in home.rglob("*")) == before


# Not writable


@pytest.mark.one_python
@pytest.mark.slow
@pytest.mark.parametrize("home", ["/proc/no-such-folder", os.devnull])
def test_without_a_home_another_folder_is_used_and_said(home, tmp_path):
    n_compiled, folder, errors = product(home=home, temporary=tmp_path)
    assert folder.is_relative_to(tmp_path)
    assert n_compiled > 0
    assert len(errors) == 1
    assert re.fullmatch(
        rf"{home}/.theano/\S+ cannot be written: modules are compiled in {folder} instead .*", errors[0]
    )
    assert product(home=home, temporary=tmp_path) == (0, folder, [])


@pytest.mark.one_python
@pytest.mark.slow
def test_without_a_temporary_folder_either_it_is_one_line():
    code = "import tempfile; tempfile.tempdir = '/proc/no-such-folder'; import theano_tutorials"
    finished = start("-c", code, home=os.devnull)
    assert finished.returncode == 1
    assert re.search(
        r"\nImportError: /dev/null/.theano/\S+ cannot be written, nor can a temporary .* THEANO_FLAGS\n$",
        finished.stderr,
    )


NOBODY = ["env", "-u", "HOME", "setpriv", "--reuid", "54321", "--clear-groups"]


@pytest.fixture
def open_to_all():
    """A temporary folder outside of that of root."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.mark.one_python
@pytest.mark.slow
@pytest.mark.skipif(
    os.getuid() != 0 or subprocess.run([*NOBODY, sys.executable, "-c", "import numpy"], check=False).returncode != 0,
    reason="only root becomes a user that is not there, who needs a Python to start",
)
def test_a_user_without_a_name_and_a_home_can_start(open_to_all):
    n_compiled, folder, errors = product(home="", temporary=open_to_all, prefix=NOBODY)
    assert (n_compiled > 0, len(errors)) == (True, 1)
    assert folder.is_relative_to(open_to_all)


@pytest.fixture
def read_only(home):
    paths = [home, *(path for path in home.rglob("*") if not path.is_symlink())]
    modes = [stat.S_IMODE(path.stat().st_mode) for path in paths]
    for path, mode in zip(paths, modes):
        path.chmod(mode & ~0o222)
    yield home
    for path, mode in zip(paths, modes):
        path.chmod(mode)


AS_A_USER = WITHOUT_ROOTS_RIGHTS if os.getuid() == 0 else []


@pytest.mark.one_python
@pytest.mark.slow
def test_what_was_filled_and_is_read_only_is_used(read_only, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    for _ in range(2):
        n_compiled, folder, errors = product(home=read_only, temporary=temporary, prefix=AS_A_USER)
        assert (n_compiled, errors) == (0, [])
        assert folder.is_relative_to(temporary)


@pytest.mark.one_python
@pytest.mark.slow
def test_what_was_filled_on_another_kernel_is_used(home, tmp_path):
    (folder,) = (home / ".theano").iterdir()
    _, separator, rest = folder.name.partition("-with-")
    folder.rename(folder.with_name(f"compiledir_Linux-4.15-x86_64{separator}{rest}"))
    (home / ".theano").chmod(0o555)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    n_compiled, _, errors = product(home=home, temporary=temporary, prefix=AS_A_USER)
    (home / ".theano").chmod(0o755)
    assert (n_compiled, errors) == (0, [])


@pytest.mark.one_python
@pytest.mark.slow
def test_a_folder_that_is_open_to_others_is_not_used(tmp_path):
    others = tmp_path / f"theano-{os.getuid()}"
    others.mkdir()
    others.chmod(0o777)
    _, folder, errors = product(home=os.devnull, temporary=tmp_path)
    assert not folder.is_relative_to(others)
    assert len(errors) == 1
    assert list(tmp_path.iterdir()) == [others]


# A BLAS of the user


@pytest.mark.one_python
@pytest.mark.slow
@pytest.mark.parametrize(
    ("ldflags", "problem"),
    [
        ("-lno-such-blas", "cannot find -lno-such-blas"),
        ("-L/no/such/folder -lno-such-blas", "cannot find -lno-such-blas"),
        ("-lm", "undefined reference to .sgemm_"),
        ("no-such-blas", "cannot find no-such-blas"),
    ],
)
def test_a_blas_that_does_not_work_is_named(ldflags, problem, filled):
    finished = start(ROOT / "scripts" / "train_logreg.py", home=filled, flags=f"blas.ldflags={ldflags}")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert re.fullmatch(
        rf"error: THEANO_FLAGS: blas.ldflags = {ldflags}: this BLAS does not work: .*{problem}.*\n", finished.stderr
    )


# The command


@pytest.mark.one_python
@pytest.mark.slow
def test_the_command_empties_the_cache(home, tmp_path):
    libraries = list(home.glob(".theano/*/*/*.so"))
    for library in libraries:
        another_file(library)  # nothing is loaded
    finished = start(ROOT / "scripts" / "empty_cache.py", home=home, temporary=tmp_path)
    (folder,) = (home / ".theano").iterdir()
    assert (finished.stdout, finished.stderr) == (f"{folder}: {len(libraries)} modules removed\n", "")
    assert {path.name for path in folder.iterdir()} == {"__init__.py", "compile.lock"}
    assert product(home=home)[0] > 0
