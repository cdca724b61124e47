"""NumPy as Theano's modules see it: with names that NumPy 1.24 and 2 have dropped."""

from types import ModuleType

import numpy as np

NUMPY_2 = int(np.__version__.split(".")[0]) >= 2
_RAVEL_AXIS = -(2**31)  # NPY_RAVEL_AXIS of NumPy 2's C API; NumPy 1 has NPY_MAXDIMS in its place


def make():
    """Return a module with all of NumPy's names and with those that Theano misses there."""
    view = ModuleType("numpy", np.__doc__)
    # NumPy's own __getattr__ is among the names: what NumPy loads when it is asked for, it loads here, too.
    vars(view).update(vars(np))
    vars(view).update(bool=bool, int=int, float=float, complex=complex, object=object, str=str, cast=_Cast())
    if NUMPY_2:
        vars(view).update(
            product=np.prod,
            sctype2char=lambda dtype: np.dtype(dtype).char,
            ComplexWarning=np.exceptions.ComplexWarning,
            MAXDIMS=_RAVEL_AXIS,
            core=np._core,
            unique=_unique,
        )
    return view


def dtype_of(dtype):
    """What NumPy takes for a dtype, also for types and variables of Theano: NumPy no longer takes these."""
    name = getattr(dtype, "dtype", None)
    return name if isinstance(name, str) else dtype


def taking_types(view):
    """Return a copy of a view in which ``asarray`` and ``zeros`` take types and variables of Theano as a dtype."""
    copy = ModuleType(view.__name__, view.__doc__)
    vars(copy).update(vars(view))
    copy.asarray = lambda a, dtype=None, **options: np.asarray(a, dtype_of(dtype), **options)
    copy.zeros = lambda shape, dtype=None, **options: np.zeros(shape, dtype_of(dtype), **options)
    return copy


class _Cast:
    """``np.cast[dtype](x)``, also for types of Theano."""

    def __getitem__(self, dtype):
        return lambda x: np.asarray(x).astype(dtype_of(dtype))


def _unique(ar, return_index=False, return_inverse=False, return_counts=False, axis=None):
    # From NumPy 2 on the inverse of a matrix has its shape; Theano's variable for it is a vector.
    result = np.unique(ar, return_index, return_inverse, return_counts, axis)
    if not return_inverse:
        return result
    place = 2 if return_index else 1
    return (*result[:place], result[place].reshape(-1), *result[place + 1 :])
