"""What keeps the graph on a device: each rewrite, its numbers, and why Theano's own is left out."""

import numpy as np
import pygpu
import pytest
import theano
import theano.tensor as T
from every_type import GRAPHS
from scipy.special import log_softmax, softmax
from theano.gpuarray import nnet as gpu_nnet
from theano.gpuarray import opt as gpu_opt
from theano.gpuarray.blas import GpuGemv
from theano.gpuarray.reduction import GpuMaxAndArgmax
from theano.gpuarray.type import GpuArrayType, get_context
from theano.tensor.blas import blas_optdb
from theano.tensor.nnet import crossentropy_softmax_argmax_1hot_with_bias

from theano_tutorials.backend import devices
from theano_tutorials.kernels.gpu import RowwiseCrossentropySoftmax

on_opencl = pytest.mark.skipif(not theano.config.device.startswith("opencl"), reason="of OpenCL alone")


def on_device(value):
    return theano.shared(value)


def scores(rows, columns, dtype="float32", seed=0):
    """Numbers of which some are far apart, so that their powers underflow."""
    random = np.random.RandomState(seed)
    return (random.randn(rows, columns) * random.choice([1, 30], (rows, 1))).astype(dtype)


def labels(rows, columns, dtype):
    return np.random.RandomState(1).randint(0, columns, rows).astype(dtype)


def ops(function):
    return [node.op for node in function.maker.fgraph.toposort()]


def crossentropy(x, b, y):
    function = theano.function([], crossentropy_softmax_argmax_1hot_with_bias(x, b, y))
    assert any(isinstance(op, RowwiseCrossentropySoftmax) for op in ops(function))
    return function


def assert_as_by_scipy(found, x, b, y, dtype):
    """Against float64; the bound is on the rounding of the sum of ``columns`` powers and of the scores."""
    z = x.astype("float64") + b.astype("float64")
    rows, columns = z.shape
    eps = np.finfo(dtype).eps
    nll, probabilities, classes = found
    scale = np.abs(z).max(initial=1)
    np.testing.assert_allclose(
        nll, -log_softmax(z, axis=1)[np.arange(rows), y], rtol=0, atol=(columns + 8) * eps * scale
    )
    np.testing.assert_allclose(probabilities, softmax(z, axis=1), rtol=0, atol=(columns + 8) * eps * scale)
    np.testing.assert_array_equal(classes, (x + b).argmax(axis=1))


@on_opencl
@pytest.mark.parametrize(("rows", "columns"), [(600, 10), (20, 10), (1, 10), (7, 1), (3, 1000), (70_000, 2)])
def test_crossentropy_of_every_shape(rows, columns):
    x, b, y = scores(rows, columns), scores(1, columns, seed=2)[0], labels(rows, columns, "int32")
    found = crossentropy(on_device(x), on_device(b), T.cast(on_device(y.astype("float32")), "int32"))()
    assert_as_by_scipy(found, x, b, y, "float32")


@on_opencl
@pytest.mark.parametrize("label_dtype", ["int8", "uint8", "int16", "int64"])
def test_crossentropy_of_every_integer_dtype_in_float64(label_dtype):
    x, b, y = scores(30, 10, "float64"), scores(1, 10, "float64", seed=2)[0], labels(30, 10, label_dtype)
    found = crossentropy(on_device(x), on_device(b), on_device(y))()
    assert_as_by_scipy(found, x, b, y, "float64")
    assert found[2].dtype == label_dtype


@on_opencl
def test_crossentropy_of_views():
    x, b, y = scores(10, 80), scores(1, 20, seed=2)[0], labels(80, 10, "int32")
    found = crossentropy(on_device(x).T[5:65:3], on_device(b)[::2], on_device(y)[60:0:-3])()
    assert_as_by_scipy(found, x.T[5:65:3], b[::2], y[60:0:-3], "float32")


@on_opencl
def test_crossentropy_of_no_rows():
    found = crossentropy(
        on_device(scores(5, 10))[:0], on_device(np.zeros(10, "float32")), on_device(np.zeros(0, "int32"))
    )()
    assert [value.shape for value in found] == [(0,), (0, 10), (0,)]


@on_opencl
def test_of_equal_scores_the_first_is_the_most_probable():
    x = np.float32([[0, 3, 3, 1], [2, 2, 2, 2]])
    _, _, classes = crossentropy(on_device(x), on_device(np.zeros(4, "float32")), on_device(np.int32([0, 0])))()
    np.testing.assert_array_equal(classes, [1, 0])


@on_opencl
@pytest.mark.parametrize("label", [-1, 10])
def test_a_label_of_no_class_gives_nan(label):
    y = np.int32([3, label, 4])
    nll, _, _ = crossentropy(on_device(scores(3, 10)), on_device(np.zeros(10, "float32")), on_device(y))()
    np.testing.assert_array_equal(np.isnan(nll), [False, True, False])


@on_opencl
@pytest.mark.parametrize(("bias", "rows"), [(9, 3), (10, 4)])
def test_shapes_that_do_not_fit_are_refused(bias, rows):
    function = crossentropy(
        on_device(scores(3, 10)), on_device(np.zeros(bias, "float32")), on_device(np.zeros(rows, "int32"))
    )
    with pytest.raises(ValueError, match=r"x has shape \(3, 10\), b \(\d+,\), y \(\d,\): expected"):
        function()


