"""Builtins of Python 2, for the translated modules alone: other libraries see nothing of them."""

import builtins
import functools
import importlib
import importlib.util
import os
import sys
from types import ModuleType

from theano_tutorials.backend.adapting.stand_ins import module
from theano_tutorials.legacy import files, modules, operations, theano_names
from theano_tutorials.legacy.texts import Text, print_function, print_statement
from theano_tutorials.legacy.translation import code_of, code_of_expression
from theano_tutorials.legacy.views import View


def make():
    """Builtins by name."""
    stand_ins = modules.make()
    stand_ins["imp"] = module("imp", load_source=_load_source, reload=importlib.reload)

    def import_module(name, globals=None, locals=None, fromlist=(), level=0):
        head, _, rest = name.partition(".")
        if level == 0:
            if head == "theano":
                theano_names.apply_flags()
            package = (globals or {}).get("__package__")
            if package and importlib.util.find_spec(f"{package}.{head}") is not None:
                return builtins.__import__(name, globals, locals, fromlist, 1)  # as Python 2 without absolute_import
            if name in stand_ins and not is_beside(name):
                return stand_ins[name]
            if name in modules.RENAMED and not is_beside(name):
                return importlib.import_module(modules.RENAMED[name])
            if head in stand_ins and rest:
                if rest.partition(".")[0] not in vars(stand_ins[head]):
                    importlib.import_module(name)
                return functools.reduce(getattr, rest.split("."), stand_ins[head]) if fromlist else stand_ins[head]
        return builtins.__import__(name, globals, locals, fromlist, level)

    @functools.cache
    def is_beside(name):
        # A file of that name beside the script wins.
        return os.path.exists(os.path.join(sys.path[0], f"{name}.py"))

    return {
        **vars(builtins),
        **operations.BY_NAME,
        "__import__": import_module,
        "StandardError": Exception,
        "apply": lambda function, arguments=(), options=None: function(*arguments, **(options or {})),
        "basestring": Text,
        "buffer": memoryview,
        "cmp": operations.compare,
        "eval": _eval,
        "exec": _exec,
        "execfile": _execfile,
        "file": files.open_,
        "filter": _filter,
        "input": lambda prompt="": _eval(input(prompt), sys._getframe(1).f_globals, sys._getframe(1).f_locals),
        "intern": sys.intern,
        "long": int,
        "map": _map,
        "max": functools.partial(operations.extreme, max),
        "min": functools.partial(operations.extreme, min),
        "open": files.open_,
        "print": print_function,
        "__python2_print__": print_statement,
        "range": lambda *arguments: list(range(*arguments)),
        "raw_input": input,
        "reduce": functools.reduce,
        "reload": lambda module: module if isinstance(module, View) else importlib.reload(module),
        "round": _round,
        "sorted": operations.in_order,
        "str": Text,
        "unichr": chr,
        "unicode": Text,
        "xrange": range,
        "zip": lambda *iterables: list(zip(*iterables)),
    }


def _names(globals, locals):
    caller = sys._getframe(2)
    if globals is None:
        return caller.f_globals, caller.f_locals
    globals.setdefault("__builtins__", caller.f_builtins)
    return globals, globals if locals is None else locals


def _exec(code, globals=None, locals=None):
    if isinstance(code, str):
        code, _ = code_of(code.encode(), "<string>")
    exec(code, *_names(globals, locals))


def _eval(code, globals=None, locals=None):
    return eval(code_of_expression(code) if isinstance(code, str) else code, *_names(globals, locals))


def _execfile(path, globals=None, locals=None):
    with open(path, "rb") as file:
        code, _ = code_of(file.read(), path)
    exec(code, *_names(globals, locals))


def _load_source(name, path, file=None):
    loaded = ModuleType(name)
    vars(loaded).update(__file__=path, __builtins__=sys._getframe(1).f_builtins)
    sys.modules[name] = loaded
    _execfile(path, vars(loaded))
    return loaded


def _filter(function, values):
    kept = filter(function, values)
    if isinstance(values, str):
        return "".join(kept)
    return tuple(kept) if isinstance(values, tuple) else list(kept)


def _map(function, *iterables):
    if function is None:
        return list(zip(*iterables)) if len(iterables) > 1 else list(*iterables)
    return list(map(function, *iterables))


def _round(number, ndigits=0):
    # Halves away from zero.
    scale = 10.0**ndigits
    away = int(abs(number) * scale + 0.5) / scale
    if ndigits > 0 and round(abs(number), ndigits) != away:  # a half in decimals alone, as 2.675, which is less
        away = round(abs(number), ndigits)
    return float(-away if number < 0 else away)
