"""Theano 1.0.5 on Python and NumPy of today: what it computes, and that nobody else sees what stands in."""

import copy
import io
import itertools
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import theano
import theano.tensor as T
from hypothesis import given
from hypothesis import strategies as st
from theano.compile.mode import Mode
from theano.configparser import change_flags
from theano.misc.pkl_utils import dump, load
from theano.tensor.blas import BatchedDot, Dot22, Dot22Scalar, Gemm
from theano.tensor.extra_ops import CumOp, Unique
from theano.tensor.nnet.conv import ConvOp
from theano.tensor.signal.pool import Pool
from theano.tensor.sort import TopKOp, topk
from theano.tensor.subtensor import AdvancedIncSubtensor1

from theano_tutorials.backend.adapting import stand_ins

ROOT = Path(__file__).parents[2]
COMPILED = Mode("c|py", "fast_run")
IN_PYTHON = Mode("py", "fast_run")


def run_python(code, folder=ROOT):
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=folder, capture_output=True, text=True)


# Who sees it

ALONE = """
import sys, numpy
names, modules = dict(vars(numpy)), set(sys.modules)
import theano_tutorials, theano, theano.tests.breakpoint, theano.gpuarray.linalg, theano.sparse
changed = {name for name, value in vars(numpy).items() if names.get(name, value) is not value}
gone = "distutils imp pkg_resources numpy.distutils numpy.linalg.linalg scipy.signal.signaltools scipy.signal.sigtools"
print(sorted(changed), sorted({*gone.split()} & {*sys.modules} - modules))
seen = theano.tensor.basic.np
print(hasattr(numpy, "complex"), seen.complex is complex, seen.ndarray is numpy.ndarray)
"""


@pytest.mark.slow
def test_only_theanos_modules_see_what_stands_in():
    run = run_python(ALONE)
    assert (run.returncode, run.stdout) == (0, "[] []\nFalse True True\n"), run.stderr


@pytest.mark.parametrize("name", ["theano.tests.breakpoint", "theano.gpuarray.linalg", "theano.sandbox.linalg"])
def test_modules_that_are_imported_later_are_adapted_too(name):
    assert vars(__import__(name, fromlist=["np"]))["__builtins__"] is vars(theano)["__builtins__"]


def test_modules_are_looked_for_as_imp_did():
    find_module = stand_ins.make()["imp"].find_module
    assert find_module("pdb")
    with pytest.raises(ImportError, match="nonexistent"):
        find_module("nonexistent")


# Which Theano


