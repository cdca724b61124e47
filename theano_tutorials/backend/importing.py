"""Imports Theano 1.0.5 beside Python, NumPy and SciPy of today, which lack or change what it imports."""

import importlib.util
import re
import sys
import warnings
from pathlib import Path

from theano_tutorials.backend import flags
from theano_tutorials.backend.adapting import finder
from theano_tutorials.backend.compiling import cache

VERSION = "1.0.5"


def require_not_imported():
    """Raise ImportError if Theano, or a part of it, is imported already: only its import can be adapted."""
    names = [name for name, module in sys.modules.items() if module and name.partition(".")[0] == "theano"]
    if names:
        found = "theano is imported already" if "theano" in names else f"{names[0]} is left of an import that failed"
        raise ImportError(
            f"{found}, and Theano must be set up before its import: "
            "start a new process (in a notebook, restart the kernel), and import theano_tutorials first"
        )


def require_version():
    """Raise ImportError if the Theano that would be imported is not 1.0.5, or if there is none."""
    spec = importlib.util.find_spec("theano")
    if spec is None or spec.origin is None:
        raise ImportError(f"Theano is not installed in {sys.executable}: install theano_tutorials again with pip")
    try:
        found = re.search(r'"version": "(.+?)"', Path(spec.origin).with_name("_version.py").read_text(encoding="utf-8"))
    except OSError:
        found = None
    if found is None or found[1] != VERSION:
        what = f"Theano {found[1]}" if found else "another package"
        raise ImportError(
            f"{Path(spec.origin).parent} is {what}, not Theano {VERSION}: "
            "uninstall the package that it came with, or use another environment; then install theano_tutorials again"
        )


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
    finder.install()
    with flags.for_theano(defaults, required), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import theano  # noqa: F401


def _forget_theano():
    # Not what stands in for a module of it, and has another name.
    for name, module in list(sys.modules.items()):
        if module is not None and module.__name__.partition(".")[0] == "theano":
            del sys.modules[name]
