"""The shape of an example, in Theano's order of dimensions."""

import math

import numpy as np

from theano_tutorials.datasets.errors import DatasetError

_CHANNELS = (1, 3, 4)  # grey; red, green and blue; these and transparency


def in_theano_order(images):
    """Bring images into the order of Theano's convolutions: channels, then height and width.

    Parameters
    ----------
    images : array-like
        With four dimensions: (n, channels, height, width) or (n, height, width,
        channels). The order is taken as the second one if the last dimension is 1,
        3 or 4 and the dimension after n is not.

    Returns
    -------
    numpy.ndarray, of the same dtype
        (n, channels, height, width), or (n, height, width) if there is one
        channel. An array with another number of dimensions is returned unchanged.
        The result shares the memory of a given array.

    Examples
    --------
    >>> in_theano_order(np.zeros((5, 32, 48, 3))).shape
    (5, 3, 32, 48)
    >>> in_theano_order(np.zeros((5, 28, 28, 1))).shape
    (5, 28, 28)
    """
    images = np.asarray(images)
    if images.ndim != 4:
        return images
    if images.shape[1] not in _CHANNELS and images.shape[3] in _CHANNELS:
        images = images.transpose(0, 3, 1, 2)
    return images[:, 0] if images.shape[1] == 1 else images


def common_shape(where, shapes):
    """Shape of an example in all of the sets.

    Parameters
    ----------
    where : object
        First words of an error message.
    shapes : list of tuple of int
        Shape of an example in each set. One set may have rows and another grey
        images with the same number of pixels.

    Returns
    -------
    tuple of int
        The shape of the images, if any set has images.

    Raises
    ------
    DatasetError
        If the shapes of the sets do not agree.
    """
    image_shapes = {shape for shape in shapes if len(shape) > 1}
    widths = [math.prod(shape) for shape in shapes]
    if len(image_shapes) > 1 or len(set(widths)) > 1:
        raise DatasetError(
            f"{where}: images of {', '.join(map(str, widths))} pixels, of shapes {', '.join(map(str, shapes))}: "
            "expected one size in all sets"
        )
    shape = max(shapes, key=len)
    if len(shape) == 3 and min(map(len, shapes)) == 1:
        # The channels of a pixel may be side by side in a row, or each channel may be.
        raise DatasetError(
            f"{where}: rows of {widths[0]} values beside images of shape {shape}: expected rows in all sets, "
            "or images in all"
        )
    return shape


def image_shape_of(example_shape):
    """Shape of an example as an image: (channels, height, width), or None if it is not an image.

    Parameters
    ----------
    example_shape : tuple of int
        (height, width), (channels, height, width) or (n_features,). If
        ``n_features`` is a square number, the example is a square grey image.
    """
    if len(example_shape) == 1:
        side = math.isqrt(example_shape[0])
        return (1, side, side) if side**2 == example_shape[0] else None
    if len(example_shape) == 2:
        return (1, *example_shape)
    is_image = len(example_shape) == 3 and example_shape[0] in _CHANNELS
    return tuple(example_shape) if is_image else None