def a_theano(folder, version_file):
    (folder / "theano").mkdir()
    (folder / "theano" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    if version_file is not None:
        (folder / "theano" / "_version.py").write_text(version_file)


@pytest.mark.parametrize(
    ("version_file", "found"),
    [
        ('{"version": "1.1.2"}', "is Theano 1.1.2, not"),
        (None, "is another package, not"),
        ("", "is another package, not"),
    ],
)
def test_another_theano_is_refused_before_it_is_imported(version_file, found, tmp_path):
    a_theano(tmp_path, version_file)
    run = run_python(f"import sys; sys.path.insert(1, {str(ROOT)!r}); import theano_tutorials", tmp_path)
    error = run.stderr.splitlines()[-1]
    assert error.startswith(f"ImportError: {tmp_path / 'theano'} {found} Theano 1.0.5: uninstall")


def test_a_missing_theano_is_named():
    code = "import importlib.util\nimportlib.util.find_spec = lambda name: None\nimport theano_tutorials"
    error = run_python(code).stderr.splitlines()[-1]
    assert error == (
        f"ImportError: Theano is not installed in {sys.executable}: install theano_tutorials again with pip"
    )


# C code of Ops


def ops_of(function):
    return [type(node.op) for node in function.maker.fgraph.toposort()]


REALS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"]


@pytest.fixture(scope="module")
def increments():
    """Compiled ``x[index] += values`` and ``x[index] = values`` by dtype."""
    made = {}

    def make(dtype):
        if dtype not in made:
            x, index, values = T.tensor3(dtype=dtype), T.lvector(), T.tensor3(dtype=dtype)
            made[dtype] = [
                theano.function([x, index, values], change(x[index], values), mode=COMPILED)
                for change in (T.inc_subtensor, T.set_subtensor)
            ]
            assert all(AdvancedIncSubtensor1 in ops_of(function) for function in made[dtype])
        return made[dtype]

    return make


@pytest.mark.parametrize("dtype", ["float16", *REALS, "complex64", "complex128"])
def test_increments_are_those_of_numpy(dtype, increments):
    rng = np.random.RandomState(0)
    x = (rng.uniform(-3, 3, (4, 3, 2)) + (1j * rng.uniform(-3, 3, (4, 3, 2)) if "complex" in dtype else 0)).astype(
        dtype
    )
    index = np.array([0, -1, 2, 0, 0, 3])
    values = rng.uniform(0, 5, (6, 3, 2)).astype(dtype)
    added, put = x.copy(), x.copy()
    np.add.at(added, index, values)
    put[index] = values
    inc, set_ = increments(dtype)
    np.testing.assert_array_equal(inc(x, index, values), added)
    np.testing.assert_array_equal(set_(x, index, values), put)


@given(
    st.integers(1, 5).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.integers(-n, n - 1), max_size=7))),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    st.booleans(),
)
def test_increments_broadcast_and_follow_strides(increments, rows, ones, is_transposed):
    n, index = rows
    x = np.arange(n * 6, dtype="int32").reshape(n, 3, 2)
    shape = [1 if one else size for one, size in zip(ones, (len(index), 3, 2))]
    values = np.arange(np.prod(shape), dtype="int32").reshape(shape)
    if is_transposed:
        x, values = (np.asfortranarray(array)[:, ::-1] for array in (x, values))
    expected = x.copy()
    np.add.at(expected, np.array(index, "int64"), values)
    np.testing.assert_array_equal(increments("int32")[0](x, index, values), expected)


@pytest.mark.parametrize("index", [4, -5])
def test_an_index_beyond_the_rows_is_an_index_error(index, increments):
    zeros = np.zeros((4, 3, 2), "float32")
    with pytest.raises(IndexError, match=f"index {index} is out of bounds for axis 0 with size 4"):
        increments("float32")[0](zeros, [index], zeros[:1])


@pytest.mark.parametrize("shape", [(2, 3, 2), (1, 2, 2), (1, 3, 3), (0, 3, 2)])
def test_values_of_another_shape_are_a_value_error(shape, increments):
    zeros = np.zeros((4, 3, 2), "float32")
    with pytest.raises(ValueError, match="cannot be broadcast to the shape of"):
        increments("float32")[0](zeros, [0, 1, 2], np.zeros(shape, "float32"))


def test_an_increment_leaves_its_input_as_it_is(increments):
    x = np.zeros((4, 3, 2), "float32")
    increments("float32")[0](x, [1], np.ones((1, 3, 2), "float32"))
    assert not x.any()


def test_the_gradient_of_an_embedding():
    words = T.lvector()
    theano.gradient.verify_grad(
        lambda table: table[words.clone().type.filter(np.array([0, 2, 2, 1]))] ** 2,
        [np.random.RandomState(0).uniform(-1, 1, (3, 4))],
        rng=np.random.RandomState(0),
        mode=COMPILED,
    )


