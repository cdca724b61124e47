"""Data sets: what is read from real files, and what is refused."""

import copyreg
import functools
import gc
import gzip
import hashlib
import http.server
import io
import os
import pickle
import re
import socket
import struct
import threading
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import theano
from hypothesis import example, given
from hypothesis import strategies as st

from theano_tutorials import DatasetError, load_data, read_data, shared_dataset
from theano_tutorials.datasets import known, n_features

MNIST = Path(__file__).resolve().parents[1] / "data" / "mnist"
MNIST_FILES = [f"{split}-{kind}-ubyte" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = MNIST_FILES
N_TRAIN, N_TEST = 12, 5  # of the small data sets below; two of the twelve validate
SMALL = 1 << 22  # bytes: a few buffers, and far from what the damaged files promise


def images(n, seed):
    """Random images, higher than wide."""
    return np.random.RandomState(seed).randint(0, 256, (n, 4, 3)).astype("uint8")


def labels(n, seed):
    return np.random.RandomState(seed).randint(0, 10, n)


def small_arrays():
    """Training images and labels, test images and labels."""
    return images(N_TRAIN, 0), labels(N_TRAIN, 1), images(N_TEST, 2), labels(N_TEST, 3)


def small_pairs(pixels="float32", classes="int64", order="C"):
    """Three pairs of arrays as in mnist.pkl.gz."""
    return tuple(
        (np.asarray(images(n, n).reshape(n, 12) / 256, dtype=pixels, order=order), labels(n, n + 1).astype(classes))
        for n in (4, 3, 2)
    )


def packed(content):
    """Gzipped, to the same bytes each time."""
    return gzip.compress(content, mtime=0)


def assert_equal_pairs(actual, expected):
    assert len(actual) == len(expected) == 3
    for (x, y), (expected_x, expected_y) in zip(actual, expected):
        assert (x.dtype, y.dtype) == ("float32", "int64")
        np.testing.assert_array_equal(x, np.asarray(expected_x, dtype="float32"), strict=True)
        np.testing.assert_array_equal(y, np.asarray(expected_y, dtype="int64"), strict=True)


def assert_is_small_dataset(actual, seeds=(0, 1, 2, 3)):
    """What is read is the small data set: bytes / 256, in the order of the files, one sixth to validate."""
    x, test_x = (images(n, seed).reshape(n, -1) / 256 for n, seed in ((N_TRAIN, seeds[0]), (N_TEST, seeds[2])))
    y, test_y = labels(N_TRAIN, seeds[1]), labels(N_TEST, seeds[3])
    assert_equal_pairs(actual, [(x[:10], y[:10]), (x[10:], y[10:]), (test_x, test_y)])


def assert_valid(data):
    """The invariants of whatever is accepted."""
    assert len(data) == 3
    assert len({x.shape[1] for x, _ in data}) == 1
    for x, y in data:
        assert (x.dtype, y.dtype, x.ndim, y.ndim) == ("float32", "int64", 2, 1)
        assert len(x) == len(y) > 0
        assert np.isfinite(x).all()
        assert y.min() >= 0
        assert y.max() < 10


def assert_refused(path, *fragments, named=None):
    """Reading raises a DatasetError that names the file and says all of the fragments."""
    with pytest.raises(DatasetError) as raised:
        read_data(path)
    missing = [fragment for fragment in (str(named or path), *fragments) if fragment not in str(raised.value)]
    assert not missing, f"{missing} not in the message: {raised.value}"


def peak_memory(function, *args):
    """Most bytes that Python and NumPy held at a time in a call."""
    tracemalloc.start()
    try:
        function(*args)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


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


# IDX files


def idx(array):
    """An IDX file of bytes, as its description has it."""
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype("uint8").tobytes()


def write_idx_folder(folder, names=tuple(MNIST_FILES), compress=False, arrays=None):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(names, arrays or small_arrays()):
        path = folder / (f"{name}.gz" if compress else name)
        path.write_bytes(packed(idx(array)) if compress else idx(array))
    return folder


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name,
        lambda name: name.replace("t10k", "test"),
        lambda name: name.replace("-idx", ".idx"),
        lambda name: f"my-{name}",
    ],
    ids=["mnist", "test", "dotted", "prefixed"],
)
def test_idx_folder_is_read_under_the_usual_names(tmp_path, rename, compress):
    write_idx_folder(tmp_path, map(rename, MNIST_FILES), compress)
    assert_is_small_dataset(read_data(tmp_path))
    assert_is_small_dataset(read_data(str(tmp_path)))


def test_idx_folder_may_mix_plain_and_gzipped_files_and_hold_others(tmp_path):
    train_x, train_y, test_x, test_y = small_arrays()
    write_idx_folder(tmp_path, [TRAIN_IMAGES, TEST_LABELS], compress=True, arrays=[train_x, test_y])
    write_idx_folder(tmp_path, [TRAIN_LABELS, TEST_IMAGES], arrays=[train_y, test_x])
    (tmp_path / "README.md").write_text("others")
    (tmp_path / "train-images-idx3-ubyte.zip").write_bytes(b"others")
    assert_is_small_dataset(read_data(tmp_path))


def test_of_a_file_and_its_gz_the_plain_one_is_read(tmp_path):
    write_idx_folder(tmp_path)
    write_idx_folder(tmp_path, compress=True, arrays=[255 - images(N_TRAIN, 0), *small_arrays()[1:]])
    assert_is_small_dataset(read_data(tmp_path))


def test_a_folder_with_the_name_of_a_file_is_passed_over(tmp_path):
    # So the archive of MNIST on Kaggle unpacks.
    write_idx_folder(tmp_path, [name.replace("-idx", ".idx") for name in MNIST_FILES])
    for name in MNIST_FILES:
        (tmp_path / name).mkdir()
    assert_is_small_dataset(read_data(tmp_path))


def test_idx_folder_is_found_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_idx_folder(tmp_path / "digits")
    assert_is_small_dataset(read_data("~/digits"))


