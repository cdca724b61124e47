"""The kernels of fully connected layers: in C++ against plain loops, in Theano against Theano's own Ops."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import theano
import theano.tensor as T
from hypothesis import given
from hypothesis import strategies as st
from theano.tensor.shared_randomstreams import RandomStreams

from theano_tutorials.kernels.dense import ColumnSums, Mapped, SumOf, ThreadedDot, ThreadedGemm
from theano_tutorials.kernels.op import FOLDER, TAG
from theano_tutorials.kernels.softmax import SoftmaxNLL

PLAIN = theano.compile.get_default_mode().excluding(TAG)
NATIVE = Path(__file__).parent / "native"


def ops(function):
    return [type(node.op).__name__ for node in function.maker.fgraph.toposort()]


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


@st.composite
def matrices(draw, n_rows, n_columns):
    """Matrices of that shape with all kinds of strides."""
    layout = draw(st.sampled_from(["C", "F", "gap", "reversed", "every other"]))
    matrix = numbers(n_rows, n_columns, seed=draw(st.integers(0, 2**32 - 1)))
    if layout == "F":
        return np.asfortranarray(matrix)
    if layout == "gap":
        return np.pad(matrix, ((0, 2), (1, 3)))[:n_rows, 1 : n_columns + 1]
    if layout == "reversed":
        return matrix[::-1, ::-1]
    if layout == "every other":
        return np.repeat(matrix, 2, axis=1)[:, ::2]
    return matrix


@pytest.fixture(scope="module")
def product():
    x, y = T.matrices("x", "y")
    function = theano.function([x, y], T.dot(x, y))
    assert ops(function) == ["ThreadedDot"]
    return function


@pytest.fixture(scope="module")
def update():
    z, x, y = T.matrices("z", "x", "y")
    function = theano.function([theano.In(z, borrow=True, mutable=True), x, y], 0.75 * z - 0.13 * T.dot(x, y))
    assert ops(function) == ["ThreadedGemm"]
    return function


def within_rounding(found, exact, scale, n_roundings):
    # Half a unit in the last place of the greatest intermediate value for each rounding, at worst.
    return np.all(np.abs(found - exact) <= n_roundings * 2.0**-24 * scale)


sizes = st.one_of(st.integers(0, 40), st.sampled_from([128, 150, 257]))


@given(st.data(), sizes, sizes, sizes)
def test_products_are_those_of_numpy_whatever_the_strides(product, update, data, m, n, k):
    x, y, z = (data.draw(matrices(*shape)) for shape in [(m, k), (k, n), (m, n)])
    exact, scale = x.astype("float64") @ y, np.abs(x).astype("float64") @ np.abs(y)
    assert within_rounding(product(x, y), exact, scale, k + 1)
    updated = 0.75 * z.astype("float64") - 0.13 * exact
    assert within_rounding(update(z.copy(order="K"), x, y), updated, np.abs(z) + scale, k + 4)


@pytest.mark.parametrize(("m", "n", "k"), [(600, 10, 784), (784, 10, 600), (20, 500, 784), (3, 20, 40000)])
def test_products_of_the_tutorials_sizes(product, update, m, n, k):
    x, y, z = numbers(m, k), numbers(k, n, seed=1), numbers(m, n, seed=2)
    exact, scale = x.astype("float64") @ y, np.abs(x).astype("float64") @ np.abs(y)
    for a, b in [(x, y), (np.asfortranarray(x), y), (x, np.asfortranarray(y))]:
        assert within_rounding(product(a, b), exact, scale, k + 1)
        assert within_rounding(update(z.copy(), a, b), 0.75 * z - 0.13 * exact, np.abs(z) + scale, k + 4)
    assert within_rounding(product(y.T, x.T), exact.T, scale.T, k + 1)


def test_an_update_is_made_in_place():
    weights = theano.shared(numbers(50, 20))
    x, y = T.matrices("x", "y")
    function = theano.function([x, y], [], updates=[(weights, weights - 0.1 * T.dot(x, y))])
    before = weights.get_value(borrow=True, return_internal_type=True)
    expected = before - 0.1 * numbers(50, 7) @ numbers(7, 20)
    function(numbers(50, 7), numbers(7, 20))
    assert ops(function) == ["ThreadedGemm"]
    assert weights.get_value(borrow=True, return_internal_type=True) is before
    np.testing.assert_allclose(before, expected, rtol=1e-5, atol=1e-6)


def test_shapes_that_do_not_fit_are_named(product, update):
    with pytest.raises(ValueError, match=r"\(2, 3\) times \(4, 5\), into \(2, 5\)"):
        product(numbers(2, 3), numbers(4, 5))
    with pytest.raises(ValueError, match=r"\(2, 3\) times \(3, 5\), into \(1, 5\)"):
        update(numbers(1, 5), numbers(2, 3), numbers(3, 5))


@pytest.mark.parametrize("ndim", [1, 2, 4])
@pytest.mark.parametrize(
    ("expression", "exact"),
    [
        (lambda x: T.sqr(x).sum(), lambda x: (x**2).sum()),
        (lambda x: (x**2).sum(), lambda x: (x**2).sum()),
        (lambda x: abs(x).sum(), lambda x: np.abs(x).sum()),
    ],
)
def test_sums_are_those_of_numpy(ndim, expression, exact):
    x = T.TensorType("float32", [False] * ndim)("x")
    function = theano.function([x], expression(x))
    assert ops(function) == ["SumOf"]
    for size in [0, 1, 3, 17]:
        values = numbers(*[size] * ndim)
        for layout in (values, values[::-1], np.asfortranarray(values)):
            # A lane adds at most 128 numbers in single precision, the rest is in double.
            np.testing.assert_allclose(function(layout), exact(values.astype("float64")), rtol=129 * 2.0**-24)


def test_sums_over_an_axis_and_in_double_precision_are_left_to_theano():
    x, d = T.matrix("x"), T.dmatrix("d")
    functions = [theano.function([x], T.sqr(x).sum(axis=1)), theano.function([d], T.sqr(d).sum())]
    assert not any("SumOf" in ops(function) for function in functions)


@given(st.data(), st.integers(0, 200), st.integers(0, 40))
def test_sums_of_columns_are_those_of_numpy(column_sums, data, n_rows, n_columns):
    x = data.draw(matrices(n_rows, n_columns))
    for found, terms in zip(column_sums(x), (x.astype("float64"), np.square(x, dtype="float64"))):
        assert within_rounding(found, terms.sum(axis=0), np.abs(terms).sum(axis=0), 33 + n_rows / 32)


@pytest.fixture(scope="module")
def column_sums():
    x = T.matrix("x")
    function = theano.function([x], [x.sum(axis=0), T.sqr(x).sum(axis=0)])
    assert ops(function) == ["ColumnSums", "ColumnSums"]
    return function


def test_the_gradient_of_a_sum_of_squares_is_still_that_of_the_squares():
    x = T.matrix("x")
    function = theano.function([x], [T.sqr(x).sum(), T.grad(T.sqr(x).sum(), x)])
    assert "SumOf" in ops(function)
    np.testing.assert_array_equal(function(numbers(3, 4))[1], 2 * numbers(3, 4))


MAPPED = {
    "tanh": (T.tanh, np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "sigmoid": (T.nnet.sigmoid, scipy.special.expit, lambda x: scipy.special.expit(x) * scipy.special.expit(-x)),
    "softplus": (T.nnet.softplus, lambda x: np.logaddexp(x, 0), scipy.special.expit),
}


@pytest.fixture(scope="module")
def mapped():
    x = T.vector("x")
    functions = {name: theano.function([x], ours(x)) for name, (ours, _, _) in MAPPED.items()}
    assert [ops(function) for function in functions.values()] == [["Mapped"]] * 3
    return functions


@pytest.mark.parametrize("name", MAPPED)
@given(st.lists(st.floats(width=32), max_size=40))
def test_activations_are_within_4_ulp_and_nan_stays_nan(mapped, name, values):
    x = np.array(values, dtype="float32")
    found, exact = mapped[name](x), MAPPED[name][1](x.astype("float64")).astype("float32")
    np.testing.assert_array_equal(np.isnan(found), np.isnan(x))
    # Below that, sigmoid and softplus are no normal numbers.
    far_below = (x < -87.3) & (name != "tanh")
    np.testing.assert_array_equal(found[far_below], 0)
    np.testing.assert_array_max_ulp(found[~far_below], exact[~far_below], maxulp=4)


@pytest.mark.parametrize(("ours", "exact", "derivative"), MAPPED.values(), ids=MAPPED)
def test_activations_of_any_shape_and_their_gradients(ours, exact, derivative):
    x = T.tensor3("x")
    function = theano.function([x], [ours(x), T.grad(ours(x).sum(), x)])
    assert "Mapped" in ops(function)
    for values in [numbers(3, 50, 70), numbers(3, 5, 7)[::2, ::-1], numbers(0, 5, 7)]:
        value, gradient = function(values)
        np.testing.assert_allclose(value, exact(values.astype("float64")), rtol=6e-7)
        np.testing.assert_allclose(gradient, derivative(values.astype("float64")), rtol=2e-6)


@pytest.fixture(scope="module")
def likelihoods():
    """The three outputs by this package and by Theano alone."""
    x, b, y = T.matrix("x"), T.vector("b"), T.ivector("y")
    outputs = T.nnet.crossentropy_softmax_argmax_1hot_with_bias(x, b, y)
    function = theano.function([x, b, y], outputs)
    assert ops(function) == ["SoftmaxNLL"]
    return function, theano.function([x, b, y], outputs, mode=PLAIN)


@given(st.data(), st.integers(1, 70), st.integers(1, 40), st.sampled_from([1, 30, 1000]))
def test_softmax_is_that_of_theano(likelihoods, data, n, n_classes, scale):
    scores = data.draw(matrices(n, n_classes)) * np.float32(scale)
    biases, labels = numbers(n_classes), np.arange(n, dtype="int32") % n_classes
    found, plain = (function(scores, biases, labels) for function in likelihoods)
    # exp(s) of a score s that was rounded at s = 1000 is uncertain by 1000 * 2^-24.
    np.testing.assert_allclose(found[0], plain[0], rtol=1e-6, atol=2e-6 + scale * 2.0**-23)
    np.testing.assert_allclose(found[1], plain[1], rtol=2e-6 + scale * 2.0**-23, atol=1e-30)
    np.testing.assert_array_equal(found[2], plain[2])


def test_softmax_says_which_labels_it_takes(likelihoods):
    for label in (-1, 3):
        with pytest.raises(ValueError, match="a label is not a class: expected 0 to 2"):
            likelihoods[0](numbers(2, 3), numbers(3), np.array([0, label], dtype="int32"))
    with pytest.raises(ValueError, match=r"scores \(2, 3\), biases \(4,\), labels \(2,\)"):
        likelihoods[0](numbers(2, 3), numbers(4), np.zeros(2, dtype="int32"))


@pytest.mark.parametrize(
    ("op", "inputs", "n_terms"),
    [
        (ThreadedDot(), [numbers(3, 4), numbers(4, 5)], 4),
        (ThreadedGemm(), [numbers(3, 5), np.float32(2), numbers(3, 4), numbers(4, 5), np.float32(0.5)], 5),
        (SumOf("Square"), [numbers(3, 4)], 12),
        (SumOf("Magnitude"), [numbers(3, 4)], 12),
        *[(ColumnSums(function), [numbers(3, 4)], 3) for function in ("Identity", "Square")],
        *[(Mapped(function), [numbers(3, 4)], 1) for function in ("Tanh", "Sigmoid", "Softplus")],
        (SoftmaxNLL(), [numbers(4, 3), numbers(3), np.array([0, 2, 1, 1], dtype="int32")], 3),
    ],
)
def test_each_op_computes_in_c_what_it_computes_in_python(op, inputs, n_terms):
    symbols = [T.as_tensor_variable(value).type() for value in inputs]
    outputs = op(*symbols, return_list=True)
    compiled, python = (
        theano.function(symbols, outputs, mode=theano.Mode(linker, optimizer=None), accept_inplace=True)
        for linker in ("c", "py")
    )
    for ours, plain in zip(compiled(*map(np.copy, inputs)), python(*map(np.copy, inputs))):
        # Two sums of terms of at most two, in another order; the terms may cancel.
        np.testing.assert_allclose(ours, plain, rtol=1e-6, atol=2 * n_terms**2 * np.finfo("float32").eps)
        assert ours.dtype == plain.dtype
    assert [tuple(s) for s in op.infer_shape(None, [v.shape for v in inputs])] == [v.shape for v in python(*inputs)]


def test_random_numbers_are_no_floats_to_rewrite():
    # A random state has no dtype; with "raise", an error of a rewrite would stop the compilation.
    x = T.matrix("x")
    noisy = T.dot(x * RandomStreams(1).binomial(x.shape, p=0.5, dtype=theano.config.floatX), x)
    with theano.change_flags(on_opt_error="raise"):
        assert "ThreadedDot" in ops(theano.function([x], noisy))


@pytest.mark.parametrize(
    ("rewrite", "op"),
    [
        ("tutorials_threaded_products", "ThreadedDot"),
        ("tutorials_vector_tanh", "Mapped{function='Tanh'}"),
        ("tutorials_vector_sigmoid", "Mapped{function='Sigmoid'}"),
        ("tutorials_vector_sigmoid", "Mapped{function='Softplus'}"),
        ("tutorials_sum_of_squares", "SumOf"),
        ("tutorials_column_sums", "ColumnSums"),
        ("tutorials_vector_softmax", "SoftmaxNLL"),
    ],
)
def test_each_rewrite_is_left_out_by_its_name_and_by_the_tag(rewrite, op):
    x, b, y = T.matrix("x"), T.vector("b"), T.ivector("y")
    outputs = [
        *T.nnet.crossentropy_softmax_argmax_1hot_with_bias(T.dot(T.tanh(x), x), b, y),
        T.sqr(x).sum(),
        x.sum(axis=0),
        T.nnet.sigmoid(x),
        T.nnet.softplus(x),
    ]

    def compiled(mode):
        nodes = theano.function([x, b, y], outputs, mode=mode).maker.fgraph.apply_nodes
        return {name for node in nodes for name in (type(node.op).__name__, str(node.op))}

    mode = theano.compile.get_default_mode()
    assert op in compiled(mode)
    for name in (rewrite, TAG):
        assert op not in compiled(mode.excluding(name))


@pytest.mark.one_python
@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "threads"),
    [
        (["-O3", "-march=native"], "125"),
        (["-O3", "-march=native", "-mno-avx"], "125"),
        (["-O1", "-g", "-march=native", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"], "15"),
        (["-O1", "-g", "-march=native", "-fsanitize=thread"], "25"),
    ],
    ids=["fast", "portable", "address", "thread"],
)
def test_kernels_against_plain_loops(tmp_path, options, threads):
    program = tmp_path / "dense"
    warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-psabi"]
    source = [f"-I{FOLDER}", str(NATIVE / "dense.cpp"), "-pthread", "-o", str(program)]
    subprocess.run(["g++", "-std=c++14", *options, *warnings, *source], check=True)
    bits = set()
    for n_threads in threads:
        environment = {**os.environ, "OMP_NUM_THREADS": n_threads}
        finished = subprocess.run(
            [program, "100003"], env=environment, capture_output=True, text=True, check=False, timeout=600
        )
        assert (finished.returncode, finished.stderr) == (0, "")
        bits.add(finished.stdout)
    assert len(bits) == 1


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    ).stdout


_TRAINING = """
from theano_tutorials import MLP, sgd_updates
import hashlib, numpy as np, theano, theano.tensor as T
x, y = T.matrix("x"), T.ivector("y")
model = MLP(np.random.RandomState(1), x, 784, 300, 10)
cost = model.negative_log_likelihood(y) + 0.001 * model.L2_sqr + 0.001 * model.L1
train = theano.function([x, y], cost, updates=sgd_updates(cost, model.params, 0.1))
images = np.random.RandomState(2).uniform(size=(600, 784)).astype("float32")
labels = np.arange(600, dtype="int32") % 10
"""


@pytest.mark.slow
def test_the_number_of_threads_does_not_change_the_bits():
    code = _TRAINING + (
        "costs = [float(train(images, labels)) for _ in range(5)]\n"
        "print(costs, hashlib.sha256(b''.join(p.get_value().tobytes() for p in model.params)).hexdigest())"
    )
    assert len({run_python(code, OMP_NUM_THREADS=n) for n in "123"}) == 1


@pytest.mark.slow
def test_a_forked_process_goes_on():
    code = _TRAINING + (
        "import os\n"
        "train(images, labels)\n"
        "before = [p.get_value() for p in model.params]\n"
        "def after():\n"
        "    for p, value in zip(model.params, before): p.set_value(value)\n"
        "    return [float(train(images, labels)) for _ in range(3)]\n"
        "reader, writer = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.write(writer, repr(after()).encode())\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "assert os.read(reader, 1000).decode() == repr(after())\n"
        "print('the same')"
    )
    assert run_python(code, OMP_NUM_THREADS="3") == "the same\n"


@pytest.mark.slow
def test_signals_are_left_to_the_threads_that_know_of_them():
    code = _TRAINING + (
        "import os, pathlib, re\n"
        "threads = lambda: set(os.listdir('/proc/self/task'))\n"
        "before = threads()\n"
        "train(images, labels)\n"
        "for thread in threads() - before:\n"
        "    status = pathlib.Path('/proc/self/task', thread, 'status').read_text()\n"
        "    print(re.search(r'SigBlk:\\s*(\\w+)', status)[1])"
    )
    blocked = [int(mask, 16) for mask in run_python(code, OMP_NUM_THREADS="3").split()]
    assert len(blocked) == 2
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        assert all(mask >> (number - 1) & 1 for mask in blocked)


def test_without_a_compiler_theano_keeps_its_own_ops():
    code = (
        "import theano_tutorials, theano, theano.tensor as T\n"
        "x = T.matrix()\n"
        "print([str(n.op) for n in theano.function([x], T.tanh(x)).maker.fgraph.toposort()])"
    )
    flags = os.environ.get("THEANO_FLAGS", "")
    assert run_python(code, THEANO_FLAGS=f"{flags},cxx=") == "['Elemwise{tanh,no_inplace}']\n"


@pytest.mark.slow
def test_products_are_left_to_a_blas_with_threads_of_its_own():
    code = (
        "import theano_tutorials, theano, theano.tensor as T\n"
        "x = T.matrix()\n"
        "print([str(n.op) for n in theano.function([x], T.dot(x, x)).maker.fgraph.toposort()])"
    )
    assert run_python(code, OPENBLAS_NUM_THREADS="2") == "['Dot22']\n"
    assert run_python(code) == "['ThreadedDot']\n"
