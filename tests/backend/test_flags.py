"""Configuration files and environment variables as people have them: each works, or one line says what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from theano_tutorials.backend import flags, theanorc

ROOT = Path(__file__).parents[2]
PRINTED = "import theano_tutorials; from theano import config as c; print(c.floatX, c.allow_gc, c.gcc.cxxflags)"


def start(code, **environment):
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "THEANO_FLAGS": "", **environment}
    return subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture
def rc(tmp_path, monkeypatch):
    """Writes a file, and lets THEANORC name it."""
    path = tmp_path / "theanorc"

    def write(content):
        path.write_bytes(content)
        monkeypatch.setenv("THEANORC", str(path))
        monkeypatch.setenv("THEANO_FLAGS", "")
        return path

    return write


FILES = {
    "plain": b"[global]\nfloatX = float64\n",
    "byte order mark": b"\xef\xbb\xbf[global]\nfloatX = float64\n",
    "UTF-16": "[global]\nfloatX = float64\n".encode("utf-16"),
    "Latin-1": "# f\xfcr alle\n[global]\nfloatX = float64\n".encode("latin-1"),
    "line ends of Windows": b"[global]\r\nfloatX = float64\r\n",
    "no section": b"floatX = float64\n",
    "twice": b"[global]\nfloatX = float32\nfloatX = float64\n",
    "section twice": b"[global]\nfloatX = float32\n[gcc]\n[global]\nfloatX = float64\n",
    "comment behind": b"[global]\nfloatX = float64  # as on the cluster\n",
    "comment with semicolon": b"[global]\nfloatX = float64 ; as on the cluster\n",
    "indented": b"  [global]\n  floatX = float64\n",
    "unknown options": b"[global]\nfloatX = float64\n[nvcc]\nfastmath = True\n[lib]\ncnmem = 1\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_a_file_whose_meaning_is_clear_works(rc, kind):
    rc(FILES[kind])
    finished = start(PRINTED)
    assert (finished.stdout, finished.stderr) == ("float64 False \n", "")


@pytest.mark.parametrize("kind", FILES)
def test_the_library_reads_what_theano_gets(rc, kind):
    path = rc(FILES[kind])
    assert flags.flags_of_the_user()["floatx"] == "float64"
    assert flags.source_of("floatX") == str(path)
    with theanorc.in_memory() as copy:
        assert theanorc.read(copy).get("global", "floatx") == "float64"


@pytest.mark.slow
def test_sections_and_variables_in_values_reach_theano(rc):
    rc(b"[gcc]\ncxxflags = -DA=%(USER)s\n")
    assert start(PRINTED, USER="me").stdout == "float32 False -DA=me\n"
    rc(b"gcc.cxxflags = -DA=%x  # no section\n")
    assert start(PRINTED).stdout == "float32 False -DA=%x\n"


@pytest.mark.slow
def test_theanorc_is_as_it_was_after_the_import(rc):
    path = rc(b"[global]\n")
    finished = start(
        "import os, theano_tutorials; print(os.environ['THEANORC'], os.environ['OMP_NUM_THREADS'])",
        OMP_NUM_THREADS="4,3",
    )
    assert finished.stdout == f"{path} 4,3\n"


REFUSED = {
    "value": (b"[global]\nfloatX = float33\n", ": floatX = float33: Invalid value"),
    "quotes": (b'[global]\nfloatX = "float64"\n', ': floatX = "float64": Invalid value'),
    "word for true": (b"[global]\nallow_gc = yes\n", ": allow_gc = yes: Invalid value"),
    "number": (b"[compile]\ntimeout = long\n", ": compile.timeout = long: invalid literal for int"),
    "device": (b"[global]\ndevice = gpu\n", ": expected cpu, cuda"),
    "no value": (b"[global]\nfloatX\n", ", line 2: 'floatX': expected [section], option = value"),
    "open section": (b"\n[global\n", ", line 2: '[global': expected [section], option = value"),
    "binary": (bytes(range(256)), ", line 1: "),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_cannot_be_meant_is_one_line(rc, run_script, kind):
    content, part = REFUSED[kind]
    path = rc(content)
    finished = run_script("train_logreg.py")
    assert (finished.returncode, finished.stdout) == (1, "")
    (line,) = finished.stderr.splitlines()
    assert line.startswith("error: ")
    assert f"{path}{part}" in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("floatX=float33", "THEANO_FLAGS: floatX = float33: Invalid value"),
        ("gcc.cxxflags='-O3", 'THEANO_FLAGS is "gcc.cxxflags=\'-O3": No closing quotation'),
    ],
)
def test_flags_that_cannot_be_meant_are_one_line(run_script, value, part):
    finished = run_script("train_logreg.py", THEANO_FLAGS=value)
    assert (finished.returncode, finished.stdout) == (1, "")
    (line,) = finished.stderr.splitlines()
    assert part in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "n_threads"), [("4,3,2", 4), (" 2 ", 2), ("2,abc", 2), ("", None), ("abc", None), ("0", None), ("1", 1)]
)
def test_number_of_threads_is_the_first_one_or_that_of_the_processors(value, n_threads):
    code = (
        "import os, numpy as np, theano_tutorials, theano, theano.tensor as T\n"
        "x = T.matrix()\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "theano.function([x], T.tanh(x))(np.ones((2000, 2000), 'float32'))\n"
        "print(1 + len(os.listdir('/proc/self/task')) - before)"
    )
    finished = start(code, OMP_NUM_THREADS=value)
    assert (finished.stdout, finished.stderr) == (f"{n_threads or len(os.sched_getaffinity(0))}\n", "")
