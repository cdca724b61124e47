"""Data sets as they are loaded: MNIST, shared variables, names of data sets."""

import gzip
import hashlib
import pickle
import re
import struct

import numpy as np
import pytest
import theano
from small_dataset import MNIST, MNIST_FILES, assert_equal_pairs, assert_refused, packed, small_pairs, write_idx_folder

from theano_tutorials import DatasetError, load_data, read_data, shared_dataset
from theano_tutorials.datasets import n_features

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


def test_labels_are_integers_where_they_are_used():
    _, y = shared_dataset(([[0], [0], [0]], [9, 0, 3]))
    np.testing.assert_array_equal(theano.function([], y)(), np.int32([9, 0, 3]), strict=True)


def test_load_data_holds_what_read_data_reads(tmp_path):
    write_idx_folder(tmp_path)
    expected = read_data(tmp_path)
    loaded = load_data(tmp_path)
    assert_equal_pairs([(x.get_value(), y.owner.inputs[0].get_value().astype("int64")) for x, y in loaded], expected)
    assert n_features(loaded) == 12


# Names


@pytest.mark.parametrize("name", ["cifar10", "no/such/folder", "no_such.npz", "no_such.pkl", "~no_such_user/mnist"])
def test_unknown_name_is_refused_with_the_known_ones(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert_refused(name, "not found: expected mnist, fashion-mnist, kmnist, a folder of IDX files, an .npz file")


def test_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "mnist.zip").write_bytes(b"")
    assert_refused(tmp_path / "mnist.zip", "expected a folder of IDX files, an .npz file, a .pkl or a .pkl.gz file")


def test_dataset_error_is_a_value_error():
    assert issubclass(DatasetError, ValueError)
