"""Convolution, 2 x 2 max-pooling, bias and tanh in one pass, forward and backward.

Theano computes ``tanh(pool_2d(conv2d(x, W), (2, 2), ignore_border=True) + b)``
step by step, and writes out the whole convolution before pooling drops three of
four values. :class:`ConvPoolTanh` keeps them in registers. Its gradient has
nothing to do where a value was dropped, so :class:`ConvPoolTanhGrad` needs a
fourth of the multiplications of the convolution's gradients.

Where the filters are 5 x 5 and there are several channels, Winograd's algorithm
needs a sixth of the multiplications, at the price of five times the rounding
errors: about 1e-5 of the values' scale. The rewrite ``tutorials_winograd``
chooses it.

The rewrite ``tutorials_conv_pool_tanh`` finds such layers in float32 graphs,
with or without their gradients, and puts these Ops in their place. It runs
before Theano's own rewrites, so that it sees what the layer and ``T.grad`` have
built. Whatever differs (other pool sizes, strides, borders, types, another use
of the values between) is left to Theano.
"""

import numpy as np
import theano.tensor as T
from theano import scalar
from theano.compile import optdb
from theano.gof import Apply, Constant
from theano.gof.opt import local_optimizer, optimizer
from theano.gradient import DisconnectedType
from theano.tensor.elemwise import DimShuffle, Elemwise, Sum
from theano.tensor.nnet.abstract_conv import AbstractConv2d, AbstractConv2d_gradInputs, AbstractConv2d_gradWeights
from theano.tensor.signal.pool import MaxPoolGrad, Pool

from theano_tutorials.kernels.op import TAG, KernelOp, c_kernels_wanted, is_float32, register

NAME = "tutorials_conv_pool_tanh"

_PLACES = [(0, 0), (0, 1), (1, 0), (1, 1)]


def _map_size(x, W):
    """Height and width of the convolution."""
    if W.shape[1] != x.shape[1] or 0 in W.shape[2:] or W.shape[2] > x.shape[2] or W.shape[3] > x.shape[3]:
        raise ValueError(
            f"images of shape {x.shape} and filters of shape {W.shape}: expected as many channels in "
            "both, and filters no larger than the images"
        )
    return tuple(side - filter_side + 1 for side, filter_side in zip(x.shape[2:], W.shape[2:]))


def _taps(W, filter_flip):
    """(row, column, weights) of each tap of a correlation."""
    W = W[:, :, ::-1, ::-1] if filter_flip else W
    return [(row, column, W[:, :, row, column]) for row, column in np.ndindex(W.shape[2:])]


def _float32(name, variable, ndim):
    variable = T.as_tensor_variable(variable)
    if variable.ndim != ndim or variable.dtype != "float32":
        raise TypeError(f"{name} is {variable.type}: expected a float32 tensor of {ndim} dimensions")
    return variable


