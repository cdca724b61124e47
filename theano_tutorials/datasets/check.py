"""Checks of inputs and labels, for all kinds of files."""

import numpy as np

from theano_tutorials.datasets.errors import DatasetError
from theano_tutorials.datasets.shapes import in_theano_order

BYTE_SCALE = 256  # not 255: so mnist.pkl.gz was made
MAX_LABEL = 65_535  # a model has weights for each class: a damaged label must not ask for gigabytes of them


def checked_split(where, inputs, labels):
    """Check one set of a data set, and convert it.

    Parameters
    ----------
    where : str
        First words of an error message.
    inputs : numpy.ndarray, uint8 or floats, (n_examples, ...)
        Bytes are divided by 256.
    labels : numpy.ndarray, integers from 0 to 65,535, (n_examples,)

    Returns
    -------
    (inputs, labels)
        float32, (n_examples, *example_shape), images in Theano's order (see
        :func:`in_theano_order`); int64, (n_examples,).

    Raises
    ------
    DatasetError
        If a shape, a dtype or a value is not as described.
    """
    if inputs.ndim < 2 or labels.ndim != 1:
        raise DatasetError(
            f"{where}: inputs of shape {inputs.shape}, labels of shape {labels.shape}: "
            "expected (n_examples, ...) and (n_examples,)"
        )
    if len(inputs) != len(labels):
        raise DatasetError(f"{where}: {len(inputs)} images and {len(labels)} labels: expected as many")
    if inputs.size == 0:
        raise DatasetError(f"{where}: inputs of shape {inputs.shape}: expected at least one example of one pixel")
    if labels.dtype.kind not in "iu":
        raise DatasetError(f"{where}: labels of dtype {labels.dtype}: expected integers")
    if labels.min() < 0 or labels.max() > MAX_LABEL:
        raise DatasetError(f"{where}: labels from {labels.min()} to {labels.max()}: expected 0 to {MAX_LABEL}")
    if inputs.dtype == np.uint8:
        inputs = inputs / np.float32(BYTE_SCALE)
    elif inputs.dtype.kind == "f":
        inputs = inputs.astype(np.float32)
        if not np.isfinite(inputs).all():
            raise DatasetError(f"{where}: {np.sum(~np.isfinite(inputs))} values are NaN or infinite: expected none")
    else:
        raise DatasetError(f"{where}: images of dtype {inputs.dtype}: expected uint8, or floats such as byte / 256")
    return in_theano_order(inputs), labels.astype(np.int64)
