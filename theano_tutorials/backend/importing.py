"""Imports Theano 1.0.5 beside Python, NumPy and SciPy of today, which lack or change what it imports."""

import importlib
import sys
import types
import warnings
from contextlib import contextmanager

import numpy as np

from theano_tutorials.backend import flags
from theano_tutorials.backend.compiling import cache

_SCIPY_OF_SOME_OPS = ("scipy.sparse", "scipy.special", "scipy.stats")


def require_not_imported():
    """Raise ImportError if Theano, or a part of it, is imported already: only its import can be adapted."""
    names = [name for name, module in sys.modules.items() if module and name.partition(".")[0] == "theano"]
    if names:
        found = "theano is imported already" if "theano" in names else f"{names[0]} is left of an import that failed"
        raise ImportError(
            f"{found}, and Theano must be set up before its import: "
            "start a new process, and import theano_tutorials first"
        )


def restore_numpy_aliases():
    """Put back the names of Python's types that NumPy 1.24 dropped and Theano uses."""
    vars(np).update(bool=bool, int=int, float=float, complex=complex, object=object, str=str)


def use_python_scan():
    """Select the Python loop of ``theano.scan`` where its C code does not compile."""
    if sys.version_info >= (3, 11):
        sys.modules["theano.scan_module.scan_perform_ext"] = None


def import_theano(defaults, required):
    """Import Theano with these flags, which are dicts of values by name; see :func:`flags.for_theano`.

    Where its compile cache cannot be written, another folder takes its place.
    """
    try:
        _import(defaults, required)
    except (ValueError, OSError) as error:
        folder = cache.not_writable(error)
        if folder is None:
            raise
        try:
            place = cache.substitute(folder)
        except OSError as problem:
            raise ImportError(
                f"{folder} cannot be written, nor can a temporary folder ({problem}): "
                "name a folder for what Theano compiles: base_compiledir=FOLDER in THEANO_FLAGS"
            ) from None
        _forget_theano()
        _import(defaults, {**required, "compiledir": str(place)})
    # Nobody will change what is deprecated in Theano's code.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"theano\.")


def _import(defaults, required):
    with flags.for_theano(defaults, required), _scipy_deferred(), _distutils_of_python(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import theano  # noqa: F401


def _forget_theano():
    # Not what stands in for a module of it, and has another name.
    for name, module in list(sys.modules.items()):
        if module is not None and module.__name__.partition(".")[0] == "theano":
            del sys.modules[name]


class _Deferred(types.ModuleType):
    """Stands for a module until something in it is used."""

    def __getattr__(self, name):
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def _signal_of_scipy_1_7():
    """Stand-ins, by name, for two modules of ``scipy.signal``, with the private functions that Theano takes of them."""

    def convolve(image, kernel, mode):
        from scipy import signal

        return signal.convolve(image, kernel, mode)

    def _convolve2d(image, kernel, flip, mode, boundary, fill):
        from scipy import signal

        return signal.convolve2d(image, kernel, mode, boundary, fill)

    signaltools, sigtools = (types.ModuleType(f"scipy.signal.{name}") for name in ("signaltools", "sigtools"))
    # What these two make of a word, Theano only hands on to _convolve2d, which here takes the word.
    vars(signaltools).update(_valfrommode=str, _bvalfromboundary=str, convolve=convolve)
    sigtools._convolve2d = _convolve2d
    return {module.__name__: module for module in (signaltools, sigtools)}


@contextmanager
def _scipy_deferred():
    """Import parts of SciPy that only some Ops of Theano use when they do: all together take half a second."""
    stand_ins = {name: _Deferred(name) for name in _SCIPY_OF_SOME_OPS if name not in sys.modules}
    stand_ins.update(_signal_of_scipy_1_7())
    before = {name: sys.modules[name] for name in stand_ins if name in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, module in stand_ins.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
        sys.modules.update(before)


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
