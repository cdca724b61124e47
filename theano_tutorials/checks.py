"""Checks of arguments, made when the graph is built rather than when it runs."""

import math
import numbers

import numpy as np
import theano


def python_number(value):
    """What Python has for a number of NumPy, which JSON cannot hold; any other value as it is."""
    return value.item() if isinstance(value, np.generic) else value


def require_positive(**values):
    """Raise ValueError unless each named value is a positive, finite number."""
    for name, value in values.items():
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not (is_number and math.isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value!r}: expected a positive, finite number")


def require_not_negative(**values):
    """Raise ValueError unless each named value is a finite number of at least zero."""
    for name, value in values.items():
        if not (isinstance(value, numbers.Real) and math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} is {value!r}: expected a finite number of at least 0")


def require_fraction(**values):
    """Raise ValueError unless each named value is a number in [0, 1)."""
    for name, value in values.items():
        if not (isinstance(value, numbers.Real) and 0 <= value < 1):
            raise ValueError(f"{name} is {value!r}: expected a number of at least 0 and below 1")


def _is_count(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= 1


def require_counts(**values):
    """Raise ValueError unless each named value is an integer of at least one."""
    for name, value in values.items():
        if not _is_count(value):
            raise ValueError(f"{name} is {value!r}: expected an integer of at least 1")


def _is_shape(length, value):
    try:
        sizes = tuple(value)
    except TypeError:
        return False
    return len(sizes) == length and all(map(_is_count, sizes))


def require_shape(length, **values):
    """Raise ValueError unless each named value is a sequence of that many integers, each at least one."""
    for name, value in values.items():
        if not _is_shape(length, value):
            raise ValueError(f"{name} is {value!r}: expected {length} integers of at least 1")


def require_batch_shape(length, **values):
    """As :func:`require_shape`, but the first integer of each may be None: a batch of any size."""
    for name, value in values.items():
        is_any_size = isinstance(value, (tuple, list)) and len(value) == length and value[0] is None
        sizes = (1, *value[1:]) if is_any_size else value
        if not _is_shape(length, sizes):
            raise ValueError(f"{name} is {value!r}: expected {length} integers of at least 1, or None for the first")


def require_ndim(*allowed, **variables):
    """Raise TypeError unless each named symbolic variable has that many dimensions, or one of these numbers."""
    for name, variable in variables.items():
        if not isinstance(variable, theano.Variable):
            raise TypeError(f"{name} is of type {type(variable).__name__}: expected a symbolic variable")
        if variable.ndim not in allowed:
            expected = " or ".join(map(str, allowed))
            raise TypeError(f"{name} ({variable}) has ndim {variable.ndim}: expected a variable with ndim {expected}")


def require_labels(y):
    """Raise TypeError unless ``y`` is a symbolic vector of integers."""
    require_ndim(1, y=y)
    if "int" not in y.dtype:
        raise TypeError(f"y has dtype {y.dtype}: expected an integer dtype, as of T.ivector or T.cast(y, 'int32')")


def shape_of(shared):
    """Shape of the array in a shared variable, which stays where it is, be that on a GPU."""
    return tuple(shared.get_value(borrow=True, return_internal_type=True).shape)


def require_parameter(name, parameter, shape):
    """Raise unless ``parameter`` is a symbolic variable of as many dimensions; if it is shared, of that shape."""
    if not isinstance(parameter, theano.Variable):
        raise TypeError(f"{name} is {parameter!r}: expected a theano.shared variable, or another symbolic one")
    if parameter.ndim != len(shape):
        raise ValueError(f"{name} has ndim {parameter.ndim}: expected the shape {tuple(shape)}")
    if hasattr(parameter, "get_value") and shape_of(parameter) != tuple(shape):
        raise ValueError(f"{name} has shape {shape_of(parameter)}: expected {tuple(shape)}")