def write_emnist(folder, name, seeds=(0, 1, 2, 3)):
    x, y = images(N_TRAIN, seeds[0]), labels(N_TRAIN, seeds[1])
    test_x, test_y = images(N_TEST, seeds[2]), labels(N_TEST, seeds[3])
    names = [f"emnist-{name}-{file.replace('t10k', 'test')}" for file in MNIST_FILES]
    arrays = [x.transpose(0, 2, 1), y, test_x.transpose(0, 2, 1), test_y]
    write_idx_folder(folder, names, compress=True, arrays=arrays)


def test_of_the_sets_of_emnist_the_digits_are_read_upright(tmp_path):
    for name in ("balanced", "letters", "mnist"):
        write_emnist(tmp_path, name, seeds=(10, 11, 12, 13))
    write_emnist(tmp_path, "digits")
    (tmp_path / "emnist-digits-mapping.txt").write_text("0 48\n")
    assert_is_small_dataset(read_data(tmp_path))


def test_another_set_of_emnist_is_read_upright_where_it_is_alone(tmp_path):
    write_emnist(tmp_path, "mnist")
    assert_is_small_dataset(read_data(tmp_path))


@pytest.mark.parametrize("prefixes", [("a-", "b-"), ("emnist-balanced-", "emnist-letters-"), ("", "fashion-")])
def test_two_sets_in_a_folder_are_refused(tmp_path, prefixes):
    for prefix in prefixes:
        write_idx_folder(tmp_path, [prefix + name for name in MNIST_FILES])
    assert_refused(tmp_path, f"found a set {prefixes[0]}*, a set {prefixes[1]}*", "expected one set")


@pytest.mark.parametrize("missing", MNIST_FILES)
def test_missing_idx_file_is_refused_with_what_was_found(tmp_path, missing):
    write_idx_folder(tmp_path, compress=True)
    (tmp_path / f"{missing}.gz").unlink()
    found = sorted(f"{name}.gz" for name in MNIST_FILES if name != missing)
    assert_refused(tmp_path, f"found {', '.join(found)}:", "expected one set of", missing)


def test_empty_folder_is_refused(tmp_path):
    assert_refused(tmp_path, "found nothing", "expected one set of")


IDX_DAMAGE = {
    "floats": (lambda raw: raw[:2] + b"\x0d" + raw[3:], ["magic number 0x00000d03", "expected 0x00000803"]),
    "one dimension": (lambda raw: raw[:3] + b"\1" + raw[4:], ["magic number 0x00000801", "expected 0x00000803"]),
    "not IDX": (lambda raw: b"P5 3 4 255" + raw, ["magic number 0x50352033", "expected 0x00000803"]),
    "no bytes": (lambda raw: b"", ["0 bytes", "expected a header of 16"]),
    "half a header": (lambda raw: raw[:9], ["9 bytes", "expected a header of 16"]),
    "no data": (lambda raw: raw[:16], ["0 bytes after the header", "expected 144, for 12 x 4 x 3"]),
    "a byte too few": (lambda raw: raw[:-1], ["143 bytes after the header", "expected 144, for 12 x 4 x 3"]),
    "a byte too many": (lambda raw: raw + b"\0", ["more bytes after the header", "expected 144, for 12 x 4 x 3"]),
    "no images": (lambda raw: raw[:4] + bytes(4) + raw[8:16], ["0 x 4 x 3 bytes", "expected at least one"]),
    "no pixels": (lambda raw: raw[:12] + bytes(4), ["12 x 4 x 0 bytes", "expected at least one"]),
    "no images, but huge ones": (
        lambda raw: raw[:4] + bytes(4) + b"\xff" * 8,
        ["0 x 4294967295 x 4294967295 bytes", "expected at least one"],
    ),
}


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("damage", IDX_DAMAGE)
def test_damaged_idx_file_is_refused(tmp_path, damage, compress):
    change, fragments = IDX_DAMAGE[damage]
    write_idx_folder(tmp_path, compress=compress)
    path = tmp_path / (f"{TRAIN_IMAGES}.gz" if compress else TRAIN_IMAGES)
    content = change(idx(images(N_TRAIN, 0)))
    path.write_bytes(packed(content) if compress else content)
    assert_refused(tmp_path, *fragments, named=path)


@pytest.mark.parametrize("name", MNIST_FILES)
def test_every_idx_file_is_checked(tmp_path, name):
    write_idx_folder(tmp_path)
    raw = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(raw[:-1])
    assert_refused(tmp_path, f"{len(raw) - 1 - (16 if 'images' in name else 8)} bytes", named=tmp_path / name)


@pytest.mark.parametrize("shape", [(2**32 - 1,) * 3, (70000, 2800, 2800), (N_TRAIN, 4, 2**31)])
def test_header_that_promises_gigabytes_is_refused_with_no_more_memory_than_the_file_takes(tmp_path, shape):
    write_idx_folder(tmp_path)
    path = tmp_path / TRAIN_IMAGES
    path.write_bytes(struct.pack(">4I", 0x803, *shape) + bytes(144))
    fragments = ["144 bytes", f"expected {shape[0] * shape[1] * shape[2]}, for {' x '.join(map(str, shape))}"]
    assert peak_memory(functools.partial(assert_refused, tmp_path, *fragments, named=path)) < SMALL


GZIP_DAMAGE = {
    "truncated": (lambda raw: raw[:-20], "ended before the end-of-stream marker"),
    "without its checksum": (lambda raw: raw[:-8], "ended before the end-of-stream marker"),
    "not gzip": (gzip.decompress, "Not a gzipped file"),
    "another checksum": (lambda raw: raw[:-8] + b"\1\2\3\4" + raw[-4:], "CRC check failed"),
    "another length": (lambda raw: raw[:-4] + b"\1\2\3\4", "Incorrect length of data"),
    "garbage behind": (lambda raw: raw + b"garbage", "Not a gzipped file"),
    "an invalid block": (lambda raw: raw[:10] + b"\xff" * 20, "invalid block type"),
}


@pytest.mark.parametrize("damage", GZIP_DAMAGE)
@pytest.mark.parametrize("name", [TRAIN_IMAGES, TEST_LABELS])
def test_damaged_gzip_is_refused(tmp_path, damage, name):
    change, fragment = GZIP_DAMAGE[damage]
    write_idx_folder(tmp_path, compress=True)
    path = tmp_path / f"{name}.gz"
    path.write_bytes(change(path.read_bytes()))
    assert_refused(tmp_path, "cannot be read", fragment, named=path)