class ConvPoolTanh(KernelOp):
    """``tanh(max_pool_2x2(conv_valid(x, W)) + b)``, and where the maxima are.

    Inputs are ``x``, float32 (images, channels, height, width), ``W``, float32
    (filters, channels, filter_height, filter_width), and ``b``, float32
    (filters,). Outputs are the float32 result, (images, filters,
    (height - filter_height + 1) // 2, (width - filter_width + 1) // 2), and of
    the same shape a uint8 whose bit ``2 * row + column`` tells that the pool's
    value in this row and column equals the maximum. Equal windows give equal
    bits, so more than one may be set; none is where all four values are NaN.

    Parameters
    ----------
    filter_flip : bool
        Whether the filters are flipped, as a convolution has it, or not.
    winograd : bool
        Whether to compute 5 x 5 filters of at least four channels by Winograd's
        minimal filtering F(4x4, 5x5) [1]_. A value that is not finite then
        spoils up to four pools in each direction.

    Raises
    ------
    TypeError
        If an input is not of that type.
    ValueError
        When it runs, if the shapes do not fit each other.

    References
    ----------
    .. [1] A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural
       Networks", CVPR 2016.
    """

    header = "conv_pool_op.h"
    __props__ = ("filter_flip", "winograd")

    def __init__(self, filter_flip=True, winograd=False):
        self.filter_flip = filter_flip
        self.winograd = winograd

    def make_node(self, x, W, b):
        x, W, b = _float32("x", x, 4), _float32("W", W, 4), _float32("b", b, 1)
        broadcastable = (x.broadcastable[0], W.broadcastable[0] and b.broadcastable[0], False, False)
        return Apply(self, [x, W, b], [T.TensorType(dtype, broadcastable)() for dtype in ("float32", "uint8")])

    def infer_shape(self, node, shapes):
        (n, _, *size), (n_filters, _, *filter_size), _ = shapes
        shape = (n, n_filters, *((side - filter_side + 1) // 2 for side, filter_side in zip(size, filter_size)))
        return [shape, shape]

    def connection_pattern(self, node):
        return [[True, False]] * 3

    def L_op(self, inputs, outputs, output_gradients):
        x, W, _ = inputs
        gout = output_gradients[0]
        if isinstance(gout.type, DisconnectedType):
            return [DisconnectedType()() for _ in inputs]
        dW, db, dx = ConvPoolTanhGrad(self.filter_flip, True, self.winograd)(x, W, *outputs, gout)
        return [dx, dW, db]

    def perform(self, node, inputs, outputs):
        x, W, b = inputs
        height, width = _map_size(x, W)
        if len(b) != len(W):
            raise ValueError(f"{len(W)} filters and {len(b)} biases: expected as many")
        convolved = np.zeros((len(x), len(W), height, width), "float32")
        for row, column, weights in _taps(W, self.filter_flip):
            convolved += np.einsum("nchw,fc->nfhw", x[:, :, row : row + height, column : column + width], weights)
        places = [convolved[:, :, i : height // 2 * 2 : 2, j : width // 2 * 2 : 2] for i, j in _PLACES]
        top = places[0]
        for place in places[1:]:
            top = np.where(place > top, place, top)
        outputs[0][0] = np.tanh(top + b[:, None, None])
        outputs[1][0] = sum((place == top).astype("uint8") << k for k, place in enumerate(places))

    def c_code(self, node, name, inputs, outputs, sub):
        arguments = [*inputs, str(int(self.filter_flip)), str(int(self.winograd)), *outputs]
        return self.call("conv_pool_tanh", arguments, sub)


class ConvPoolTanhGrad(KernelOp):
    """Gradients of :class:`ConvPoolTanh` with respect to ``W``, ``b`` and, if asked for, ``x``.

    Inputs are ``x`` and ``W`` of that Op, both its outputs, and the gradient of
    the first one, float32. Outputs have the types and shapes of ``W``, ``b`` and
    ``x``.

    Parameters
    ----------
    filter_flip, winograd : bool
        Those of the Op.
    with_dx : bool
        Whether to compute the gradient with respect to ``x``; a first layer
        needs none.

    Raises
    ------
    TypeError
        If an input is not of that type.
    ValueError
        When it runs, if the shapes do not fit each other.
    """

    header = "conv_pool_op.h"
    __props__ = ("filter_flip", "with_dx", "winograd")

    def __init__(self, filter_flip=True, with_dx=True, winograd=False):
        self.filter_flip = filter_flip
        self.with_dx = with_dx
        self.winograd = winograd

    def make_node(self, x, W, out, mask, gout):
        x, W, out, gout = (
            _float32(name, variable, 4) for name, variable in [("x", x), ("W", W), ("out", out), ("gout", gout)]
        )
        mask = T.as_tensor_variable(mask)
        if mask.ndim != 4 or mask.dtype != "uint8":
            raise TypeError(f"mask is {mask.type}: expected a uint8 tensor of 4 dimensions")
        types = [W.type, T.TensorType("float32", W.broadcastable[:1]), x.type]
        return Apply(self, [x, W, out, mask, gout], [type() for type in types[: 2 + self.with_dx]])

    def infer_shape(self, node, shapes):
        x, W = shapes[:2]
        return [W, W[:1], x][: 2 + self.with_dx]

    def perform(self, node, inputs, outputs):
        x, W, out, mask, gout = inputs
        height, width = _map_size(x, W)
        shape = (len(x), len(W), height // 2, width // 2)
        if not out.shape == mask.shape == gout.shape == shape:
            raise ValueError(
                f"an output of shape {out.shape}, mask {mask.shape}, gradient {gout.shape}: expected {shape}"
            )
        g = gout * (1 - out**2)
        unpooled = np.zeros((len(x), len(W), height, width), "float32")
        for k, (i, j) in enumerate(_PLACES):
            unpooled[:, :, i : height // 2 * 2 : 2, j : width // 2 * 2 : 2] = g * (mask >> k & 1)
        dW, dx = np.zeros_like(W), np.zeros_like(x)
        for (row, column, weights), (_, _, to) in zip(_taps(W, self.filter_flip), _taps(dW, self.filter_flip)):
            window = np.s_[:, :, row : row + height, column : column + width]
            to[...] = np.einsum("nfhw,nchw->fc", unpooled, x[window])
            dx[window] += np.einsum("nfhw,fc->nchw", unpooled, weights)
        for storage, value in zip(outputs, [dW, g.sum(axis=(0, 2, 3)), dx]):
            storage[0] = value

    def c_code(self, node, name, inputs, outputs, sub):
        dW, db = outputs[:2]
        dx = f"&{outputs[2]}" if self.with_dx else "nullptr"
        arguments = [*inputs, str(int(self.filter_flip)), str(int(self.winograd)), dW, db, dx]
        return self.call("conv_pool_tanh_grad", arguments, sub)


# ---- The rewrite ----


def _is_elemwise(variable, scalar_op, n_inputs):
    node = variable.owner
    return (
        node is not None
        and isinstance(node.op, Elemwise)
        and isinstance(node.op.scalar_op, scalar_op)
        and len(node.inputs) == n_inputs
    )


def _is_constant(variable, value):
    while variable.owner is not None and isinstance(variable.owner.op, DimShuffle):
        variable = variable.owner.inputs[0]
    return isinstance(variable, Constant) and np.array_equal(variable.data, value)


def _either_order(node):
    first, second = node.inputs
    return [(first, second), (second, first)]


def _is_plain_pool(node, op_type):
    op = node.op
    return (
        isinstance(op, op_type)
        and (op.mode, op.ndim, op.ignore_border) == ("max", 2, True)
        and all(_is_constant(*pair) for pair in zip(node.inputs[-3:], ((2, 2), (2, 2), (0, 0))))
    )


def _is_plain_conv(op, op_type):
    return (
        type(op) is op_type
        and op.border_mode in ("valid", (0, 0))
        and op.subsample == op.filter_dilation == (1, 1)
        and op.num_groups == 1
        and not op.unshared
    )


def _bias(variable):
    """The vector that is broadcast over all but the second of four dimensions, or None."""
    node = variable.owner
    if node is not None and isinstance(node.op, DimShuffle) and node.op.new_order == ("x", 0, "x", "x"):
        return node.inputs[0]
    return None


def _match_layer(tanh):
    """(convolution, pool, add) nodes and the bias below a tanh, or None."""
    if not _is_elemwise(tanh, scalar.Tanh, 1) or not _is_elemwise(tanh.owner.inputs[0], scalar.Add, 2):
        return None
    add = tanh.owner.inputs[0].owner
    for pooled, bias in _either_order(add):
        pool, b = pooled.owner, _bias(bias)
        if pool is None or b is None or b.broadcastable[0] or not _is_plain_pool(pool, Pool):
            continue
        conv = pool.inputs[0].owner
        is_conv = conv is not None and _is_plain_conv(conv.op, AbstractConv2d)
        if is_conv and is_float32(*conv.inputs, b):
            return conv, pool, add, b
    return None


def _match_gout(g, out):
    """``gout`` of ``g = gout * (1 - sqr(out))``, the gradient of tanh, or None."""
    if _is_elemwise(g, scalar.Mul, 2):
        for gout, slope in _either_order(g.owner):
            if _is_elemwise(slope, scalar.Sub, 2):
                one, square = slope.owner.inputs
                if _is_constant(one, 1) and _is_elemwise(square, scalar.Sqr, 1) and square.owner.inputs[0] is out:
                    return gout if gout.type == out.type else None
    return None


def _clients(variable):
    return [client for client, _ in variable.clients]


def _match_grad(node, out, x, W, filter_flip):
    """Gradients below a MaxPoolGrad node: gout and the lists of variables that are dW, db and dx, or None."""
    g = node.inputs[2]
    gout = _match_gout(g, out)
    if gout is None or not _is_plain_pool(node, MaxPoolGrad):
        return None
    found = {"dW": [], "db": [], "dx": []}
    for client in _clients(node.outputs[0]):
        if client == "output" or client.inputs[1] is not node.outputs[0]:
            return None
        is_dW = _is_plain_conv(client.op, AbstractConv2d_gradWeights) and client.inputs[0] is x
        is_dx = _is_plain_conv(client.op, AbstractConv2d_gradInputs) and client.inputs[0] is W
        if not (is_dW or is_dx) or client.op.filter_flip != filter_flip:
            return None
        found["dW" if is_dW else "dx"].append(client.outputs[0])
    for client in _clients(g):
        is_db = client != "output" and isinstance(client.op, Sum) and client.op.axis == (0, 2, 3)
        if is_db and is_float32(client.outputs[0]):
            found["db"].append(client.outputs[0])
    return gout, found


def _replacements(tanh):
    """Pairs (variable, new variable) for the layer that ends in this tanh, empty where there is none."""
    layer = _match_layer(tanh)
    if layer is None:
        return []
    conv, pool, add, b = layer
    x, W = conv.inputs[:2]
    grads = [client for client in _clients(pool.inputs[0]) if client is not pool]
    # What lies between must not be needed elsewhere.
    if any(client == "output" or client.inputs[:2] != [pool.inputs[0], pool.outputs[0]] for client in grads):
        return []
    if any(client is not add and client not in grads for client in _clients(pool.outputs[0])):
        return []
    if len(_clients(add.outputs[0])) > 1:
        return []
    out, mask = ConvPoolTanh(conv.op.filter_flip)(x, W, b)
    pairs = [(tanh, out)]
    for node in grads:
        match = _match_grad(node, tanh, x, W, conv.op.filter_flip)
        if match is None:
            return []
        gout, found = match
        new = ConvPoolTanhGrad(conv.op.filter_flip, bool(found["dx"]))(x, W, out, mask, gout)
        pairs += [(old, value) for name, value in zip(("dW", "db", "dx"), new) for old in found[name]]
    return [(old, T.patternbroadcast(new, old.broadcastable)) for old, new in pairs]


@optimizer
def conv_pool_tanh(fgraph):
    """Put :class:`ConvPoolTanh` and its gradient in the place of what they equal."""
    if not c_kernels_wanted():
        return
    for node in fgraph.toposort():
        if node in fgraph.apply_nodes:
            pairs = _replacements(node.outputs[0])
            if pairs:
                fgraph.replace_all_validate(pairs, reason=NAME)


# After Theano has merged equal nodes, and before it changes their form.
optdb.register(NAME, conv_pool_tanh, 0.2, "fast_run", TAG)


@local_optimizer([ConvPoolTanh, ConvPoolTanhGrad])
def tutorials_winograd(node):
    """Let a layer use Winograd's algorithm where its filters are fit for it."""
    op = node.op
    if isinstance(op, ConvPoolTanh) and not op.winograd:
        return ConvPoolTanh(op.filter_flip, winograd=True)(*node.inputs, return_list=True)
    if isinstance(op, ConvPoolTanhGrad) and not op.winograd:
        return ConvPoolTanhGrad(op.filter_flip, op.with_dx, winograd=True)(*node.inputs, return_list=True)
    return None


register(tutorials_winograd, 0.21)
