"""Parameters on disk: what is saved is what is loaded, and a file is whole or not there."""

import json
import os
import resource
import signal
import stat
import struct
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import theano
import theano.tensor as T
from hypothesis import example, given
from hypothesis import strategies as st
from theano_tutorials.checkpoint import named_parameters, write_atomically, write_tensors

from theano_tutorials import MLP, HiddenLayer, LeNet5, LogisticRegression, checkpoint, load_parameters, save_parameters

RNG_SEED = 1234
LAYER_SHAPES = {"W": (4, 3), "b": (3,)}


def logistic_regression(n_in=4, n_out=3):
    return LogisticRegression(T.matrix(), n_in, n_out)


def mlp(n_hidden=5):
    return MLP(np.random.RandomState(RNG_SEED), T.matrix(), 4, n_hidden, 3)


def lenet(nkerns=(2, 3)):
    return LeNet5(np.random.RandomState(RNG_SEED), T.matrix(), batch_size=2, nkerns=nkerns)


NAMES = {
    logistic_regression: ["W", "b"],
    mlp: ["hiddenLayer.W", "hiddenLayer.b", "logRegressionLayer.W", "logRegressionLayer.b"],
    lenet: [f"layer{i}.{name}" for i in range(4) for name in "Wb"],
}
every_model = pytest.mark.parametrize("make", NAMES, ids=lambda make: make.__name__)


def set_random_bits(model, seed=0):
    """Give every parameter random bits: NaNs, infinities, negative zeros and denormal numbers among them."""
    rng = np.random.RandomState(seed)
    for param in model.params:
        param.set_value(
            np.frombuffer(rng.bytes(4 * param.get_value().size), "float32").reshape(param.get_value().shape)
        )
    return model


def bits(model):
    return {
        name: (param.get_value().shape, param.get_value().tobytes()) for name, param in named_parameters(model).items()
    }


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


# Round trip


@every_model
def test_every_parameter_has_a_name(make):
    model = make()
    parameters = named_parameters(model)
    assert sorted(parameters) == NAMES[make]
    assert {id(param) for param in parameters.values()} == {id(param) for param in model.params}


@every_model
def test_parameters_are_loaded_bit_for_bit(tmp_path, make):
    saved, loaded = set_random_bits(make()), set_random_bits(make(), seed=1)
    assert bits(loaded) != bits(saved)
    save_parameters(tmp_path / "model", saved)
    load_parameters(str(tmp_path / "model"), loaded)
    assert bits(loaded) == bits(saved)
    assert names_in(tmp_path) == ["model"]


@every_model
def test_file_is_what_safetensors_reads(tmp_path, make):
    model = set_random_bits(make())
    path = tmp_path / "model.safetensors"
    save_parameters(path, model)
    stored = safetensors.numpy.load_file(path)
    assert {name: (value.shape, value.tobytes()) for name, value in stored.items()} == bits(model)
    assert {str(value.dtype) for value in stored.values()} == {"float32"}
    with safetensors.safe_open(path, "numpy") as file:
        description = json.loads(file.metadata()["theano_tutorials"])
    assert description["model"] == type(model).__name__
    assert description["architecture"] == model.architecture


@every_model
def test_equal_models_are_equal_files(tmp_path, make):
    for name in ("one", "other"):
        save_parameters(tmp_path / name, set_random_bits(make()))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    save_parameters(tmp_path / "other", set_random_bits(make(), seed=1))
    assert (tmp_path / "one").read_bytes() != (tmp_path / "other").read_bytes()


@pytest.mark.parametrize(
    "arranged",
    [
        np.asfortranarray,
        lambda W: W.T.copy().T,
        lambda W: np.repeat(W, 2, axis=1)[:, ::2],
        lambda W: W[::-1].copy()[::-1],
    ],
    ids=["Fortran", "transposed", "strided", "reversed"],
)
def test_values_are_saved_as_they_read_however_they_lie_in_memory(tmp_path, arranged):
    values = np.arange(12, dtype="float32").reshape(4, 3)
    W = theano.shared(arranged(values), borrow=True)
    assert not W.get_value(borrow=True).flags.c_contiguous
    save_parameters(tmp_path / "model", LogisticRegression(T.matrix(), 4, 3, W=W))
    loaded = logistic_regression()
    load_parameters(tmp_path / "model", loaded)
    np.testing.assert_array_equal(loaded.W.get_value(), values)