@pytest.mark.parametrize("split", ["train", "t10k"])
def test_idx_files_of_different_length_are_refused(tmp_path, split):
    write_idx_folder(tmp_path)
    (tmp_path / f"{split}-labels-idx1-ubyte").write_bytes(idx(labels(7, 0)))
    n_images = N_TRAIN if split == "train" else N_TEST
    assert_refused(
        tmp_path,
        f"{split}-images-idx3-ubyte has {n_images} images",
        f"{split}-labels-idx1-ubyte has 7 labels",
        "expected as many",
    )


@pytest.mark.parametrize(("name", "where"), [(TRAIN_LABELS, "train set"), (TEST_LABELS, "test set")])
def test_label_above_nine_is_refused(tmp_path, name, where):
    write_idx_folder(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-1] + b"\x0a")
    assert_refused(tmp_path, where, "to 10: expected 0 to 9")


def test_idx_images_of_different_sizes_are_refused(tmp_path):
    write_idx_folder(tmp_path, arrays=[*small_arrays()[:2], np.zeros((N_TEST, 5, 5)), labels(N_TEST, 0)])
    assert_refused(tmp_path, "images of 12, 12, 25 pixels", "expected one size")


def test_idx_folder_with_too_few_examples_to_validate_is_refused(tmp_path):
    write_idx_folder(tmp_path, arrays=[images(5, 0), labels(5, 0), *small_arrays()[2:]])
    assert_refused(tmp_path, "5 training examples", "expected at least 6")


# NPZ files


def npz_arrays(**changes):
    arrays = dict(zip(("x_train", "y_train", "x_test", "y_test"), small_arrays()))
    arrays.update(changes)
    return {name: array for name, array in arrays.items() if array is not None}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("classes", ["uint8", "int32", "int64", ">i8"])
def test_npz_of_bytes_is_read(tmp_path, save, classes):
    arrays = npz_arrays(y_train=labels(N_TRAIN, 1).astype(classes), others=np.ones(3))
    save(tmp_path / "data.npz", **arrays)
    assert_is_small_dataset(read_data(tmp_path / "data.npz"))


@pytest.mark.parametrize("pixels", ["float32", "float64", ">f4", "float16"])
@pytest.mark.parametrize("shape", [(12,), (4, 3), (4, 3, 1)])
def test_npz_of_floats_is_taken_as_it_is(tmp_path, pixels, shape):
    x, test_x = ((images(n, seed).reshape(n, *shape) / 256).astype(pixels) for n, seed in ((N_TRAIN, 0), (N_TEST, 2)))
    np.savez(tmp_path / "data.npz", **npz_arrays(x_train=x, x_test=test_x))
    assert_is_small_dataset(read_data(tmp_path / "data.npz"))


def test_npz_may_have_a_validation_set_of_its_own(tmp_path):
    x, y, test_x, test_y = small_arrays()
    valid_x, valid_y = images(3, 8), labels(3, 9)
    np.savez(tmp_path / "data.npz", **npz_arrays(x_valid=valid_x, y_valid=valid_y))
    expected = [(x.reshape(-1, 12) / 256, y), (valid_x.reshape(-1, 12) / 256, valid_y)]
    assert_equal_pairs(read_data(tmp_path / "data.npz"), [*expected, (test_x.reshape(-1, 12) / 256, test_y)])


def test_npz_of_six_examples_validates_with_one(tmp_path):
    np.savez(tmp_path / "data.npz", **npz_arrays(x_train=images(6, 0), y_train=labels(6, 1)))
    assert [len(x) for x, _ in read_data(tmp_path / "data.npz")] == [5, 1, N_TEST]


FLOATS = images(N_TRAIN, 0) / 256
REFUSED_ARRAYS = {
    "no test labels": ({"y_test": None}, ["arrays x_test, x_train, y_train", "expected x_train, y_train, x_test"]),
    "half a validation set": (
        {"x_valid": images(2, 0)},
        ["x_train, x_valid, y_test", "x_valid, y_valid, x_test, y_test"],
    ),
    "NaN": ({"x_train": np.where(FLOATS > 0.5, np.nan, FLOATS)}, ["train set", "NaN or infinite", "none"]),
    "infinity": ({"x_test": np.full((N_TEST, 12), -np.inf)}, ["test set: 60 values are NaN or infinite", "none"]),
    "infinity in float32": ({"x_train": FLOATS + 1e39}, ["train set: 144 values are NaN or infinite", "none"]),
    "int64 images": ({"x_train": images(N_TRAIN, 0).astype("int64")}, ["images of dtype int64", "expected uint8"]),
    "bool images": ({"x_train": images(N_TRAIN, 0) > 127}, ["images of dtype bool", "expected uint8"]),
    "complex images": ({"x_train": FLOATS + 1j}, ["images of dtype complex128", "expected uint8"]),
    "float labels": ({"y_train": np.arange(N_TRAIN) / 2}, ["labels of dtype float64", "expected integers"]),
    "bool labels": ({"y_test": np.ones(N_TEST, bool)}, ["labels of dtype bool", "expected integers"]),
    "text labels": ({"y_test": np.array(list("01234"))}, ["labels of dtype <U1", "expected integers"]),
    "label 10": ({"y_train": np.arange(N_TRAIN) % 11}, ["train set: labels from 0 to 10", "expected 0 to 9"]),
    "label -1": ({"y_test": np.arange(N_TEST) - 1}, ["test set: labels from -1 to 3", "expected 0 to 9"]),
    "labels beyond int64": ({"y_test": np.full(N_TEST, 2**64 - 1, "uint64")}, ["18446744073709551615", "0 to 9"]),
    "one-hot labels": ({"y_train": np.eye(10)[labels(N_TRAIN, 1)]}, ["labels of shape (12, 10)", "(n_examples,)"]),
    "images without pixels": ({"x_train": np.zeros(N_TRAIN)}, ["inputs of shape (12,)", "expected (n_examples, ...)"]),
    "a number for images": ({"x_train": np.float32(1)}, ["inputs of shape ()", "expected (n_examples, ...)"]),
    "a number for labels": ({"y_train": np.int64(1)}, ["labels of shape ()", "and (n_examples,)"]),
    "fewer labels": ({"y_train": labels(9, 0)}, ["train set: 12 images and 9 labels", "expected as many"]),
    "more labels": ({"y_test": labels(9, 0)}, ["test set: 5 images and 9 labels", "expected as many"]),
    "another size": ({"x_test": np.zeros((N_TEST, 5, 5), "uint8")}, ["12, 12, 25 pixels", "expected one size"]),
    "no examples": ({"x_test": np.zeros((0, 12)), "y_test": labels(0, 0)}, ["shape (0, 12)", "at least one example"]),
    "no pixels": ({"x_train": np.zeros((N_TRAIN, 0, 3))}, ["shape (12, 0, 3)", "at least one example of one pixel"]),
    "five examples": ({"x_train": images(5, 0), "y_train": labels(5, 0)}, ["5 training examples", "at least 6"]),
}


