"""Data sets as they are loaded: MNIST, shared variables, names of data sets."""

import gzip
import hashlib
import math
import pickle
import re
import struct

import numpy as np
import pytest
import theano
from small_dataset import (
    MNIST,
    MNIST_FILES,
    N_TEST,
    N_TRAIN,
    assert_equal_pairs,
    assert_refused,
    images,
    npz_arrays,
    packed,
    small_pairs,
    write_idx_folder,
)

from theano_tutorials import DatasetError, DatasetWarning, load_data, read_data, shared_dataset
from theano_tutorials.datasets import Splits

# MNIST


@pytest.fixture(scope="module")
def mnist_arrays():
    """The embedded files, read by nothing of the library."""

    def array(name):
        content = gzip.decompress((MNIST / f"{name}.gz").read_bytes())
        n_dimensions = content[3]
        return np.frombuffer(content, np.uint8, offset=4 + 4 * n_dimensions).reshape(
            struct.unpack_from(f">{n_dimensions}I", content, 4)
        )

    return [array(name) for name in MNIST_FILES]


@pytest.fixture(scope="module")
def mnist():
    return load_data("mnist")


def test_embedded_files_are_mnist_as_the_readme_says():
    rows = re.findall(r"\| (\S+-ubyte) \| ([\d,]+) \| ([0-9a-f]{64}) \|", (MNIST / "README.md").read_text())
    assert [name for name, _, _ in rows] == MNIST_FILES
    for name, size, digest in rows:
        content = gzip.decompress((MNIST / f"{name}.gz").read_bytes())
        assert (len(content), hashlib.sha256(content).hexdigest()) == (int(size.replace(",", "")), digest)


def test_mnist_is_three_pairs_of_shared_variables(mnist):
    assert [x.get_value(borrow=True).shape for x, _ in mnist] == [(50000, 784), (10000, 784), (10000, 784)]
    for x, y in mnist:
        assert isinstance(x, theano.compile.SharedVariable)
        assert (x.dtype, y.dtype, y.ndim) == (theano.config.floatX, "int32", 1)
        (stored,) = y.owner.inputs
        assert isinstance(stored, theano.compile.SharedVariable)
        assert stored.dtype == theano.config.floatX == "float32"


def test_mnist_is_the_bytes_of_the_files_over_256_in_their_order(mnist, mnist_arrays):
    train_images, train_labels, test_images, test_labels = mnist_arrays
    expected = [
        (train_images[:50000], train_labels[:50000]),
        (train_images[50000:], train_labels[50000:]),
        (test_images, test_labels),
    ]
    for (x, y), (pixels, classes) in zip(mnist, expected):
        values = x.get_value(borrow=True)
        np.testing.assert_array_equal(values * np.float32(256), pixels.reshape(len(pixels), 784))
        np.testing.assert_array_equal(y.owner.inputs[0].get_value(borrow=True), classes)


