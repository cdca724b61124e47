"""Random damage to files: what is read is refused or valid."""

import functools
import io
import math
import pickle
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from small_dataset import (
    MNIST_FILES,
    N_TRAIN,
    PYTHON_2_PICKLE,
    idx,
    images,
    labels,
    npy,
    npz_arrays,
    packed,
    small_arrays,
    write_idx_folder,
    write_zip,
)

from theano_tutorials import DatasetError, read_data

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


def assert_valid(data):
    """The invariants of whatever is accepted."""
    assert len(data) == 3
    assert {x.shape[1] for x, _ in data} == {data.n_features} == {math.prod(data.example_shape)}
    assert data.n_classes == 1 + max(y.max() for _, y in data)
    for x, y in data:
        assert (x.dtype, y.dtype, x.ndim, y.ndim) == ("float32", "int64", 2, 1)
        assert len(x) == len(y) > 0
        assert np.isfinite(x).all()
        assert y.min() >= 0
        assert y.max() < 65536


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


@functools.cache
def csv_content():
    names = ["label", *(f"pixel{i}" for i in range(4))]
    return "\n".join([",".join(names), *(f"{i},{i},0,255,7" for i in range(9))]).encode()


@pytest.mark.parametrize("compress", [False, True])
@given(mutations=MUTATIONS)
@pytest.mark.fuzz
@example(mutations=[])
def test_mutated_csv_is_refused_or_valid(folder, compress, mutations):
    path = folder / "data.csv"
    path.write_bytes(mutated(packed(csv_content()) if compress else csv_content(), mutations))
    assert_refused_or_valid(path)


@pytest.mark.parametrize("compress", [False, True])
@given(mutations=MUTATIONS)
@pytest.mark.fuzz
@example(mutations=[])
def test_mutated_labels_of_qmnist_are_refused_or_valid(folder, compress, mutations):
    dataset = folder / f"qmnist-{compress}"
    path = dataset / "qmnist-train-labels-idx2-int"
    if not dataset.exists():
        write_idx_folder(dataset, [f"qmnist-{name.replace('t10k', 'test')}" for name in MNIST_FILES])
        (dataset / "qmnist-train-labels-idx1-ubyte").unlink()
    columns = np.insert(np.zeros((N_TRAIN, 7), ">i4"), 0, labels(N_TRAIN, 0), axis=1)
    content = struct.pack(">3I", 0x0C02, *columns.shape) + columns.tobytes()
    path.write_bytes(mutated(packed(content) if compress else content, mutations))
    assert_refused_or_valid(dataset)
