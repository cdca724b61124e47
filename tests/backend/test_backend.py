"""Theano set up: quiet, with our defaults where the user has none, and with nothing left changed that should not be."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy_openblas32
import theano
import theano.tensor as T

from theano_tutorials import backend

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
HAS_DISTUTILS = sys.version_info < (3, 12)
UNSET = dict.fromkeys(["THEANO_FLAGS", "THEANORC", *backend.blas.THREAD_VARIABLES])

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
    return subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment(**changes))


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
    float_x, allow_gc, dnn, ldflags = output_of(
        config("floatX", "allow_gc", "dnn.enabled", "blas.ldflags"), HOME=home
    ).split("|")
    assert (float_x, allow_gc, dnn) == ("float32", "False", "False")
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


# Theano imported first

IMPORTED = """
import sys, types
sys.modules['theano'] = types.ModuleType('theano')
"""


def error_of(code, **changes):
    run = python(code + "import theano_tutorials\n", "-W", "ignore", **changes)
    assert run.returncode == 1
    return run.stdout, run.stderr.splitlines()[-1]


def test_theano_cannot_be_imported_by_itself(home):
    # So what follows is for those who have done by hand what this library does.
    run = python("import theano", HOME=home, THEANO_FLAGS="blas.ldflags=")
    assert run.returncode == 1
    # setuptools has a distutils of its own.
    missing = "module 'numpy' has no attribute 'bool'" if HAS_DISTUTILS else r"No module named '(numpy\.)?distutils'"
    assert re.search(missing, run.stderr)


def test_theano_imported_first_is_an_error_that_says_what_to_do(home):
    _, error = error_of(IMPORTED, HOME=home)
    assert error == (
        "ImportError: theano is imported already, and Theano must be set up before its import: "
        "start a new process (in a notebook, restart the kernel), and import theano_tutorials first"
    )


def test_what_a_failed_import_of_theano_has_left_is_named(home):
    code = "try: import theano\nexcept (AttributeError, ImportError): pass\n"
    _, error = error_of(code, HOME=home, THEANO_FLAGS="blas.ldflags=")
    assert error.startswith("ImportError: theano.")
    assert error.endswith(
        " is left of an import that failed, and Theano must be set up before its import: "
        "start a new process (in a notebook, restart the kernel), and import theano_tutorials first"
    )


def test_a_set_up_that_failed_before_theano_can_be_repeated(home):
    code = """
import os
os.environ['THEANO_FLAGS'] = 'device=nonsense'
try:
    import theano_tutorials
except ImportError as error:
    print(error)
os.environ['THEANO_FLAGS'] = ''
import theano_tutorials, theano
print(theano.config.floatX)
"""
    error, float_x = output_of(code, HOME=home).splitlines()
    assert error.startswith("device is 'nonsense'")
    assert float_x == "float32"


# Imports

BIG = "distutils numpy.distutils pooch scipy.signal scipy.sparse scipy.special scipy.stats setuptools"


def test_a_start_imports_nothing_big_that_it_does_not_use(home):
    # Older versions of SciPy import more for what Theano needs of them.
    code = "import sys, scipy.linalg; before = {*sys.modules}\n"
    code += f"import theano_tutorials; print(*set('{BIG}'.split()) & set(sys.modules) - before)"
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
"""
    output_of(code, HOME=home)


def test_what_was_imported_before_stays(home):
    names = ["scipy.special", "scipy.stats", *(["distutils", "distutils.core"] if HAS_DISTUTILS else [])]
    code = f"""
import sys, warnings
warnings.simplefilter('ignore')
import {", ".join(names)}
before = {{name: sys.modules[name] for name in {names}}}
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


# Scan and gradients in this process


def test_scan_and_its_gradient():
    x = T.matrix()
    sums, _ = theano.scan(lambda row, total: total + row**2, sequences=x, outputs_info=T.zeros_like(x[0]))
    f = theano.function([x], [sums, T.grad(sums[-1].sum(), x)], mode="FAST_COMPILE")
    rows = np.float32([[1, 2], [3, 4], [5, 6]])
    value, gradient = f(rows)
    np.testing.assert_allclose(value, np.cumsum(rows.astype("float64") ** 2, axis=0), rtol=1e-6)
    np.testing.assert_allclose(gradient, 2 * rows, rtol=1e-6)


# The page that lists what is changed


def test_the_page_names_every_module_and_links_to_files_that_are_there():
    folder = ROOT / "theano_tutorials" / "backend"
    links = re.findall(r"\]\(([^)]+)\)", (folder / "README.md").read_text())
    assert all((folder / link).exists() for link in links)
    modules = {str(path.relative_to(folder)) for path in folder.rglob("[!_]*.py")}
    assert modules <= set(links)
