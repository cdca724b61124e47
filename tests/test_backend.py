"""Theano set up: quiet, fast where nobody asked otherwise, and safe against killed processes."""

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scipy_openblas32
import theano
import theano.tensor as T

from theano_tutorials import backend, compilelock, toolchain

ROOT = Path(__file__).parent.parent
UNSET = dict.fromkeys(["THEANO_FLAGS", "THEANORC", *backend._BLAS_THREAD_VARIABLES])
A_WHILE = 60  # seconds; less than the 120 that Theano itself waits for a stale lock

DOT = """
import numpy as np, theano, theano.tensor as T
x, y = T.matrix(), T.matrix()
product = theano.function([x, y], T.dot(x, y))
a = np.random.RandomState(0).uniform(-1, 1, (40, 300))
b = np.random.RandomState(1).uniform(-1, 1, (300, 20))
dtype = theano.config.floatX
error = abs(product(a.astype(dtype), b.astype(dtype)) - a @ b).max()
assert error < 300 * np.finfo(dtype).eps, error
"""
SCAN = """
import numpy as np, theano, theano.tensor as T
x = T.vector()
powers, updates = theano.scan(lambda previous, x: previous * x, outputs_info=T.ones_like(x), non_sequences=x, n_steps=4)
f = theano.function([x], [powers[-1], T.grad(powers[-1].sum(), x)], updates=updates, mode="FAST_COMPILE")
value, gradient = f(np.float32([1, 2, 3]))
np.testing.assert_allclose(value, [1, 16, 81], rtol=1e-6)
np.testing.assert_allclose(gradient, [4, 32, 108], rtol=1e-6)
"""
MAPPED = """
from pathlib import Path
mapped = {Path(line.split()[-1]) for line in open('/proc/self/maps') if line.rstrip().endswith('.so')}
compiled = [path for path in mapped if path.is_relative_to(theano.config.compiledir)]
print(any(b'scipy_sgemm_' in path.read_bytes() for path in compiled))
print(*sorted(path for path in mapped if 'openblas' in path.name))
"""


@pytest.fixture(scope="module")
def home(request):
    """A home whose compile cache is warm from the second run on."""
    return request.config.cache.mkdir("theano_home")


def environment(**changes):
    """This environment without what sets up Theano, with changes; None takes a variable away."""
    merged = {**os.environ, "PYTHONPATH": str(ROOT), **UNSET, **changes}
    return {name: str(value) for name, value in merged.items() if value is not None}


def python(code, *options, **changes):
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment(**changes))


def quiet(lines):
    """What is said beyond Theano's own remark that it has no BLAS."""
    return [line for line in lines.splitlines() if "Using NumPy C-API based implementation for BLAS" not in line]


def output_of(code, *options, **changes):
    run = python(code, *options, **changes)
    assert (run.returncode, quiet(run.stderr)) == (0, [])
    return run.stdout.strip()


def config(*names):
    printed = ", ".join(f"theano.config.{name}" for name in names)
    return f"import theano_tutorials, theano; print({printed}, sep='|')"


# Silence


def test_a_first_start_prints_nothing(tmp_path):
    run = python("import theano_tutorials\n" + DOT, "-W", "always", HOME=tmp_path)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize("filters", ["always", "error"])
def test_no_warning_is_shown(home, filters):
    run = python("import theano_tutorials\n" + DOT + SCAN, "-W", filters, HOME=home)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


# BLAS


def test_products_call_the_sgemm_of_pypi(home):
    code = "import theano_tutorials\n" + DOT
    code += "(node,) = product.maker.fgraph.apply_nodes\nprint(type(node.op).__name__)\n" + MAPPED
    op, is_called, libraries = output_of(code, HOME=home).splitlines()
    assert (op, is_called) == ("ThreadedDot", "True")
    assert str(Path(scipy_openblas32.get_lib_dir()).resolve()) in libraries


THREADS = """
import theano_tutorials, ctypes, scipy_openblas32
from pathlib import Path
library = ctypes.CDLL(str(Path(scipy_openblas32.get_lib_dir(), scipy_openblas32.get_library(fullname=True))))
print(library.scipy_openblas_get_num_threads())
"""


