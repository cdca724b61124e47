"""Checks of inputs and labels, for all kinds of files."""

import warnings

import numpy as np

from theano_tutorials.datasets.errors import DatasetError, DatasetWarning
from theano_tutorials.datasets.shapes import in_theano_order

BYTE_SCALE = 256  # not 255: so mnist.pkl.gz was made
MAX_BYTE = 255
MAX_LABEL = 65_535  # a model has weights for each class: a damaged label must not ask for gigabytes of them


def checked_split(where, inputs, labels):
    """Check one set of a data set, and convert it.

    Parameters
    ----------
    where : str
        First words of an error message.
    inputs : numpy.ndarray, uint8, floats, or integers from 0 to 255, (n_examples, ...)
        Bytes, and integers like them, are divided by 256.
    labels : numpy.ndarray, whole numbers from 0 to 65,535, (n_examples,) or (n_examples, 1)

    Returns
    -------
    (inputs, labels)
        float32, (n_examples, *example_shape), images in Theano's order (see
        :func:`theano_tutorials.datasets.shapes.in_theano_order`); int64, (n_examples,).

    Raises
    ------
    DatasetError
        If a shape, a dtype or a value is not as described.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if inputs.ndim < 2 or labels.ndim != 1:
        raise DatasetError(
            f"{where}: inputs of shape {inputs.shape}, labels of shape {labels.shape}: "
            "expected (n_examples, ...) and (n_examples,)"
        )
    if len(inputs) != len(labels):
        raise DatasetError(f"{where}: {len(inputs)} images and {len(labels)} labels: expected as many")
    if inputs.size == 0:
        raise DatasetError(f"{where}: inputs of shape {inputs.shape}: expected at least one example of one pixel")
    if labels.dtype.kind not in "iu" and not (labels.dtype.kind == "f" and (labels % 1 == 0).all()):
        raise DatasetError(f"{where}: labels of dtype {labels.dtype}: expected integers, or whole numbers")
    if labels.min() < 0 or labels.max() > MAX_LABEL:
        raise DatasetError(f"{where}: labels from {labels.min()} to {labels.max()}: expected 0 to {MAX_LABEL}")
    if inputs.dtype.kind in "iu" and inputs.min() >= 0 and inputs.max() <= MAX_BYTE:
        inputs = inputs.astype(np.uint8) / np.float32(BYTE_SCALE)
    elif inputs.dtype.kind == "f":
        inputs = inputs.astype(np.float32)
        if not np.isfinite(inputs).all():
            raise DatasetError(f"{where}: {np.sum(~np.isfinite(inputs))} values are NaN or infinite: expected none")
        if inputs.min() >= 0 and inputs.max() == MAX_BYTE and (inputs % 1 == 0).all():
            message = f"{where}: whole floats from 0 to {MAX_BYTE}: give bytes as uint8, or divide by {BYTE_SCALE}"
            warnings.warn(message, DatasetWarning, stacklevel=2)
    else:
        raise DatasetError(
            f"{where}: images of dtype {inputs.dtype}: expected uint8, integers from 0 to {MAX_BYTE}, or floats such "
            "as byte / 256"
        )
    return in_theano_order(inputs), labels.astype(np.int64)
