"""Modules of today under which old code finds more, or other, names."""

from types import ModuleType


class View(ModuleType):
    """A module with some names of its own; all others, and what is set, are those of a module of today."""

    def __init__(self, module, **names):
        super().__init__(module.__name__, module.__doc__)
        vars(self)["_module"] = module
        vars(self)["_names"] = names
        # For "from module import *".
        public = getattr(module, "__all__", None) or [name for name in dir(module) if not name.startswith("_")]
        vars(self)["__all__"] = sorted({*public, *names})
        vars(self).update(names)

    def __getattr__(self, name):
        return getattr(self._module, name)

    def __setattr__(self, name, value):
        if name in self._names:
            vars(self)[name] = value
        else:
            setattr(self._module, name, value)

    def __dir__(self):
        return sorted({*dir(self._module), *self._names})
