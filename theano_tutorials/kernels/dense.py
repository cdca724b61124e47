"""Fully connected layers: matrix products on several threads, sums of squares, activations.

======================================  =======================================
Rewrite                                 Ops that it inserts
======================================  =======================================
``tutorials_threaded_products``         :class:`ThreadedDot`, :class:`ThreadedGemm`
``tutorials_sum_of_squares``            :class:`SumOf`
``tutorials_column_sums``                :class:`ColumnSums`
``tutorials_vector_tanh``               :class:`Mapped`
``tutorials_vector_sigmoid``            :class:`Mapped`
======================================  =======================================

All are for float32; anything else is left to Theano.
"""

import numpy as np
import theano.tensor as T
from theano import scalar
from theano.gof import Apply, local_optimizer
from theano.tensor import blas
from theano.tensor.elemwise import Elemwise, Sum
from theano.tensor.nnet.sigm import ScalarSigmoid, ScalarSoftplus

from theano_tutorials.backend import serial_blas
from theano_tutorials.kernels.op import KernelOp, is_float32, register


class ThreadedDot(KernelOp):
    """Matrix product ``x y``, as ``theano.tensor.blas.Dot22``.

    By BLAS, cut into parts; each thread computes some of them. How many parts
    depends on the shapes alone, so the bits do not depend on the number of threads.

    Inputs are float32 matrices, (m, k) and (k, n) with any strides; output is
    (m, n). Raises ValueError if the shapes do not fit.
    """

    header = "dense_op.h"

    def make_node(self, x, y):
        return Apply(self, [x, y], [T.matrix(dtype="float32")])

    def infer_shape(self, node, shapes):
        return [(shapes[0][0], shapes[1][1])]

    def perform(self, node, inputs, outputs):
        outputs[0][0] = np.dot(*inputs)

    def c_code(self, node, name, inputs, outputs, sub):
        return self.call("dot", [*inputs, *outputs], sub)


class ThreadedGemm(KernelOp):
    """``beta z + alpha x y`` written over ``z``, as ``theano.tensor.blas.Gemm``.

    Inputs are z (m, n), alpha, x (m, k), y (k, n) and beta, all float32. With
    the weights as z this one pass is the whole update of gradient descent:
    the gradient ``x y`` is never written out. Raises ValueError if the shapes
    do not fit.
    """

    header = "dense_op.h"
    destroy_map = {0: [0]}  # noqa: RUF012  (Theano reads it from the class)

    def make_node(self, z, alpha, x, y, beta):
        return Apply(self, [z, alpha, x, y, beta], [z.type()])

    def infer_shape(self, node, shapes):
        return [shapes[0]]

    def perform(self, node, inputs, outputs):
        z, alpha, x, y, beta = inputs
        z *= beta
        z += alpha * np.dot(x, y)
        outputs[0][0] = z

    def c_code(self, node, name, inputs, outputs, sub):
        return self.call("update", [*inputs, *outputs], sub)


class SumOf(KernelOp):
    """Sum over all elements of the square, or of the magnitude, of a float32 tensor of any shape.

    Theano writes the squares out before it adds them. Added in single precision
    within blocks of 4,096, the blocks in double precision.

    Parameters
    ----------
    function : {"Square", "Magnitude"}
    """

    header = "dense_op.h"
    __props__ = ("function",)

    def __init__(self, function):
        self.function = function

    def make_node(self, x):
        return Apply(self, [x], [T.scalar(dtype="float32")])

    def infer_shape(self, node, shapes):
        return [()]

    def perform(self, node, inputs, outputs):
        function = {"Square": np.square, "Magnitude": np.abs}[self.function]
        outputs[0][0] = np.asarray(function(inputs[0], dtype="float64").sum(), dtype="float32")

    def c_code(self, node, name, inputs, outputs, sub):
        return self.call("sum_of", [*inputs, *outputs, f"kernels::{self.function}()"], sub)


class ColumnSums(KernelOp):
    """Sums of the columns of a float32 matrix, or of their squares, (n, m) to (m,): the gradient of a layer's biases.

    Added in single precision, in blocks of 32 rows.

    Parameters
    ----------
    function : {"Identity", "Square"}
    """

    header = "dense_op.h"
    __props__ = ("function",)

    def __init__(self, function="Identity"):
        self.function = function

    def make_node(self, x):
        return Apply(self, [x], [T.TensorType("float32", x.broadcastable[1:])()])

    def infer_shape(self, node, shapes):
        return [shapes[0][1:]]

    def perform(self, node, inputs, outputs):
        (x,) = inputs
        outputs[0][0] = (np.square(x) if self.function == "Square" else x).sum(axis=0)

    def c_code(self, node, name, inputs, outputs, sub):
        return self.call("column_sums", [*inputs, *outputs, f"kernels::{self.function}()"], sub)


