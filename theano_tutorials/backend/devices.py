"""Where graphs are computed: on the processor, or by pygpu on a CUDA or an OpenCL device.

Theano takes the name of a device in its flag ``device``. This module checks the
name before Theano sees it, sets what such a device needs, and turns the failures
that Theano only logs, to go on with the processor, into errors. See docs/gpu.md.
"""

import importlib.util
import logging
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from theano_tutorials.backend import cuda
from theano_tutorials.backend.flags import source_of

_NAME = re.compile(r"cpu|cuda\d*|opencl\d+:\d+")
_OLD_NAME = re.compile(r"gpu\d*")  # of Theano before 0.9
_HELP = "see docs/gpu.md"

# Rewrites of Theano that insert what does not work on OpenCL, and why.
NOT_ON_OPENCL = {
    # Its kernel declares variables in local memory within a loop, which OpenCL C forbids (6.5.2, "__local").
    # kernels/gpu.py has another one.
    "local_gpua_crossentropysoftmaxargmax1hotwithbias",
    # CLBlast's gemv computes 0 * y, with y in memory that nobody has written: NaN, now and then. Its gemm does not.
    "local_gemm_to_gemv",
}
# Rewrites of this library that insert code for the processor.
_ON_CPU_ONLY = {"tutorials_kernels"}


def is_gpu(device):
    """Whether a valid name is that of a CUDA or OpenCL device."""
    return device != "cpu"


def prepare(user_flags):
    """Before Theano's import: check the device that the user names, and load what pygpu opens for it.

    Parameters
    ----------
    user_flags : dict of str to str
        Values by name in lower case.

    Returns
    -------
    str
        Name of the device.

    Raises
    ------
    ImportError
        If it cannot be set up; says what is missing.
    """
    named = device = user_flags.get("device", "cpu")
    is_old = _OLD_NAME.fullmatch(named) is not None and _runs_old_code()
    if is_old:
        device = named.replace("gpu", "cuda")
    require_valid_name(device)
    try:
        if is_gpu(device):
            require_pygpu(device)
            load_libraries(device, user_flags.get("cxx", "g++"))
    except ImportError as error:
        if not is_old:
            raise
        reason = error if importlib.util.find_spec("pygpu") else "no pygpu here"
        print(f"device {named}: {reason}, so the processor computes", file=sys.stderr, flush=True)
        return "cpu"
    return device


def _runs_old_code():
    # Theano is imported before anything of theano_tutorials.legacy runs. Python 3.9 does not keep its command line.
    words = getattr(sys, "orig_argv", None) or Path("/proc/self/cmdline").read_text().split("\0")
    return any(
        pair == ("-m", "theano_tutorials.legacy") or (pair[1] == "legacy" and re.search("theano.tutorials", pair[0]))
        for pair in zip(words, words[1:])
    )


def require_valid_name(device):
    """Raise ImportError unless ``device`` is a name of the form that Theano takes."""
    if not _NAME.fullmatch(device):
        source = source_of("device")
        raise ImportError(
            f"device is {device!r}{f' in {source}' if source else ''}: expected cpu, cuda, cuda0 (any number), "
            f"or opencl0:0 (platform:device, as clinfo --list numbers them)"
        )


def require_pygpu(device):
    """Raise ImportError, which says what is missing, unless pygpu can be imported."""
    try:
        import pygpu  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"device {device} needs pygpu, which cannot be imported by {sys.executable} ({error}): "
            f"run make opencl on Debian 12, or {_HELP}"
        ) from error


def load_libraries(device, cxx):
    """Make what pygpu opens for a device loadable, or raise ImportError; ``cxx`` is a C++ compiler."""
    if device.startswith("cuda"):
        try:
            cuda.load_libraries(cxx)
        except ImportError as error:
            raise ImportError(_unusable(device, error)) from error


def default_flags(device):
    """Flags of Theano for a device, where the user sets none: a dict of values by name."""
    return {"print_active_device": "False"} if is_gpu(device) else {}


def excluded_rewrites(device):
    """Names of the rewrites that must not run for a device, which has a valid name: a set."""
    if not is_gpu(device):
        return set()
    return _ON_CPU_ONLY | (NOT_ON_OPENCL if device.startswith("opencl") else set())


def require_working(device):
    """After Theano's import: raise ImportError unless graphs can be compiled for the device, and products computed."""
    if is_gpu(device):
        _require_headers(device)
        _require_blas(device)


def _require_headers(device):
    from theano import config

    command = [config.cxx, *config.gcc.cxxflags.split(), "-E", "-x", "c++", "-", "-o", os.devnull]
    found = subprocess.run(command, input=b"#include <gpuarray/array.h>\n", stderr=subprocess.DEVNULL, check=False)
    if found.returncode != 0:
        raise ImportError(_unusable(device, f"{config.cxx} finds no gpuarray/array.h: install libgpuarray-dev"))


def _require_blas(device):
    import pygpu.blas
    from theano.gpuarray.type import get_context

    square = pygpu.zeros((2, 2), dtype="float32", context=get_context(None))
    try:
        pygpu.blas.gemm(1.0, square, square, 0.0, square, overwrite_c=True)
    except pygpu.gpuarray.GpuArrayException as error:
        package = "libclblast-dev" if device.startswith("opencl") else "cuBLAS"
        raise ImportError(_unusable(device, f"no matrix product, which {package} brings: {_text(error)}")) from error


class _Failures(logging.Handler):
    """Keeps the first error that Theano logs, and prints none."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.first = None

    def emit(self, record):
        error = record.exc_info[1] if record.exc_info else None
        self.first = self.first or error or record.getMessage()


@contextmanager
def failures_raised(user_flags):
    """Raise ImportError for an error that Theano logs within the block when it sets up a device."""
    logger = logging.getLogger("theano.gpuarray")
    failures, propagate = _Failures(), logger.propagate
    logger.addHandler(failures)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(failures)
        logger.propagate = propagate
    if failures.first is not None:
        asked_for = [user_flags[name] for name in ("device", "init_gpu_device", "contexts") if name in user_flags]
        raise ImportError(_unusable(" ".join(asked_for), _text(failures.first)))


def _unusable(device, reason):
    return f"device {device} cannot be used: {reason} ({_HELP})"


def _text(error):
    """Message of an exception of pygpu, whose text may be bytes, or of a log record."""
    text = error.args[0] if isinstance(error, Exception) and error.args else error
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return " ".join(text.split()) or type(error).__name__