# Files that do not fit


def assert_load_refused(path, model, *fragments):
    before = bits(model)
    with pytest.raises(ValueError, match=r"safetensors file|does not fit") as raised:
        load_parameters(path, model)
    missing = [fragment for fragment in (str(path), *fragments) if fragment not in str(raised.value)]
    assert not missing, f"{missing} not in the message: {raised.value}"
    assert bits(model) == before


def test_other_sizes_are_refused_with_every_difference(tmp_path):
    save_parameters(tmp_path / "model", set_random_bits(mlp(n_hidden=6)))
    assert_load_refused(
        tmp_path / "model",
        set_random_bits(mlp(n_hidden=5), seed=1),
        "does not fit MLP: ",
        "hiddenLayer.W: ((4, 6), 'float32'), expected ((4, 5), 'float32'); "
        "hiddenLayer.b: ((6,), 'float32'), expected ((5,), 'float32'); "
        "logRegressionLayer.W: ((6, 3), 'float32'), expected ((5, 3), 'float32')",
    )


def test_another_architecture_is_refused_with_every_difference(tmp_path):
    save_parameters(tmp_path / "model", set_random_bits(logistic_regression()))
    missing = [f"{name}: missing, expected (" for name in NAMES[mlp]]
    surplus = ["W: ((4, 3), 'float32'), expected none", "b: ((3,), 'float32'), expected none"]
    assert_load_refused(tmp_path / "model", mlp(), "does not fit MLP", *missing, *surplus)


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "bool"])
def test_another_dtype_is_refused(tmp_path, dtype):
    values = {name: np.zeros(shape, dtype) for name, shape in LAYER_SHAPES.items()}
    write_tensors(tmp_path / "model", values, {})
    assert_load_refused(
        tmp_path / "model", logistic_regression(), f"W: ((4, 3), '{dtype}'), expected ((4, 3), 'float32')"
    )


def test_one_difference_suffices_to_set_nothing(tmp_path):
    values = {"W": np.ones((4, 3), "float32"), "b": np.ones(4, "float32")}
    write_tensors(tmp_path / "model", values, {})
    assert_load_refused(tmp_path / "model", logistic_regression(), "LogisticRegression: b: ((4,)")


