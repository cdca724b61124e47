"""Makes Theano 1.0.5 work, and work well, on a machine of today.

Importing this module imports Theano. It checks what Theano needs, puts back
what NumPy has dropped, brings a BLAS, and sets flags; whatever the user has set
in ``THEANO_FLAGS`` or ``.theanorc`` wins over every default here.
"""

import configparser
import ctypes
import functools
import hashlib
import importlib
import os
import re
import shlex
import sys
import types
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from theano_tutorials import compileahead, compilelock, devices, machine, toolchain


@contextmanager
def _environment(variables):
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _has_avx2():
    try:
        features = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return re.search(r"^flags\s*:.*\bavx2\b", features, re.MULTILINE) is not None


# It loads the library, which chooses its kernels then. Those for AVX2 run on every x86-64 processor with
# AVX2 or more, and with them the published figures were seen again to the last digit.
with _environment({"OPENBLAS_CORETYPE": "Haswell"} if _has_avx2() and "OPENBLAS_CORETYPE" not in os.environ else {}):
    import scipy_openblas32

# Set where the user does not; allow_gc asks for fresh memory in every call.
_FLAGS = {"floatX": "float32", "allow_gc": "False"}
# Theano calls these by their Fortran names; the OpenBLAS of PyPI has them with a prefix.
_BLAS_SYMBOLS = [
    *("sgemm_", "dgemm_", "sgemv_", "dgemv_", "sger_", "dger_", "sdot_", "ddot_", "saxpy_", "daxpy_"),
    "openblas_get_num_threads",
    "openblas_set_num_threads",
]
_BLAS_PREFIX = "scipy_"
_SCIPY_OF_SOME_OPS = ("scipy.sparse", "scipy.special", "scipy.stats")
_BLAS_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS")


def check_machine(needs_compiler):
    """Raise ImportError where Theano cannot work; the message says what to install."""
    problem = machine.python_problem() or (needs_compiler and machine.compiler_problem())
    if problem:
        raise ImportError(problem)
    if int(np.__version__.split(".")[0]) >= 2:
        raise ImportError(f"NumPy {np.__version__}: Theano 1.0.5 needs NumPy 1: pip install 'numpy>=1.26,<2'")


def restore_numpy_aliases():
    """Put back the names of Python's types that NumPy 1.24 dropped and Theano uses."""
    vars(np).update(bool=bool, int=int, float=float, complex=complex, object=object, str=str)


def use_python_scan():
    """Select the Python loop of ``theano.scan`` where its C code does not compile."""
    if sys.version_info >= (3, 11):
        sys.modules["theano.scan_module.scan_perform_ext"] = None


def blas_folder():
    """Folder of PyPI's OpenBLAS, by a path without white space, at which Theano would split it."""
    folder = Path(scipy_openblas32.get_lib_dir())
    if not any(map(str.isspace, str(folder))):
        return folder
    link = Path.home() / ".theano" / f"openblas-{scipy_openblas32.__version__}"
    if any(map(str.isspace, str(link))):
        raise ImportError(f"Theano takes no path with white space, and {folder} and {link} have some: move one of them")
    if link.resolve() != folder.resolve():
        link.parent.mkdir(parents=True, exist_ok=True)
        aside = link.with_name(f"{link.name}.{os.getpid()}")
        aside.symlink_to(folder)
        aside.replace(link)
    return link


def blas_flags():
    """Value of ``blas.ldflags`` that links PyPI's OpenBLAS."""
    symbols = " ".join(f"-D{name}={_BLAS_PREFIX}{name}" for name in _BLAS_SYMBOLS)
    return f"-L{blas_folder()} -l{scipy_openblas32.get_library()} {symbols}"


