"""The restricted Boltzmann machine beside sums over all of its states."""

import numpy as np
import pytest
import theano
import theano.tensor as T
from numpy_units import cross_entropy, sigmoid, states, stream, values
from theano.tensor.shared_randomstreams import RandomStreams

from theano_tutorials import RBM, evaluate

N_VISIBLE, N_HIDDEN = 4, 3
SEED = 11


def machine(n_visible=N_VISIBLE, n_hidden=N_HIDDEN):
    rng = np.random.RandomState(2)
    model = RBM(T.matrix("x"), n_visible, n_hidden, theano_rng=RandomStreams(SEED))
    for param in model.params:
        param.set_value(rng.randn(*param.get_value().shape).astype(theano.config.floatX))
    return model


def energies(model, v, h):
    """Of each visible state with each hidden one: (n_visible_states, n_hidden_states)."""
    W, hbias, vbias = values(model.params)
    return -(v @ vbias)[:, None] - h @ hbias - v @ W @ h.T


def probabilities(model):
    """Of all visible states."""
    weights = np.exp(-energies(model, states(N_VISIBLE), states(N_HIDDEN))).sum(axis=1)
    return weights / weights.sum()


def test_the_free_energy_is_the_sum_over_all_hidden_states():
    model = machine()
    v = states(N_VISIBLE)
    expected = -np.log(np.exp(-energies(model, v, states(N_HIDDEN))).sum(axis=1))
    found = evaluate(model.free_energy(model.input), {model.input: v})
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_the_pseudo_likelihood_is_that_of_one_bit_after_the_other():
    model = machine()
    updates = {}
    cost = model.get_pseudo_likelihood_cost(updates)
    step = theano.function([model.input], cost, updates=updates)
    p = probabilities(model)
    v = np.array([[0, 1, 1, 0], [1, 1, 0, 1]], dtype=float)
    for bit in [*range(N_VISIBLE), 0]:
        flipped = v.copy()
        flipped[:, bit] = 1 - flipped[:, bit]
        of_v, of_flipped = (p[(rows @ [8, 4, 2, 1]).astype(int)] for rows in (v, flipped))
        expected = N_VISIBLE * np.mean(np.log(of_v / (of_v + of_flipped)))
        # What is not binary is rounded; a half to the even number.
        grey = np.where(v == 1, 0.51, 0.5)
        assert step(grey.astype(theano.config.floatX)) == pytest.approx(expected, rel=1e-4)


