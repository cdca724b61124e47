"""The Ops of kernels/conv_pool.py and their rewrites, against the plain Theano graph.

Where two of them are compared, inputs are multiples of 1/8 or 1/32. Convolutions are then
exact in float32, so that both see the same maxima and the same ties. Those of Winograd's
algorithm are not, and it is compared for values that make no ties.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import theano
import theano.tensor as T
from hypothesis import given
from hypothesis import strategies as st
from theano.compile import Mode
from theano.configparser import change_flags
from theano.gof import Constant, FunctionGraph
from theano.tensor.nnet import conv2d
from theano.tensor.signal.pool import pool_2d

from theano_tutorials import LeNet5, sgd_updates
from theano_tutorials.kernels.conv_pool import NAME, ConvPoolTanh, ConvPoolTanhGrad, conv_pool_tanh
from theano_tutorials.kernels.op import FOLDER

KERNELS = {"ConvPoolTanh", "ConvPoolTanhGrad"}
WINOGRAD = "tutorials_winograd"
WITHOUT_REWRITES = Mode("cvm", None)
# Theano's names for these Ops.
OF_THEANO = re.compile("Conv2d|Corr|^Pool|PoolGrad")
# tanh is within 3 ulp of the exact value, and Theano's within 1: 4 * 2^-23 of it.
TANH = 5e-7

x, W, g = T.tensor4("x"), T.tensor4("W"), T.tensor4("g")
b = T.vector("b")


def layer(x=x, W=W, b=b, pool=None, **conv):
    """The layer of lenet.py."""
    pooled = pool_2d(conv2d(x, W, **conv), **{"ws": (2, 2), "ignore_border": True, **(pool or {})})
    return T.tanh(pooled + b.dimshuffle("x", 0, "x", "x"))


def with_gradients(out, wrt=(x, W, b)):
    return [out, *T.grad(None, wrt, known_grads={out: g})]


def names_of_ops(outputs, excluding=()):
    """Names of the classes of all Ops in the optimised graph, which is not compiled to C."""
    outputs = outputs if isinstance(outputs, list) else [outputs]
    inputs = [variable for variable in theano.gof.graph.inputs(outputs) if not isinstance(variable, Constant)]
    function = theano.function(inputs, outputs, mode=Mode("py", "fast_run").excluding(*excluding))
    return [type(node.op).__name__ for node in function.maker.fgraph.toposort()]


@pytest.fixture(scope="module", params=[True, False], ids=["convolution", "correlation"])
def functions(request):
    """Function of x, W, b, g that has our Ops, without Winograd's algorithm, the same without them, filter_flip."""
    graph = with_gradients(layer(filter_flip=request.param))
    mode = theano.compile.get_default_mode()
    ours = theano.function([x, W, b, g], graph, mode=mode.excluding(WINOGRAD))
    plain = theano.function([x, W, b, g], graph, mode=mode.excluding(NAME))
    assert {type(node.op).__name__ for node in ours.maker.fgraph.apply_nodes} >= KERNELS
    return ours, plain, request.param


def grid(rng, shape, unit=1 / 8, most=8):
    return (rng.randint(-most, most + 1, shape) * unit).astype("float32")


def strided(array, way):
    """Equal values in another order in memory."""
    if way == "transposed":
        return np.ascontiguousarray(array.T).T
    if way == "reversed":
        return np.ascontiguousarray(array[:, :, ::-1, ::-1])[:, :, ::-1, ::-1]
    if way == "sliced":
        return np.repeat(array, 2, axis=3)[..., ::2]
    return array


