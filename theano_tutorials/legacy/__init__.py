"""Old code, as it is: module names of the original tutorials, dropped parts of Theano, Python 2.

After ``import theano_tutorials.legacy``, code written for the original tutorials finds
their modules: ``from logistic_sgd import LogisticRegression, load_data`` works. They are
found last: a file of such a name beside the script wins. The same holds for modules of
Theano that are gone, such as ``theano.tensor.signal.downsample``.

``python -m theano_tutorials.legacy script.py`` runs a script of Python 2. See docs/legacy.md.
"""

import importlib
import importlib.util
import sys
from pathlib import Path

from theano_tutorials.legacy import theano_names

_ORIGINALS = Path(__file__).with_name("originals")


class _Finder:
    """Finds modules by their names; ``make`` makes the module of a name, or is None for others."""

    def __init__(self, maker_of):
        self.maker_of = maker_of

    def find_spec(self, name, path=None, target=None):
        """As :meth:`importlib.abc.MetaPathFinder.find_spec`."""
        make = self.maker_of(name)
        return make and importlib.util.spec_from_loader(name, _Loader(make))


class _Loader:
    """Takes a module that has been made, under another name."""

    def __init__(self, make):
        self.make = make

    def create_module(self, spec):
        return self.make()

    def exec_module(self, module):
        pass


def _of_the_course(name):
    # Names are told apart by case on every disk: dA is not da.
    if f"{name}.py" in {file.name for file in _ORIGINALS.glob("*.py")}:
        return lambda: importlib.import_module(f"{__name__}.originals.{name}")
    return None


def install():
    """Make old names importable in this process; importing this module does it."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        theano_names.install()
        of_theano = theano_names.make()
        # What Theano 1.0.5 has in the place of some of them only raises an error.
        sys.meta_path.insert(0, _Finder(lambda name: (lambda: of_theano[name]) if name in of_theano else None))
        sys.meta_path.append(_Finder(_of_the_course))


install()