def test_blas_runs_on_one_thread(home):
    assert output_of(THREADS, HOME=home) == "1"


def test_the_number_of_threads_of_the_user_wins(home):
    # OpenBLAS starts no more threads than there are cores.
    assert output_of(THREADS, HOME=home, OPENBLAS_NUM_THREADS=2) == str(min(2, len(os.sched_getaffinity(0))))


KERNELS = """
import os
before = dict(os.environ)
import theano_tutorials, ctypes, scipy_openblas32
from pathlib import Path
assert dict(os.environ) == before
library = ctypes.CDLL(str(Path(scipy_openblas32.get_lib_dir(), scipy_openblas32.get_library(fullname=True))))
library.scipy_openblas_get_corename.restype = ctypes.c_char_p
print(library.scipy_openblas_get_corename().decode())
"""


def test_blas_runs_the_same_kernels_on_every_processor_with_avx2(monkeypatch, home):
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    has_avx2 = " avx2 " in Path("/proc/cpuinfo").read_text()
    assert (output_of(KERNELS, HOME=home) == "Haswell") == has_avx2


def test_the_kernels_of_the_user_win(home):
    assert output_of(KERNELS, HOME=home, OPENBLAS_CORETYPE="Nehalem") == "Nehalem"


def test_gcc_flags_of_the_user_leave_blas_linked(home):
    code = "import theano_tutorials\n" + DOT + "print(theano.config.gcc.cxxflags)\n" + MAPPED
    flags, is_called, _ = output_of(code, HOME=home, THEANO_FLAGS="gcc.cxxflags=-DUSER_WAS_HERE=1").splitlines()
    assert (flags, is_called) == ("-DUSER_WAS_HERE=1", "True")


def test_blas_folder_is_that_of_pypi(monkeypatch, tmp_path):
    monkeypatch.setattr(scipy_openblas32, "get_lib_dir", lambda: str(tmp_path))
    assert backend.blas_folder() == tmp_path


@pytest.fixture
def library_under_a_space(monkeypatch, tmp_path):
    folder = tmp_path / "virtual environment" / "lib"
    folder.parent.mkdir()
    folder.symlink_to(scipy_openblas32.get_lib_dir())
    monkeypatch.setattr(scipy_openblas32, "get_lib_dir", lambda: str(folder))
    return folder


def test_blas_folder_has_no_white_space(monkeypatch, tmp_path, library_under_a_space):
    monkeypatch.setenv("HOME", str(tmp_path))
    for _ in range(2):
        link = backend.blas_folder()
        assert link.parent == tmp_path / ".theano"
        assert link.resolve() == library_under_a_space.resolve()
        assert list(link.parent.iterdir()) == [link]
    assert (link / scipy_openblas32.get_library(fullname=True)).is_file()


def test_blas_link_follows_the_environment(monkeypatch, tmp_path, library_under_a_space):
    monkeypatch.setenv("HOME", str(tmp_path))
    link = backend.blas_folder()
    link.unlink()
    link.symlink_to(tmp_path / "a virtual environment that is gone")
    assert backend.blas_folder().resolve() == library_under_a_space.resolve()


def test_white_space_in_both_paths_is_an_error(monkeypatch, tmp_path, library_under_a_space):
    monkeypatch.setenv("HOME", str(tmp_path / "my home"))
    with pytest.raises(ImportError, match=r"no path with white space, and .*virtual environment.*my home"):
        backend.blas_folder()


# Flags


def test_defaults(home):
    float_x, allow_gc, ldflags = output_of(config("floatX", "allow_gc", "blas.ldflags"), HOME=home).split("|")
    assert (float_x, allow_gc) == ("float32", "False")
    assert "-lscipy_openblas" in ldflags


def test_theano_flags_of_the_user_win(home):
    flags = "floatX=float64,allow_gc=True,blas.ldflags="
    values = output_of(config("floatX", "allow_gc", "blas.ldflags"), HOME=home, THEANO_FLAGS=flags)
    assert values == "float64|True|"


