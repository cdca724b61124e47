"""Modules that Theano imports and that are gone, as far as Theano uses them, and others that take long."""

import importlib.metadata
import importlib.util
import shutil
import sysconfig
from types import ModuleType

import numpy as np

# Some Ops use them, and all together take half a second: SciPy imports them when they are used.
LATER = ("scipy.sparse", "scipy.special", "scipy.stats")


def make():
    """Stand-ins by the full name of the module."""
    modules = [
        *_distutils(),
        *_numpy_distutils(),
        *_signal_of_scipy_1_7(),
        module("imp", find_module=_find_module),
        module("pkg_resources", DistributionNotFound=importlib.metadata.PackageNotFoundError),
        module("numpy.linalg.linalg", LinAlgError=np.linalg.LinAlgError),
    ]
    return {each.__name__: each for each in modules}


def module(name, **content):
    """A module of that name with that content."""
    made = ModuleType(name)
    vars(made).update(content)
    return made


def _distutils():
    # Gone from Python 3.12; that of setuptools takes a quarter of the time of Theano's import.
    def get_python_inc(plat_specific=False):
        return sysconfig.get_path("platinclude" if plat_specific else "include")

    inner = module(
        "distutils.sysconfig",
        get_config_var=sysconfig.get_config_var,
        get_python_inc=get_python_inc,
        # Theano asks for the standard library that belongs to the platform, and for nothing else.
        get_python_lib=lambda plat_specific, standard_lib: sysconfig.get_path("platstdlib"),
    )
    spawn = module("distutils.spawn", find_executable=shutil.which)
    return [module("distutils", sysconfig=inner, spawn=spawn), inner, spawn]


def _numpy_distutils():
    # Gone from NumPy on Python 3.12. Theano has its blas.ldflags from the flags, and asks for the headers only.
    misc_util = module("numpy.distutils.misc_util", get_numpy_include_dirs=lambda: [np.get_include()])
    config = module("numpy.distutils.__config__")
    return [module("numpy.distutils", misc_util=misc_util, __config__=config), misc_util, config]


def _find_module(name):
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ImportError(f"No module named {name!r}", name=name)
    return spec


def _signal_of_scipy_1_7():
    # Private functions that Theano takes of scipy.signal.
    def convolve(image, kernel, mode):
        from scipy import signal

        return signal.convolve(image, kernel, mode)

    def _convolve2d(image, kernel, flip, mode, boundary, fill):
        from scipy import signal

        return signal.convolve2d(image, kernel, mode, boundary, fill)

    # What these two make of a word, Theano only hands on to _convolve2d, which here takes the word.
    signaltools = module("scipy.signal.signaltools", _valfrommode=str, _bvalfromboundary=str, convolve=convolve)
    return [signaltools, module("scipy.signal.sigtools", _convolve2d=_convolve2d)]
