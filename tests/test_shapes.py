"""The shape of an example, and the order of its dimensions."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_dataset import N_TEST, N_TRAIN, assert_refused, npz_arrays

from theano_tutorials import read_data
from theano_tutorials.datasets import in_theano_order


def counted(*shape):
    """Floats that tell where each value was."""
    return np.arange(math.prod(shape), dtype="float32").reshape(shape)


def write_npz(path, *shapes):
    """Training and test set, or training, validation and test set, of examples of these shapes."""
    sizes = dict(zip(("train", "test") if len(shapes) == 2 else ("train", "valid", "test"), shapes))
    arrays = {f"x_{name}": counted(N_TEST if name == "test" else N_TRAIN, *shape) for name, shape in sizes.items()}
    labels = {"y_valid": np.zeros(N_TRAIN, int)} if "valid" in sizes else {}
    np.savez(path, **npz_arrays(**arrays, **labels))
    return path


# What the dimensions are

SHAPES = {
    "row": ((12,), (12,)),
    "one value": ((1,), (1,)),
    "higher than wide": ((7, 5), (7, 5)),
    "wider than high": ((5, 7), (5, 7)),
    "one channel first": ((1, 7, 5), (7, 5)),
    "one channel last": ((7, 5, 1), (7, 5)),
    "colours first": ((3, 7, 5), (3, 7, 5)),
    "colours last": ((7, 5, 3), (3, 7, 5)),
    "colours and transparency first": ((4, 7, 5), (4, 7, 5)),
    "colours and transparency last": ((7, 5, 4), (4, 7, 5)),
    "either, one channel": ((1, 7, 1), (7, 1)),
    "either, colours": ((3, 7, 4), (3, 7, 4)),
    "either, colours or one channel": ((4, 3, 1), (4, 3, 1)),
    "neither": ((2, 7, 5), (2, 7, 5)),
    "two channels are not last": ((7, 5, 2), (7, 5, 2)),
    "four dimensions": ((2, 3, 2, 3), (2, 3, 2, 3)),
    "five dimensions": ((2, 1, 2, 1, 3), (2, 1, 2, 1, 3)),
}


@pytest.mark.parametrize("case", SHAPES)
def test_shape_of_an_example_comes_from_the_data(tmp_path, case):
    stored, expected = SHAPES[case]
    data = read_data(write_npz(tmp_path / "data.npz", stored, stored))
    assert data.example_shape == expected
    assert data.n_features == math.prod(stored)
    assert [x.shape for x, _ in data] == [(10, data.n_features), (2, data.n_features), (N_TEST, data.n_features)]


@pytest.mark.parametrize("case", SHAPES)
def test_rows_are_flat_examples_in_theano_order(tmp_path, case):
    stored, _ = SHAPES[case]
    data = read_data(write_npz(tmp_path / "data.npz", stored, stored))
    expected = in_theano_order(counted(N_TRAIN, *stored)).reshape(N_TRAIN, -1)
    np.testing.assert_array_equal(np.concatenate([data[0][0], data[1][0]]), expected, strict=True)


def test_bytes_with_channels_last_are_divided_by_256_too(tmp_path):
    x = np.random.RandomState(0).randint(0, 256, (N_TRAIN, 7, 5, 3)).astype("uint8")
    np.savez(tmp_path / "data.npz", **npz_arrays(x_train=x, x_test=x[:N_TEST]))
    images = read_data(tmp_path / "data.npz")[2][0].reshape(N_TEST, 3, 7, 5)
    for channel in range(3):
        np.testing.assert_array_equal(images[:, channel] * 256, x[:N_TEST, :, :, channel])


# The order


@given(
    n=st.integers(0, 3),
    sizes=st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6)),
    dtype=st.sampled_from(["uint8", "float32", "int64"]),
)
def test_each_pixel_of_each_channel_lands_where_it_belongs(n, sizes, dtype):
    images = counted(n, *sizes).astype(dtype)
    result = in_theano_order(images)
    assert result.dtype == dtype
    is_first = sizes[0] in (1, 3, 4) or sizes[2] not in (1, 3, 4)
    n_channels, height, width = sizes if is_first else (sizes[2], sizes[0], sizes[1])
    assert result.shape == ((n, height, width) if n_channels == 1 else (n, n_channels, height, width))
    for example, channel, row, column in itertools.product(*map(range, (n, n_channels, height, width))):
        place = (example, row, column) if n_channels == 1 else (example, channel, row, column)
        origin = (example, channel, row, column) if is_first else (example, row, column, channel)
        assert result[place] == images[origin]


@pytest.mark.parametrize("shape", [(), (3,), (5, 3), (5, 3, 4), (5, 3, 4, 1, 1), (5, 3, 4, 3, 3, 1)])
def test_arrays_of_other_dimensions_stay_as_they_are(shape):
    array = counted(*shape)
    assert in_theano_order(array) is array


@pytest.mark.parametrize("shape", [(2, 7, 5, 3), (2, 7, 5, 1), (2, 1, 7, 5), (2, 3, 7, 5)])
def test_no_image_is_copied(shape):
    array = counted(*shape)
    assert np.shares_memory(array, in_theano_order(array))


def test_order_of_lists():
    np.testing.assert_array_equal(in_theano_order([[[[1], [2]]] * 2]), [[[1, 2]] * 2])


# The sets beside each other


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        (((12,), (4, 3)), (4, 3)),
        (((4, 3), (12,)), (4, 3)),
        (((12,), (4, 3), (12,)), (4, 3)),
        (((12,), (2, 1, 2, 3)), (2, 1, 2, 3)),
        (((4, 3), (1, 4, 3)), (4, 3)),
        (((7, 5, 1), (1, 7, 5), (7, 5)), (7, 5)),
        (((7, 5, 3), (3, 7, 5)), (3, 7, 5)),
    ],
)
def test_sets_of_the_same_examples_in_other_forms_are_read(tmp_path, shapes, expected):
    data = read_data(write_npz(tmp_path / "data.npz", *shapes))
    assert data.example_shape == expected
    assert {x.shape[1] for x, _ in data} == {math.prod(expected)}


@pytest.mark.parametrize(
    ("shapes", "fragments"),
    [
        (((4, 3), (3, 4)), ["images of 12, 12, 12 pixels", "shapes (4, 3), (4, 3), (3, 4)", "expected one size"]),
        (((4, 3), (5, 3)), ["images of 12, 12, 15 pixels", "shapes (4, 3), (4, 3), (5, 3)", "expected one size"]),
        (((12,), (4, 3), (3, 4)), ["shapes (12,), (4, 3), (3, 4)", "expected one size"]),
        (((12,), (13,)), ["images of 12, 12, 13 pixels", "shapes (12,), (12,), (13,)", "expected one size"]),
        (((12,), (5, 3)), ["images of 12, 12, 15 pixels", "shapes (12,), (12,), (5, 3)", "expected one size"]),
        (((7, 5, 3), (3, 5, 7)), ["shapes (3, 7, 5), (3, 7, 5), (3, 5, 7)", "expected one size"]),
        (((105,), (7, 5, 3)), ["rows of 105 values beside images of shape (3, 7, 5)", "expected rows in all sets"]),
        (((3, 7, 5), (105,)), ["rows of 105 values beside images of shape (3, 7, 5)", "or images in all"]),
    ],
)
def test_sets_of_different_examples_are_refused(tmp_path, shapes, fragments):
    path = write_npz(tmp_path / "data.npz", *shapes)
    assert_refused(path, *fragments)
