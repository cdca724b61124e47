"""Runs an old script, and the modules beside it, as Python 2 and an old Theano ran them."""

import os
import sys
import sysconfig
import traceback
import warnings
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType

import numpy as np
import theano

from theano_tutorials.backend import flags_of_the_user
from theano_tutorials.legacy import python2, texts, translation

_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_STANDARD_LIBRARY = tuple(os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib"))
_HERE = os.path.dirname(os.path.dirname(os.path.realpath(__file__))) + os.sep


def is_of_the_user(path):
    """Whether a module is neither Python's, nor installed, nor of this library."""
    path = os.path.realpath(path)
    is_installed = {"site-packages", "dist-packages"} & {*path.split(os.sep)}
    return not is_installed and not path.startswith((*_STANDARD_LIBRARY, _HERE))


class _Finder:
    """Finds the modules of the user where Python does; those that are Python 2 are translated."""

    def __init__(self, builtins_of_python_2):
        self.builtins = builtins_of_python_2

    def find_spec(self, name, path=None, target=None):
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            return spec
        if not is_of_the_user(spec.origin):
            return None
        spec.loader = _Loader(spec.loader.name, spec.loader.path, self.builtins)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, name, path, builtins_of_python_2):
        super().__init__(name, path)
        self.builtins = builtins_of_python_2

    def exec_module(self, module):
        _execute(self.path, vars(module), self.builtins)


def _execute(path, names, builtins_of_python_2):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what was usual, such as "x is 0"
        code, is_python_2 = translation.code_of(Path(path).read_bytes(), path)
    if is_python_2:
        names["__builtins__"] = builtins_of_python_2
    exec(code, names)


def run(script, arguments):
    """Run a script as ``__main__``, and end with its exit code.

    Parameters
    ----------
    script : str
    arguments : list of str

    Returns
    -------
    int or str or None
        For :func:`sys.exit`.
    """
    if not os.path.isfile(script):
        return f"error: {script}: no such file"
    _as_in_the_time(flags_of_the_user())
    out = sys.stdout = texts.Out.instead_of(sys.stdout)
    sys.argv = [script, *arguments]
    sys.path[0] = os.path.dirname(os.path.abspath(script))
    builtins_of_python_2 = python2.make()
    sys.meta_path.insert(0, _Finder(builtins_of_python_2))
    main = ModuleType("__main__")
    main.__file__ = script
    sys.modules["__main__"] = main
    try:
        _execute(script, vars(main), builtins_of_python_2)
    except SystemExit as ending:
        return ending.code
    except BaseException as error:
        sys.stdout.flush()
        _say(error)
        return _INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
    finally:
        if not hasattr(sys.stdout, "flush"):  # the script's own, which Python flushes in the end
            sys.stdout = out
    return None


def _as_in_the_time(user_flags):
    if "floatx" not in user_flags:
        theano.config.floatX = "float64"
    np.set_printoptions(legacy="1.13")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", "The parameter 'updates' of theano.function")


def _say(error):
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not os.path.realpath(frame.filename).startswith(os.path.dirname(os.path.realpath(__file__)) + os.sep)
    ]
    if isinstance(error, (ModuleNotFoundError, FileNotFoundError)) and frames:
        print(f"error: {frames[-1].filename}, line {frames[-1].lineno}: {error}", file=sys.stderr)
        return
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames)]
    sys.stderr.write("".join(lines + traceback.format_exception_only(type(error), error)))