@pytest.mark.parametrize("case", REFUSED_ARRAYS)
def test_npz_of_other_arrays_is_refused(tmp_path, case):
    changes, fragments = REFUSED_ARRAYS[case]
    path = tmp_path / "data.npz"
    np.savez(path, **npz_arrays(**changes))
    assert_refused(path, *fragments)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_cut_anywhere_is_refused(tmp_path, save):
    path = tmp_path / "data.npz"
    save(path, **npz_arrays())
    content = path.read_bytes()
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        assert_refused(path, "not a valid .npz file")


def write_zip(file, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)  # dated 1980, the same each time


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_npz_with_members_that_are_no_arrays_is_refused(tmp_path):
    path = tmp_path / "data.npz"
    write_zip(path, {**{name: npy(array) for name, array in npz_arrays().items()}, "x_train": b"no array"})
    assert_refused(path, "arrays x_test, y_test, y_train", "expected x_train")


def test_npy_named_npz_is_refused(tmp_path):
    (tmp_path / "data.npz").write_bytes(npy(images(N_TRAIN, 0)))
    assert_refused(tmp_path / "data.npz", "not a valid .npz file")


# Files that would run something


class TouchesByCall:
    """Its unpickling calls a function that makes a file."""

    def __init__(self, function, argument):
        self.call = function, (argument,)

    def __reduce__(self):
        return self.call


class TouchesByState:
    """Its unpickling sets a state, and that makes a file."""

    def __init__(self, path):
        self.path = path

    def __getstate__(self):
        return self.path

    def __setstate__(self, path):
        Path(path).touch()


class TouchingArray(np.ndarray):
    """An array whose unpickling makes the file that its text names."""

    def __setstate__(self, state):
        super().__setstate__(state)
        Path(str(self[0])).touch()


def by_system(path):
    return TouchesByCall(os.system, f"touch '{path}'")


def by_eval(path):
    return TouchesByCall(eval, f"open({path!r}, 'w').close()")


def in_array(path):
    array = np.empty((2, 2), dtype=object)
    array[:] = by_system(path)
    return array


def as_image(content):
    """In the place of the training images, so that it is met as late as can be."""
    return ((content, labels(4, 0)), *small_pairs()[1:])


HOSTILE_OBJECTS = {
    "os.system": by_system,
    "eval": by_eval,
    "__setstate__": TouchesByState,
    "object array": in_array,
    "array of a subclass": lambda path: np.array([path]).view(TouchingArray),
    "after a data set": lambda path: (*small_pairs(), by_system(path)),
    "in a data set": lambda path: as_image(by_system(path)),
    "object array in a data set": lambda path: as_image(in_array(path)),
}


def text_opcode(path):
    return b"S'touch " + path.encode() + b"'\n"


def unicode_opcode(text):
    return b"\x8c" + bytes([len(text)]) + text.encode()


HOSTILE_BYTES = {
    "GLOBAL, REDUCE": lambda path: b"cos\nsystem\n(" + text_opcode(path) + b"tR.",
    "INST": lambda path: b"(" + text_opcode(path) + b"ios\nsystem\n.",
    "OBJ": lambda path: b"(cos\nsystem\n" + text_opcode(path) + b"o.",
    "STACK_GLOBAL": lambda path: (
        b"\x80\x04" + unicode_opcode("os") + unicode_opcode("system") + b"\x93(" + text_opcode(path) + b"tR."
    ),
    "a dotted name": lambda path: (
        b"\x80\x04" + unicode_opcode("shutil") + unicode_opcode("os.system") + b"\x93(" + text_opcode(path) + b"tR."
    ),
    "an extension code": lambda path: b"\x80\x02\x82\xf0(" + text_opcode(path) + b"tR.",
    "Python 2's name": lambda path: b"c__builtin__\neval\n(S\"open('" + path.encode() + b"', 'w')\"\ntR0N.",
}


@pytest.fixture
def extension_code():
    """Code 240 stands for os.system, as a program may have it for something of its own."""
    copyreg.add_extension("os", "system", 240)
    yield
    copyreg.remove_extension("os", "system", 240)


@pytest.fixture
def traces(tmp_path):
    """A path at which only hostile data make a file."""
    return tmp_path / "ran"


def assert_runs_nothing(path, content, traces):
    # First the proof that it would run.
    pickle.loads(content)
    assert traces.exists()
    traces.unlink()
    path.write_bytes(content)
    assert_refused(path, "not a pickle of MNIST")
    assert not traces.exists()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", HOSTILE_OBJECTS)
def test_hostile_object_in_a_pickle_runs_nothing(tmp_path, name, protocol, traces):
    content = pickle.dumps(HOSTILE_OBJECTS[name](str(traces)), protocol)
    assert_runs_nothing(tmp_path / "data.pkl", content, traces)


@pytest.mark.parametrize("name", HOSTILE_BYTES)
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # by the eval, in the proof
def test_hostile_bytes_in_a_pickle_run_nothing(tmp_path, name, traces, extension_code):
    assert_runs_nothing(tmp_path / "data.pkl", HOSTILE_BYTES[name](str(traces)), traces)