def test_activations_are_the_conditional_probabilities():
    model = machine()
    h, v = T.matrix(), T.matrix()
    up, down = (theano.function([x], f(x)) for x, f in ((v, model.propup), (h, model.propdown)))
    W, hbias, vbias = values(model.params)
    visible, hidden = (states(n).astype(theano.config.floatX) for n in (N_VISIBLE, N_HIDDEN))
    for (before, after), expected in (
        (up(visible), visible @ W + hbias),
        (down(hidden), hidden @ W.T + vbias),
    ):
        np.testing.assert_allclose(before, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(after, sigmoid(expected), rtol=1e-5)


@pytest.mark.parametrize("method", ["gibbs_hvh", "gibbs_vhv"])
def test_gibbs_sampling_comes_to_the_distribution_of_the_model(method):
    model = machine()
    n = 40000
    n_units = N_HIDDEN if method == "gibbs_hvh" else N_VISIBLE
    chains = theano.shared(np.zeros((n, n_units), dtype=theano.config.floatX))
    outputs, updates = theano.scan(getattr(model, method), outputs_info=[None] * 5 + [chains], n_steps=100)
    visible = outputs[2 if method == "gibbs_hvh" else 5][-1]
    sampled = theano.function([], visible, updates=updates)()
    counts = np.bincount((sampled @ [8, 4, 2, 1]).astype(int), minlength=2**N_VISIBLE)
    expected = n * probabilities(model)
    # 15 degrees of freedom: above 50 with a probability of 1e-5.
    assert np.sum((counts - expected) ** 2 / expected) < 50


@pytest.mark.parametrize("is_persistent", [False, True])
def test_the_update_is_the_exact_gradient_of_the_likelihood(is_persistent):
    model = machine()
    before = values(model.params)
    n, lr = 40000, 0.5
    data = states(N_VISIBLE)[np.random.RandomState(3).choice(2**N_VISIBLE, n)].astype(theano.config.floatX)
    chain = theano.shared(np.zeros((n, N_HIDDEN), dtype=theano.config.floatX)) if is_persistent else None
    cost, updates = model.get_cost_updates(lr, chain, k=100)
    theano.function([model.input], cost, updates=updates)(data)

    v, p = states(N_VISIBLE), probabilities_before(before)
    W, hbias, _ = before

    def expectations(rows, weights):
        h = sigmoid(rows @ W + hbias)
        weighted = rows * weights[:, None]
        return weighted.T @ h, weights @ h, weights @ rows

    of_data = expectations(data.astype("float64"), np.full(n, 1 / n))
    of_model = expectations(v, p)
    for param, old, positive, negative in zip(model.params, before, of_data, of_model):
        # Each is a mean over n chains of numbers in [0, 1].
        np.testing.assert_allclose((param.get_value() - old) / lr, positive - negative, atol=5 * 0.5 / np.sqrt(n))


def probabilities_before(params):
    W, hbias, vbias = params
    v, h = states(N_VISIBLE), states(N_HIDDEN)
    weights = np.exp((v @ vbias)[:, None] + h @ hbias + v @ W @ h.T).sum(axis=1)
    return weights / weights.sum()


@pytest.mark.parametrize("is_persistent", [False, True])
def test_it_is_trained_as_by_a_loop_in_numpy(is_persistent):
    """With the streams in the order in which they are made: of the data, then of a step of the chain."""
    model = machine()
    W, hbias, vbias = values(model.params)
    data = np.random.RandomState(1).uniform(size=(5, 10, N_VISIBLE)).astype(theano.config.floatX)
    start = np.zeros((10, N_HIDDEN), dtype=theano.config.floatX)
    chain = theano.shared(start) if is_persistent else None
    lr, k = 0.1, 3
    cost, updates = model.get_cost_updates(lr, chain, k)
    step = theano.function([model.input], cost, updates=updates)
    of_data, of_visible, of_hidden = (stream(SEED, number) for number in range(3))
    h = start.astype("float64")
    for x in data.astype("float64"):
        positive = sigmoid(x @ W + hbias)
        first = of_data.binomial(1, positive.astype("float32"))
        h = h if is_persistent else first
        for _ in range(k):
            activation = h @ W.T + vbias
            v = of_visible.binomial(1, sigmoid(activation).astype("float32"))
            h = of_hidden.binomial(1, sigmoid(v @ W + hbias).astype("float32"))
        monitored = step(x.astype(theano.config.floatX))
        if not is_persistent:
            assert monitored == pytest.approx(-cross_entropy(x, sigmoid(activation)), rel=1e-5)
        negative = sigmoid(v @ W + hbias)
        W, hbias, vbias = (
            W + lr * (x.T @ positive - v.T @ negative) / 10,
            hbias + lr * (positive - negative).mean(axis=0),
            vbias + lr * (x - v).mean(axis=0),
        )
        if is_persistent:
            np.testing.assert_array_equal(chain.get_value(), h)
    for param, expected in zip(model.params, (W, hbias, vbias)):
        np.testing.assert_allclose(param.get_value(), expected, atol=1e-5)


def test_without_streams_their_seed_is_drawn_before_the_weights():
    rng = np.random.RandomState(1234)
    model = RBM(n_visible=6, n_hidden=4)
    seed = rng.randint(2**30)
    np.testing.assert_array_equal(
        model.theano_rng.gen_seedgen.get_state()[1], np.random.RandomState(seed).get_state()[1]
    )
    bound = 4 * np.sqrt(6 / 10)
    np.testing.assert_array_equal(model.W.get_value(), rng.uniform(-bound, bound, (6, 4)).astype(theano.config.floatX))


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="k is 0: expected an integer of at least 1"):
        machine().get_cost_updates(0.1, k=0)
    with pytest.raises(ValueError, match=r"hbias has shape \(4,\): expected \(3,\)"):
        RBM(T.matrix(), 4, 3, hbias=theano.shared(np.zeros(4, dtype=theano.config.floatX)))
