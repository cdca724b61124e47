"""Saved models built again, and put to use."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import theano.tensor as T
from hypothesis import given
from hypothesis import strategies as st
from models import TUTORIALS
from mutations import mutated, read_or_refuse
from scipy.special import softmax

from theano_tutorials import (
    MLP,
    DatasetWarning,
    HiddenLayer,
    LeNet5,
    LogisticRegression,
    evaluate,
    load_model,
    read_data,
    save_parameters,
)
from theano_tutorials.runs.parameters import named_parameters
from theano_tutorials.runs.tensors import read_tensors, write_tensors
from theano_tutorials.saved import evaluate_model
from theano_tutorials.saved.models import read_model


def float32(*shape, seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, shape).astype("float32")


# Loading a model


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_saved_model_is_built_again(name, saved_models, digits):
    model, predict = load_model(saved_models[name])
    tensors, metadata = read_tensors(saved_models[name])
    assert type(model) is TUTORIALS[name].model
    assert model.architecture == metadata["architecture"]
    values = {key: param.get_value() for key, param in named_parameters(model).items()}
    assert sorted(values) == sorted(tensors)
    for key, value in values.items():
        np.testing.assert_array_equal(value, tensors[key])

    images, labels = digits
    probabilities = predict(images)
    assert (probabilities.shape, probabilities.dtype) == ((300, 10), np.float32)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert np.mean(probabilities.argmax(axis=1) != labels) < 0.2
    for same in (images.reshape(300, 784), images[..., None], images / np.float32(256), images / 256.0):
        np.testing.assert_array_equal(predict(same), probabilities)
    assert predict(images[:0]).shape == (0, 10)


def test_lists_and_integers_like_bytes_are_predicted_too(saved_models, digits):
    images = digits[0][:3]
    predict = load_model(saved_models["mlp"]).predict
    expected = predict(images)
    for same in (images.tolist(), images.astype("int64"), (images / 256.0).tolist()):
        np.testing.assert_array_equal(predict(same), expected)


@pytest.mark.parametrize(
    ("change", "low", "high"),
    [(lambda x: x * 255.0, 0, 255), (lambda x: x * 2 - 1, -1, 0), (lambda x: x * 1e6, 0, 1e6)],
)
def test_floats_on_another_scale_are_said(saved_models, digits, change, low, high):
    images = digits[0] / 256
    predict = load_model(saved_models["mlp"]).predict
    with pytest.warns(DatasetWarning, match=r"floats from .* to .*: .* have pixels from 0 to 1, bytes / 256") as said:
        predict(change(images))
    assert said[0].filename == __file__


@pytest.mark.parametrize("scale", [1, 1.01, 1 / 256])
def test_floats_on_the_scale_of_the_training_are_not_remarked_on(saved_models, digits, scale):
    load_model(saved_models["mlp"]).predict(digits[0] / 256 * scale)


@pytest.mark.slow
@pytest.mark.parametrize("name", TUTORIALS)
def test_threads_share_a_model(saved_models, digits, name):
    predict = load_model(saved_models[name]).predict
    parts = [digits[0][start : start + 7] for start in range(0, 280, 7)]
    expected = [predict(part) for part in parts]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(predict, parts * 50))
    finally:
        sys.setswitchinterval(before)
    for one, other in zip(found, expected * 50):
        np.testing.assert_array_equal(one, other)


def test_a_path_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/run does not exist: expected the directory of a run"):
        load_model(tmp_path / "run")


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_a_model_of_another_floatX_is_loaded(tmp_path, dtype):
    values = {"W": np.random.RandomState(0).rand(4, 3).astype(dtype), "b": np.arange(3).astype(dtype)}
    write_tensors(tmp_path / "m", values, {"model": "LogisticRegression", "architecture": {"n_in": 4, "n_out": 3}})
    x = np.float32([[0.1, 0.2, 0.3, 0.4]])
    scores = x @ values["W"].astype("float32") + values["b"].astype("float32")
    np.testing.assert_allclose(load_model(tmp_path / "m").predict(x), softmax(scores, axis=1), rtol=1e-5)


def test_a_folder_stands_for_its_best_model(saved_models, tmp_path, digits):
    (tmp_path / "best_model.safetensors").write_bytes(saved_models["mlp"].read_bytes())
    expected = load_model(saved_models["mlp"]).predict(digits[0])
    np.testing.assert_array_equal(load_model(str(tmp_path)).predict(digits[0]), expected)


def test_a_folder_of_runs_stands_for_the_one_whose_model_was_written_last(saved_models, tmp_path):
    for seconds, (run, name) in enumerate([("2026-01-02", "logreg"), ("2026-01-01", "mlp"), ("2026-01-03", None)]):
        (tmp_path / run).mkdir()
        if name:
            (tmp_path / run / "best_model.safetensors").write_bytes(saved_models[name].read_bytes())
            os.utime(tmp_path / run / "best_model.safetensors", (seconds, seconds))
    assert type(load_model(tmp_path).model).__name__ == "MLP"


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no best_model\.safetensors: expected the directory of a run"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((28, 28)), r"shape \(28, 28\): expected \(n, 784\) or \(n, 28, 28\)"),
        (np.zeros(784), r"shape \(784,\): expected"),
        (np.zeros((1, 3, 28, 28)), r"shape \(1, 3, 28, 28\): expected"),
        (np.zeros((0, 5)), r"shape \(0, 5\): expected"),
        (np.full((2, 784), 256), "dtype int64: expected uint8, integers from 0 to 255, or floats"),
        (np.full((2, 784), -1), "dtype int64: expected uint8, integers from 0 to 255, or floats"),
        (np.zeros((2, 784), bool), "dtype bool: expected uint8"),
        (np.full((2, 784), np.nan), "1568 values that are NaN or infinite"),
        (["7"], r"shape \(1,\): expected"),
    ],
)
def test_wrong_images_are_refused(images, message, saved_models):
    with pytest.raises(ValueError, match=message):
        load_model(saved_models["logreg"]).predict(images)


def test_evaluation_counts_every_example(saved_models):
    model, predict = load_model(saved_models["logreg"])
    W, b = (param.get_value() for param in model.params)
    expected = tuple(np.mean((x @ W + b).argmax(axis=1) != y) for x, y in read_data("mnist")[1:])
    assert evaluate_model(predict, "mnist") == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("n", [1, 501])  # one more than a block
def test_lenet_predicts_as_a_graph_of_that_batch_size(n, saved_models):
    model, predict = load_model(saved_models["lenet"])
    x = T.matrix()
    fixed = LeNet5(np.random.RandomState(0), x, n, nkerns=(5, 8))
    for name, param in named_parameters(model).items():
        named_parameters(fixed)[name].set_value(param.get_value())
    images = np.abs(float32(n, 784))
    expected = evaluate(fixed.p_y_given_x, {x: images})
    np.testing.assert_allclose(predict(images), expected, rtol=0, atol=1e-6)


# Images of other shapes


@pytest.mark.parametrize("image_shape", [(1, 20, 16), (3, 18, 17)])
def test_a_model_of_other_images_takes_them_in_every_order(image_shape, tmp_path):
    channels, height, width = image_shape
    saved = LeNet5(np.random.RandomState(0), T.matrix(), 3, (2, 3), 5, image_shape)
    save_parameters(tmp_path / "model", saved)
    model, predict = load_model(tmp_path / "model")
    assert model.example_shape == image_shape
    images = np.abs(float32(3, *image_shape))
    expected = evaluate(saved.p_y_given_x, {saved.input: images.reshape(3, -1)})
    orders = [images, images.transpose(0, 2, 3, 1), images.reshape(3, -1)]
    if channels == 1:
        orders.append(images[:, 0])
    for same in orders:
        np.testing.assert_allclose(predict(same), expected, rtol=0, atol=1e-6)
    wrong = np.zeros((3, channels, width, height), "float32")
    with pytest.raises(
        ValueError, match=rf"expected \(n, {channels * height * width}\) or \(n, {channels}, {height}, "
    ):
        predict(wrong)


def test_a_model_of_features_that_are_no_image_takes_rows(tmp_path):
    save_parameters(tmp_path / "model", LogisticRegression(T.matrix(), 30, 3))
    with pytest.raises(ValueError, match=r"images of shape \(2, 31\): expected \(n, 30\)$"):
        load_model(tmp_path / "model").predict(np.zeros((2, 31)))


# A class of the user


class TwoLayers:
    """Layers of the library, in a list; drawn at random where no parameters are given."""

    n_drawn = 0

    def __init__(self, sizes, parameters=None):
        self.architecture = {"sizes": sizes}
        self.example_shape = (sizes[0],)
        self.input = output = T.matrix("x")
        self.layers = []
        for i, (n_in, n_out) in enumerate(zip(sizes, sizes[1:])):
            W, b = (parameters[f"layers.{i}.{name}"] if parameters else None for name in "Wb")
            self.layers.append(HiddenLayer(CountsDraws(i), output, n_in, n_out, W, b))
            output = self.layers[-1].output
        self.params = [param for layer in self.layers for param in layer.params]
        self.p_y_given_x = T.nnet.softmax(output)

    @classmethod
    def from_parameters(cls, parameters, sizes):
        return cls(sizes, parameters)


class CountsDraws(np.random.RandomState):
    def uniform(self, *arguments, **options):
        TwoLayers.n_drawn += 1
        return super().uniform(*arguments, **options)


class NoClassifier(TwoLayers):
    def __init__(self, sizes, parameters=None):
        super().__init__(sizes, parameters)
        del self.p_y_given_x


class Fails(TwoLayers):
    @classmethod
    def from_parameters(cls, parameters, sizes):
        return parameters["layers.7.W"] if sizes[0] == 6 else 1 / 0


def test_a_class_of_the_user_is_saved_and_built_again_without_a_draw(tmp_path):
    saved = TwoLayers([6, 4, 3])
    save_parameters(tmp_path / "model", saved)
    drawn = TwoLayers.n_drawn
    model, predict = load_model(tmp_path / "model", TwoLayers)
    assert TwoLayers.n_drawn == drawn > 0
    assert type(model) is TwoLayers
    rows = float32(700, 6)
    np.testing.assert_allclose(predict(rows), evaluate(saved.p_y_given_x, {saved.input: rows}), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", TUTORIALS)
def test_tutorials_are_built_again_without_a_draw(name, saved_models, monkeypatch):
    monkeypatch.setattr(np.random, "RandomState", None)
    assert named_parameters(read_model(saved_models[name]))


def test_a_model_that_is_no_classifier_has_no_predict(tmp_path):
    save_parameters(tmp_path / "model", NoClassifier([6, 4, 3]))
    assert load_model(tmp_path / "model", NoClassifier).predict is None


@pytest.mark.parametrize(
    ("saved", "model_class", "message"),
    [
        (TwoLayers, None, r"a model 'TwoLayers': expected DBN, LSTM, .*, or the class of the model"),
        (TwoLayers, MLP, "a model 'TwoLayers': expected MLP, or the class of the model as model_class"),
        (lambda sizes: LogisticRegression(T.matrix(), 6, 3), TwoLayers, "a model 'LogisticRegression': expected TwoL"),
        (Fails, Fails, "does not fit Fails: it has no parameter 'layers.7.W'"),
        (lambda sizes: Fails([7, 3]), Fails, r"does not fit Fails with the architecture {'sizes': \[7, 3\]}: Zero"),
    ],
)
def test_a_class_that_does_not_fit_is_refused(saved, model_class, message, tmp_path):
    save_parameters(tmp_path / "model", saved([6, 4, 3]))
    with pytest.raises(ValueError, match=rf"model.*{message}"):
        load_model(tmp_path / "model", model_class)


# Refused models

VALID = {"W": float32(4, 3), "b": float32(3)}
SIZES = {"n_in": 4, "n_out": 3}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "a model None: expected DBN, LSTM, MLP"),
        ({"model": "ResNet", "architecture": SIZES}, "a model 'ResNet': expected"),
        ({"model": ["MLP"], "architecture": SIZES}, r"a model \['MLP'\]: expected"),
        ({"model": "LogisticRegression"}, "architecture None: expected that of LogisticRegression"),
        ({"model": "LogisticRegression", "architecture": [4, 3]}, r"architecture \[4, 3\]"),
        ({"model": "LogisticRegression", "architecture": {"n_in": 4}}, "architecture"),
        ({"model": "LogisticRegression", "architecture": {**SIZES, "n_hidden": 2}}, "architecture"),
        ({"model": "LogisticRegression", "architecture": {"n_in": -4, "n_out": 3}}, "architecture"),
        ({"model": "LogisticRegression", "architecture": {"n_in": 4.0, "n_out": 3}}, "architecture"),
        ({"model": "LogisticRegression", "architecture": {"n_in": "4", "n_out": 3}}, "architecture"),
        ({"model": "LogisticRegression", "architecture": {"n_in": True, "n_out": 3}}, "architecture"),
        ({"model": "LogisticRegression", "architecture": {"n_in": 10**15, "n_out": 3}}, "does not fit"),
        ({"model": "LogisticRegression", "architecture": {"n_in": 10**300, "n_out": 3}}, "does not fit"),
        ({"model": "MLP", "architecture": {"n_in": 4, "n_hidden": 10**12, "n_out": 3}}, "does not fit"),
        ({"model": "LeNet5", "architecture": {"nkerns": [10**9, 10**9], "n_out": 3}}, "does not fit"),
        ({"model": "LeNet5", "architecture": {"nkerns": [20], "n_out": 3}}, "architecture"),
        ({"model": "LeNet5", "architecture": {"nkerns": 20, "n_out": 3}}, "architecture"),
        ({"model": "dA", "architecture": {"n_visible": 10**15, "n_hidden": 10**15}}, "does not fit"),
        ({"model": "FlatLogisticRegression", "architecture": {"n_in": 10**15, "n_out": 3}}, "does not fit"),
        ({"model": "SdA", "architecture": {"n_ins": 4, "hidden_layers_sizes": 5, "n_outs": 3}}, "does not fit"),
        (
            {"model": "LSTM", "architecture": {"n_words": 10**15, "dim_proj": 10**15, "n_classes": 2}},
            "does not fit",
        ),
    ],
)
def test_nonsense_in_the_metadata_is_refused(metadata, message, tmp_path):
    path = tmp_path / "model.safetensors"
    write_tensors(path, VALID, metadata)
    with pytest.raises(ValueError, match=rf"model\.safetensors.*{message}"):
        load_model(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"W": float32(3, 4)}, r"W has shape \(3, 4\): expected \(4, 3\)"),
        ({"b": np.zeros(3, "int32")}, "b has dtype int32: expected floats"),
        ({"c": float32(1)}, "it holds W, b, c: expected W, b"),
        ({"b": np.float32([0, np.inf, 0])}, "b has values that are NaN or infinite"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(changes, message, tmp_path):
    path = tmp_path / "model.safetensors"
    write_tensors(path, {**VALID, **changes}, {"model": "LogisticRegression", "architecture": SIZES})
    with pytest.raises(ValueError, match=rf"model\.safetensors.*{message}"):
        load_model(path)


def test_parameters_too_large_to_compute_with_are_named(tmp_path):
    path = tmp_path / "model.safetensors"
    write_tensors(
        path, {**VALID, "W": np.full((4, 3), 3e38, "float32")}, {"model": "LogisticRegression", "architecture": SIZES}
    )
    with pytest.raises(ValueError, match=r"model\.safetensors: the probabilities are NaN"):
        load_model(path).predict(np.ones((1, 4)))


SMALL_SIZES = {"n_in": 3, "n_hidden": 2, "n_out": 2}
SMALL_SHAPES = {
    "hiddenLayer.W": (3, 2),
    "hiddenLayer.b": (2,),
    "logRegressionLayer.W": (2, 2),
    "logRegressionLayer.b": (2,),
}


def assert_small(model):
    assert (type(model), model.architecture) == (MLP, SMALL_SIZES)
    values = {name: parameter.get_value() for name, parameter in named_parameters(model).items()}
    assert {name: value.shape for name, value in values.items()} == SMALL_SHAPES
    assert all(np.isfinite(value).all() for value in values.values())


@pytest.mark.fuzz
@given(data=st.data())
def test_a_damaged_model_is_refused_or_valid(data, tmp_path):
    path = tmp_path / "small.safetensors"
    write_tensors(
        path,
        {name: float32(*shape) for name, shape in SMALL_SHAPES.items()},
        {"model": "MLP", "architecture": SMALL_SIZES},
    )
    path.write_bytes(data.draw(mutated(path.read_bytes())))
    model = read_or_refuse(read_model, path)
    if model is not None:
        assert_small(model)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(1, 3) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SMALL_SIZES, "nkerns"]), inner),
    max_leaves=4,
)


@pytest.mark.fuzz
@given(
    name=st.sampled_from(["MLP", "MLP", "LeNet5", "LogisticRegression"]) | JSON,
    changes=st.dictionaries(st.sampled_from([*SMALL_SIZES, "nkerns"]), JSON, max_size=2) | JSON,
    dropped=st.sets(st.sampled_from([*SMALL_SHAPES]), max_size=1),
    damage=st.sampled_from([1, 1, 1, np.nan, -np.inf]),
)
def test_a_model_of_any_content_is_refused_or_valid(name, changes, dropped, damage, tmp_path):
    path = tmp_path / "small.safetensors"
    tensors = {key: float32(*shape) for key, shape in SMALL_SHAPES.items() if key not in dropped}
    next(iter(tensors.values()))[0] *= np.float32(damage)
    architecture = {**SMALL_SIZES, **changes} if isinstance(changes, dict) else changes
    write_tensors(path, tensors, {"model": name, "architecture": architecture})
    model = read_or_refuse(read_model, path)
    if model is not None:
        assert_small(model)


RNNSLU_SHAPES = {"emb": (3, 2), "wx": (2, 4), "wh": (4, 4), "w": (4, 3), "bh": (4,), "b": (3,), "h0": (4,)}
RNNRBM_SHAPES = {
    **{"W": (5, 2), "bv": (5,), "bh": (2,), "Wuh": (3, 2), "Wuv": (3, 5), "Wvu": (5, 3)},
    **{"Wuu": (3, 3), "bu": (3,)},
}


@pytest.mark.parametrize(
    ("model", "shapes", "architecture"),
    [
        ("RNNSLU", RNNSLU_SHAPES, {"nh": 4, "nc": 3, "ne": 10**15, "de": 10**15, "cs": 1}),
        ("RnnRbm", RNNRBM_SHAPES, {"n_hidden": 10**15, "n_hidden_recurrent": 3, "r": [0, 5], "dt": 0.3}),
        ("SdA", {"sigmoid_layers.0.W": (4, 3)}, {"n_ins": 4, "hidden_layers_sizes": [10**15], "n_outs": 3}),
    ],
)
def test_nothing_is_allocated_for_a_size_that_is_made_up(model, shapes, architecture, tmp_path):
    path = tmp_path / "model.safetensors"
    write_tensors(
        path, {name: float32(*shape) for name, shape in shapes.items()}, {"model": model, "architecture": architecture}
    )
    with pytest.raises(ValueError, match=f"does not fit {model}"):
        load_model(path)
