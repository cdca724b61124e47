"""Convolution and pooling in Python, for Theano's modes that run without compiled code.

FAST_COMPILE, ``optimizer=None``, DebugMode, test values and ``cxx=`` compute Ops in
Python. Of these Ops, Theano 1.0.5 has Python that needs private functions of SciPy
1.7, that NumPy refuses since 1.23, or none. What is here needs NumPy alone. It makes
one product of matrices for many images, or one step for each pool of all images.
"""

import functools
import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# In the windows of images that are copied at a time: 16 MiB of float32.
_N_VALUES = 2**22
# Rewrites of Theano that make a graph slower where there is no compiler, or refuse it.
_NOT_IN_PYTHON = {
    # They choose an older convolution, whose Python goes through the images one by one.
    *("local_conv2d_cpu", "local_conv2d_gradweight_cpu", "local_conv2d_gradinputs_cpu"),
    # Complains of the convolution that is left then.
    "AbstractConvCheck",
    # What it makes goes through the numbers one by one.
    "elemwise_fusion",
}


def excluded_rewrites(user_flags):
    """Names of the rewrites that must not run with these flags, which are values by name: a set."""
    return _NOT_IN_PYTHON if user_flags.get("cxx") == "" else set()


def install():
    """After Theano's import: give its Ops this Python."""
    from theano.tensor.nnet import abstract_conv, corr
    from theano.tensor.signal import pool

    BaseAbstractConv = abstract_conv.BaseAbstractConv
    BaseAbstractConv.conv = _in_two_dimensions(BaseAbstractConv.conv)
    corr.CorrMM.perform = _as_abstract(abstract_conv.AbstractConv2d)
    corr.CorrMM_gradWeights.perform = _as_abstract(abstract_conv.AbstractConv2d_gradWeights)
    corr.CorrMM_gradInputs.perform = _as_abstract(abstract_conv.AbstractConv2d_gradInputs)
    pool.Pool.perform = _pool
    pool.MaxPoolGrad.perform = _max_pool_grad
    pool.AveragePoolGrad.perform = _average_pool_grad


