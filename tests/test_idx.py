"""Folders of IDX files: which are read, and which are refused."""

import functools
import struct

import numpy as np
import pytest
from small_dataset import (
    GZIP_DAMAGE,
    MNIST_FILES,
    N_TEST,
    N_TRAIN,
    SMALL,
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    assert_is_small_dataset,
    assert_refused,
    idx,
    images,
    labels,
    packed,
    peak_memory,
    small_arrays,
    write_idx_folder,
)

from theano_tutorials import read_data


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


def test_gzip_is_told_by_its_first_bytes(tmp_path):
    write_idx_folder(tmp_path, [f"{name}.gz" for name in MNIST_FILES])
    assert_is_small_dataset(read_data(tmp_path))
    write_idx_folder(tmp_path / "others", compress=True)
    for path in (tmp_path / "others").iterdir():
        path.rename(path.with_suffix(""))
    assert_is_small_dataset(read_data(tmp_path / "others"))


def test_folders_of_kaggle_each_with_a_file_are_read(tmp_path):
    for name in MNIST_FILES:
        (tmp_path / name).mkdir()
    write_idx_folder(tmp_path, [f"{name}/{name}" for name in MNIST_FILES])
    assert_is_small_dataset(read_data(tmp_path))


@pytest.mark.parametrize("root", ["MNIST/raw", "raw"])
def test_files_are_found_where_torchvision_keeps_them(tmp_path, root):
    write_idx_folder(tmp_path / root)
    assert_is_small_dataset(read_data(tmp_path))


def qmnist_labels(array):
    columns = np.zeros((len(array), 8), ">i4")
    columns[:, 0], columns[:, 1:] = array, 99
    return struct.pack(">3I", 0x0C02, *columns.shape) + columns.tobytes()


def write_qmnist(folder, change=bytes):
    x, y, test_x, test_y = small_arrays()
    for split, split_x, split_y in (("train", x, y), ("test", test_x, test_y)):
        (folder / f"qmnist-{split}-images-idx3-ubyte.gz").write_bytes(packed(idx(split_x)))
        (folder / f"qmnist-{split}-labels-idx2-int.gz").write_bytes(packed(change(qmnist_labels(split_y))))


def test_of_the_labels_of_qmnist_the_class_is_read(tmp_path):
    write_qmnist(tmp_path)
    assert_is_small_dataset(read_data(tmp_path))


@pytest.mark.parametrize("change", [lambda raw: raw[:-1], lambda raw: raw + b"\0", lambda raw: raw[:12]])
def test_damaged_labels_of_qmnist_are_refused(tmp_path, change):
    write_qmnist(tmp_path, change)
    assert_refused(tmp_path, "bytes after the header: expected 384", named=tmp_path / "qmnist-train-labels-idx2-int.gz")


def test_letters_of_emnist_are_classes_from_zero(tmp_path):
    names = [f"emnist-letters-{file.replace('t10k', 'test')}" for file in MNIST_FILES]
    x, test_x = images(52, 0), images(26, 1)
    letters = np.arange(52) % 26 + 1
    arrays = [x.transpose(0, 2, 1), letters, test_x.transpose(0, 2, 1), letters[:26]]
    data = read_data(write_idx_folder(tmp_path, names, compress=True, arrays=arrays))
    assert data.n_classes == 26
    np.testing.assert_array_equal(np.concatenate([data[0][1], data[1][1]]), letters - 1)
    np.testing.assert_array_equal(data[2][0], test_x.reshape(26, -1) / np.float32(256))


def test_letters_with_a_label_zero_are_refused(tmp_path):
    names = [f"emnist-letters-{file.replace('t10k', 'test')}" for file in MNIST_FILES]
    arrays = [images(N_TRAIN, 0), np.arange(N_TRAIN), images(N_TEST, 1), np.arange(N_TEST)]
    assert_refused(
        write_idx_folder(tmp_path, names, arrays=arrays), "labels from 0 to 11: expected 1 to 26 for letters"
    )


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><html>404</html>", b"\n <HTML><head>"])
def test_a_web_page_is_named(tmp_path, page):
    write_idx_folder(tmp_path, compress=True)
    path = tmp_path / f"{TRAIN_LABELS}.gz"
    path.write_bytes(page)
    assert_refused(tmp_path, "a web page, not data: download the file again", named=path)


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


@pytest.mark.parametrize("name", [TRAIN_LABELS, TEST_LABELS])
@pytest.mark.parametrize("label", [26, 255])
def test_labels_of_idx_files_may_be_any_byte(tmp_path, name, label):
    write_idx_folder(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-1] + bytes([label]))
    assert read_data(tmp_path).n_classes == label + 1


def test_idx_images_keep_their_height_and_width(tmp_path):
    assert read_data(write_idx_folder(tmp_path)).example_shape == (4, 3)


def test_emnist_has_the_height_and_width_of_its_images_upright(tmp_path):
    write_emnist(tmp_path, "digits")
    assert read_data(tmp_path).example_shape == (4, 3)


# What is refused


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


def test_idx_images_of_different_sizes_are_refused(tmp_path):
    write_idx_folder(tmp_path, arrays=[*small_arrays()[:2], np.zeros((N_TEST, 5, 5)), labels(N_TEST, 0)])
    assert_refused(tmp_path, "images of 12, 12, 25 pixels", "expected one size")


def test_idx_folder_with_too_few_examples_to_validate_is_refused(tmp_path):
    write_idx_folder(tmp_path, arrays=[images(5, 0), labels(5, 0), *small_arrays()[2:]])
    assert_refused(tmp_path, "5 training examples", "expected at least 6")