@st.composite
def problems(draw, least=1):
    """x, W, b, g of a layer, of all shapes and strides."""
    n, channels, filters = draw(st.integers(least, 4)), draw(st.integers(1, 18)), draw(st.integers(least, 30))
    filter_size = [draw(st.integers(1, 6)), draw(st.integers(1, 6))]
    size = [filter_side + draw(st.integers(1, 8)) for filter_side in filter_size]
    rng = np.random.RandomState(draw(st.integers(0, 2**32 - 1)))
    most = draw(st.sampled_from([1, 8]))  # few values make many ties
    arrays = [
        grid(rng, (n, channels, *size), most=most),
        grid(rng, (filters, channels, *filter_size), 1 / 32, most),
        rng.uniform(-1, 1, filters).astype("float32"),
        rng.uniform(-1, 1, (n, filters, *((side - f + 1) // 2 for side, f in zip(size, filter_size)))),
    ]
    ways = st.sampled_from(["as it is", "transposed", "reversed", "sliced"])
    return [strided(a.astype("float32"), draw(ways) if a.ndim == 4 else "as it is") for a in arrays]


def assert_equal_but_for_rounding(results, expected, x, W, g):
    """Compare out, dx, dW and db.

    A gradient is a sum of g (1 - out^2) times values of x or W: its rounding
    errors, and those of tanh in it, are relative to the sum of all magnitudes.
    """
    assert [result.shape for result in results] == [value.shape for value in expected]
    assert [result.dtype for result in results] == ["float32"] * len(expected)
    total = np.abs(g).sum(axis=(0, 2, 3), dtype=float)
    dx = np.abs(g).max(initial=0) * np.abs(W).sum()
    dW = (total * np.abs(x).max(initial=0))[:, None, None, None]
    for result, value, scale in zip(results, expected, [1, dx, dW, total]):
        assert (np.abs(result - value) <= 2 * TANH * scale).all()


@given(problem=problems())
def test_equals_plain_theano(functions, problem):
    ours, plain, _ = functions
    x, W, _, g = problem
    assert_equal_but_for_rounding(ours(*problem), plain(*problem), x, W, g)


@given(problem=problems(least=0))
def test_perform_equals_the_kernel(functions, problem):
    ours, _, filter_flip = functions
    x, W, b, g = problem
    outputs, gradients = [[None], [None]], [[None], [None], [None]]
    ConvPoolTanh(filter_flip).perform(None, [x, W, b], outputs)
    (out,), (mask,) = outputs
    ConvPoolTanhGrad(filter_flip).perform(None, [x, W, out, mask, g], gradients)
    dW, db, dx = (storage[0] for storage in gradients)
    assert mask.dtype == "uint8"
    assert_equal_but_for_rounding(ours(*problem), [out, dx, dW, db], x, W, g)


def by_definition(x, W, b):
    """The layer in double precision, window by window."""
    (n, _, height, width), (filters, _, rows, columns) = x.shape, W.shape
    convolved = np.empty((n, filters, height - rows + 1, width - columns + 1))
    for i, f, y, z in np.ndindex(*convolved.shape):
        convolved[i, f, y, z] = np.sum(x[i, :, y : y + rows, z : z + columns] * W[f, :, ::-1, ::-1])
    out = np.empty((n, filters, convolved.shape[2] // 2, convolved.shape[3] // 2))
    for i, f, y, z in np.ndindex(*out.shape):
        out[i, f, y, z] = np.tanh(convolved[i, f, 2 * y : 2 * y + 2, 2 * z : 2 * z + 2].max() + b[f])
    return out


@pytest.mark.parametrize("n_channels", [1, 4])
def test_gradients_are_slopes(n_channels):
    rng = np.random.RandomState(3)
    point = [rng.uniform(-1, 1, shape) for shape in [(2, n_channels, 7, 6), (3, n_channels, 4, 3), (3,)]]
    point = [array.astype("float32").astype(float) for array in point]
    gout = rng.uniform(-1, 1, (2, 3, 2, 2))
    op = ConvPoolTanh()(x, W, b)[0]
    out, *gradients = theano.function([x, W, b, g], with_gradients(op))(*(a.astype("float32") for a in [*point, gout]))
    np.testing.assert_allclose(out, by_definition(*point), rtol=0, atol=1e-5)
    step = 1e-6  # so small that no maximum moves to another place
    for array, gradient in zip(point, gradients):
        slopes = np.empty_like(array)
        for index in np.ndindex(*array.shape):
            value = array[index]
            array[index] = value + step
            above = np.sum(gout * by_definition(*point))
            array[index] = value - step
            slopes[index] = (above - np.sum(gout * by_definition(*point))) / (2 * step)
            array[index] = value
        # Sums of up to 24 float32 terms of about 1.
        np.testing.assert_allclose(gradient, slopes, rtol=0, atol=1e-5)


@pytest.mark.parametrize("winograd", [False, True])
def test_equal_windows_stay_equal(winograd):
    rng = np.random.RandomState(0)
    op = theano.function([x, W, b], ConvPoolTanh(winograd=winograd)(x, W, b), mode=WITHOUT_REWRITES)
    images = np.broadcast_to(rng.uniform(size=(2, 5, 1, 1)), (2, 5, 13, 12)).astype("float32")
    filters, bias = rng.normal(size=(21, 5, 5, 5)).astype("float32"), rng.normal(size=21).astype("float32")
    out, mask = op(images, filters, bias)
    assert (mask == 0b1111).all()
    if not winograd:
        assert (out == out[:, :, :1, :1]).all()
    # Of rows that are constant, the two windows side by side are equal, and no others.
    images = np.broadcast_to(rng.uniform(size=(2, 5, 13, 1)), (2, 5, 13, 12)).astype("float32")
    out, mask = op(images, filters, bias)
    assert np.isin(mask, [0b0011, 0b1100]).all()
    # Windows that differ in one channel, the first or the last, are not equal.
    for channel in (0, -1):
        images = np.ones((2, 5, 13, 12), "float32")
        images[:, channel] = rng.uniform(size=(2, 13, 12))
        out, mask = op(images, filters, bias)
        assert np.isin(mask, [1, 2, 4, 8]).all()


def test_nan_as_in_plain_theano(functions):
    ours, plain, filter_flip = functions
    rng = np.random.RandomState(0)
    images, filters = grid(rng, (3, 2, 9, 9)), grid(rng, (3, 2, 2, 2), 1 / 32)
    images[0, 0, 2, 3] = images[1, 1, 7, 7] = images[2] = np.nan
    bias, gout = np.zeros(3, "float32"), np.ones((3, 3, 4, 4), "float32")
    results, expected = ours(images, filters, bias, gout), plain(images, filters, bias, gout)
    np.testing.assert_array_equal(np.isnan(results[0]), np.isnan(expected[0]))
    assert 0 < np.isnan(results[0][:2]).mean() < 1
    outputs = [[None], [None]]
    ConvPoolTanh(filter_flip).perform(None, [images, filters, bias], outputs)
    np.testing.assert_array_equal(np.isnan(outputs[0][0]), np.isnan(expected[0]))
    assert (outputs[1][0][2] == 0).all()


def both_ways(functions):
    """The C code and perform, as functions of x, W, b, g (the latter with a mask that fits g)."""
    ours, _, filter_flip = functions

    def perform(x, W, b, g):
        ConvPoolTanh(filter_flip).perform(None, [x, W, b], [[None], [None]])
        ConvPoolTanhGrad(filter_flip).perform(None, [x, W, g, g.astype("uint8"), g], [[None], [None], [None]])

    return [ours, perform]


@pytest.mark.parametrize("way", [0, 1], ids=["C", "NumPy"])
@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(2, 3, 8, 8), (4, 2, 3, 3), (4,)], r"images of shape \(2, 3, 8, 8\) and filters of shape \(4, 2, 3, 3\)"),
        ([(2, 3, 8, 4), (4, 3, 3, 5), (4,)], "filters no larger than the images"),
        ([(2, 3, 8, 8), (4, 3, 0, 3), (4,)], "expected"),
        ([(2, 3, 8, 8), (4, 3, 3, 3), (5,)], "4 filters and 5 biases"),
        ([(2, 3, 8, 8), (4, 3, 3, 3), (4,)], r"expected \(2, 4, 3, 3\)"),  # of g
    ],
)
def test_shapes_that_do_not_fit(functions, way, shapes, message):
    arrays = [np.zeros(shape, "float32") for shape in [*shapes, (2, 4, 3, 2)]]
    function = both_ways(functions)[way]
    with pytest.raises(ValueError, match=message):
        function(*arrays)


@pytest.mark.parametrize("inputs", [(x.astype("float64"), W, b), (x, W[0], b), (x, W, W)])
def test_types_that_do_not_fit(inputs):
    with pytest.raises(TypeError, match="expected a float32 tensor of"):
        ConvPoolTanh()(*inputs)


# ---- Winograd's algorithm ----


@pytest.fixture(scope="module")
def winograd_functions():
    """Functions of x, W, b, g that use Winograd's algorithm: all results with the mask, those without it."""
    graph = with_gradients(layer())
    default = theano.function([x, W, b, g], graph)
    ops = {type(node.op): node.op for node in default.maker.fgraph.apply_nodes}
    assert ops[ConvPoolTanh].winograd
    assert ops[ConvPoolTanhGrad].winograd
    out, mask = ConvPoolTanh(winograd=True)(x, W, b)
    with_mask = theano.function([x, W, b, g], [*with_gradients(out), mask])
    return default, with_mask


@st.composite
def winograd_problems(draw):
    n, channels, filters = draw(st.integers(1, 20)), draw(st.integers(4, 30)), draw(st.integers(1, 60))
    size = [draw(st.integers(6, 20)), draw(st.integers(6, 20))]
    rng = np.random.RandomState(draw(st.integers(0, 2**32 - 1)))
    shapes = [(n, channels, *size), (filters, channels, 5, 5), (filters,)]
    arrays = [rng.normal(size=shape).astype("float32") for shape in shapes]
    arrays[1] /= np.float32(np.sqrt(channels * 25))  # so that values to be pooled are about 1
    gout = rng.normal(size=(n, filters, *((side - 4) // 2 for side in size))).astype("float32")
    ways = st.sampled_from(["as it is", "transposed", "reversed", "sliced"])
    return [strided(a, draw(ways)) if a.ndim == 4 else a for a in [*arrays, gout]]


@pytest.mark.slow
@given(problem=winograd_problems())
def test_winograd_equals_the_formulas(winograd_functions, problem):
    x, W, b, g = problem
    out, dx, dW, db, mask = winograd_functions[1](*problem)
    for result, value in zip(winograd_functions[0](*problem), [out, dx, dW, db]):
        np.testing.assert_array_equal(result, value)
    outputs, gradients = [[None], [None]], [[None], [None], [None]]
    as_double = [array.astype("float64") for array in (x, W, b)]
    ConvPoolTanh().perform(None, as_double, outputs)
    # Which of two places that are nearly equal is the maximum depends on rounding, so the gradients follow its mask.
    ConvPoolTanhGrad().perform(None, [*as_double[:2], outputs[0][0], mask, g.astype("float64")], gradients)
    # Its transforms multiply the rounding of float32, 6e-8 for values of about 1, by some hundreds: 2.02e-5 was seen.
    np.testing.assert_allclose(out, outputs[0][0], rtol=0, atol=4e-5)
    assert np.mean(mask != outputs[1][0]) < 1e-3
    assert np.isin(mask, [1, 2, 4, 8]).all()
    for result, (value,) in zip([dW, db, dx], gradients):
        assert result.shape == value.shape
        np.testing.assert_allclose(result, value, rtol=0, atol=2e-5 * max(1, np.abs(value).max()))


@pytest.mark.parametrize("shapes", [[(4, 3, 9, 9), (6, 3, 5, 5)], [(4, 6, 9, 9), (6, 6, 4, 5)]])
def test_winograd_is_not_for_few_channels_or_other_filters(shapes):
    rng = np.random.RandomState(1)
    arrays = [rng.normal(size=shape).astype("float32") for shape in [*shapes, (6,)]]
    ops = [ConvPoolTanh(winograd=winograd)(x, W, b)[0] for winograd in (False, True)]
    np.testing.assert_array_equal(*theano.function([x, W, b], ops, mode=WITHOUT_REWRITES)(*arrays))


@pytest.mark.parametrize("excluded", [None, WINOGRAD])
def test_winograd_is_excluded_by_name(excluded):
    mode = Mode("py", "fast_run").excluding(*[excluded] if excluded else [])
    nodes = theano.function([x, W, b, g], with_gradients(layer()), mode=mode).maker.fgraph.apply_nodes
    ops = [node.op for node in nodes if isinstance(node.op, (ConvPoolTanh, ConvPoolTanhGrad))]
    assert [op.winograd for op in ops] == [excluded is None] * 2


# ---- The rewrite ----


@pytest.mark.parametrize("batch_size", [20, None])
def test_lenet_is_rewritten(batch_size):
    images, labels = T.matrix(), T.ivector()
    model = LeNet5(np.random.RandomState(0), images, batch_size, nkerns=(3, 4))
    cost = model.negative_log_likelihood(labels)
    updates = sgd_updates(cost, model.params, 0.1)
    mode = Mode("py", "fast_run")
    train = theano.function([images, labels], cost, updates=updates, mode=mode)
    validate = theano.function([images, labels], model.errors(labels), mode=mode)
    for function, n_gradients in [(train, 2), (validate, 0)]:
        nodes = function.maker.fgraph.toposort()
        names = [type(node.op).__name__ for node in nodes]
        assert names.count("ConvPoolTanh") == 2
        assert names.count("ConvPoolTanhGrad") == n_gradients
        assert not [name for name in names if OF_THEANO.search(name)]
        # No gradient for the images.
        gradients = [node.op for node in nodes if isinstance(node.op, ConvPoolTanhGrad)]
        assert sorted(op.with_dx for op in gradients) == [False, True][:n_gradients]
        # The filters are not flipped beforehand.
        users = {type(node.op).__name__ for node in nodes if model.layer1.W in node.inputs}
        assert users <= {*KERNELS, "Elemwise"}


@pytest.mark.parametrize("excluded", [NAME, "tutorials_kernels"])
def test_is_excluded_by_name(excluded):
    assert set(names_of_ops(with_gradients(layer()))) >= KERNELS
    assert not KERNELS & set(names_of_ops(with_gradients(layer()), excluding=[excluded]))


def test_needs_a_compiler():
    for compiler in ["", theano.config.cxx]:
        graph = FunctionGraph([x, W, b], [layer()])
        with change_flags(cxx=compiler):
            conv_pool_tanh.optimize(graph)
        assert any(isinstance(node.op, ConvPoolTanh) for node in graph.apply_nodes) == bool(compiler)


def test_shape_needs_no_convolution():
    names = names_of_ops(layer().shape)
    assert not [name for name in names if OF_THEANO.search(name) or name in KERNELS]
    shape = theano.function([x, W], ConvPoolTanh()(x, W, T.zeros(1))[1].shape, mode=Mode("py", "fast_run"))
    assert shape(np.zeros((3, 2, 10, 9), "float32"), np.zeros((4, 2, 4, 2), "float32")).tolist() == [3, 4, 3, 4]


_pre = pool_2d(conv2d(x, W), (2, 2), ignore_border=True) + b.dimshuffle("x", 0, "x", "x")
_x64 = T.tensor4(dtype="float64")


@pytest.mark.parametrize(
    "outputs",
    [
        layer(pool={"ws": (3, 3)}),
        layer(pool={"ws": (2, 1)}),
        layer(pool={"stride": (1, 1)}),
        layer(pool={"pad": (1, 1)}),
        layer(pool={"mode": "average_exc_pad"}),
        layer(pool={"mode": "sum"}),
        layer(pool={"ignore_border": False}),
        layer(pool={"ws": T.lvector()}),
        layer(border_mode="full"),
        layer(border_mode="half"),
        layer(border_mode=1),
        layer(subsample=(2, 2)),
        layer(filter_dilation=(2, 2)),
        layer(num_groups=2),
        layer(x=_x64, W=W.astype("float64")),
        layer(b=b.astype("float64")),
        layer(b=T.TensorType("float32", [True])()),
        [T.tanh(_pre), _pre],
        [T.tanh(_pre), _pre.owner.inputs[0]],
        [T.tanh(_pre), _pre.owner.inputs[0].owner.inputs[0].sum()],
        T.nnet.sigmoid(_pre),
        T.tanh(_pre + 1),
        T.grad(T.sqr(_pre).sum() + T.tanh(_pre).sum(), W),
    ],
)
def test_the_rest_is_left_to_theano(outputs):
    assert not KERNELS & set(names_of_ops(outputs))


@pytest.mark.parametrize("wrt", [[x], [W], [b], [W, b], [x, b]])
def test_some_gradients_alone(functions, wrt):
    _, plain, filter_flip = functions
    graph = with_gradients(layer(filter_flip=filter_flip), wrt)
    ours = theano.function([x, W, b, g], graph, mode=Mode("py", "fast_run"), on_unused_input="ignore")
    assert "ConvPoolTanh" in {type(node.op).__name__ for node in ours.maker.fgraph.apply_nodes}
    rng = np.random.RandomState(1)
    problem = [
        grid(rng, (2, 3, 8, 9)),
        grid(rng, (4, 3, 3, 2), 1 / 32),
        rng.normal(size=4).astype("float32"),
        rng.normal(size=(2, 4, 3, 4)).astype("float32"),
    ]
    expected = dict(zip([None, x, W, b], plain(*problem)))
    for variable, result in zip([None, *wrt], ours(*problem)):
        # Of some tens of float32 terms of about 1.
        np.testing.assert_allclose(result, expected[variable], rtol=0, atol=2e-5)


# ---- Threads, processes, machines ----

_SCRIPT = """
import hashlib, os, signal
import theano_tutorials
import numpy as np, theano, theano.tensor as T
from theano_tutorials.kernels.conv_pool import ConvPoolTanh

x, W, g, b = T.tensor4(), T.tensor4(), T.tensor4(), T.vector()
rng = np.random.RandomState(0)
sizes = [(50, 4, 16, 16), (20, 4, 5, 5), (20,), (50, 20, 6, 6)]
arrays = [rng.normal(size=size).astype("float32") for size in sizes]
functions = []
for winograd in (False, True):
    out, mask = ConvPoolTanh(winograd=winograd)(x, W, b)
    outputs = [out, mask, *T.grad(None, [x, W, b], known_grads={out: g})]
    functions.append(theano.function([x, W, b, g], outputs, mode=theano.Mode("cvm", None)))

def digest():
    results = [array.tobytes() for function in functions for array in function(*arrays)]
    assert results[0] != results[5]
    return hashlib.sha256(b"".join(results)).hexdigest()

def n_threads():
    return len(os.listdir("/proc/self/task"))

before = n_threads()
digests = {digest() for _ in range(5)}
print(n_threads() - before)
child = os.fork()
if child == 0:
    signal.alarm(300)  # a child that hangs does not outlive the test
    os._exit(0 if {digest()} == digests else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert {digest()} == digests and len(digests) == 1
print(digests.pop())
"""


@pytest.mark.slow
def test_same_bits_whatever_the_threads_and_after_a_fork():
    results = []
    for n in (1, 2, 3):
        finished = subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            env={**os.environ, "OMP_NUM_THREADS": str(n)},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        started, digest = finished.stdout.split()
        assert int(started) == n - 1
        results.append(digest)
    assert len(set(results)) == 1


@pytest.mark.slow
@pytest.mark.one_python
@pytest.mark.parametrize(
    "options",
    [
        ["-O1", "-march=native", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
        pytest.param(
            ["-O2", "-march=x86-64"],
            marks=pytest.mark.skipif(os.uname().machine != "x86_64", reason="another architecture is another path"),
        ),
    ],
    ids=["sanitizers", "plain x86-64"],
)
def test_the_kernel_by_itself(tmp_path, options):
    program = tmp_path / "conv_pool"
    source = [f"-I{FOLDER}", Path(__file__).parent / "native" / "conv_pool.cpp", "-pthread", "-o", program]
    warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-psabi"]
    subprocess.run(["g++", "-std=c++14", *options, *warnings, *source], check=True)
    finished = subprocess.run([program], capture_output=True, text=True, timeout=600, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