def convolve(images, filters, mode="valid", dilation=(1, 1), num_groups=1):
    """Convolve images with flipped filters.

    Parameters
    ----------
    images : numpy.ndarray, floats, (n_images, n_channels, height, width)
    filters : numpy.ndarray, floats, (n_filters, n_channels // num_groups, filter_height, filter_width)
    mode : {"valid", "full"}
    dilation : (int, int)
        Distance of two neighbours of a filter in the image.
    num_groups : int
        Groups of channels. Each has its own filters, ``n_filters // num_groups``.

    Returns
    -------
    numpy.ndarray, of the dtype of ``images``, (n_images, n_filters, map_height, map_width)

    Raises
    ------
    ValueError
        If the numbers of channels, filters and groups do not agree.
    """
    n_filters, n_channels, *filter_size = filters.shape
    if n_channels * num_groups != images.shape[1] or n_filters % num_groups:
        raise ValueError(
            f"images of shape {images.shape}, filters of shape {filters.shape}, {num_groups} groups: expected "
            "n_channels // num_groups channels in each filter, and as many filters in each group"
        )
    reach = [(size - 1) * step for size, step in zip(filter_size, dilation)]
    if mode == "full":
        images = np.pad(images, [(0, 0), (0, 0), *((size, size) for size in reach)])
    height, width = (max(size - beyond, 0) for size, beyond in zip(images.shape[2:], reach))
    result = np.zeros((len(images), n_filters, height, width), images.dtype)
    if not result.size:
        return result
    filters = filters[:, :, ::-1, ::-1]
    n_at_once = max(1, _N_VALUES // (height * width * math.prod(filters.shape[1:])))
    for group in range(num_groups):
        channels = images[:, group * n_channels : (group + 1) * n_channels]
        of_group = np.s_[group * n_filters // num_groups : (group + 1) * n_filters // num_groups]
        windows = sliding_window_view(channels, [size + 1 for size in reach], axis=(2, 3))
        windows = windows[..., :: dilation[0], :: dilation[1]]
        for start in range(0, len(images), n_at_once):
            part = np.s_[start : start + n_at_once]
            maps = np.tensordot(windows[part], filters[of_group], axes=((1, 4, 5), (1, 2, 3)))
            result[part, of_group] = maps.transpose(0, 3, 1, 2)
    return result


def _in_two_dimensions(conv):
    @functools.wraps(conv)
    def wrapper(self, img, kern, mode="valid", dilation=1, num_groups=1, unshared=False, direction="forward"):
        if self.convdim != 2 or unshared:
            return conv(self, img, kern, mode, dilation, num_groups, unshared, direction)
        return convolve(img, kern, mode, np.broadcast_to(dilation, 2), num_groups)

    return wrapper


def _as_abstract(abstract_op):
    """Method ``perform`` of an Op that computes what ``abstract_op`` does without flipped filters."""

    def perform(self, node, inputs, outputs, params):
        first, second, *size = inputs
        if self._direction != "forward":
            size = [size or self.infer_shape(node, [first.shape, second.shape])[0][-2:]]
        op = abstract_op(
            border_mode=self.border_mode,
            subsample=self.subsample,
            filter_flip=False,
            filter_dilation=self.filter_dilation,
            num_groups=self.num_groups,
            unshared=self.unshared,
        )
        op.perform(node, [first, second, *size], outputs)

    return perform


def _padded(images, pad):
    return np.pad(images, [(0, 0)] * (images.ndim - len(pad)) + [(size, size) for size in pad])


def _unpadded(images, pad):
    return images[(..., *(slice(size, length - size) for size, length in zip(pad, images.shape[-len(pad) :])))]


def _pools(n_pools, size, ws, stride, pad, in_border):
    """Index of each pool in the output, and of its values, with or without the border, in the padded input."""
    margin = np.zeros_like(pad) if in_border else pad
    for place in np.ndindex(*n_pools):
        first = np.multiply(place, stride)
        start, stop = np.maximum(first, margin), np.minimum(first + ws, size + 2 * pad - margin)
        yield (..., *place), (..., *map(slice, start, stop))


def _pool(self, node, inputs, outputs, params):
    x, ws, stride, pad = inputs
    n = self.ndim
    padded, axes = _padded(x, pad), tuple(range(-n, 0))
    result = np.empty(self.out_shape(x.shape, ws, self.ignore_border, stride, pad, n), x.dtype)
    reduce = {"max": np.max, "sum": np.sum}.get(self.mode, np.mean)
    in_border = self.mode == "average_inc_pad"
    for place, values in _pools(result.shape[-n:], x.shape[-n:], ws, stride, pad, in_border):
        result[place] = reduce(padded[values], axis=axes)
    outputs[0][0] = result


def _max_pool_grad(self, node, inputs, outputs):
    x, maxima, gradient, ws, stride, pad = inputs
    n = self.ndim
    padded, add_axes = _padded(x, pad), (..., *[None] * n)
    result = np.zeros_like(padded)
    for place, values in _pools(maxima.shape[-n:], x.shape[-n:], ws, stride, pad, in_border=False):
        is_maximum = padded[values] == maxima[place][add_axes]
        result[values] += np.where(is_maximum, gradient[place][add_axes], 0)
    outputs[0][0] = _unpadded(result, pad)


def _average_pool_grad(self, node, inputs, outputs):
    x, gradient, ws, stride, pad = inputs
    n = self.ndim
    result = _padded(np.zeros_like(x), pad)
    in_border = self.mode == "average_inc_pad"
    for place, values in _pools(gradient.shape[-n:], x.shape[-n:], ws, stride, pad, in_border):
        part = result[values]
        share = 1 if self.mode == "sum" else math.prod(part.shape[-n:])
        part += (gradient[place] / share)[(..., *[None] * n)]
    outputs[0][0] = _unpadded(result, pad)
