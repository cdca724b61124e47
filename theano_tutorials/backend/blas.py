"""PyPI's OpenBLAS: which kernels it has, how Theano links it, on how many threads it runs."""

import ctypes
import os
import re
import subprocess
import tempfile
from pathlib import Path

from theano_tutorials.backend.flags import environment

# The user's variables for the number of threads.
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS")
# Theano calls these by their Fortran names; the OpenBLAS of PyPI has them with a prefix.
_SYMBOLS = [
    *("sgemm_", "dgemm_", "sgemv_", "dgemv_", "sger_", "dger_", "sdot_", "ddot_", "saxpy_", "daxpy_"),
    "openblas_get_num_threads",
    "openblas_set_num_threads",
]
_PREFIX = "scipy_"
# 2 times 2 in each precision; Fortran's calling convention.
_PROGRAM = """\
extern "C" void sgemm_(...);
extern "C" void dgemm_(...);
int main() {
    char no = 'N';
    int one = 1;
    float two = 2, zero = 0, product = 0, factor = 1;
    double two_d = 2, zero_d = 0, product_d = 0, factor_d = 1;
    sgemm_(&no, &no, &one, &one, &one, &factor, &two, &one, &two, &one, &zero, &product, &one);
    dgemm_(&no, &no, &one, &one, &one, &factor_d, &two_d, &one, &two_d, &one, &zero_d, &product_d, &one);
    return !(product == 4 && product_d == 4);
}
"""


def _has_avx2():
    try:
        features = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return re.search(r"^flags\s*:.*\bavx2\b", features, re.MULTILINE) is not None


# It loads the library, which chooses its kernels then. Those for AVX2 run on every x86-64 processor with
# AVX2 or more, and with them the published figures were seen again to the last digit.
with environment({"OPENBLAS_CORETYPE": "Haswell"} if _has_avx2() and "OPENBLAS_CORETYPE" not in os.environ else {}):
    import scipy_openblas32


def blas_folder():
    """Folder of PyPI's OpenBLAS, by a path without white space, at which Theano would split it."""
    folder = Path(scipy_openblas32.get_lib_dir())
    if not any(map(str.isspace, str(folder))):
        return folder
    link = Path.home() / ".theano" / f"openblas-{scipy_openblas32.__version__}"
    if any(map(str.isspace, str(link))):
        raise ImportError(f"Theano takes no path with white space, and {folder} and {link} have some: move one of them")
    if link.resolve() != folder.resolve():
        aside = link.with_name(f"{link.name}.{os.getpid()}")
        try:
            link.parent.mkdir(parents=True, exist_ok=True)
            aside.symlink_to(folder)
            aside.replace(link)
        except OSError as error:
            raise ImportError(
                f"Theano takes no path with white space, and {folder} has some; a link to it cannot be made: "
                f"{link}: {error.strerror}: move one of them"
            ) from None
    return link


def blas_flags():
    """Value of ``blas.ldflags`` that links PyPI's OpenBLAS."""
    symbols = " ".join(f"-D{name}={_PREFIX}{name}" for name in _SYMBOLS)
    return f"-L{blas_folder()} -l{scipy_openblas32.get_library()} {symbols}"


def set_blas_threads():
    """Run OpenBLAS on one thread, unless the environment says how many; return whether it is one.

    Threads are for the kernels, which share the work out in a way that gives
    the same bits whatever the number of cores.
    """
    serial = not any(variable in os.environ for variable in THREAD_VARIABLES)
    if serial:
        library = ctypes.CDLL(str(blas_folder() / scipy_openblas32.get_library(fullname=True)))
        getattr(library, f"{_PREFIX}openblas_set_num_threads")(1)
    return serial


def require_working(ldflags, compiler, source):
    """Raise ImportError if a program cannot be linked with a BLAS of the user, or does not run with it.

    Parameters
    ----------
    ldflags : str
        The value of ``blas.ldflags``.
    compiler : str
    source : str
        Where the user has set it.
    """
    words = [word.strip("'\"") for word in ldflags.split()]
    paths = [f"-Wl,-rpath,{word[2:]}" for word in words if word.startswith("-L")]
    with tempfile.TemporaryDirectory() as folder:
        code, program = Path(folder, "blas.cpp"), Path(folder, "blas")
        code.write_text(_PROGRAM)
        problem = _problem_of([compiler, str(code), *words, *paths, "-o", str(program)]) or _problem_of([str(program)])
    if problem:
        raise ImportError(
            f"{source}: blas.ldflags = {ldflags}: this BLAS does not work: {problem}: "
            "correct this entry, or remove it; then PyPI's OpenBLAS is used"
        )


def _problem_of(command):
    try:
        finished = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    if finished.returncode == 0:
        return None
    lines = finished.stderr.splitlines() or [f"exit code {finished.returncode}"]
    telling = [line for line in lines if re.search(r"cannot (find|open)|undefined reference|error", line)]
    return (telling or lines)[0].strip()
