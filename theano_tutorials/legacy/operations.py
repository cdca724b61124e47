"""What translated code calls where Python 2 and Python 3 do something else with the same values."""

import functools
import operator
from collections.abc import ItemsView, KeysView, ValuesView

import numpy as np
import theano

from theano_tutorials.legacy.texts import alone, of_python_2


def _is_whole(value):
    if isinstance(value, (int, np.integer)):
        return True
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "iu"
    if isinstance(value, theano.Variable):
        return getattr(value, "dtype", "") in theano.tensor.integer_dtypes
    return False


def divide(x, y):
    """``x / y``: of whole numbers, rounded down."""
    return x // y if _is_whole(x) and _is_whole(y) else x / y


def divide_in_place(x, y):
    """What ``x /= y`` puts into x."""
    return operator.ifloordiv(x, y) if _is_whole(x) and _is_whole(y) else operator.itruediv(x, y)


def divide_item(container, index, y):
    """``container[index] /= y``."""
    container[index] = divide_in_place(container[index], y)


def order(name, x, y):
    """``x < y`` and the like: in Python 2, None is less than all, and a number is less than what is none."""
    compare = getattr(operator, name)
    try:
        return compare(x, y)
    except TypeError:
        ranks = _rank(x), _rank(y)
        if ranks[0] == ranks[1]:
            raise
        return compare(*ranks)


def _rank(value):
    if value is None:
        return (0, "")
    return (1, "") if isinstance(value, (int, float, np.number)) else (2, type(value).__name__)


def modulo(x, y):
    """``x % y``; of text, with the digits that Python 2 gives a float for %s."""
    return x % (of_python_2(y) if isinstance(x, str) else y)


def message(error):
    """``error.message``, which exceptions have in Python 2."""
    if isinstance(error, BaseException) and not hasattr(error, "message"):
        return error.args[0] if len(error.args) == 1 else ""
    return error.message


def method(owner, name):
    """``owner.name``, where Python 2 has another method of that name."""
    return functools.partial(METHODS[name], owner)


def _listed(name):
    def call(owner, *arguments, **options):
        result = getattr(owner, name)(*arguments, **options)
        return list(result) if isinstance(result, (ItemsView, KeysView, ValuesView)) else result

    return call


def _iterated(name, of_python_3):
    def call(owner, *arguments, **options):
        if hasattr(owner, name):
            return getattr(owner, name)(*arguments, **options)
        return of_python_3(owner)

    return call


def _has_key(owner, key):
    return owner.has_key(key) if hasattr(owner, "has_key") else key in owner


def _sort(owner, *arguments, **options):
    if isinstance(owner, list):
        compare = options.pop("cmp", None) or (arguments[0] if arguments else None)
        if compare is not None:
            options["key"] = compared_by(compare, options.get("key"))
        return owner.sort(**options)
    return owner.sort(*arguments, **options)


def compared_by(compare, key=None):
    """A key that sorts as the function ``compare`` of two elements says."""
    of = functools.cmp_to_key(compare)
    return of if key is None else lambda element: of(key(element))


def _format(owner, *arguments, **options):
    if isinstance(owner, str):
        return owner.format(*map(_formatted, arguments), **{name: _formatted(each) for name, each in options.items()})
    return owner.format(*arguments, **options)


def _formatted(value):
    return alone(float(value) if isinstance(value, np.floating) else value)


def _decode(owner, *arguments, **options):
    # What Python 2 read as bytes is text here already.
    return owner if isinstance(owner, str) else owner.decode(*arguments, **options)


METHODS = {
    **{name: _listed(name) for name in ("items", "keys", "values")},
    "iteritems": _iterated("iteritems", lambda owner: iter(owner.items())),
    "iterkeys": _iterated("iterkeys", lambda owner: iter(owner.keys())),
    "itervalues": _iterated("itervalues", lambda owner: iter(owner.values())),
    "next": _iterated("next", next),
    "decode": _decode,
    "format": _format,
    "has_key": _has_key,
    "sort": _sort,
}

BY_NAME = {
    f"__python2_{function.__name__}__": function
    for function in (divide, divide_in_place, divide_item, message, method, modulo, order)
}
BY_NAME["__python2_slice__"] = slice