def test_theano_flags_leave_the_other_defaults(home):
    values = output_of(config("floatX", "allow_gc", "openmp"), HOME=home, THEANO_FLAGS="allow_gc=True,openmp=False")
    assert values == "float32|True|False"


def test_theanorc_in_the_home_wins(tmp_path, home):
    (tmp_path / ".theanorc").write_text("[global]\nfloatX = float64\nallow_gc = True\n[blas]\nldflags =\n")
    flags = f"base_compiledir={shlex.quote(str(home))}"
    values = output_of(config("floatX", "allow_gc", "blas.ldflags"), HOME=tmp_path, THEANO_FLAGS=flags)
    assert values == "float64|True|"


def test_files_of_theanorc_win(tmp_path, home):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("[global]\nfloatX = float64\n")
    second.write_text("[global]\nallow_gc = True\n")
    values = output_of(config("floatX", "allow_gc"), HOME=home, THEANORC=f"{first}{os.pathsep}{second}")
    assert values == "float64|True"


def test_theano_flags_win_over_theanorc(tmp_path, home):
    (tmp_path / "rc").write_text("[global]\nfloatX = float64\n")
    assert output_of(config("floatX"), HOME=home, THEANORC=tmp_path / "rc", THEANO_FLAGS="floatX=float32") == "float32"


def test_flags_of_the_user_are_read_as_theano_reads_them(monkeypatch, tmp_path):
    monkeypatch.setenv("THEANORC", str(tmp_path / "none"))
    monkeypatch.setenv("THEANO_FLAGS", "gcc.cxxflags='-O3,floatX=not a flag', allow_gc = True,cxx=")
    assert backend.flags_of_the_user() == {"gcc.cxxflags": "-O3,floatX=not a flag", "allow_gc": " True", "cxx": ""}


def test_quotes_and_commas_reach_theano(home):
    values = output_of(config("gcc.cxxflags", "floatX"), HOME=home, THEANO_FLAGS="gcc.cxxflags='-DA=1,2 -DB=\"b\"'")
    assert values == '-DA=1,2 -DB="b"|float32'


@pytest.mark.parametrize("flags", [None, "", "floatX=float64"])
def test_the_environment_is_as_it_was(home, flags):
    shown = output_of(
        "import os, theano_tutorials; print(os.environ.get('THEANO_FLAGS'))", HOME=home, THEANO_FLAGS=flags
    )
    assert shown == str(flags)


def test_theano_imported_first_gets_the_flags_and_a_warning(home):
    code = """
import numpy, warnings
vars(numpy).update(bool=bool, int=int, float=float, complex=complex, object=object, str=str)
import sys; sys.modules['theano.scan_module.scan_perform_ext'] = None
import theano
assert theano.config.floatX == 'float64'
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    import theano_tutorials
(warning,) = caught
assert warning.category is RuntimeWarning
print(warning.message)
print(theano.config.floatX, theano.config.allow_gc)
"""
    run = python(code, "-W", "ignore", HOME=home, THEANO_FLAGS="blas.ldflags=")
    assert (run.returncode, quiet(run.stderr)) == (0, [])
    message, flags = run.stdout.splitlines()
    assert "(floatX, allow_gc)" in message
    assert "functions compiled before keep theirs" in message
    assert "Import theano_tutorials first" in message
    assert flags == "float32 False"


# Imports

BIG = "distutils numpy.distutils scipy.signal scipy.sparse scipy.special scipy.stats setuptools"


def test_a_start_imports_nothing_big_that_it_does_not_use(home):
    code = f"import sys, theano_tutorials; print(*set('{BIG}'.split()) & set(sys.modules))"
    assert output_of(code, HOME=home) == ""