def set_blas_threads():
    """Run OpenBLAS on one thread, unless the environment says how many; return whether it is one.

    Threads are for the kernels, which share the work out in a way that gives
    the same bits whatever the number of cores.
    """
    serial = not any(variable in os.environ for variable in _BLAS_THREAD_VARIABLES)
    if serial:
        library = ctypes.CDLL(str(blas_folder() / scipy_openblas32.get_library(fullname=True)))
        getattr(library, f"{_BLAS_PREFIX}openblas_set_num_threads")(1)
    return serial


def flags_of_the_user():
    """Flags set in the files of THEANORC, or in THEANO_FLAGS, which win: values by name in lower case."""
    flags = {}
    files = configparser.RawConfigParser()
    files.read(map(os.path.expanduser, os.environ.get("THEANORC", "~/.theanorc").split(os.pathsep)))
    for section in files.sections():
        prefix = "" if section == "global" else f"{section}."
        flags.update({f"{prefix}{option}": value for option, value in files.items(section)})
    entries = _split_flags(os.environ.get("THEANO_FLAGS", ""))
    pairs = (entry.split("=", 1) for entry in entries if "=" in entry)
    flags.update({name.strip().lower(): value for name, value in pairs})
    return flags


def _split_flags(text):
    splitter = shlex.shlex(text, posix=True)
    splitter.whitespace = ","
    splitter.whitespace_split = True
    return list(splitter)


def _theano_flags(flags, required):
    # Of two values for a flag Theano takes the latter.
    of_the_user = os.environ.get("THEANO_FLAGS")
    ours, last = ([f"{name}={shlex.quote(value)}" for name, value in part.items()] for part in (flags, required))
    return _environment({"THEANO_FLAGS": ",".join(ours + ([of_the_user] if of_the_user else []) + last)})


def _locked(function):
    # Theano reads the index of its cache without the lock, and deletes what is half written.
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        with compilelock.lock_ctx():
            return function(*args, **kwargs)

    return wrapper


class _NoProperties(tuple):
    """An empty tuple that is true: an empty ``__props__`` makes Theano think that an Op has no version."""

    __slots__ = ()

    def __bool__(self):
        return True


NO_PROPERTIES = _NoProperties()


def _subclasses(cls):
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _code_version(op):
    # Theano's own is a hash of text, which is another one in each process.
    digest = hashlib.sha256("\0".join(op.func_codes).encode()).hexdigest()
    return (digest, op.params_type.c_code_cache_version()) if hasattr(op, "params_type") else (digest,)


def keep_compiled_modules():
    """Give every Op of Theano a lasting version, without which each start compiles it anew."""
    from theano.gof.op import COp, Op

    COp.c_code_cache_version = _code_version
    for op in _subclasses(Op):
        if vars(op).get("__props__") == ():
            op.__props__ = NO_PROPERTIES


def fold_constants_in_python():
    """Let Ops that only move numbers, or add or multiply two, do so in Python where their inputs are constant.

    Such nodes are computed once, when a function is optimized; Theano would
    compile a module for each.
    """
    from theano.gof import Constant
    from theano.gof.op import Op
    from theano.scalar import Add, Mul, Sub
    from theano.tensor import DimShuffle, Elemwise, Rebroadcast, ScalarFromTensor, Subtensor
    from theano.tensor.opt import MakeVector

    movers = (DimShuffle, MakeVector, Rebroadcast, ScalarFromTensor, Subtensor)

    def has_the_same_bits_in_python(node):
        # Not isinstance: Ops of a GPU are subclasses of these, and have no such Python.
        if type(node.op) is not Elemwise:
            return type(node.op) in movers
        types = {variable.type.dtype for variable in (*node.inputs, *node.outputs)}
        return isinstance(node.op.scalar_op, (Add, Mul, Sub)) and len(node.inputs) == 2 and len(types) == 1

    make_thunk = Op.make_thunk

    @functools.wraps(make_thunk)
    def wrapper(self, node, storage_map, compute_map, no_recycling, impl=None):
        constant = all(isinstance(variable, Constant) for variable in node.inputs)
        if impl is None and node.inputs and constant and has_the_same_bits_in_python(node):
            impl = "py"
        return make_thunk(self, node, storage_map, compute_map, no_recycling, impl)

    Op.make_thunk = wrapper


