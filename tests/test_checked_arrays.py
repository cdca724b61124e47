"""Arrays that no file may hold, whatever its form."""

import pickle

import numpy as np
import pytest
from small_dataset import N_TEST, N_TRAIN, assert_is_small_dataset, assert_refused, images, labels, npz_arrays

from theano_tutorials import read_data

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
    "int64 images": ({"x_train": np.full((N_TRAIN, 12), 256)}, ["images of dtype int64", "integers from 0 to 255"]),
    "negative images": ({"x_train": np.full((N_TRAIN, 12), -1)}, ["images of dtype int64", "integers from 0 to 255"]),
    "bool images": ({"x_train": images(N_TRAIN, 0) > 127}, ["images of dtype bool", "expected uint8"]),
    "complex images": ({"x_train": FLOATS + 1j}, ["images of dtype complex128", "expected uint8"]),
    "float labels": ({"y_train": np.arange(N_TRAIN) / 2}, ["labels of dtype float64", "expected integers"]),
    "bool labels": ({"y_test": np.ones(N_TEST, bool)}, ["labels of dtype bool", "expected integers"]),
    "text labels": ({"y_test": np.array(list("01234"))}, ["labels of dtype <U1", "expected integers"]),
    "label 65536": (
        {"y_train": np.arange(N_TRAIN) + 65525},
        ["train set: labels from 65525 to 65536: expected 0 to 65535"],
    ),
    "label 65536, test": (
        {"y_test": np.full(N_TEST, 65536)},
        ["test set: labels from 65536 to 65536: expected 0 to 65535"],
    ),
    "label -1": ({"y_test": np.arange(N_TEST) - 1}, ["test set: labels from -1 to 3", "expected 0 to 65535"]),
    "labels beyond int64": ({"y_test": np.full(N_TEST, 2**64 - 1, "uint64")}, ["18446744073709551615", "0 to 65535"]),
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


@pytest.mark.parametrize("pixels", ["uint8", "int16", "uint16", "int64"])
@pytest.mark.parametrize("classes", ["uint8", "int64", "float32", "float64"])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_integers_like_bytes_and_whole_labels_are_read(tmp_path, pixels, classes, shape):
    arrays = npz_arrays()
    arrays.update({name: arrays[name].astype(pixels) for name in ("x_train", "x_test")})
    arrays.update({name: arrays[name].astype(classes).reshape(shape) for name in ("y_train", "y_test")})
    np.savez(tmp_path / "data.npz", **arrays)
    assert_is_small_dataset(read_data(tmp_path / "data.npz"))


@pytest.mark.parametrize("case", REFUSED_ARRAYS)
def test_npz_of_other_arrays_is_refused(tmp_path, case):
    changes, fragments = REFUSED_ARRAYS[case]
    path = tmp_path / "data.npz"
    np.savez(path, **npz_arrays(**changes))
    assert_refused(path, *fragments)


ONLY_IN_NPZ = ("no test labels", "half a validation set", "five examples")


@pytest.mark.parametrize("case", [case for case in REFUSED_ARRAYS if case not in ONLY_IN_NPZ])
def test_arrays_in_a_pickle_are_checked_too(tmp_path, case):
    arrays = npz_arrays(**REFUSED_ARRAYS[case][0])
    train, test = (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])
    (tmp_path / "data.pkl").write_bytes(pickle.dumps((train, train, test)))
    assert_refused(tmp_path / "data.pkl", "expected")
