"""The minibatch as one Op: what Theano's own graph gives, for every index."""

import numpy as np
import pytest
import theano
import theano.tensor as T

from theano_tutorials.kernels.minibatch import Minibatch
from theano_tutorials.training import compile_functions, minibatch

N_ROWS = 7
INDICES = range(-9, 10)
# Where index * n wraps around, as int64 does; Theano's own slice takes some of these ends for no end at all.
FAR_INDICES = [-(2**63), -(2**62), 2**62, 2**63 // 3, 2**63 - 2, 2**63 - 1]


def modes(linker):
    ours = theano.Mode(linker, "fast_run")
    return ours, ours.excluding("tutorials_minibatch")


def ops(function):
    return [type(node.op) for node in function.maker.fgraph.apply_nodes]


def both(inputs, outputs, linker="cvm", **arguments):
    """The same function with the Op and without."""
    ours, plain = (theano.function(inputs, outputs, mode=mode, **arguments) for mode in modes(linker))
    assert Minibatch in ops(ours)
    assert Minibatch not in ops(plain)
    return ours, plain


def values(dtype, shape):
    return np.random.RandomState(0).randint(0, 100, shape).astype(dtype)


def data(dtype, shape, layout=lambda rows: rows):
    return theano.shared(layout(values(dtype, shape)), borrow=True)


LAYOUTS = {
    "C": lambda rows: rows,
    "Fortran": np.asfortranarray,
    "reversed": lambda rows: rows[::-1],
    "every second row": lambda rows: np.repeat(rows, 2, axis=0)[::2],
}


@pytest.mark.parametrize("linker", ["cvm", "py"])
@pytest.mark.parametrize("n", [1, 3, 7, 8])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("dtype", "shape"), [("float32", (7, 4)), ("int8", (7,)), ("float64", (7, 2, 3, 2))])
def test_every_index_gives_the_rows_of_the_slice(linker, n, layout, dtype, shape):
    index = T.lscalar()
    ours, plain = both([index], minibatch(data(dtype, shape, LAYOUTS[layout]), index, n), linker)
    for i in INDICES:
        value = ours(i)
        assert value.dtype == dtype
        np.testing.assert_array_equal(value, plain(i), err_msg=str(i))
    rows = LAYOUTS[layout](values(dtype, shape))
    for i in FAR_INDICES:
        start, stop = np.array([i, i], "int64") * n + [0, n]
        np.testing.assert_array_equal(ours(i), rows[start:stop], err_msg=str(i))


@pytest.mark.parametrize("linker", ["cvm", "py"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_labels_are_cast(linker, layout):
    index = T.lscalar()
    labels = T.cast(data("float32", (N_ROWS,), LAYOUTS[layout]), "int32")
    ours, plain = both([index], minibatch(labels, index, 3), linker)
    assert ops(ours).count(Minibatch) == len(ops(ours)) - ops(ours).count(theano.compile.DeepCopyOp)
    for i in INDICES:
        value = ours(i)
        assert value.dtype == "int32"
        np.testing.assert_array_equal(value, plain(i), err_msg=str(i))


def test_the_data_may_grow_and_shrink():
    index = T.lscalar()
    x = data("float32", (N_ROWS, 2))
    ours, plain = both([index], [minibatch(x, index, 4), minibatch(x, index, 4).shape])
    for n_rows in (0, 3, 12, 4):
        x.set_value(np.random.RandomState(n_rows).rand(n_rows, 2).astype("float32"))
        for i in range(-2, 4):
            for value, expected in zip(ours(i), plain(i)):
                np.testing.assert_array_equal(value, expected)


def test_data_that_changes_in_the_same_call_is_read_before():
    index = T.lscalar()
    results = []
    for mode in modes("cvm"):
        x = data("float32", (N_ROWS, 2))
        step = theano.function([index], minibatch(x, index, 2) * 2, updates=[(x, x + 1)], mode=mode)
        results.append([step(i) for i in (0, 2, 3)] + [x.get_value()])
    for value, expected in zip(*results):
        np.testing.assert_array_equal(value, expected)


def test_a_result_stays_when_the_next_minibatch_is_taken():
    index = T.lscalar()
    x = data("float32", (N_ROWS, 2))
    take = theano.function([index], [minibatch(x, index, 2), minibatch(T.cast(x[:, 0], "int32"), index, 2)])
    first = take(0)
    kept = [value.copy() for value in first]
    take(1)
    for value in first:
        value += 1  # may be written to, and is nobody else's
    np.testing.assert_array_equal(take(0)[0], kept[0])


@pytest.mark.parametrize(
    "take",
    [
        lambda x, i: x[i * 2 : (i + 1) * 3],
        lambda x, i: x[i * 2 : (i + 2) * 2],
        lambda x, i: x[i * -2 : (i + 1) * -2],
        lambda x, i: x[i * 2 : (i + 1) * 2 : 2],
        lambda x, i: x[:, i * 2 : (i + 1) * 2],
        lambda x, i: x[i * 2 :],
        lambda x, i: x[T.cast(i, "int32") * 2 : (T.cast(i, "int32") + 1) * 2],
        lambda x, i: x[i * 2 : (2 * i + 1) * 2],
        lambda x, i: (x * 2)[i * 2 : (i + 1) * 2],
    ],
)
def test_another_slice_is_left_to_theano(take):
    index = T.lscalar()
    x = data("float32", (N_ROWS, 4))
    ours, plain = (theano.function([index], take(x, index), mode=mode) for mode in modes("cvm"))
    assert Minibatch not in ops(ours)
    for i in range(-3, 5):
        np.testing.assert_array_equal(ours(i), plain(i))


def test_factors_in_any_order_are_the_same_slice():
    index = T.lscalar()
    x = data("float32", (N_ROWS, 4))
    ours, plain = both([index], x[3 * index : 3 * (1 + index)])
    np.testing.assert_array_equal(ours(1), plain(1))


def test_the_data_may_be_an_argument():
    index, x = T.lscalar(), T.matrix()
    ours, plain = both([x, index], minibatch(x, index, 3))
    values = np.random.RandomState(0).rand(N_ROWS, 2).astype("float32")
    np.testing.assert_array_equal(ours(values, 2), plain(values, 2))


def test_the_gradient_of_the_data_is_that_of_the_slice():
    index = T.lscalar()
    x = data("float32", (N_ROWS, 2))
    gradient = T.grad(T.sum(minibatch(x, index, 3) ** 2), x)
    for i in (0, 2, -1):
        ours, plain = (theano.function([index], gradient, mode=mode)(i) for mode in modes("cvm"))
        np.testing.assert_array_equal(ours, plain)


def test_the_tutorials_functions_have_it():
    x, y = T.matrix(), T.ivector()
    splits = [(data("float32", (4, 3)), T.cast(data("float32", (4,)), "int32")) for _ in range(3)]
    functions = compile_functions(x, y, T.sum(x) + T.sum(y), T.sum(x) - T.sum(y), [], splits, 2)
    for function in functions[:3]:
        assert ops(function).count(Minibatch) == 2
        assert not {"Subtensor", "ScalarFromTensor"} & {op.__name__ for op in ops(function)}