def test_what_is_imported_later_is_whole(home):
    code = """
import theano_tutorials, warnings
import scipy, theano, theano.tensor as T
from scipy.special import erf
import scipy.stats, scipy.signal.windows, scipy.sparse.linalg
assert abs(scipy.stats.norm.cdf(0.5) - (1 + erf(0.5**0.5 / 2)) / 2) < 1e-12
x = T.scalar()
assert abs(theano.function([x], T.erf(x), mode=theano.Mode('py'))(1) - erf(1)) < 1e-6
assert abs(theano.function([x], T.chi2sf(x, 2), mode=theano.Mode('py'))(1) - scipy.stats.chi2.sf(1, 2)) < 1e-6
import theano.sparse
assert theano.sparse.enable_sparse and theano.sparse.as_sparse_variable(scipy.sparse.eye(2, format='csr')).ndim == 2
warnings.simplefilter('error')
warnings.simplefilter('ignore', DeprecationWarning)
import distutils.ccompiler, numpy.distutils.core, setuptools
from setuptools import Extension
assert issubclass(numpy.distutils.core.Extension, distutils.core.Extension)
"""
    output_of(code, HOME=home)


def test_what_was_imported_before_stays(home):
    code = """
import sys, warnings
warnings.simplefilter('ignore')
import distutils.core, scipy.special, scipy.stats
before = {name: sys.modules[name] for name in ('distutils', 'distutils.core', 'scipy.special', 'scipy.stats')}
import theano_tutorials
assert all(sys.modules[name] is module for name, module in before.items())
"""
    output_of(code, HOME=home)


# Compiler


def test_a_missing_compiler_is_named(tmp_path):
    run = python("import theano_tutorials", PATH=tmp_path, HOME=tmp_path)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == (
        "ImportError: no C++ compiler on the PATH: install g++ (Debian, Ubuntu: apt-get install g++)"
    )


def test_a_user_may_do_without_a_compiler(tmp_path):
    code = "import theano_tutorials, theano; x = theano.tensor.scalar(); print(theano.function([x], x + 1)(1))"
    run = python(code, PATH=tmp_path, HOME=tmp_path, THEANO_FLAGS="cxx=")
    assert (run.returncode, run.stdout) == (0, "2.0\n")


# The compile lock


class Holder:
    """Another process that takes the lock of this process's compile cache, and keeps it until it is told."""

    CODE = """
import sys, theano_tutorials
from theano_tutorials import compilelock
with compilelock.lock_ctx():
    print('held', flush=True)
    sys.stdin.readline()
print('released', flush=True)
"""

    def __init__(self):
        flags = f"compiledir={shlex.quote(theano.config.compiledir)}"
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(THEANO_FLAGS=flags),
        )
        assert self.process.stdout.readline() == "held\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def own_lock(monkeypatch, tmp_path):
    """The lock of an empty compile cache, for this process and its threads."""
    import filelock

    lock = filelock.FileLock(tmp_path / "compile.lock")
    monkeypatch.setattr(compilelock, "_lock", lambda: lock)
    return lock


def test_theano_uses_the_lock():
    from theano.gof import cmodule

    assert sys.modules["theano.gof.compilelock"] is compilelock
    assert cmodule.compilelock is compilelock


def test_lock_is_reentrant(own_lock):
    with compilelock.lock_ctx():
        with compilelock.lock_ctx():
            compilelock.get_lock()
            compilelock.release_lock()
        assert own_lock.is_locked
    assert not own_lock.is_locked


def test_lock_is_released_after_an_error(own_lock):
    with pytest.raises(ZeroDivisionError), compilelock.lock_ctx():
        raise ZeroDivisionError
    assert not own_lock.is_locked


def test_lock_is_kept_on_demand(own_lock):
    with compilelock.lock_ctx(keep_lock=True):
        pass
    assert own_lock.is_locked
    compilelock.release_lock()
    assert not own_lock.is_locked


def test_threads_exclude_each_other():
    from concurrent.futures import ThreadPoolExecutor

    inside, overlaps = [], []

    def hold(number):
        for _ in range(5):
            with compilelock.lock_ctx():
                overlaps.extend(inside)
                inside.append(number)
                time.sleep(0.005)
                inside.remove(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(hold, range(4)))
    assert overlaps == []


def waiting_process():
    code = "import theano_tutorials; from theano_tutorials import compilelock\n"
    code += "print('started', flush=True)\nwith compilelock.lock_ctx(): print('held', flush=True)"
    flags = f"compiledir={shlex.quote(theano.config.compiledir)}"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(THEANO_FLAGS=flags),
    )