MATRIX = np.random.RandomState(0).permutation(12).reshape(3, 4).astype("float32")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (lambda x: T.argmax(x, axis=None), MATRIX.argmax()),
        (lambda x: T.argmax(x, axis=1), MATRIX.argmax(axis=1)),
        (lambda x: T.max_and_argmax(x, axis=None)[0], MATRIX.max()),
        (lambda x: T.max_and_argmax(x, axis=0)[1], MATRIX.argmax(axis=0)),
        (T.extra_ops.cumsum, MATRIX.cumsum()),
        (lambda x: T.extra_ops.cumsum(x, axis=1), MATRIX.cumsum(axis=1)),
        (lambda x: T.extra_ops.cumprod(x, axis=0), MATRIX.cumprod(axis=0)),
        (lambda x: T.extra_ops.cumsum(x[0]), MATRIX[0].cumsum()),
    ],
)
def test_one_axis_or_all_of_them(expression, expected):
    x = T.matrix()
    np.testing.assert_array_equal(theano.function([x], expression(x), mode=COMPILED)(MATRIX), expected)


PRODUCTS = {
    Dot22: lambda x, y, z: T.dot(x, y),
    Dot22Scalar: lambda x, y, z: 2 * T.dot(x, y),
    Gemm: lambda x, y, z: z + 2 * T.dot(x, y),
    BatchedDot: lambda x, y, z: T.batched_dot(x.dimshuffle("x", 0, 1), y.dimshuffle("x", 0, 1))[0],
}


@pytest.mark.parametrize("op", PRODUCTS)
def test_products_of_empty_matrices(op):
    # NumPy gives an empty matrix strides of zero, which BLAS does not take.
    x, y, z = T.dmatrices("x", "y", "z")
    product = theano.function([x, y, z], PRODUCTS[op](x, y, z), mode=COMPILED, on_unused_input="ignore")
    assert any(isinstance(node.op, op) for node in product.maker.fgraph.toposort())
    for rows, inner, columns in itertools.product((0, 1, 3), (0, 1, 4), (0, 1, 5)):
        for orders in itertools.product("CF", repeat=3):
            shapes = (rows, inner), (inner, columns), (rows, columns)
            left, right, added = (
                np.arange(np.prod(shape), dtype="float64").reshape(shape).copy(order)
                for shape, order in zip(shapes, orders)
            )
            expected = {Dot22Scalar: 2 * left @ right, Gemm: added + 2 * left @ right}.get(op, left @ right)
            np.testing.assert_array_equal(product(left, right, added), expected)


@pytest.mark.parametrize(
    ("number", "dtype"), [(0.5, "float32"), (0.1, "float64"), (1e300, "float64"), (2.0, "float32")]
)
def test_a_constant_keeps_all_digits_of_a_float(number, dtype):
    with change_flags(floatX="float64"):
        constant = T.constant(number)
        assert (constant.dtype, constant.data) == (dtype, number)
        x = T.dscalar("x")
        assert (number * x).eval({x: 3.0}) == number * 3.0


@pytest.mark.parametrize("dtype", ["float64", "complex128", "int32"])
def test_a_reciprocal_in_python_keeps_all_digits(dtype):
    x = T.TensorType(dtype, (False,))("x")
    values = np.array([3, -7, 11], dtype)
    np.testing.assert_array_equal(theano.function([x], T.inv(x), mode=IN_PYTHON)(values), 1 / values)


@pytest.mark.parametrize(("function", "factor"), [(T.deg2rad, np.pi / 180), (T.rad2deg, 180 / np.pi)])
def test_gradients_of_angles(function, factor):
    x = T.dscalar("x")
    assert T.grad(function(x), x).eval({x: 2.0}) == factor


def test_sizes_that_are_small_constants():
    height, width = T.constant(100, dtype="int8"), T.constant(120, dtype="int8")
    assert Pool.out_shape((1, 1, height, width), (2, 2), True, (2, 2), (20, 20)) == [1, 1, 70, 80]