_FUNCTIONS = {
    "Tanh": np.tanh,
    "Sigmoid": lambda x: np.exp(-np.logaddexp(0, -x)),
    "Softplus": lambda x: np.logaddexp(0, x),
}


class Mapped(KernelOp):
    """tanh, logistic sigmoid or softplus of a float32 tensor of any shape, within 3 or 4 ulp; see vectors.h.

    Parameters
    ----------
    function : {"Tanh", "Sigmoid", "Softplus"}
    """

    header = "dense_op.h"
    __props__ = ("function",)

    def __init__(self, function):
        self.function = function

    def make_node(self, x):
        return Apply(self, [x], [x.type()])

    def infer_shape(self, node, shapes):
        return shapes

    def perform(self, node, inputs, outputs):
        outputs[0][0] = np.asarray(_FUNCTIONS[self.function](inputs[0].astype("float64")), dtype="float32")

    def c_code(self, node, name, inputs, outputs, sub):
        return self.call("map", [*inputs, *outputs, f"kernels::{self.function}()"], sub)


@local_optimizer([blas.Dot22, blas.Gemm])
def tutorials_threaded_products(node):
    """Dot22 to ThreadedDot, Gemm in place to ThreadedGemm."""
    if not is_float32(*node.outputs):
        return None
    if isinstance(node.op, blas.Dot22):
        return [ThreadedDot()(*node.inputs)]
    if isinstance(node.op, blas.Gemm) and node.op.inplace:
        return [ThreadedGemm()(*node.inputs)]
    return None


_SUMMED = {scalar.Sqr: "Square", scalar.Abs: "Magnitude"}


@local_optimizer([Sum])
def tutorials_sum_of_squares(node):
    """sum(sqr(x)) and sum(abs(x)), over all axes, to SumOf."""
    if not isinstance(node.op, Sum):
        return None
    (summed,) = node.inputs
    if node.outputs[0].ndim or not is_float32(summed, *node.outputs):
        return None
    if not (summed.owner and isinstance(summed.owner.op, Elemwise)):
        return None
    function = _SUMMED.get(type(summed.owner.op.scalar_op))
    (x, *_) = summed.owner.inputs
    return [SumOf(function)(x)] if function and is_float32(x) else None


@local_optimizer([Sum])
def tutorials_column_sums(node):
    """sum(x, axis=0) and sum(sqr(x), axis=0) of a matrix to ColumnSums."""
    if not isinstance(node.op, Sum) or node.op.axis != (0,):
        return None
    (x,) = node.inputs
    if x.ndim != 2 or not is_float32(x, *node.outputs):
        return None
    if x.owner and isinstance(x.owner.op, Elemwise) and isinstance(x.owner.op.scalar_op, scalar.Sqr):
        return [ColumnSums("Square")(*x.owner.inputs)]
    return [ColumnSums()(x)]


def _mapped(node, functions):
    if not (isinstance(node.op, Elemwise) and type(node.op.scalar_op) in functions):
        return None
    (x,) = node.inputs
    return [Mapped(functions[type(node.op.scalar_op)])(x)] if x.ndim and is_float32(x) else None


@local_optimizer([Elemwise])
def tutorials_vector_tanh(node):
    """Elemwise{tanh} to Mapped."""
    return _mapped(node, {scalar.Tanh: "Tanh"})


@local_optimizer([Elemwise])
def tutorials_vector_sigmoid(node):
    """Elemwise{sigmoid} and Elemwise{softplus} to Mapped."""
    return _mapped(node, {ScalarSigmoid: "Sigmoid", ScalarSoftplus: "Softplus"})


# After the gradient's 1 - sqr(tanh(x)) has met the forward's tanh(x), before Elemwise Ops are fused at 49.
for _rewrite in (tutorials_sum_of_squares, tutorials_column_sums, tutorials_vector_tanh, tutorials_vector_sigmoid):
    register(_rewrite, 48.5)
if serial_blas:
    register(tutorials_threaded_products, 70.5)  # after BLAS Ops have been made to work in place at 70