def test_hostile_object_in_an_npz_runs_nothing(tmp_path, traces):
    path = tmp_path / "data.npz"
    np.savez(path, **npz_arrays(x_train=in_array(str(traces))))
    with np.load(path, allow_pickle=True) as archive:
        assert archive["x_train"].shape == (2, 2)
    assert traces.exists()
    traces.unlink()
    assert_refused(path, "not a valid .npz file", "allow_pickle=False")
    assert not traces.exists()


# Stands for what the library puts in NumPy's place, and would replace its attributes.
POISONS = {
    "a class": b"cnumpy.core.numeric\n_frombuffer\n(N}S'array'\nI1\nstb.",
    "a class, with a tuple": b"cnumpy.core.numeric\n_frombuffer\n(NNtb.",
    "a function": b"c_codecs\nencode\n(N}S'__defaults__'\nNstb.",
    "an object": b"cnumpy.core.numeric\n_frombuffer\n(tR}S'array'\ncnumpy\nndarray\nsb.",
}


@pytest.mark.parametrize("poison", POISONS)
def test_pickle_with_a_state_for_something_else_is_refused_and_spoils_no_later_one(tmp_path, poison):
    path = tmp_path / "data.pkl"
    path.write_bytes(POISONS[poison])
    assert_refused(path, "not a pickle of MNIST")
    for protocol in range(6):
        path.write_bytes(pickle.dumps(small_pairs(), protocol))
        assert_equal_pairs(read_data(path), small_pairs())


# Pickles


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("pixels", ["float32", "float64", ">f4"])
@pytest.mark.parametrize("classes", ["int64", "uint8", ">i4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_pickle_is_read(tmp_path, protocol, pixels, classes, order):
    pairs = small_pairs(pixels, classes, order)
    (tmp_path / "data.pkl").write_bytes(pickle.dumps(pairs, protocol))
    assert_equal_pairs(read_data(tmp_path / "data.pkl"), pairs)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ["mnist.pkl.gz", "data.pkl.gz", "data.pickle", "data.pickle.gz"])
def test_pickle_is_read_under_each_of_its_names(tmp_path, protocol, name):
    content = pickle.dumps(small_pairs(), protocol)
    (tmp_path / name).write_bytes(packed(content) if name.endswith(".gz") else content)
    assert_equal_pairs(read_data(tmp_path / name), small_pairs())


@pytest.mark.parametrize("protocol", range(6))
def test_pickle_may_hold_lists_and_bytes_and_a_view_and_an_array_twice(tmp_path, protocol):
    every_other, backwards = images(8, 0)[::2], images(8, 0)[1::2, ::-1]
    every_other.flags.writeable = False  # in protocol 5, other opcodes
    train = [every_other, labels(4, 0)]
    pairs = [train, [backwards, labels(4, 1)], train]
    (tmp_path / "data.pkl").write_bytes(pickle.dumps(pairs, protocol))
    assert_equal_pairs(read_data(tmp_path / "data.pkl"), [(x.reshape(4, 12) / 256, y) for x, y in pairs])


def renamed_core(content):
    """The pickle as NumPy 2 names its modules; frames, which only save time, are left out."""
    if content[:2] >= b"\x80\x04":
        assert content[2:3] == pickle.FRAME
        content = content[:2] + content[11:]
    for module in (b"multiarray", b"numeric"):
        old, new = b"numpy.core." + module, b"numpy._core." + module
        content = content.replace(bytes([len(old)]) + old, bytes([len(new)]) + new).replace(b"c" + old, b"c" + new)
    return content


@pytest.mark.parametrize("protocol", range(6))
def test_pickle_of_numpy_2_is_read(tmp_path, protocol):
    content = renamed_core(pickle.dumps(small_pairs(), protocol))
    assert b"numpy._core." in content
    assert b"numpy.core." not in content
    (tmp_path / "data.pkl").write_bytes(content)
    assert_equal_pairs(read_data(tmp_path / "data.pkl"), small_pairs())


# Written by cPickle of Python 2.7.18, from objects that reduce as the arrays of NumPy 1 do.
PYTHON_2_PICKLE = (
    b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85q\x03U\x01b\x87Rq\x04"
    b"(K\x01K\x02K\x02\x86q\x05cnumpy\ndtype\nq\x06U\x02f4q\x07K\x00K\x01\x87Rq\x08"
    b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
    b"U\x10\x00\x00\x00\x00\x00\x00\x00?\x00\x00\x80>\x00\x00@?q\ttb"
    b"h\x01h\x02h\x03U\x01b\x87Rq\n(K\x01K\x02\x85q\x0bh\x06U\x02i8q\x0cK\x00K\x01\x87Rq\r"
    b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
    b"U\x10\x07\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00q\x0etb\x86"
    b"h\x01h\x02h\x03U\x01b\x87Rq\x0f(K\x01K\x01K\x02\x86q\x10h\x08\x89U\x08\x00\x00\x00>\xdb\xf9~?q\x11tb"
    b"h\x01h\x02h\x03U\x01b\x87Rq\x12(K\x01K\x01\x85q\x13h\r\x89U\x08\t\x00\x00\x00\x00\x00\x00\x00q\x14tb\x86"
    b"h\x01h\x02h\x03U\x01b\x87Rq\x15(K\x01K\x01K\x02\x86q\x16h\x08\x89U\x08\x00\x00\x80?\x00\x00\x00\x00q\x17tb"
    b"h\x01h\x02h\x03U\x01b\x87Rq\x18(K\x01K\x01\x85q\x19h\r\x89U\x08\x00\x00\x00\x00\x00\x00\x00\x00q\x1atb\x86"
    b"\x87q\x1b."
)


def test_pickle_of_python_2_is_read(tmp_path):
    (tmp_path / "data.pkl.gz").write_bytes(packed(PYTHON_2_PICKLE))
    expected = [([[0, 0.5], [0.25, 0.75]], [7, 3]), ([[0.125, 0.996]], [9]), ([[1, 0]], [0])]
    assert_equal_pairs(read_data(tmp_path / "data.pkl.gz"), expected)


def python_2_array(array, text):
    """An array as Python 2 pickles it, with the opcode for its strings that ``text`` writes."""
    shape = b"".join(b"I%d\n" % size for size in array.shape)
    kind = b"cnumpy\ndtype\n(" + text(array.dtype.str[1:].encode()) + b"I0\nI1\ntR"
    kind += b"(I3\n" + text(array.dtype.str[:1].encode()) + b"NNNI-1\nI-1\nI0\ntb"
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\nt" + text(b"b") + b"tR"
        b"(I1\n(" + shape + b"t" + kind + b"I00\n" + text(array.tobytes()) + b"tb"
    )