def test_the_quotient_rounded_up():
    x, y = T.lscalars("x", "y")
    assert T.ceil_intdiv(x, y).eval({x: 7, y: 2}) == 4


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers(dtype):
    x, y = T.vector(dtype=dtype), T.vector(dtype=dtype)
    a, b = np.array([1 + 2j, -3j, 0.5], dtype), np.array([2 - 1j, 1 + 1j, -1], dtype)
    f = theano.function([x, y], [x * y, x + y, x - y, -x, abs(x), x.real, x.imag, T.conj(x), 2 * x + 1], mode=COMPILED)
    for value, expected in zip(f(a, b), [a * b, a + b, a - b, -a, abs(a), a.real, a.imag, a.conj(), 2 * a + 1]):
        np.testing.assert_allclose(value, expected, rtol=4 * np.finfo(dtype).eps)


def test_rows_are_taken_by_indices_of_64_bits_without_sign():
    x, index = T.matrix(), T.vector(dtype="uint64")
    f = theano.function([x, index], x[index], mode=COMPILED)
    np.testing.assert_array_equal(f(MATRIX, np.array([2, 0], "uint64")), MATRIX[[2, 0]])
    with pytest.raises((IndexError, OverflowError)):
        f(MATRIX, np.array([2**63], "uint64"))


def test_the_old_convolution_compiles():
    images, kernels = T.tensor4(), T.tensor4()
    op = ConvOp(output_mode="valid")
    f = theano.function([images, kernels], op(images, kernels), mode=Mode("c|py", None))
    ones = f(np.ones((1, 1, 5, 5), "float32"), np.ones((1, 1, 3, 3), "float32"))
    np.testing.assert_array_equal(ones, np.full((1, 1, 3, 3), 9))


# NumPy 2


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8"])
def test_a_constant_takes_the_dtype_that_numpy_1_gave_it(dtype):
    # 600 does not fit into int8: NumPy 1 wrapped it, and Theano compared.
    assert (T.scalar(dtype=dtype) * 600).dtype == np.promote_types(dtype, "int16")
    assert theano._asarray(600, "int8") == np.array(600).astype("int8")


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("float32"), T.fscalar(), T.fscalar])
def test_a_dtype_may_be_that_of_a_variable_or_of_a_type(dtype):
    assert theano._asarray([1, 2], dtype).dtype == "float32"
    assert T.basic.np.cast[dtype](1).dtype == "float32"


@pytest.mark.parametrize("function", [T.arcsin, T.arccos, T.arctan, T.arcsinh, T.arctanh, T.exp2, T.arccosh])
def test_gradients_with_constants_of_the_type_of_a_variable(function):
    at = 1.5 if function is T.arccosh else 0.3
    theano.gradient.verify_grad(function, [np.full(3, at)], rng=np.random.RandomState(0), mode=COMPILED)


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize("counts", [False, True])
def test_the_inverse_of_unique_is_a_vector(index, counts):
    x = T.matrix()
    values = np.array([[1, 2], [2, 3]], "float32")
    results = theano.function([x], Unique(index, True, counts)(x))(values)
    np.testing.assert_array_equal(results[1 + index], [0, 1, 1, 2])
    assert len(results) == 2 + index + counts


def test_random_streams_do_not_share_a_state():
    stream = T.shared_randomstreams.RandomStreams(1)
    state = stream.gen_seedgen.randint(2**30)
    x = T.raw_random.random_state_type()
    new_state, draw = T.raw_random.uniform(x, (2,))
    f = theano.function([x], [new_state, draw], mode=Mode("py", None))
    before = np.random.RandomState(state)
    untouched = copy.deepcopy(before)
    after, first = f(before)
    np.testing.assert_array_equal(first, np.random.RandomState(state).uniform(size=2).astype(first.dtype))
    np.testing.assert_array_equal(before.uniform(size=2), untouched.uniform(size=2))
    assert not np.array_equal(f(after)[1], first)


