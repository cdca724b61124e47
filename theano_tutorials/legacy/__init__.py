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

# Names are told apart by case on every disk: dA is not da.
_OF_THE_COURSE = {file.stem for file in Path(__file__).with_name("originals").glob("[!_]*.py")}


class _Finder:
    """Finds the modules of some names, and loads what ``make`` makes of a name."""

    def __init__(self, names, make):
        self.names, self.make = names, make

    def find_spec(self, name, path=None, target=None):
        """As :meth:`importlib.abc.MetaPathFinder.find_spec`."""
        return importlib.util.spec_from_loader(name, self) if name in self.names else None

    def create_module(self, spec):
        """As :meth:`importlib.abc.Loader.create_module`."""
        return self.make(spec.name)

    def exec_module(self, module):
        """As :meth:`importlib.abc.Loader.exec_module`: it has been executed, under another name."""


def install():
    """Make old names importable in this process; importing this module does it."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        theano_names.install()
        of_theano = theano_names.make()
        # What Theano 1.0.5 has in the place of some of them only raises an error.
        sys.meta_path.insert(0, _Finder(of_theano, of_theano.get))
        sys.meta_path.append(
            _Finder(_OF_THE_COURSE, lambda name: importlib.import_module(f"{__name__}.originals.{name}"))
        )


install()