class _Deferred(types.ModuleType):
    """Stands for a module until something in it is used."""

    def __getattr__(self, name):
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def _scipy_deferred():
    """Import parts of SciPy that only some Ops of Theano use when they do: all together take half a second."""
    stand_ins = {name: _Deferred(name) for name in _SCIPY_OF_SOME_OPS}
    # Theano looks for functions of SciPy 1.7 in there, and does without.
    stand_ins["scipy.signal.signaltools"] = None
    missing = {name: module for name, module in stand_ins.items() if name not in sys.modules}
    sys.modules.update(missing)
    try:
        yield
    finally:
        for name, module in missing.items():
            if sys.modules.get(name, module) is module:
                sys.modules.pop(name, None)


@contextmanager
def _distutils_of_python():
    """Import ``distutils`` without the stand-in of setuptools, which takes a quarter of the time of ``import theano``.

    Later imports get a ``distutils`` as if this had not been.
    """
    hack = sys.modules.get("_distutils_hack")
    if hack is None or any(name.split(".")[-1] in ("distutils", "setuptools") for name in sys.modules):
        yield
        return
    hack.remove_shim()
    try:
        yield
    finally:
        hack.add_shim()
        for name in list(sys.modules):
            if name.startswith(("distutils", "numpy.distutils")):
                del sys.modules[name]


def _import_theano(flags, required):
    sys.modules["theano.gof.compilelock"] = compilelock
    sys.modules["theano.misc.windows"] = toolchain
    with _theano_flags(flags, required), _scipy_deferred(), _distutils_of_python(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from theano.gof.cmodule import ModuleCache

    ModuleCache.refresh = _locked(ModuleCache.refresh)
    keep_compiled_modules()
    fold_constants_in_python()
    toolchain.remember_march_flags()
    compileahead.install()


def _adapt_imported_theano(flags):
    import theano

    for name, value in flags.items():
        section, _, option = name.rpartition(".")
        setattr(getattr(theano.config, section) if section else theano.config, option, value)
    warnings.warn(
        "theano was imported before theano_tutorials: its flags are set now "
        f"({', '.join(flags)}), but functions compiled before keep theirs, and its compile cache "
        "is not safe against killed processes. Import theano_tutorials first.",
        RuntimeWarning,
        stacklevel=2,
    )


def _check_device(user_flags):
    """Raise ImportError unless the device that the user names can be set up; return its name."""
    device = user_flags.get("device", "cpu")
    devices.require_valid_name(device)
    if devices.is_gpu(device):
        devices.require_not_imported(device)
        devices.require_pygpu(device)
        devices.load_libraries(device, user_flags.get("cxx", "g++"))
    return device


def set_up():
    """Import Theano, made to work here; see the module's docstring.

    Returns
    -------
    bool
        Whether BLAS is PyPI's OpenBLAS, on one thread.

    Raises
    ------
    ImportError
        If Python, NumPy, the compiler, the Python headers or the device do not
        allow it; says what to install.
    """
    user_flags = flags_of_the_user()
    check_machine(needs_compiler="cxx" not in user_flags)
    restore_numpy_aliases()
    use_python_scan()
    device = _check_device(user_flags)
    flags = {**_FLAGS, **devices.default_flags(device)}
    flags = {name: value for name, value in flags.items() if name.lower() not in user_flags}
    serial_blas = False
    if "blas.ldflags" not in user_flags:
        flags["blas.ldflags"] = blas_flags()
        serial_blas = set_blas_threads()
    if "theano" in sys.modules:
        _adapt_imported_theano(flags)
    else:
        with devices.failures_raised(user_flags):
            _import_theano(flags, devices.required_flags(device, user_flags.get("optimizer_excluding", "")))
        devices.require_working(device)
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"theano\.")
    return serial_blas


serial_blas = set_up()
