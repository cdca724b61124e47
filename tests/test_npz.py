""".npz files: which are read, and which are refused."""

import numpy as np
import pytest
from small_dataset import (
    N_TEST,
    N_TRAIN,
    assert_equal_pairs,
    assert_is_small_dataset,
    assert_refused,
    images,
    labels,
    npy,
    npz_arrays,
    small_arrays,
    write_zip,
)

from theano_tutorials import read_data


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


def test_npz_of_medmnist_is_read(tmp_path):
    x, y, test_x, test_y = small_arrays()
    valid_x, valid_y = images(3, 8), labels(3, 9)
    np.savez(
        tmp_path / "pathmnist.npz",
        **{"train_images": x, "train_labels": y[:, None], "val_images": valid_x, "val_labels": valid_y[:, None]},
        **{"test_images": test_x, "test_labels": test_y[:, None]},
    )
    expected = [
        (part.reshape(-1, 12) / 256, of_part) for part, of_part in ((x, y), (valid_x, valid_y), (test_x, test_y))
    ]
    assert_equal_pairs(read_data(tmp_path / "pathmnist.npz"), expected)


def test_npz_of_six_examples_validates_with_one(tmp_path):
    np.savez(tmp_path / "data.npz", **npz_arrays(x_train=images(6, 0), y_train=labels(6, 1)))
    assert [len(x) for x, _ in read_data(tmp_path / "data.npz")] == [5, 1, N_TEST]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_cut_anywhere_is_refused(tmp_path, save):
    path = tmp_path / "data.npz"
    save(path, **npz_arrays())
    content = path.read_bytes()
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        assert_refused(path, "not a valid .npz file")


def test_npz_with_members_that_are_no_arrays_is_refused(tmp_path):
    path = tmp_path / "data.npz"
    write_zip(path, {**{name: npy(array) for name, array in npz_arrays().items()}, "x_train": b"no array"})
    assert_refused(path, "arrays x_test, y_test, y_train", "expected x_train")


def test_npy_named_npz_is_refused(tmp_path):
    (tmp_path / "data.npz").write_bytes(npy(images(N_TRAIN, 0)))
    assert_refused(tmp_path / "data.npz", "not a valid .npz file")
