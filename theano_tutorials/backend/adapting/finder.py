"""Loads the modules of Theano: each imports what :mod:`stand_ins` and :mod:`numpy_view` have in the place of others."""

import builtins
import sys
import warnings
from importlib.machinery import PathFinder, SourceFileLoader

import numpy as np

from theano_tutorials.backend.adapting import mends, numpy_view, stand_ins


def install():
    """Load modules of Theano in this way, in this process, from now on."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds Theano's modules where Python does."""

    def __init__(self):
        view, modules = numpy_view.make(), stand_ins.make()
        view.distutils = modules["numpy.distutils"]

        def import_module(name, globals=None, locals=None, fromlist=(), level=0):
            if name in stand_ins.LATER and not fromlist:
                module = builtins.__import__(name.partition(".")[0])
            elif name in modules and level == 0:
                top = name.partition(".")[0]
                # As Python: "from a.b import c" asks for a.b, "import a.b" for a.
                module = modules[name] if fromlist else modules.get(top) or builtins.__import__(top)
            else:
                module = builtins.__import__(name, globals, locals, fromlist, level)
            return view if module is np else module

        # Python takes __import__ from the builtins of the module whose code runs.
        self.builtins = {**vars(builtins), "__import__": import_module}

    def find_spec(self, name, path=None, target=None):
        """As :meth:`importlib.abc.MetaPathFinder.find_spec`; None for what is not Theano's."""
        if name.partition(".")[0] != "theano":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path, self.builtins)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, name, path, builtins_of_theano):
        super().__init__(name, path)
        self.builtins = builtins_of_theano

    def source_to_code(self, *args, **options):
        # Theano's strings have escapes that Python warns of; a user can do nothing about them.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return super().source_to_code(*args, **options)

    def exec_module(self, module):
        vars(module)["__builtins__"] = self.builtins
        super().exec_module(module)
        mends.mend(module)
