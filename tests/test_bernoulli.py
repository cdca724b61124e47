"""Bernoulli draws in C++ beside those of NumPy: the same numbers, and the same state after them."""

import copy

import numpy as np
import pytest
import theano
import theano.tensor as T
from hypothesis import given
from hypothesis import strategies as st
from numpy_units import stream
from theano.tensor.shared_randomstreams import RandomStreams

from theano_tutorials.kernels import bernoulli
from theano_tutorials.kernels.bernoulli import Bernoulli, copy_of
from theano_tutorials.kernels.op import TAG

SEED = 3


def compiled(mode=None, seed=SEED):
    """Function of a matrix of probabilities, and its random state."""
    p = T.fmatrix("p")
    draws = RandomStreams(seed).binomial(size=p.shape, n=1, p=p, dtype="float32")
    function = theano.function([p], draws, mode=mode)
    (state,) = (entry.variable for entry in function.maker.inputs if entry.update is not None)
    return function, state


@pytest.fixture(scope="module")
def of_kernel():
    return compiled()


@pytest.fixture(scope="module")
def of_scalar():
    n, p = T.lscalar(), T.fscalar()
    return theano.function([n, p], RandomStreams(SEED).binomial(size=(n, 7), n=1, p=p, dtype="float32"))


def ops(function):
    return {type(node.op) for node in function.maker.fgraph.toposort()}


def test_it_takes_the_place_of_theanos():
    assert Bernoulli in ops(compiled()[0])
    assert Bernoulli not in ops(compiled(theano.compile.get_default_mode().excluding(TAG))[0])


PROBABILITY = st.one_of(st.sampled_from([0, 1, 0.5, 1e-30, 1 - 2**-24]), st.floats(0, 1, width=32))


@given(st.integers(0, 2**32 - 1), st.integers(0, 1300), st.lists(PROBABILITY, min_size=1, max_size=900))
def test_draws_and_state_are_those_of_numpy(of_kernel, seed, n_before, probabilities):
    function, state = of_kernel
    random_state = np.random.RandomState(seed)
    # Words of 32 bits: a draw needs two, and may begin anywhere.
    random_state.randint(0, 2**32, size=n_before, dtype="uint32")
    state.set_value(copy.deepcopy(random_state))
    p = np.array([probabilities], dtype="float32")
    np.testing.assert_array_equal(function(p), random_state.binomial(1, p))
    assert state.type.values_eq(state.get_value(), random_state)


@pytest.mark.parametrize("p", [0, 0.1, 0.5, 0.7, 1])
def test_one_probability_for_all(of_scalar, p):
    function = of_scalar
    found = function(500, p)
    assert found.shape == (500, 7)
    deviation = np.sqrt(p * (1 - p) / found.size)
    assert abs(found.mean() - p) <= 5 * deviation


def test_it_draws_what_the_stream_draws():
    function, _ = compiled()
    p = np.random.RandomState(1).uniform(size=(30, 40)).astype("float32")
    expected = stream(SEED, 0)
    for _ in range(3):
        np.testing.assert_array_equal(function(p), expected.binomial(1, p))


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.1, np.inf])
def test_what_is_no_probability_is_refused(of_kernel, bad):
    with pytest.raises(ValueError, match="p < 0, p > 1 or p is NaN"):
        of_kernel[0](np.array([[0.5, bad]], dtype="float32"))


def test_another_generator_is_drawn_from_as_well(of_kernel):
    function, state = of_kernel
    states = [np.random.RandomState(np.random.PCG64(5)) for _ in range(2)]
    state.set_value(states[0], borrow=True)
    p = np.random.RandomState(1).uniform(size=(30, 40)).astype("float32")
    for _ in range(2):
        np.testing.assert_array_equal(function(p), states[1].binomial(1, p))
    state.set_value(np.random.RandomState(0))


def test_in_scan_each_step_goes_on_where_the_one_before_ended():
    p = T.fmatrix()
    for mode in (None, theano.compile.get_default_mode().excluding(TAG)):
        streams = RandomStreams(SEED)

        def step(p, streams=streams):
            return streams.binomial(size=p.shape, n=1, p=p, dtype="float32")

        draws, updates = theano.scan(step, non_sequences=[p], n_steps=6)
        function = theano.function([p], draws, updates=updates, mode=mode)
        probabilities = np.random.RandomState(1).uniform(size=(8, 9)).astype("float32")
        expected = stream(SEED, 0)
        for _ in range(3):
            for step in function(probabilities):
                np.testing.assert_array_equal(step, expected.binomial(1, probabilities))


@pytest.mark.parametrize("is_known", [True, False])
def test_a_copy_is_no_others(monkeypatch, is_known):
    monkeypatch.setattr(bernoulli, "_TWISTER_IS_KNOWN", is_known and bernoulli._TWISTER_IS_KNOWN)
    kept = []
    for seed in range(20):
        source = np.random.RandomState(seed)
        source.random_sample(seed)
        expected = copy.deepcopy(source).random_sample(700)
        one = copy_of(source)
        again = copy_of(one)
        assert len({id(source), id(one), id(again)}) == 3
        for state in (one, again, source):
            np.testing.assert_array_equal(state.random_sample(700), expected)
        kept.append(again)
    assert len({id(state) for state in kept}) == 20


def test_what_is_left_of_a_pair_of_normals_is_copied():
    source = np.random.RandomState(1)
    source.standard_normal()
    np.testing.assert_array_equal(copy_of(source).standard_normal(3), source.standard_normal(3))


def test_the_layout_of_numpys_generator_is_known():
    assert bernoulli._TWISTER_IS_KNOWN