@pytest.mark.parametrize("pixels", ["float32", "float64", "uint8"])
@pytest.mark.parametrize(
    "text",
    [
        lambda raw: b"S" + repr(raw)[1:].encode() + b"\n",
        lambda raw: b"U" + bytes([len(raw)]) + raw if len(raw) < 256 else b"T" + struct.pack("<i", len(raw)) + raw,
        lambda raw: b"T" + struct.pack("<i", len(raw)) + raw,
    ],
    ids=["STRING", "SHORT_BINSTRING", "BINSTRING"],
)
def test_strings_of_python_2_are_bytes_of_arrays(tmp_path, text, pixels):
    pairs = [(images(n, n).reshape(n, 12).astype(pixels), labels(n, n)) for n in (4, 3, 2)]
    split = [b"(" + b"".join(python_2_array(part, text) for part in pair) + b"t" for pair in pairs]
    content = b"(" + b"".join(split) + b"t."
    for loaded, pair in zip(pickle.loads(content, encoding="latin1"), pairs):
        np.testing.assert_array_equal(loaded[0], pair[0], strict=True)  # the bytes are what NumPy reads, too
    (tmp_path / "data.pkl").write_bytes(content)
    scale = 256 if pixels == "uint8" else 1
    assert_equal_pairs(read_data(tmp_path / "data.pkl"), [(x / np.float32(scale), y) for x, y in pairs])


STRUCTURES = {
    "two pairs": small_pairs()[:2],
    "four pairs": (*small_pairs(), small_pairs()[0]),
    "a triple for a pair": (*small_pairs()[:2], (*small_pairs()[2], labels(2, 0))),
    "arrays for pairs": tuple(x for x, _ in small_pairs()),
    "one array": images(2, 0),
    "a number": 3,
    "nothing": None,
    "text": "abc",
    "lists of numbers for arrays": [([[0.5]], [0])] * 3,
    "None for labels": [(images(2, 0), None)] * 3,
    "dtypes for arrays": [(np.dtype("f4"), np.dtype("i8"))] * 3,
    "a dictionary": {"train": small_pairs()[0]},
    "a set": {1, 2, 3},
    "a scalar of NumPy": as_image(np.float32(1)),
    "a masked array": as_image(np.ma.masked_array(images(4, 0))),
    "an array of a subclass": as_image(np.zeros((4, 2)).view(np.recarray)),
    "dates": as_image(np.zeros((4, 2), "M8[s]")),
    "text for images": as_image(np.array([["a", "b"]] * 4)),
    "complex images": as_image(np.zeros((4, 2), "c8")),
    "records": as_image(np.zeros(4, [("pixel", "f4")])),
    "objects": as_image(np.array([[None]] * 4)),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", STRUCTURES)
def test_pickle_of_something_else_is_refused(tmp_path, name, protocol):
    (tmp_path / "data.pkl").write_bytes(pickle.dumps(STRUCTURES[name], protocol))
    assert_refused(tmp_path / "data.pkl", "not a pickle of MNIST")


ONLY_IN_NPZ = ("no test labels", "half a validation set", "five examples")


@pytest.mark.parametrize("case", [case for case in REFUSED_ARRAYS if case not in ONLY_IN_NPZ])
def test_arrays_in_a_pickle_are_checked_too(tmp_path, case):
    arrays = npz_arrays(**REFUSED_ARRAYS[case][0])
    train, test = (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])
    (tmp_path / "data.pkl").write_bytes(pickle.dumps((train, train, test)))
    assert_refused(tmp_path / "data.pkl", "expected")


