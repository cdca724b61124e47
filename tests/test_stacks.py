"""Stacked networks: what pretraining changes, and fine-tuning beside NumPy."""

import numpy as np
import pytest
import theano
import theano.tensor as T
from numpy_units import cross_entropy, sigmoid, stream, values

from theano_tutorials import DBN, SdA, load_data, shared_dataset, train_dbn, train_sda
from theano_tutorials.runs.parameters import named_parameters

SIZES = {"n_ins": 12, "hidden_layers_sizes": [8, 5], "n_outs": 3}
SEED = 9
SMALL = {"hidden_layers_sizes": (4, 4, 4)}


def points(n):
    rng = np.random.RandomState(n)
    return rng.uniform(size=(n, 12)).astype(theano.config.floatX), rng.randint(3, size=n)


@pytest.fixture
def datasets():
    return [shared_dataset(points(n)) for n in (60, 40, 30)]


def network(kind):
    return kind(np.random.RandomState(1), T.shared_randomstreams.RandomStreams(SEED), **SIZES)


def pretraining_functions(model, data):
    arguments = {"k": 1} if isinstance(model, DBN) else {}
    return model.pretraining_functions(data, 10, **arguments)


@pytest.mark.parametrize("kind", [SdA, DBN])
def test_its_parameters_are_those_of_the_layers_from_the_input_upwards(kind):
    model = network(kind)
    names = [f"sigmoid_layers.{i}.{name}" for i in range(2) for name in "Wb"]
    assert list(named_parameters(model)) == [*names, "logLayer.W", "logLayer.b"]
    rng = np.random.RandomState(1)
    for layer, (n_in, n_out) in zip(model.sigmoid_layers, ((12, 8), (8, 5))):
        bound = 4 * np.sqrt(6 / (n_in + n_out))
        drawn = rng.uniform(-bound, bound, (n_in, n_out)).astype(theano.config.floatX)
        np.testing.assert_array_equal(layer.W.get_value(), drawn)


@pytest.mark.parametrize("kind", [SdA, DBN])
def test_pretraining_changes_its_layer_alone(kind, datasets):
    model = network(kind)
    functions = pretraining_functions(model, datasets[0][0])
    for i, function in enumerate(functions):
        before = {name: param.get_value() for name, param in named_parameters(model).items()}
        function(0)
        after = {name: param.get_value() for name, param in named_parameters(model).items()}
        changed = {name for name, value in after.items() if not np.array_equal(value, before[name])}
        assert changed == {f"sigmoid_layers.{i}.W", f"sigmoid_layers.{i}.b"}


def test_the_second_layer_learns_to_rebuild_the_first(datasets):
    model = network(SdA)
    function = pretraining_functions(model, datasets[0][0])[1]
    W0, b0, W, b = values(model.params[:4])
    b_prime = np.zeros(8)
    noise = stream(SEED, 1)  # that of the first layer was made before
    for i in range(6):
        below = sigmoid(datasets[0][0].get_value()[10 * i : 10 * (i + 1)] @ W0 + b0)
        corrupted = noise.binomial(1, float(1 - np.float32(0.4)), below.shape) * below
        y = sigmoid(corrupted @ W + b)
        z = sigmoid(y @ W.T + b_prime)
        assert function(i, corruption=0.4, lr=0.05) == pytest.approx(cross_entropy(below, z), rel=1e-5)
        of_z = (z - below) / 10
        of_y = of_z @ W * y * (1 - y)
        W, b, b_prime = (
            W - 0.05 * (of_z.T @ y + corrupted.T @ of_y),
            b - 0.05 * of_y.sum(axis=0),
            b_prime - 0.05 * of_z.sum(axis=0),
        )
    np.testing.assert_allclose(model.dA_layers[1].b_prime.get_value(), b_prime, atol=1e-5)
    np.testing.assert_allclose(model.sigmoid_layers[1].W.get_value(), W, atol=1e-5)


