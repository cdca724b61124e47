"""What translated code calls where Python 2 and Python 3 do something else with the same values."""

import codecs
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


def equal(x, y):
    """``x == y``: an array is not None, nor equal to what its shape does not go with."""
    return _compared(operator.eq, x, y, False)


def unequal(x, y):
    """``x != y``, which for arrays is no negation of :func:`equal`."""
    return _compared(operator.ne, x, y, True)


def _compared(relation, x, y, if_they_do_not_go_together):
    if not isinstance(x, np.ndarray) and not isinstance(y, np.ndarray):
        return relation(x, y)
    if x is None or y is None:
        return if_they_do_not_go_together
    try:
        return relation(x, y)
    except ValueError:
        return if_they_do_not_go_together


def order(name, x, y):
    """``x < y`` and the like."""
    relation = getattr(operator, name)
    try:
        return relation(x, y)
    except TypeError:
        return relation(compare(x, y), 0)


def compare(x, y):
    """``cmp(x, y)``: in Python 2, None is less than all, and a number is less than what is none."""
    try:
        return int(x > y) - int(x < y)
    except TypeError:
        if type(x) is type(y) and isinstance(x, (list, tuple)):
            differ = (compare(a, b) for a, b in zip(x, y) if a != b)
            return next(differ, len(x) - len(y))
        ranks = _rank(x), _rank(y)
        if ranks[0] == ranks[1]:
            raise
        return 1 if ranks[0] > ranks[1] else -1


def _rank(value):
    if value is None:
        return (0, "")
    return (1, "") if isinstance(value, (int, float, np.number)) else (2, type(value).__name__)


def in_order(values, cmp=None, key=None, reverse=False):
    """``sorted`` of Python 2, whose ``cmp`` is a function of two elements."""
    values = list(values)
    if cmp is None:
        try:
            return sorted(values, key=key, reverse=reverse)
        except TypeError:
            cmp = compare
    return sorted(values, key=_compared_by(cmp, key), reverse=reverse)


def _compared_by(compare, key):
    of = functools.cmp_to_key(compare)
    return of if key is None else lambda element: of(key(element))


def extreme(function, *values, key=None):
    """``max`` and ``min`` of Python 2."""
    try:
        return function(*values) if key is None else function(*values, key=key)
    except TypeError:
        return function(*values, key=_compared_by(compare, key))


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
    if not isinstance(owner, list):
        return owner.sort(*arguments, **options)
    owner[:] = in_order(owner, *arguments, **options)
    return None


def _format(owner, *arguments, **options):
    if isinstance(owner, str):
        return owner.format(*map(_formatted, arguments), **{name: _formatted(each) for name, each in options.items()})
    return owner.format(*arguments, **options)


def _formatted(value):
    return alone(float(value) if isinstance(value, np.floating) else value)


# Codecs from bytes to bytes; in Python 2, text has them, too.
_OF_BYTES = ("base64", "bz2", "hex", "zlib")
_ENCODERS = {**{name: codecs.getencoder(name) for name in _OF_BYTES}, "string_escape": codecs.escape_encode}
_DECODERS = {**{name: codecs.getdecoder(name) for name in _OF_BYTES}, "string_escape": codecs.escape_decode}


def _decode(owner, encoding="ascii", *errors):
    recode = _DECODERS.get(encoding.replace("-", "_"))
    if isinstance(owner, str):  # what Python 2 read as bytes is text here already
        return owner if recode is None else recode(owner.encode("latin-1"))[0].decode("latin-1")
    return owner.decode(encoding, *errors)


def _encode(owner, encoding="ascii", *errors):
    recode = _ENCODERS.get(encoding.replace("-", "_"))
    if recode is None:
        return owner.encode(encoding, *errors)
    return recode(owner.encode("latin-1"))[0].decode("latin-1")


METHODS = {
    **{name: _listed(name) for name in ("items", "keys", "values")},
    "iteritems": _iterated("iteritems", lambda owner: iter(owner.items())),
    "iterkeys": _iterated("iterkeys", lambda owner: iter(owner.keys())),
    "itervalues": _iterated("itervalues", lambda owner: iter(owner.values())),
    "next": _iterated("next", next),
    "decode": _decode,
    "encode": _encode,
    "format": _format,
    "has_key": _has_key,
    "sort": _sort,
}

BY_NAME = {
    f"__python2_{function.__name__}__": function
    for function in (divide, divide_in_place, divide_item, equal, message, method, modulo, order, unequal)
}
BY_NAME["__python2_slice__"] = slice