def safetensors_bytes(dtype, size):
    """A file of one tensor W of four items."""
    header = json.dumps({"W": {"dtype": dtype, "shape": [4], "data_offsets": [0, 4 * size]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4 * size)


DAMAGED = {
    "empty": b"",
    "a pickle": b"\x80\x05N.",
    "no header": b"\xff" * 100,
    "a header beyond the end": struct.pack("<Q", 1 << 40) + b"{}",
    "a list for a header": struct.pack("<Q", 2) + b"[]",
    "a byte too few": safetensors_bytes("F32", 4)[:-1],
    "a byte too many": safetensors_bytes("F32", 4) + b"\0",
    "three bytes a float": safetensors_bytes("F32", 3),
    "a dtype that NumPy does not have": safetensors_bytes("BF16", 2),
    "a dtype of one byte": safetensors_bytes("F8_E4M3", 1),
    "a dtype of nobody": safetensors_bytes("F33", 4),
    "by another program": safetensors.numpy.save({"W": np.zeros((4, 3), "float32"), "b": np.zeros(3, "float32")}),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_file_is_refused(tmp_path, damage):
    (tmp_path / "model").write_bytes(DAMAGED[damage])
    assert_load_refused(tmp_path / "model", logistic_regression(), "not a whole safetensors file of theano_tutorials")


def test_file_cut_anywhere_is_refused(tmp_path):
    save_parameters(tmp_path / "model", set_random_bits(logistic_regression()))
    content = (tmp_path / "model").read_bytes()
    model = logistic_regression()
    for size in range(len(content)):
        (tmp_path / "model").write_bytes(content[:size])
        assert_load_refused(tmp_path / "model", model, "not a whole safetensors file of theano_tutorials")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model"
    save_parameters(path, set_random_bits(logistic_regression()))
    return path.read_bytes()


@given(where=st.integers(0, 2**16), data=st.binary(min_size=1, max_size=8), insert=st.booleans())
@example(where=0, data=b"\0", insert=False)
@pytest.mark.fuzz
def test_mutated_file_is_refused_or_says_the_same(tmp_path_factory, saved, where, data, insert):
    at = where % len(saved)
    path = tmp_path_factory.getbasetemp() / "mutated-model"
    path.write_bytes(saved[:at] + data + saved[at if insert else at + len(data) :])
    model = logistic_regression()
    before = bits(model)
    try:
        load_parameters(path, model)
    except ValueError:
        assert bits(model) == before
    else:
        assert bits(model) == bits(set_random_bits(logistic_regression()))


def test_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_parameters(tmp_path / "model", logistic_regression())


# Writing


@contextmanager
def largest_file(size):
    """Within it, no file can be written beyond a size: so a full disk fails, even for root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_file_is_replaced_and_nothing_else_is_left(tmp_path):
    for data in (b"old" * 1000, b"new", b""):
        write_atomically(tmp_path / "file", data)
        assert (tmp_path / "file").read_bytes() == data
        assert names_in(tmp_path) == ["file"]


def test_who_has_the_old_file_open_reads_it_to_its_end(tmp_path):
    write_atomically(tmp_path / "file", b"old")
    with open(tmp_path / "file", "rb") as old:
        write_atomically(tmp_path / "file", b"new")
        assert old.read() == b"old"
    assert (tmp_path / "file").read_bytes() == b"new"


def test_old_file_is_whole_where_the_new_one_cannot_be_written(tmp_path):
    write_atomically(tmp_path / "file", b"old")
    with largest_file(1000), pytest.raises(OSError, match="File too large"):
        write_atomically(tmp_path / "file", b"n" * 1001)
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names_in(tmp_path) == ["file"]


def test_old_model_is_whole_where_the_new_one_cannot_be_saved(tmp_path):
    old = set_random_bits(mlp())
    save_parameters(tmp_path / "model", old)
    with largest_file(100), pytest.raises(OSError, match="File too large"):
        save_parameters(tmp_path / "model", set_random_bits(mlp(), seed=1))
    loaded = mlp()
    load_parameters(tmp_path / "model", loaded)
    assert bits(loaded) == bits(old)
    assert names_in(tmp_path) == ["model"]


def test_nothing_is_left_where_the_file_cannot_be_renamed(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "file", b"data")
    assert names_in(tmp_path) == ["file"]


def test_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "no" / "file", b"data")


# Loads the module by its path, since the package takes seconds to import.
KILLED_WHILE_WRITING = """
import importlib.util, resource, signal, sys
spec = importlib.util.spec_from_file_location("checkpoint", sys.argv[1])
checkpoint = importlib.util.module_from_spec(spec)
spec.loader.exec_module(checkpoint)
checkpoint.write_atomically(sys.argv[2], b"old")
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
checkpoint.write_atomically(sys.argv[2], b"new" * 1000)
"""


def test_old_file_is_whole_where_the_process_is_killed_while_it_writes(tmp_path):
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, checkpoint.__file__, str(tmp_path / "file")]
    killed = subprocess.run(command, stderr=subprocess.PIPE, timeout=60)
    assert killed.returncode == -signal.SIGXFSZ, killed.stderr.decode()
    assert (tmp_path / "file").read_bytes() == b"old"
    assert len(names_in(tmp_path)) == 2  # so it did begin to write


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0, 0o666)])
def test_permissions_follow_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        save_parameters(tmp_path / "model", logistic_regression())
    finally:
        after = os.umask(before)
    assert after == umask
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == mode


# Layers


def test_hidden_layer_is_saved_as_a_layer(tmp_path):
    layer = HiddenLayer(np.random.RandomState(RNG_SEED), T.matrix(), 4, 3)
    save_parameters(tmp_path / "layer", layer)
    assert sorted(safetensors.numpy.load_file(tmp_path / "layer")) == ["W", "b"]