def array_opcodes(shape, code=b"f4", order=b"<", data=b"abcd"):
    """A pickle of three pairs, in which all of the arrays are this one."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n" + shape + b"cnumpy\ndtype\n"
        b"(S'" + code + b"'\nI0\nI1\ntR(I3\nS'" + order + b"'\nNNNI-1\nI-1\nI0\ntbI00\nS'" + data + b"'\ntb"
    )
    return b"(" + (b"(" + array * 2 + b"t") * 3 + b"t."


MALFORMED = {
    "empty file": b"",
    "no pickle": b"<!DOCTYPE html>",
    "no opcode": b"\x80\x02\xff.",
    "a protocol to come": b"\x80\x06N.",
    "nothing on the stack": b"t.",
    "persistent id": b"Pid\n.",
    "binary persistent id": b"S'id'\nQ.",
    "extension code of nobody": b"\x80\x02\x82\x01.",
    "memo of nobody": b"h\x07.",
    "buffer out of band": b"\x80\x05\x97.",
    "huge shape": array_opcodes(b"(I4294967296\nI4294967296\nt"),
    "negative shape": array_opcodes(b"(I-1\nI-1\nt"),
    "shape beyond C": array_opcodes(b"(I%d\nt" % 10**40),
    "text for a shape": array_opcodes(b"S'shape'\n"),
    "another shape": array_opcodes(b"(I1\nI2\nt"),
    "half an item": array_opcodes(b"(I1\nI1\nt", data=b"abc"),
    "objects": array_opcodes(b"(I1\nI1\nt", code=b"O8", data=b"abcdefgh"),
    "float of one byte": array_opcodes(b"(I1\nI4\nt", code=b"f1"),
    "no byte order": array_opcodes(b"(I1\nI1\nt", order=b"!"),
    "array without a state": b"cnumpy\nndarray\n(tR" + b"((00t.",
    "arrays without a state": b"(" + b"(cnumpy\nndarray\n(tRcnumpy\nndarray\n(tRt" * 3 + b"t.",
    "other encoding": b"c_codecs\nencode\n(S'a'\nS'idna'\ntR.",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_pickle_is_refused(tmp_path, name):
    (tmp_path / "data.pkl").write_bytes(MALFORMED[name])
    assert_refused(tmp_path / "data.pkl", "not a pickle of MNIST")


def test_array_opcodes_are_valid_where_nothing_is_malformed(tmp_path):
    # So that each malformed pickle above is refused for its fault alone.
    (tmp_path / "data.pkl").write_bytes(array_opcodes(b"(I1\nI1\nt"))
    assert_refused(tmp_path / "data.pkl", "train set", "labels of shape (1, 1)")


# A pair of the last two, and so on: 2**20 None to print or to hash. Forty more bytes, and it takes years.
NESTED = b"N" + b"2\x86" * 20
BOMBS = {
    "dtype": (b"cnumpy\ndtype\n(" + NESTED + b"tR.", "expected text"),
    "byte order": (b"cnumpy\ndtype\n(S'f4'\ntR(I3\n" + NESTED + b"tb.", "expected text"),
    "encoding": (b"c_codecs\nencode\n(S'a'\n" + NESTED + b"tR.", "expected text"),
    "key": (b"}" + NESTED + b"Ns.", "KeyError"),  # no such opcode
    "keys": (b"(" + NESTED + b"Nd.", "KeyError"),
    "member": (b"\x80\x04\x8f(" + NESTED + b"\x90.", "KeyError"),
    "frozen member": (b"\x80\x04(" + NESTED + b"\x91.", "KeyError"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_nested_pickle_is_refused_before_it_is_printed_or_hashed(tmp_path, name):
    content, fragment = BOMBS[name]
    (tmp_path / "data.pkl").write_bytes(content)
    assert_refused(tmp_path / "data.pkl", "not a pickle of MNIST", fragment)


PROMISES = {
    "BINBYTES8": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 34),
    "BYTEARRAY8": b"\x80\x05\x96" + struct.pack("<Q", 1 << 34),
    "BINUNICODE8": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 34),
    "BINSTRING": b"T" + struct.pack("<i", 2**31 - 1),
    "LONG4": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1),
    "FRAME": b"\x80\x04\x95" + struct.pack("<Q", 1 << 34),
    "LONG_BINPUT": b"Nr" + struct.pack("<I", 2**32 - 1),
    "BYTEARRAY8 beyond memory": b"\x80\x05\x96" + struct.pack("<Q", 2**64 - 1),
}


@pytest.mark.parametrize("name", PROMISES)
@pytest.mark.parametrize("compress", [False, True])
def test_pickle_that_promises_gigabytes_takes_no_more_memory_than_the_file(tmp_path, name, compress):
    path = tmp_path / ("data.pkl.gz" if compress else "data.pkl")
    content = PROMISES[name] + b"data."
    path.write_bytes(packed(content) if compress else content)
    assert peak_memory(assert_refused, path, "not a pickle of MNIST") < SMALL


@pytest.mark.parametrize("protocol", range(6))
def test_pickle_cut_anywhere_is_refused(tmp_path, protocol):
    content = pickle.dumps(small_pairs(), protocol)
    path = tmp_path / "data.pkl"
    for size in range(0, len(content), 11):
        path.write_bytes(content[:size])
        assert_refused(path, "not a pickle of MNIST")


@pytest.mark.parametrize("damage", GZIP_DAMAGE)
def test_damaged_gzip_of_a_pickle_is_refused(tmp_path, damage):
    # Even where the pickle in it is whole: the values may not be.
    change, fragment = GZIP_DAMAGE[damage]
    (tmp_path / "data.pkl.gz").write_bytes(change(packed(pickle.dumps(small_pairs()))))
    assert_refused(tmp_path / "data.pkl.gz", fragment)


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


# Downloads


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, notes what is asked for, and breaks off in files that end in ``.cut``."""

    def do_GET(self):
        self.server.requested.append(self.path.rpartition("/")[2])
        cut = Path(self.translate_path(f"{self.path}.cut"))
        if not cut.exists():
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", str(cut.stat().st_size + 1))
        self.end_headers()
        self.wfile.write(cut.read_bytes())
        return None

    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path):
    """A folder that is served, and the server."""
    folder = write_idx_folder(tmp_path / "served", compress=True)
    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.requested = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield folder, server
        server.shutdown()
        thread.join()


