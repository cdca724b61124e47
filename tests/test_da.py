"""The denoising autoencoder beside a loop in NumPy, and the statistics of its corruption."""

import numpy as np
import pytest
import theano
import theano.tensor as T
from numpy_units import cross_entropy, sigmoid, slopes, stream, values
from theano.tensor.shared_randomstreams import RandomStreams

from theano_tutorials import cA, dA, evaluate, load_data, minibatch_function

SEED = 7


@pytest.fixture(scope="module")
def images():
    return load_data("mnist")[0][0].get_value(borrow=True)[:400]


def autoencoder(n_visible=784, n_hidden=30):
    return dA(np.random.RandomState(123), RandomStreams(SEED), T.matrix("x"), n_visible, n_hidden)


@pytest.mark.parametrize("level", [0, 0.3])
def test_it_is_trained_as_by_a_loop_in_numpy(level, images):
    model = autoencoder()
    W, b, b_prime = values(model.params)
    cost, updates = model.get_cost_updates(corruption_level=level, learning_rate=0.1)
    step = minibatch_function([model.x], cost, [theano.shared(images)], 20, updates)
    noise = stream(SEED, 0)
    for i in range(20):
        x = images[20 * i : 20 * (i + 1)].astype("float64")
        corrupted = noise.binomial(1, float(np.float32(1 - level)), x.shape) * x
        y = sigmoid(corrupted @ W + b)
        z = sigmoid(y @ W.T + b_prime)
        assert step(i) == pytest.approx(cross_entropy(x, z), rel=1e-5)
        of_z = (z - x) / len(x)
        of_y = of_z @ W * y * (1 - y)
        W, b, b_prime = (
            W - 0.1 * (of_z.T @ y + corrupted.T @ of_y),
            b - 0.1 * of_y.sum(axis=0),
            b_prime - 0.1 * of_z.sum(axis=0),
        )
    for param, expected in zip(model.params, (W, b, b_prime)):
        np.testing.assert_allclose(param.get_value(), expected, atol=1e-5)


@pytest.mark.parametrize("level", [0, 0.1, 0.5])
def test_so_many_values_are_erased_and_the_others_stay(level):
    x = T.matrix()
    data = np.random.RandomState(1).uniform(0.5, 1, (300, 1000)).astype(theano.config.floatX)
    function = theano.function([x], autoencoder(1000).get_corrupted_input(x, level))
    first, second = (function(data) for _ in range(2))
    for corrupted in (first, second):
        kept = corrupted != 0
        np.testing.assert_array_equal(corrupted[kept], data[kept])
        deviation = np.sqrt(level * (1 - level) / data.size)
        assert abs(np.mean(~kept) - level) <= 4 * deviation
        # No column and no row has more of them than the others.
        for axis, n in ((0, 300), (1, 1000)):
            spread = np.std(np.mean(~kept, axis=axis))
            assert spread == pytest.approx(np.sqrt(level * (1 - level) / n), rel=0.2)
    if level:
        together = np.mean((first == 0) & (second == 0))
        assert abs(together - level**2) <= 4 * np.sqrt(level**2 * (1 - level**2) / data.size)


def test_weights_that_are_given_are_used(images):
    model = autoencoder()
    other = dA(None, RandomStreams(0), T.matrix(), 784, 30, *model.params)
    assert other.params == model.params
    code, again = (evaluate(m.get_hidden_values(m.x), {m.x: images}) for m in (model, other))
    np.testing.assert_array_equal(code, again)


def test_without_streams_their_seed_is_drawn_before_the_weights():
    rng = np.random.RandomState(5)
    model = dA(np.random.RandomState(5), n_visible=6, n_hidden=4)
    assert model.x.type == T.matrix().type
    stream_of_model = model.theano_rng.gen_seedgen.get_state()[1]
    np.testing.assert_array_equal(stream_of_model, np.random.RandomState(rng.randint(2**30)).get_state()[1])
    bound = 4 * np.sqrt(6 / 10)
    np.testing.assert_array_equal(model.W.get_value(), rng.uniform(-bound, bound, (6, 4)).astype(theano.config.floatX))


@pytest.mark.parametrize("level", [-0.1, 1, float("nan"), "0.3"])
def test_a_corruption_level_out_of_its_range_is_refused(level):
    with pytest.raises(ValueError, match=r"corruption_level is .*: expected a number of at least 0 and below 1"):
        autoencoder(5, 3).get_cost_updates(level, 0.1)


# The contractive autoencoder


def contractive(n_visible=6, n_hidden=4, n_batchsize=3, scale=1):
    model = cA(np.random.RandomState(3), T.matrix("x"), n_visible, n_hidden, n_batchsize)
    rng = np.random.RandomState(4)
    model.b.set_value(rng.randn(n_hidden).astype(theano.config.floatX))
    model.b_prime.set_value(rng.randn(n_visible).astype(theano.config.floatX))
    return model


def jacobians_by_differences(W, b, x, step=1e-6):
    columns = []
    for i in range(x.shape[1]):
        move = step * np.eye(x.shape[1])[i]
        columns.append((sigmoid((x + move) @ W + b) - sigmoid((x - move) @ W + b)) / (2 * step))
    return np.stack(columns, axis=1)


def test_the_jacobian_is_that_of_finite_differences():
    model = contractive()
    x = np.random.RandomState(5).uniform(size=(3, 6)).astype(theano.config.floatX)
    model.get_cost_updates(0.1, 0.01)
    jacobian = model.get_jacobian(model.get_hidden_values(model.x), model.W)
    found, norm = evaluate([jacobian, model.L_jacob], {model.x: x})
    expected = jacobians_by_differences(*values(model.params[:2]), x.astype("float64"))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert norm == pytest.approx(np.sum(expected**2) / 3, rel=1e-5)


@pytest.mark.parametrize("level", [0, 0.1, 2])
def test_an_update_of_it_follows_the_slope_of_its_cost(level):
    model = contractive()
    x = np.random.RandomState(5).uniform(size=(3, 6)).astype(theano.config.floatX)
    before = values(model.params)

    def cost(W, b, b_prime):
        z = sigmoid(sigmoid(x @ W + b) @ W.T + b_prime)
        return cross_entropy(x.astype("float64"), z) + level * np.sum(jacobians_by_differences(W, b, x) ** 2) / 3

    symbolic, updates = model.get_cost_updates(level, 0.01)
    assert theano.function([model.x], symbolic, updates=updates)(x) == pytest.approx(cost(*before), rel=1e-5)
    for param, old, slope in zip(model.params, before, slopes(lambda params: cost(*params), before)):
        np.testing.assert_allclose(param.get_value(), old - 0.01 * slope, atol=2e-6)


@pytest.mark.slow
def test_it_begins_with_the_figures_that_were_published():
    # The original prints the mean of the two values of the first minibatch, and of the roots of those of the second.
    images = load_data("mnist")[0][0]
    model = cA(np.random.RandomState(123), T.matrix(), 784, 500, 10)
    _, updates = model.get_cost_updates(0.1, 0.01)
    step = minibatch_function([model.x], [T.mean(model.L_rec), model.L_jacob], [images], 10, updates)
    for published in ((589.571872577, 20.9938791886), (115.13390224, 10.673699659)):
        first, second, *_ = [step(i) for i in range(5000)]
        assert (np.mean(first), np.mean(np.sqrt(second))) == pytest.approx(published, rel=1e-6)
