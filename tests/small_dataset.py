"""A small data set in every form that is read, and what tests say of it."""

import gzip
import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from theano_tutorials import DatasetError, read_data

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


def as_image(content):
    """In the place of the training images, so that it is met as late as can be."""
    return ((content, labels(4, 0)), *small_pairs()[1:])


# Files


def packed(content):
    """Gzipped, to the same bytes each time."""
    return gzip.compress(content, mtime=0)


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


def npz_arrays(**changes):
    arrays = dict(zip(("x_train", "y_train", "x_test", "y_test"), small_arrays()))
    arrays.update(changes)
    return {name: array for name, array in arrays.items() if array is not None}


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def write_zip(file, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)  # dated 1980, the same each time


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

GZIP_DAMAGE = {
    "truncated": (lambda raw: raw[:-20], "ended before the end-of-stream marker"),
    "without its checksum": (lambda raw: raw[:-8], "ended before the end-of-stream marker"),
    "another checksum": (lambda raw: raw[:-8] + b"\1\2\3\4" + raw[-4:], "CRC check failed"),
    "another length": (lambda raw: raw[:-4] + b"\1\2\3\4", "Incorrect length of data"),
    "garbage behind": (lambda raw: raw + b"garbage", "Not a gzipped file"),
    "an invalid block": (lambda raw: raw[:10] + b"\xff" * 20, "invalid block type"),
}


# What tests say of it


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
