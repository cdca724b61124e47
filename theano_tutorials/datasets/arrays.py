"""Arrays in memory as a data set."""

import numpy as np

from theano_tutorials.datasets.errors import DatasetError

_EXPECTED = (
    "expected (x, y), ((x_train, y_train), (x_test, y_test)), or three such pairs: training, validation and test"
)


def pairs_of(dataset):
    """Pairs (inputs, labels) of a data set in memory.

    Parameters
    ----------
    dataset : tuple or list
        ``(x, y)``, or two or three such pairs. Each is an array or a list of numbers.

    Returns
    -------
    list of one, two or three (inputs, labels) pairs of numpy.ndarray

    Raises
    ------
    DatasetError
        If it is anything else.
    """
    if not isinstance(dataset, (tuple, list)):
        raise DatasetError(f"data set of type {_type_name(dataset)}: expected a name, a path, or arrays: {_EXPECTED}")
    is_pairs = len(dataset) in (2, 3) and all(isinstance(part, (tuple, list)) and len(part) == 2 for part in dataset)
    # Two lists of two numbers are x and y all the same.
    is_pairs = is_pairs and all(np.ndim(_array(part[0])) >= 2 for part in dataset)
    if not is_pairs and len(dataset) != 2:
        raise DatasetError(f"data set of {len(dataset)} parts: {_EXPECTED}")
    return [tuple(map(_array, pair)) for pair in (dataset if is_pairs else [dataset])]


def _array(part):
    kind = _type_name(part)
    if hasattr(part, "to_numpy"):
        raise DatasetError(f"{kind}: expected a NumPy array, such as {type(part).__name__.lower()}.to_numpy()")
    if hasattr(part, "toarray"):
        raise DatasetError(f"{kind}: expected a dense NumPy array, such as matrix.toarray()")
    try:
        array = np.asarray(part)
    except (ValueError, TypeError) as error:  # rows of different lengths
        raise DatasetError(f"{kind} that is no array ({error}): {_EXPECTED}") from error
    if array.dtype.kind not in "biuf":
        raise DatasetError(f"{kind} with values of dtype {array.dtype}: expected numbers")
    return array


def _type_name(value):
    return f"{type(value).__module__.split('.')[0]}.{type(value).__name__}".removeprefix("builtins.")
