"""Parameters: their names, found from the attributes, and their files."""

import json
import struct

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import theano
import theano.tensor as T
from hypothesis import example, given
from hypothesis import strategies as st
from models import TUTORIALS

from theano_tutorials import MLP, HiddenLayer, LogisticRegression, load_parameters, save_parameters
from theano_tutorials.runs.parameters import named_parameters
from theano_tutorials.runs.tensors import write_tensors

LAYER_SHAPES = {"W": (4, 3), "b": (3,)}
every_tutorial = pytest.mark.parametrize("name", TUTORIALS)


def build(name):
    tutorial = TUTORIALS[name]
    return tutorial.build(T.matrix(), 2, **tutorial.small)


def logistic_regression(n_in=4, n_out=3):
    return LogisticRegression(T.matrix(), n_in, n_out)


def mlp(n_hidden=5):
    return MLP(np.random.RandomState(1234), T.matrix(), 4, n_hidden, 3)


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


# Names


@every_tutorial
def test_every_parameter_of_a_tutorial_has_its_name(name):
    model = build(name)
    parameters = named_parameters(model)
    assert list(parameters) == TUTORIALS[name].parameter_names
    assert list(parameters.values()) == model.params


class Layer:
    """Whatever has ``params`` is a layer."""

    def __init__(self, params, **attributes):
        self.params = params
        vars(self).update(attributes)


def shared(name=None):
    return theano.shared(np.zeros(2, dtype=theano.config.floatX), name=name)


def test_names_are_those_of_the_attributes_in_the_order_of_params():
    W, hbias, vbias = shared("W"), shared("b"), shared("b")
    machine = Layer([W, hbias, vbias], vbias=vbias, hbias=hbias, W=W, n_visible=4, rng=np.random.RandomState(0))
    assert list(named_parameters(machine).items()) == [("W", W), ("hbias", hbias), ("vbias", vbias)]


def test_layers_may_stand_in_lists_dictionaries_and_layers():
    layers = [Layer([W, b], W=W, b=b) for W, b in ((shared(), shared()) for _ in range(4))]
    inner = Layer(layers[2].params, of=(layers[2],))
    top = layers[3]
    stack = Layer(
        [param for layer in layers for param in layer.params],
        sigmoid_layers=layers[:2],
        more={"inner": inner},
        logLayer=top,
    )
    assert list(named_parameters(stack)) == [
        "sigmoid_layers.0.W",
        "sigmoid_layers.0.b",
        "sigmoid_layers.1.W",
        "sigmoid_layers.1.b",
        "more.inner.of.0.W",
        "more.inner.of.0.b",
        "logLayer.W",
        "logLayer.b",
    ]
    assert list(named_parameters(stack).values()) == stack.params


def test_tied_weights_are_one_parameter_with_the_first_name():
    W, b, b_prime = shared(), shared(), shared()
    autoencoder = Layer([W, b, b_prime], W=W, b=b, b_prime=b_prime, decoder=Layer([W, b_prime], W=W, b=b_prime))
    assert list(named_parameters(autoencoder).items()) == [("W", W), ("b", b), ("b_prime", b_prime)]


def test_layers_that_share_weights_with_a_stack_may_have_others_of_their_own():
    # As the autoencoders of a stack, whose b_prime is of no use once it is trained.
    hidden = Layer([shared(), shared()])
    hidden.W, hidden.b = hidden.params
    autoencoder = Layer([hidden.W, hidden.b, shared()], W=hidden.W, b=hidden.b)
    autoencoder.b_prime = autoencoder.params[-1]
    stack = Layer(hidden.params, sigmoid_layers=[hidden], dA_layers=[autoencoder])
    assert list(named_parameters(stack)) == ["sigmoid_layers.0.W", "sigmoid_layers.0.b"]
    assert list(named_parameters(autoencoder)) == ["W", "b", "b_prime"]