def test_the_second_layer_learns_the_distribution_of_the_first(datasets):
    model = network(DBN)
    function = pretraining_functions(model, datasets[0][0])[1]
    W0, b0, W, b = values(model.params[:4])
    vbias = np.zeros(8)
    of_data, of_visible = (stream(SEED, number) for number in (3, 4))  # the first layer made three
    x = sigmoid(datasets[0][0].get_value()[:10] @ W0 + b0)
    positive = sigmoid(x @ W + b)
    activation = of_data.binomial(1, positive.astype("float32")) @ W.T + vbias
    v = of_visible.binomial(1, sigmoid(activation).astype("float32"))
    assert function(0, lr=0.05) == pytest.approx(-cross_entropy(x, sigmoid(activation)), rel=1e-5)
    expected = W + 0.05 * (x.T @ positive - v.T @ sigmoid(v @ W + b)) / 10
    np.testing.assert_allclose(model.sigmoid_layers[1].W.get_value(), expected, atol=1e-5)
    np.testing.assert_allclose(model.rbm_layers[1].vbias.get_value(), 0.05 * (x - v).mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("kind", [SdA, DBN])
def test_fine_tuning_is_that_of_numpy(kind, datasets):
    model = network(kind)
    train, validate, test = model.build_finetune_functions(datasets, 10, 0.1)
    W0, b0, W1, b1, W2, b2 = values(model.params)
    x, y = points(60)
    for i in range(3):
        rows = slice(10 * i, 10 * (i + 1))
        h0 = sigmoid(x[rows] @ W0 + b0)
        h1 = sigmoid(h0 @ W1 + b1)
        scores = h1 @ W2 + b2
        p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        assert train(i) == pytest.approx(-np.mean(np.log(p[np.arange(10), y[rows]])), rel=1e-5)
        of_scores = (p - np.eye(3)[y[rows]]) / 10
        of_1 = of_scores @ W2.T * h1 * (1 - h1)
        of_0 = of_1 @ W1.T * h0 * (1 - h0)
        W2, b2 = W2 - 0.1 * h1.T @ of_scores, b2 - 0.1 * of_scores.sum(axis=0)
        W1, b1 = W1 - 0.1 * h0.T @ of_1, b1 - 0.1 * of_1.sum(axis=0)
        W0, b0 = W0 - 0.1 * x[rows].T @ of_0, b0 - 0.1 * of_0.sum(axis=0)
    for param, expected in zip(model.params, (W0, b0, W1, b1, W2, b2)):
        np.testing.assert_allclose(param.get_value(), expected, atol=1e-5)
    for errors, n in ((validate, 40), (test, 30)):
        x, y = points(n)
        predicted = (sigmoid(sigmoid(x @ W0 + b0) @ W1 + b1) @ W2 + b2).argmax(axis=1)
        np.testing.assert_allclose(errors(), (predicted != y).reshape(-1, 10).mean(axis=1))


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (train_sda, {"corruption_levels": (0.1,)}, r"corruption_levels is \(0.1,\): expected 3 numbers"),
        (train_sda, {"corruption_levels": (0.1, 1, 0.2)}, r"corruption_levels\[1\] is 1: expected"),
        (train_sda, {"pretraining_epochs": 0}, "pretraining_epochs is 0: expected an integer of at least 1"),
        (train_dbn, {"hidden_layers_sizes": ()}, "hidden_layers_sizes is empty: expected at least one layer"),
        (train_dbn, {"hidden_layers_sizes": (5, 0)}, r"hidden_layers_sizes\[1\] is 0: expected"),
        (train_dbn, {"epochs_of_patience": 0}, "epochs_of_patience is 0: expected"),
        (
            train_dbn,
            {"batch_size": 20000, **SMALL},
            "batch_size is 20000: expected at most 10000",
        ),
        (train_dbn, {"finetune_lr": 0, **SMALL}, "learning_rate is 0: expected a positive"),
        (train_sda, {"pretrain_lr": -1}, "pretrain_lr is -1: expected a positive"),
        (train_sda, {"improvement_threshold": 2, **SMALL}, "improvement_threshold is 2: expected"),
        (train_dbn, {"n_epochs": 0}, "n_epochs is 0: expected"),
        (train_dbn, {"batch_size": 60001}, "batch_size is 60001: expected at most 50000, the number of training"),
    ],
)
def test_bad_arguments_are_refused(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(dataset=load_data("mnist"), **arguments)