def test_argmax_is_found_on_the_device():
    x = scores(50, 10)
    x[3] = x[3, ::-1].max()
    function = theano.function([], T.argmax(on_device(x), axis=1))
    assert [type(op) for op in ops(function)][:1] == [GpuMaxAndArgmax]
    np.testing.assert_array_equal(function(), x.argmax(axis=1))


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("local_tutorials_gpu_argmax", lambda x, b, y: T.argmax(x, axis=1)),
        pytest.param(
            "local_tutorials_opencl_crossentropy_softmax",
            lambda *inputs: crossentropy_softmax_argmax_1hot_with_bias(*inputs)[0],
            marks=on_opencl,
        ),
    ],
)
def test_a_rewrite_is_left_out_by_its_name(name, build):
    x, b, y = scores(5, 10), np.zeros(10, "float32"), labels(5, 10, "int32")
    expression = build(*map(on_device, (x, b, y)))
    with_it = theano.function([], expression)
    without = theano.function([], expression, mode=theano.compile.get_default_mode().excluding(name))
    host = [type(op).__name__ for op in ops(without)]
    assert any(op in host for op in ("Argmax", "CrossentropySoftmaxArgmax1HotWithBias"))
    assert not any(type(op).__name__ in host and "HostFromGpu" not in type(op).__name__ for op in ops(with_it)[:1])
    np.testing.assert_allclose(with_it(), without(), rtol=1e-5)


# What is excluded


def test_excluded_rewrites_are_those_of_theano():
    of_devices = set(gpu_opt.gpu_optimizer.__db__) & set(gpu_opt.gpu_optimizer2.__db__)
    assert set(devices.NOT_ON_OPENCL) <= of_devices | set(blas_optdb.__db__)


@on_opencl
def test_the_kernel_of_the_excluded_crossentropy_does_not_compile():
    context = get_context(None)
    x, b, y = (
        GpuArrayType(dtype, (False,) * ndim, context_name=None)()
        for dtype, ndim in (("float32", 2), ("float32", 1), ("int32", 1))
    )
    node = gpu_nnet.gpu_crossentropy_softmax_argmax_1hot_with_bias(x, b, y)[0].owner
    (kernel,) = node.op.gpu_kernels(node, "name")
    with pytest.raises(
        pygpu.gpuarray.GpuArrayException, match="local address space can only be declared in the outermost"
    ):
        pygpu.gpuarray.GpuKernel(kernel.code, kernel.name, kernel.params, context=context)


@on_opencl
def test_gemv_of_clblast_reads_what_it_shall_overwrite():
    context = get_context(None)
    matrix, vector, out = (
        pygpu.array(np.full(shape, value, "float32"), context=context)
        for shape, value in (((5, 2), 1), (2, 1), (5, np.nan))
    )
    assert np.isnan(np.asarray(pygpu.blas.gemv(1, matrix, vector, 0, out, overwrite_y=True))).all()


@on_opencl
@pytest.mark.parametrize(
    ("left", "right"), [((1, 300), (300, 70)), ((90, 300), (300, 1)), ((90, 300), (300,)), ((300,), (300, 70))]
)
def test_a_product_with_a_vector_reads_no_memory_that_nobody_wrote(left, right):
    rng = np.random.RandomState(0)
    a, b = (rng.randn(*shape).astype("float32") for shape in (left, right))
    broadcastable = [tuple(n == 1 for n in shape) for shape in (left, right)]
    inputs = [theano.shared(value, broadcastable=pattern) for value, pattern in zip((a, b), broadcastable)]
    function = theano.function([], T.dot(*inputs))
    assert not any(isinstance(op, GpuGemv) for op in ops(function))
    # What is freed here is what the product gets.
    garbage = [on_device(np.full(n, np.nan, "float32")) for n in (70, 90, 300)]
    del garbage
    np.testing.assert_allclose(function(), a @ b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("columns", [10, 5000])
def test_the_other_kernels_of_the_last_layer_work_on_opencl(columns):
    x, b, y = scores(9, columns), scores(1, columns, seed=2)[0], labels(9, columns, "int32")
    shared_x, shared_b, shared_y = map(on_device, (x, b, y))
    weights = np.random.RandomState(3).rand(9).astype("float32")
    function = theano.function(
        [],
        [
            T.nnet.softmax(shared_x),
            T.nnet.nnet.softmax_with_bias(shared_x, shared_b),
            T.nnet.nnet.crossentropy_softmax_1hot_with_bias_dx(on_device(weights), shared_x, shared_y),
        ],
    )
    names = {type(op).__name__ for op in ops(function)}
    assert {"GpuSoftmax", "GpuSoftmaxWithBias", "GpuCrossentropySoftmax1HotWithBiasDx"} <= names
    of_x, of_both, dx = function()
    bound = (columns + 8) * np.finfo("float32").eps * np.abs(x).max()
    np.testing.assert_allclose(of_x, softmax(x.astype("float64"), axis=1), rtol=0, atol=bound)
    np.testing.assert_allclose(of_both, softmax(x.astype("float64") + b, axis=1), rtol=0, atol=bound)
    one_hot = np.eye(columns)[y]
    np.testing.assert_allclose(dx, weights[:, None] * (x - one_hot), rtol=1e-6, atol=1e-6)


# On OpenCL, Theano's loop in Python wants arrays of CUDA: docs/gpu.md.
@pytest.mark.parametrize("types", [types for types in GRAPHS if types != "scan"])
def test_a_graph_of_any_type_computes_the_same_on_the_device_and_on_the_processor(types):
    x = T.matrix("x")
    data = np.linspace(-1, 1, 20).reshape(5, 4).astype(theano.config.floatX)
    modes = theano.compile.get_default_mode(), theano.compile.get_default_mode().excluding("gpuarray")
    found, expected = (theano.function([x], GRAPHS[types](x), mode=mode)(data) for mode in modes)
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        if isinstance(other, np.ndarray):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