def test_processes_exclude_each_other():
    with Holder() as holder:
        waiting = waiting_process()
        assert waiting.stdout.readline() == "started\n"
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(1)
        holder.process.communicate("release\n")
        assert waiting.communicate(timeout=A_WHILE) == ("held\n", "")


def test_a_long_wait_is_explained():
    with Holder() as holder:
        waiting = waiting_process()
        assert waiting.stdout.readline() == "started\n"
        explanation = waiting.stderr.readline()
        holder.process.communicate("release\n")
        assert waiting.communicate(timeout=A_WHILE) == ("held\n", "")
    assert explanation.startswith("waiting for another process that compiles")
    assert str(Path(theano.config.compiledir, "compile.lock")) in explanation


def test_sigkill_releases_the_lock():
    with Holder() as holder:
        holder.process.kill()
        holder.process.wait()
        start = time.monotonic()
        with compilelock.lock_ctx():
            assert time.monotonic() - start < 1


# One empty cache, several processes


def start_on(home):
    return subprocess.Popen(
        [sys.executable, "-W", "always", "-c", "import theano_tutorials\n" + DOT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment(HOME=home),
    )


def assert_succeeds(process):
    out, err = process.communicate(timeout=A_WHILE)
    # A wait for the other process may be explained; nothing else is said.
    said = [line for line in err.splitlines() if not line.startswith("waiting for another process that compiles")]
    assert (process.returncode, out, said) == (0, "", [])


def test_two_first_starts_at_once(tmp_path):
    for process in [start_on(tmp_path), start_on(tmp_path)]:
        assert_succeeds(process)


@pytest.mark.parametrize("seed", range(2))
def test_a_process_killed_while_it_compiles_delays_nobody(tmp_path, seed):
    killed, other = start_on(tmp_path), start_on(tmp_path)
    while not list(tmp_path.glob(".theano/*/*/mod.cpp")):
        assert killed.poll() is None or other.poll() is None
        time.sleep(0.01)
    time.sleep(random.Random(seed).uniform(0, 3))
    # Its g++ too: as when the machine runs out of memory.
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert_succeeds(other)
    assert_succeeds(start_on(tmp_path))


# Scan and gradients in this process


def test_scan_and_its_gradient():
    x = T.matrix()
    sums, _ = theano.scan(lambda row, total: total + row**2, sequences=x, outputs_info=T.zeros_like(x[0]))
    f = theano.function([x], [sums, T.grad(sums[-1].sum(), x)], mode="FAST_COMPILE")
    rows = np.float32([[1, 2], [3, 4], [5, 6]])
    value, gradient = f(rows)
    np.testing.assert_allclose(value, np.cumsum(rows.astype("float64") ** 2, axis=0), rtol=1e-6)
    np.testing.assert_allclose(gradient, 2 * rows, rtol=1e-6)


GRAPH_OF_A_CLASSIFIER = """
import theano_tutorials
import theano, theano.tensor as T
from theano.gof.cc import get_module_cache
x, y = T.matrix(), T.ivector()
classifier = theano_tutorials.LogisticRegression(x, 4, 3)
cost = classifier.negative_log_likelihood(y)
theano.function([x, y], cost, updates=theano_tutorials.sgd_updates(cost, classifier.params, 0.1))
n_compiled = get_module_cache().stats[2]
print(n_compiled)
"""


def test_a_start_compiles_nothing_that_an_earlier_one_compiled(tmp_path):
    first, second = (int(output_of(GRAPH_OF_A_CLASSIFIER, HOME=tmp_path)) for _ in range(2))
    assert first > 5
    assert second == 0


@pytest.mark.parametrize(("after", "is_there"), [("exit 0", True), ("exit 1", False), ("kill -KILL $$", False)])
def test_a_library_is_whole_or_not_there(after, is_there, tmp_path):
    target = tmp_path / "library.so"
    linker = f"printf content > $2; {after}"
    _, _, status = toolchain.output_subprocess_Popen(["sh", "-c", linker, "sh", "-o", str(target)])
    assert (status == 0) == is_there
    assert target.exists() == is_there
    assert not is_there or target.read_text() == "content"