@pytest.fixture
def make_known(tmp_path, monkeypatch):
    """Makes a data set named "small" known, at an address; returns the folder that it is downloaded to."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    md5 = {
        f"{name}.gz": hashlib.md5(packed(idx(array))).hexdigest() for name, array in zip(MNIST_FILES, small_arrays())
    }

    def make(port):
        source = known.Source(f"http://127.0.0.1:{port}/", md5)
        monkeypatch.setitem(known.KNOWN_DATASETS, "small", source)
        return tmp_path / "cache" / "theano_tutorials" / "small"

    return make


def files_under(folder):
    return sorted(path.name for path in folder.rglob("*") if not path.is_dir())


def test_known_data_set_is_downloaded_once(served, make_known):
    _, server = served
    cache = make_known(server.server_port)
    assert_is_small_dataset(read_data("small"))
    assert server.requested == [f"{name}.gz" for name in MNIST_FILES]
    assert files_under(cache) == sorted(server.requested)
    assert_is_small_dataset(read_data("small"))
    assert len(server.requested) == 4


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # pooch leaves it open at an HTTP error
def test_download_goes_on_where_it_was_interrupted(served, make_known):
    folder, server = served
    cache = make_known(server.server_port)
    hidden = (folder / f"{TEST_LABELS}.gz").rename(folder / "hidden")
    assert_refused("small", "HTTPError", f"{TEST_LABELS}.gz", str(cache))
    hidden.rename(folder / f"{TEST_LABELS}.gz")
    server.requested.clear()
    assert_is_small_dataset(read_data("small"))
    assert server.requested == [f"{TEST_LABELS}.gz"]
    gc.collect()  # while the warning is ignored


def test_download_with_another_checksum_is_refused_and_not_kept(served, make_known):
    folder, server = served
    cache = make_known(server.server_port)
    (folder / f"{TRAIN_IMAGES}.gz").write_bytes(packed(idx(255 - images(N_TRAIN, 0))))
    expected = known.KNOWN_DATASETS["small"].md5[f"{TRAIN_IMAGES}.gz"]
    assert_refused("small", f"{TRAIN_IMAGES}.gz", "hash", expected, str(cache))
    assert files_under(cache) == []


def test_damaged_file_in_the_cache_is_downloaded_anew(served, make_known):
    _, server = served
    cache = make_known(server.server_port)
    cache.mkdir(parents=True)
    (cache / f"{TRAIN_IMAGES}.gz").write_bytes(b"half a fi")
    assert_is_small_dataset(read_data("small"))


def test_download_that_breaks_off_is_refused_and_not_kept(served, make_known):
    folder, server = served
    cache = make_known(server.server_port)
    (folder / f"{TRAIN_IMAGES}.gz").rename(folder / f"{TRAIN_IMAGES}.gz.cut")
    assert_refused("small", f"{TRAIN_IMAGES}.gz", "cannot be downloaded", str(cache))
    assert files_under(cache) == []


def assert_says_where_to_put_the_files(cache):
    start = time.perf_counter()
    assert_refused(
        "small", "cannot be downloaded", f"Put {', '.join(f'{name}.gz' for name in MNIST_FILES)} into {cache}"
    )
    assert time.perf_counter() - start < 5
    assert files_under(cache) == []


def test_refused_connection_says_where_to_put_the_files(make_known):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # and does not listen
        assert_says_where_to_put_the_files(make_known(listener.getsockname()[1]))


def test_server_that_does_not_answer_says_where_to_put_the_files(make_known, monkeypatch):
    monkeypatch.setattr(known, "_DOWNLOAD_TIMEOUT", 0.2)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert_says_where_to_put_the_files(make_known(listener.getsockname()[1]))


def test_files_put_there_are_read(make_known):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        write_idx_folder(make_known(listener.getsockname()[1]))
        assert_is_small_dataset(read_data("small"))


def test_cache_that_cannot_be_written_says_where_to_put_the_files(served, make_known):
    _, server = served
    cache = make_known(server.server_port)
    cache.parent.parent.write_text("a file in the place of the folder")
    assert_refused("small", "cannot be downloaded", f"into {cache}")


def test_known_data_sets_come_as_four_gzipped_idx_files():
    assert list(known.KNOWN_DATASETS) == ["mnist", "fashion-mnist", "kmnist"]
    for source in known.KNOWN_DATASETS.values():
        assert list(source.md5) == [f"{name}.gz" for name in MNIST_FILES]
        assert all(re.fullmatch("[0-9a-f]{32}", md5) for md5 in source.md5.values())


# Random damage

MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "insert", "delete", "cut"]), st.integers(0, 2**16), st.binary(min_size=1, max_size=8)
    ),
    min_size=1,
    max_size=4,
)


def mutated(content, mutations):
    for kind, where, data in mutations:
        at = where % (len(content) + 1)
        if kind == "flip":
            flipped = bytes(a ^ b for a, b in zip(content[at:], data))
            content = content[:at] + flipped + content[at + len(flipped) :]
        elif kind == "insert":
            content = content[:at] + data + content[at:]
        else:
            content = content[:at] + (content[at + len(data) :] if kind == "delete" else b"")
    return content


def assert_refused_or_valid(dataset):
    try:
        data = read_data(dataset)
    except DatasetError:
        return
    assert_valid(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mutated")


def test_mutations_change_what_they_are_given():
    assert mutated(b"abcdef", [("flip", 1, b"\1\1"), ("insert", 0, b"_"), ("delete", 5, b"12")]) == b"_acbd"
    assert mutated(b"abcdef", [("cut", 2, b"-")]) == b"ab"


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("name", MNIST_FILES)
@given(mutations=MUTATIONS)
@pytest.mark.fuzz
@example(mutations=[])
def test_mutated_idx_file_is_refused_or_valid(folder, name, compress, mutations):
    dataset = folder / f"{name}-{compress}"
    if not dataset.exists():
        write_idx_folder(dataset, compress=compress)
    path = dataset / (f"{name}.gz" if compress else name)
    content = idx(small_arrays()[MNIST_FILES.index(name)])
    path.write_bytes(mutated(packed(content) if compress else content, mutations))
    assert_refused_or_valid(dataset)


@functools.cache
def npz_content(compression):
    file = io.BytesIO()
    arrays = npz_arrays(x_train=images(6, 0), y_train=labels(6, 0))
    write_zip(file, {f"{name}.npy": npy(array) for name, array in arrays.items()}, compression)
    return file.getvalue()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@given(mutations=MUTATIONS)
@pytest.mark.fuzz
@example(mutations=[])
def test_mutated_npz_is_refused_or_valid(folder, compression, mutations):
    path = folder / "data.npz"
    path.write_bytes(mutated(npz_content(compression), mutations))
    assert_refused_or_valid(path)


@given(name=st.sampled_from(sorted(npz_arrays())), mutations=MUTATIONS)
@pytest.mark.fuzz
@example(name="x_train", mutations=[])
def test_npz_of_a_mutated_array_is_refused_or_valid(folder, name, mutations):
    # The archive is whole, so that no checksum shields what reads the array.
    members = {f"{member}.npy": npy(array) for member, array in npz_arrays().items()}
    members[f"{name}.npy"] = mutated(members[f"{name}.npy"], mutations)
    write_zip(folder / "array.npz", members)
    assert_refused_or_valid(folder / "array.npz")


@functools.cache
def pickle_content(protocol):
    pairs = [(images(2, n)[:, :2, :1], labels(2, n)) for n in range(3)]
    return pickle.dumps(pairs, protocol) if protocol != "Python 2" else PYTHON_2_PICKLE


@pytest.mark.parametrize("protocol", [*range(6), "Python 2"])
@given(mutations=MUTATIONS)
@pytest.mark.fuzz
@example(mutations=[])
def test_mutated_pickle_is_refused_or_valid(folder, protocol, mutations):
    path = folder / "data.pkl"
    path.write_bytes(mutated(pickle_content(protocol), mutations))
    assert_refused_or_valid(path)


@given(mutations=MUTATIONS)
@pytest.mark.fuzz
@example(mutations=[])
def test_mutated_gzip_of_a_pickle_is_refused_or_valid(folder, mutations):
    path = folder / "data.pkl.gz"
    path.write_bytes(mutated(packed(pickle_content(2)), mutations))
    assert_refused_or_valid(path)