def test_layers_may_know_the_model_that_they_are_in():
    W = shared()
    layer = Layer([W], W=W)
    model = Layer([W], layer=layer)
    layer.model = model
    assert list(named_parameters(model)) == ["layer.W"]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: Layer([shared("lost")]), r"lost of params in no attribute \(attributes: none\)"),
        (
            lambda: Layer([shared("kept"), *[shared("lost")] * 2], kept=shared("other")),
            r"kept, lost, lost of params in no attribute \(attributes: kept\)",
        ),
        (
            # Only the layer on top is in params: those of the list would be lost.
            lambda: Layer(logistic_regression().params, layers=[logistic_regression()], top=logistic_regression()),
            r"W, b of params in no attribute; layers.0.params, top.params not in params "
            r"\(attributes: layers.0.W, layers.0.b, top.W, top.b\)",
        ),
    ],
)
def test_params_that_do_not_agree_with_the_attributes_are_refused_by_name(tmp_path, model, message):
    model = model()
    with pytest.raises(TypeError, match=rf"Layer.params and the attributes do not agree: {message}"):
        named_parameters(model)
    with pytest.raises(TypeError, match="do not agree"):
        save_parameters(tmp_path / "model", model)
    assert names_in(tmp_path) == []


# Round trip


@every_tutorial
def test_parameters_are_loaded_bit_for_bit(tmp_path, name):
    saved, loaded = set_random_bits(build(name)), set_random_bits(build(name), seed=1)
    assert bits(loaded) != bits(saved)
    save_parameters(tmp_path / "model", saved)
    load_parameters(str(tmp_path / "model"), loaded)
    assert bits(loaded) == bits(saved)
    assert names_in(tmp_path) == ["model"]


@every_tutorial
def test_file_is_what_safetensors_reads(tmp_path, name):
    model = set_random_bits(build(name))
    path = tmp_path / "model.safetensors"
    save_parameters(path, model)
    stored = safetensors.numpy.load_file(path)
    assert {name: (value.shape, value.tobytes()) for name, value in stored.items()} == bits(model)
    assert {str(value.dtype) for value in stored.values()} == {"float32"}
    with safetensors.safe_open(path, "numpy") as file:
        description = json.loads(file.metadata()["theano_tutorials"])
    assert description["model"] == type(model).__name__
    assert description["architecture"] == model.architecture


@every_tutorial
def test_equal_models_are_equal_files(tmp_path, name):
    for file in ("one", "other"):
        save_parameters(tmp_path / file, set_random_bits(build(name)))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    save_parameters(tmp_path / "other", set_random_bits(build(name), seed=1))
    assert (tmp_path / "one").read_bytes() != (tmp_path / "other").read_bytes()


def test_a_layer_is_saved_as_a_model_is(tmp_path):
    layer = HiddenLayer(np.random.RandomState(1234), T.matrix(), 4, 3)
    save_parameters(tmp_path / "layer", layer)
    assert sorted(safetensors.numpy.load_file(tmp_path / "layer")) == ["W", "b"]


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
    missing = [f"{name}: missing, expected (" for name in TUTORIALS["mlp"].parameter_names]
    surplus = ["W: ((4, 3), 'float32'), expected none", "b: ((3,), 'float32'), expected none"]
    assert_load_refused(tmp_path / "model", mlp(), "does not fit MLP", *missing, *surplus)


@pytest.mark.parametrize("dtype", ["int32", "bool"])
def test_another_dtype_is_refused(tmp_path, dtype):
    values = {name: np.zeros(shape, dtype) for name, shape in LAYER_SHAPES.items()}
    write_tensors(tmp_path / "model", values, {})
    assert_load_refused(
        tmp_path / "model", logistic_regression(), f"W: ((4, 3), '{dtype}'), expected ((4, 3), 'float32')"
    )


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_floats_of_another_run_are_read_in_floatX(tmp_path, dtype):
    rng = np.random.RandomState(0)
    values = {name: rng.rand(*shape).astype(dtype) for name, shape in LAYER_SHAPES.items()}
    write_tensors(tmp_path / "model", values, {})
    model = logistic_regression()
    load_parameters(tmp_path / "model", model)
    for name, value in values.items():
        np.testing.assert_array_equal(getattr(model, name).get_value(), value.astype("float32"), strict=True)


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