def test_mnist_comes_for_mnist_pkl_gz_where_there_is_no_such_file(tmp_path, mnist, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = read_data("mnist.pkl.gz")
    assert [len(x) for x, _ in data] == [50000, 10000, 10000]
    np.testing.assert_array_equal(data[2][0], mnist[2][0].get_value(borrow=True))


def test_a_file_mnist_pkl_gz_wins_over_the_embedded_mnist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist.pkl.gz").write_bytes(packed(pickle.dumps(small_pairs())))
    assert_equal_pairs(read_data("mnist.pkl.gz"), small_pairs())


# Shared variables


@pytest.mark.parametrize("borrow", [True, False])
def test_shared_dataset_shares_the_memory_of_float32_arrays_only_if_it_may_borrow(borrow):
    x, y = np.zeros((3, 2), "float32"), np.zeros(3, "float32")
    shared_x, shared_y = shared_dataset((x, y), borrow=borrow)
    assert np.shares_memory(x, shared_x.get_value(borrow=True)) == borrow
    assert np.shares_memory(y, shared_y.owner.inputs[0].get_value(borrow=True)) == borrow


def test_shared_dataset_takes_lists():
    x, y = shared_dataset(([[0.5, 1], [2, 3]], [9, 0]))
    np.testing.assert_array_equal(x.get_value(), np.float32([[0.5, 1], [2, 3]]), strict=True)
    np.testing.assert_array_equal(y.owner.inputs[0].get_value(), np.float32([9, 0]), strict=True)


def test_shared_dataset_takes_memory_that_is_not_aligned():
    # As arrays of another process or of a file may be: Theano takes none.
    values = np.float32([[0.5, 1], [2, 3]])
    x = np.frombuffer(b"." + values.tobytes(), np.float32, offset=1).reshape(2, 2)
    assert not x.flags.aligned
    shared_x, shared_y = shared_dataset((x, x[:, 0]))
    np.testing.assert_array_equal(shared_x.get_value(), values)
    np.testing.assert_array_equal(shared_y.owner.inputs[0].get_value(), values[:, 0])


def test_labels_are_integers_where_they_are_used():
    _, y = shared_dataset(([[0], [0], [0]], [9, 0, 3]))
    np.testing.assert_array_equal(theano.function([], y)(), np.int32([9, 0, 3]), strict=True)


def test_load_data_holds_what_read_data_reads(tmp_path):
    write_idx_folder(tmp_path)
    expected = read_data(tmp_path)
    loaded = load_data(tmp_path)
    assert_equal_pairs([(x.get_value(), y.owner.inputs[0].get_value().astype("int64")) for x, y in loaded], expected)
    assert loaded.n_features == 12


# What the sets have in common


def test_mnist_is_28_by_28_pixels_and_ten_classes(mnist):
    for data in (mnist, read_data("mnist")):
        assert (data.example_shape, data.n_features, data.n_classes) == ((28, 28), 784, 10)
        assert data.image_shape == (1, 28, 28)


@pytest.mark.parametrize(
    ("shape", "image_shape"),
    [
        ((5, 4), (1, 5, 4)),
        ((9, 7, 1), (1, 9, 7)),
        ((1, 9, 7), (1, 9, 7)),
        ((9, 7, 3), (3, 9, 7)),
        ((3, 9, 7), (3, 9, 7)),
        ((9, 7, 4), (4, 9, 7)),
        ((36,), (1, 6, 6)),
        ((30,), None),
        ((9, 7, 2), None),
    ],
)
def test_the_shape_of_an_image_comes_from_the_data(tmp_path, shape, image_shape):
    arrays = npz_arrays(x_train=np.zeros((N_TRAIN, *shape), "uint8"), x_test=np.zeros((N_TEST, *shape), "uint8"))
    np.savez(tmp_path / "data.npz", **arrays)
    for data in (read_data(tmp_path / "data.npz"), load_data(tmp_path / "data.npz")):
        assert data.image_shape == image_shape
        assert data.n_features == math.prod(shape)


def test_splits_are_a_list_of_three_pairs(mnist):
    assert isinstance(mnist, Splits)
    assert isinstance(mnist, list)
    assert len(mnist) == 3
    (train_x, _), _, (_, test_y) = mnist
    assert train_x is mnist[0][0]
    assert test_y is mnist[-1][1]
    assert mnist == [mnist[0], mnist[1], mnist[2]]


def test_shared_variables_have_the_sizes_of_the_arrays(tmp_path):
    write_idx_folder(tmp_path)
    data, loaded = read_data(tmp_path), load_data(tmp_path)
    sizes = [(splits.example_shape, splits.n_features, splits.n_classes) for splits in (data, loaded)]
    assert sizes[0] == sizes[1] == ((4, 3), 12, 10)


def test_loading_compiles_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(theano, "function", None)
    assert load_data(write_idx_folder(tmp_path)).n_classes == 10


@pytest.mark.parametrize("largest", [9, 26, 255, 65535])
@pytest.mark.parametrize("name", ["train", "valid", "test"])
def test_the_largest_label_of_all_sets_counts_the_classes(tmp_path, name, largest):
    arrays = npz_arrays(x_valid=images(3, 8), y_valid=np.zeros(3, int))
    arrays[f"y_{name}"][-1] = largest
    np.savez(tmp_path / "data.npz", **arrays)
    data = read_data(tmp_path / "data.npz")
    assert data.n_classes == largest + 1
    assert max(y.max() for _, y in data) == largest


def test_classes_that_no_example_has_count(tmp_path):
    ones = {"y_train": np.full(N_TRAIN, 3), "y_test": np.full(N_TEST, 1)}
    np.savez(tmp_path / "data.npz", **npz_arrays(**ones))
    assert read_data(tmp_path / "data.npz").n_classes == 4


def test_large_labels_are_the_same_where_they_are_used(tmp_path):
    # As floats of 32 bits, in which they are stored.
    np.savez(tmp_path / "data.npz", **npz_arrays(y_test=np.arange(65531, 65536)))
    (_, y) = load_data(tmp_path / "data.npz")[2]
    np.testing.assert_array_equal(theano.function([], y)(), np.arange(65531, 65536, dtype="int32"), strict=True)


# Names


@pytest.mark.parametrize("name", ["cifar10", "no/such/folder", "no_such.npz", "no_such.pkl", "~no_such_user/mnist"])
def test_unknown_name_is_refused_with_the_known_ones(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert_refused(name, "not found: expected mnist, fashion-mnist, kmnist, a folder of IDX files, an .npz file")


def test_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "mnist.zip").write_bytes(b"")
    assert_refused(
        tmp_path / "mnist.zip", "expected a folder of IDX files, an .npz file, a .csv, a .pkl or a .pkl.gz file"
    )


def test_dataset_error_is_a_value_error():
    assert issubclass(DatasetError, ValueError)


def by_class(n, n_classes):
    return np.repeat(np.arange(n_classes), n // n_classes)


@pytest.mark.parametrize("order", [by_class(300, 10), by_class(300, 10)[::-1], np.roll(by_class(300, 10), 17)])
def test_training_examples_that_lie_class_by_class_are_shuffled_and_it_is_said(tmp_path, order):
    # Each example holds its number, which tells where it went.
    x = np.arange(300)[:, None] / 1000
    np.savez(tmp_path / "data.npz", x_train=x, y_train=order, x_test=x, y_test=order)
    with pytest.warns(DatasetWarning, match=r"data\.npz: the training examples lie class by class: they are shuffled"):
        train, valid, test = read_data(tmp_path / "data.npz")
    numbers = np.concatenate([np.rint(1000 * part[0][:, 0]).astype(int) for part in (train, valid)])
    assert sorted(numbers) == list(range(300))
    np.testing.assert_array_equal(np.concatenate([train[1], valid[1]]), order[numbers])
    assert len(set(train[1])) == 10
    assert len(set(valid[1])) >= 8
    np.testing.assert_array_equal(test[1], order)


def test_the_shuffled_order_is_the_same_each_time(tmp_path):
    np.savez(tmp_path / "data.npz", **npz_arrays(x_train=images(200, 0), y_train=by_class(200, 2)))
    with pytest.warns(DatasetWarning):
        first, second = read_data(tmp_path / "data.npz"), read_data(tmp_path / "data.npz")
    assert_equal_pairs(first, second)


@pytest.mark.parametrize(
    "labels", [np.arange(300) % 10, np.random.RandomState(0).randint(0, 2, 300), np.zeros(300, int)]
)
def test_training_examples_in_any_other_order_stay_as_they_are(tmp_path, labels):
    np.savez(tmp_path / "data.npz", **npz_arrays(x_train=images(300, 0), y_train=labels, y_test=labels[:N_TEST]))
    train, valid, _ = read_data(tmp_path / "data.npz")
    np.testing.assert_array_equal(np.concatenate([train[1], valid[1]]), labels)


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_class_that_training_lacks_is_said(tmp_path, part):
    arrays = npz_arrays(x_train=images(300, 0), y_train=np.arange(300) % 10)
    arrays.update(x_valid=images(20, 1), y_valid=np.arange(20) % 10, x_test=images(20, 2), y_test=np.arange(20) % 10)
    arrays["y_valid" if part == "validation" else "y_test"] = np.arange(20) % 12
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.warns(DatasetWarning, match=f"no example of 10, 11, which the {part} set has"):
        assert read_data(tmp_path / "data.npz").n_classes == 12


def test_bytes_as_floats_are_said(tmp_path):
    np.savez(tmp_path / "data.npz", **npz_arrays(x_train=np.full((12, 12), 255.0)))
    with pytest.warns(
        DatasetWarning, match="train set: whole floats from 0 to 255: give bytes as uint8, or divide by 256"
    ):
        read_data(tmp_path / "data.npz")