@given(st.data())
def test_the_largest_and_the_smallest(data):
    shape = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    axis = data.draw(st.integers(-2, 1))
    k = data.draw(st.integers(1, shape[axis])) * data.draw(st.sampled_from([1, -1]))
    x = np.random.RandomState(data.draw(st.integers(0, 9))).permutation(shape[0] * shape[1]).reshape(shape)
    op = TopKOp(axis=axis, sorted=False, return_values=True, return_indices=True)
    storage = [[None], [None]]
    op.perform(op.make_node(T.constant(x), T.constant(k)), [x, np.array(k)], storage)
    (values,), (indices,) = storage
    ordered = np.sort(x, axis)
    expected = np.take(ordered, range(shape[axis] - k, shape[axis]) if k > 0 else range(-k), axis)
    np.testing.assert_array_equal(np.sort(values, axis), expected)
    np.testing.assert_array_equal(np.take_along_axis(x, indices, axis), values)


@pytest.mark.parametrize("k", [2, -2])
def test_how_many_may_be_a_small_integer(k):
    x, n = T.vector(), T.bscalar()
    f = theano.function([x, n], topk(x, n, sorted=False))
    values = np.arange(300, dtype="float32")
    np.testing.assert_array_equal(np.sort(f(values, k)), values[-2:] if k > 0 else values[:2])


@pytest.mark.parametrize(
    ("k", "message"), [(0, "kth cannot be zero"), (5, "larger than the size"), (-5, "larger than")]
)
def test_no_largest_or_too_many(k, message):
    x = T.matrix()
    f = theano.function([x], topk(x, k, sorted=False))
    with pytest.raises(ValueError, match=message):
        f(MATRIX)


# Pickles


def test_shared_variables_are_pickled_into_a_zip_file():
    weights = theano.shared(np.eye(2), name="W")
    file = io.BytesIO()
    dump((weights, np.arange(3)), file)
    with np.load(io.BytesIO(file.getvalue()), allow_pickle=False) as arrays:
        assert {"W", "array_0"} <= {*arrays}
    loaded, array = load(io.BytesIO(file.getvalue()))
    np.testing.assert_array_equal(loaded.get_value(), np.eye(2))
    np.testing.assert_array_equal(array, np.arange(3))


def test_a_compiled_function_is_pickled():
    x = T.vector()
    f = theano.function([x], T.tanh(x).sum())
    assert pickle.loads(pickle.dumps(f))([1, 2]) == f([1, 2])


# Scan


def powers(mode):
    x, n = T.vector(), T.lscalar()
    values, updates = theano.scan(
        lambda before, previous, x: T.tanh(before * x - previous),
        outputs_info={"initial": T.stack([T.ones_like(x), x]), "taps": [-2, -1]},
        non_sequences=x,
        n_steps=n,
    )
    return theano.function([x, n], [values, T.grad(values.sum(), x)], updates=updates, mode=mode)


@pytest.mark.slow
def test_scan_runs_in_c_and_gives_what_its_loop_in_python_gives():
    f, loop = powers(None), powers(IN_PYTHON)
    assert "scan_perform.scan_perform" in sys.modules
    x = np.float32([0.3, -0.8, 1.1])
    for in_c, in_python in zip(f(x, 50), loop(x, 50)):
        np.testing.assert_allclose(in_c, in_python, rtol=1e-4)
    sequence = [np.ones_like(x), x]
    for _ in range(50):
        sequence.append(np.tanh(sequence[-2] * x - sequence[-1]))
    np.testing.assert_allclose(f(x, 50)[0], sequence[2:], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_an_error_within_scan_is_raised():
    x = T.matrix()
    values, _ = theano.scan(lambda row, total: total + row[:2], sequences=x, outputs_info=T.zeros(3))
    f = theano.function([x], values)
    with pytest.raises(ValueError, match=r"[Ii]nput dimension mis-match|could not be broadcast"):
        f(np.ones((4, 3), "float32"))


def test_cumulative_op_has_the_axis_of_numpy():
    assert CumOp(axis=None, mode="add").c_axis != 0
