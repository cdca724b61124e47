"""Hybrid Monte Carlo: its dynamics, its acceptance, and the moments of what it samples."""

import numpy as np
import pytest
import theano
import theano.tensor as T
from numpy_units import stream
from scipy import stats

from theano_tutorials import HMC_sampler, sample_hmc
from theano_tutorials.hmc import hamiltonian, metropolis_hastings_accept, simulate_dynamics

FLOAT = theano.config.floatX


def quartic(x):
    """A density with two hills, of which no dynamics is known in closed form."""
    return ((x**2 - 1) ** 2).sum(axis=1)


def force(x):
    return 4 * x * (x**2 - 1)


@pytest.fixture(scope="module")
def dynamics():
    """Function of position, velocity and step size: position, velocity and energies after 7 steps."""
    x, v, step = T.matrix(), T.matrix(), T.scalar()
    pos, vel = simulate_dynamics(x, v, step, 7, quartic)
    return theano.function([x, v, step], [pos, vel, hamiltonian(x, v, quartic), hamiltonian(pos, vel, quartic)])


@pytest.fixture(scope="module")
def phase():
    rng = np.random.RandomState(0)
    return rng.randn(50, 3).astype(FLOAT), rng.randn(50, 3).astype(FLOAT)


def test_the_dynamics_are_those_of_a_loop_in_numpy(dynamics, phase):
    x, v = (array.astype("float64") for array in phase)
    for _ in range(7):
        v = v - 0.025 * force(x)
        x = x + 0.05 * v
        v = v - 0.025 * force(x)
    pos, vel, *_ = dynamics(*phase, 0.05)
    np.testing.assert_allclose(pos, x, atol=2e-5)
    np.testing.assert_allclose(vel, v, atol=2e-5)


def test_the_dynamics_go_back(dynamics, phase):
    pos, vel, *_ = dynamics(*phase, 0.05)
    back, minus_vel, *_ = dynamics(pos, -vel, 0.05)
    np.testing.assert_allclose(back, phase[0], atol=5e-5)
    np.testing.assert_allclose(-minus_vel, phase[1], atol=5e-5)


def test_the_dynamics_keep_the_volume():
    x, v = T.dmatrix(), T.dmatrix()
    function = theano.function([x, v], simulate_dynamics(x, v, T.constant(0.1, dtype="float64"), 7, quartic))
    point, step = np.array([[0.3, -0.8]]), 1e-5
    columns = []
    for move in (np.array([[step, 0]]), np.array([[0, step]])):
        there, back = (np.concatenate(function(p[:, :1], p[:, 1:]))[:, 0] for p in (point + move, point - move))
        columns.append((there - back) / (2 * step))
    assert np.linalg.det(columns) == pytest.approx(1, abs=1e-8)


def test_the_error_of_the_energy_falls_with_the_square_of_the_step(dynamics, phase):
    errors = []
    for step in (0.08, 0.04):
        _, _, before, after = dynamics(*phase, step)
        errors.append(np.max(np.abs(after - before)))
    assert errors[0] / errors[1] > 3


def test_a_proposal_is_accepted_with_the_probability_of_metropolis():
    difference = np.repeat([-2, -0.5, 0, 0.1, 1, 3], 20000).astype(FLOAT)
    before, after = T.vector(), T.vector()
    accept = metropolis_hastings_accept(before, after, T.shared_randomstreams.RandomStreams(1))
    accepted = theano.function([before, after], accept)(np.zeros_like(difference), difference).reshape(6, -1)
    expected = np.minimum(1, np.exp(-difference[::20000]))
    deviation = np.sqrt(expected * (1 - expected) / 20000)
    assert np.all(np.abs(accepted.mean(axis=1) - expected) <= 4 * deviation)


def test_steps_are_those_of_numpy_with_the_same_streams():
    start = np.random.RandomState(2).randn(4, 2).astype(FLOAT)
    sampler = HMC_sampler.new_from_shared_positions(theano.shared(start), quartic, initial_stepsize=0.2, n_steps=5)
    normals, uniforms = stream(12345, 0), stream(12345, 1)
    x, step, rate = start.astype("float64"), 0.2, 0.9
    for _ in range(30):
        v = normals.normal(size=(4, 2))
        new_x, new_v = x, v
        for _ in range(5):
            new_v = new_v - step / 2 * force(new_x)
            new_x = new_x + step * new_v
            new_v = new_v - step / 2 * force(new_x)
        energy, new_energy = (quartic(p) + (w**2).sum(axis=1) / 2 for p, w in ((x, v), (new_x, new_v)))
        accepted = np.exp(energy - new_energy) >= uniforms.uniform(size=4)
        # The rate before the step decides, and the positions are those of the next draw.
        step = np.clip(step * (1.02 if rate > 0.9 else 0.98), 0.001, 0.25)
        x = np.where(accepted[:, None], new_x, x)
        rate = 0.9 * rate + 0.1 * accepted.mean()
        np.testing.assert_allclose(sampler.draw(), x, atol=2e-3)
        assert sampler.stepsize.get_value() == pytest.approx(step, rel=1e-4)
        x = sampler.positions.get_value().astype("float64")  # the errors would grow
        rate = float(sampler.avg_acceptance_rate.get_value())


def test_it_samples_a_density_with_two_hills():
    sampler = HMC_sampler.new_from_shared_positions(
        theano.shared(np.zeros((2000, 1), dtype=FLOAT)), quartic, initial_stepsize=0.1, stepsize_max=0.5, n_steps=10
    )
    for _ in range(100):
        sampled = sampler.draw()
    edges = np.linspace(-3, 3, 100001)
    density = np.exp(-((edges**2 - 1) ** 2))
    cumulative = np.cumsum(density) / np.sum(density)
    result = stats.kstest(sampled[:, 0], lambda x: np.interp(x, edges, cumulative))
    assert result.pvalue > 1e-4


def test_mean_and_covariance_of_a_normal_distribution():
    model = sample_hmc(n_samples=2000, n_chains=20).model
    samples = model.samples.get_value().reshape(-1, 5).astype("float64")
    # The chains mix within some steps: of 40,000 samples some thousand count.
    np.testing.assert_allclose(samples.mean(axis=0), model.mean, atol=5 / np.sqrt(5000))
    np.testing.assert_allclose(np.cov(samples.T), model.covariance, atol=5 * np.sqrt(2) / np.sqrt(5000))
    assert abs(model.avg_acceptance_rate.get_value() - 0.9) < 0.1
    assert 0.001 <= model.stepsize.get_value() <= 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_samples": 150}, "n_samples is 150: expected a multiple of 100"),
        ({"n_steps": 1}, "n_steps is 1: expected at least 2 leapfrog steps"),
        ({"n_dimensions": 40}, "n_dimensions 40 and this seed is not positive definite"),
        ({"target_acceptance_rate": 1.5}, "target_acceptance_rate is 1.5: expected"),
        ({"n_chains": 0}, "n_chains is 0: expected an integer of at least 1"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        sample_hmc(**arguments)
