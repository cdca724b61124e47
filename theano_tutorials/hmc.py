"""Hybrid Monte Carlo: samples of a density of which the gradient is known.

    H(x, v) = E(x) + |v|^2 / 2
    v(t + e/2) = v(t) - e/2 dE/dx(x(t))
    x(t + e)   = x(t) + e v(t + e/2)
    v(t + e)   = v(t + e/2) - e/2 dE/dx(x(t + e))
    P(accept)  = min(1, exp(H(x, v) - H(x', v')))

A step draws a velocity, follows the dynamics of H for a number of leapfrog steps of
size e, and accepts the position that it comes to, or stays where it is. The size e
is adapted so that a given fraction of the steps is accepted.

References
----------
Deep Learning Tutorials, "Hybrid Monte-Carlo Sampling".
S. Duane, A. D. Kennedy, B. J. Pendleton and D. Roweth, "Hybrid Monte Carlo", Physics
Letters B 195, 1987.
R. M. Neal, "MCMC using Hamiltonian dynamics", Handbook of Markov Chain Monte Carlo, 2011.
"""

import numpy as np
import theano
import theano.tensor as T
from theano.tensor.shared_randomstreams import RandomStreams

from theano_tutorials.checks import require_counts, require_fraction, require_positive
from theano_tutorials.reprs import described
from theano_tutorials.runs import open_run
from theano_tutorials.training import pretrain

_DRAWS_PER_LINE = 100


def kinetic_energy(vel):
    """Kinetic energy of velocities, for a mass of 1: floatX, (n_chains,).

    Parameters
    ----------
    vel : symbolic matrix, floatX, (n_chains, n_dimensions)
    """
    return 0.5 * (vel**2).sum(axis=1)


def hamiltonian(pos, vel, energy_fn):
    """Sum of potential and kinetic energy: floatX, (n_chains,).

    Parameters
    ----------
    pos, vel : symbolic matrices, floatX, (n_chains, n_dimensions)
    energy_fn : function
        From positions to the potential energy of each.
    """
    return energy_fn(pos) + kinetic_energy(vel)


def metropolis_hastings_accept(energy_prev, energy_next, s_rng):
    """Whether each proposal is accepted: a symbolic vector of bool, (n_chains,).

    Parameters
    ----------
    energy_prev, energy_next : symbolic vectors, floatX, (n_chains,)
        Energy before the step, and that of the proposal.
    s_rng : theano.tensor.shared_randomstreams.RandomStreams
    """
    return T.exp(energy_prev - energy_next) - s_rng.uniform(size=energy_prev.shape) >= 0


def simulate_dynamics(initial_pos, initial_vel, stepsize, n_steps, energy_fn):
    """Follow the dynamics of the Hamiltonian by leapfrog steps.

    Parameters
    ----------
    initial_pos, initial_vel : symbolic matrices, floatX, (n_chains, n_dimensions)
    stepsize : scalar symbolic variable, floatX
    n_steps : int
        Number of leapfrog steps.
    energy_fn : function
        From positions to the potential energy of each.

    Returns
    -------
    (symbolic matrix, symbolic matrix)
        Position and velocity at the end: floatX, (n_chains, n_dimensions).
    """

    def force(pos):
        return T.grad(energy_fn(pos).sum(), pos)

    def leapfrog(pos, vel, step):
        vel_half_step = vel - step * force(pos)
        return [pos + step * vel_half_step, vel_half_step]

    # Velocities are half a step ahead of the positions until the end.
    vel = initial_vel - 0.5 * stepsize * force(initial_pos)
    pos = initial_pos + stepsize * vel
    (all_pos, all_vel), _ = theano.scan(
        leapfrog,
        outputs_info=[{"initial": pos}, {"initial": vel}],
        non_sequences=[stepsize],
        n_steps=n_steps - 1,
        name="leapfrog",
    )
    final_pos = all_pos[-1]
    return final_pos, all_vel[-1] - 0.5 * stepsize * force(final_pos)


def hmc_move(s_rng, positions, energy_fn, stepsize, n_steps):
    """Propose a new position for each chain.

    Parameters
    ----------
    s_rng : theano.tensor.shared_randomstreams.RandomStreams
        Draws the velocities and then whether the proposals are accepted.
    positions : symbolic matrix, floatX, (n_chains, n_dimensions)
    energy_fn : function
        From positions to the potential energy of each.
    stepsize : scalar symbolic variable, floatX
    n_steps : int
        Number of leapfrog steps.

    Returns
    -------
    (symbolic vector of bool, symbolic matrix)
        Whether each proposal is accepted, (n_chains,), and the proposals, floatX,
        (n_chains, n_dimensions).
    """
    initial_vel = s_rng.normal(size=positions.shape)
    final_pos, final_vel = simulate_dynamics(positions, initial_vel, stepsize, n_steps, energy_fn)
    accept = metropolis_hastings_accept(
        hamiltonian(positions, initial_vel, energy_fn), hamiltonian(final_pos, final_vel, energy_fn), s_rng
    )
    return accept, final_pos


def hmc_updates(
    positions,
    stepsize,
    avg_acceptance_rate,
    final_pos,
    accept,
    target_acceptance_rate,
    stepsize_inc,
    stepsize_dec,
    stepsize_min,
    stepsize_max,
    avg_acceptance_slowness,
):
    """Updates of one step: of the positions, the step size and the average acceptance rate.

    Parameters
    ----------
    positions : shared variable, floatX, (n_chains, n_dimensions)
    stepsize, avg_acceptance_rate : scalar shared variables, floatX
    final_pos : symbolic matrix, floatX, (n_chains, n_dimensions)
        The proposals.
    accept : symbolic vector of bool, (n_chains,)
    target_acceptance_rate : float
    stepsize_inc, stepsize_dec : float
        Factors of the step size where the average rate is above the target, and where
        it is not.
    stepsize_min, stepsize_max : float
        Bounds of the step size.
    avg_acceptance_slowness : float
        Weight of the average so far in the next one.

    Returns
    -------
    list of (shared variable, symbolic expression)
    """
    is_accepted = accept.dimshuffle(0, *["x"] * (final_pos.ndim - 1))
    factor = T.switch(avg_acceptance_rate > target_acceptance_rate, stepsize_inc, stepsize_dec)
    dtype = theano.scalar.upcast(accept.dtype, avg_acceptance_rate.dtype)
    rate = avg_acceptance_slowness * avg_acceptance_rate + (1.0 - avg_acceptance_slowness) * accept.mean(dtype=dtype)
    return [
        (positions, T.switch(is_accepted, final_pos, positions)),
        (stepsize, T.clip(stepsize * factor, stepsize_min, stepsize_max)),
        (avg_acceptance_rate, rate),
    ]


class HMC_sampler:
    """Sampler of several chains; made by :meth:`new_from_shared_positions`.

    Attributes
    ----------
    positions : shared variable, floatX, (n_chains, n_dimensions)
        Where the chains are.
    stepsize, avg_acceptance_rate : scalar shared variables, floatX
    stepsize_min, stepsize_max, target_acceptance_rate : float
    s_rng : theano.tensor.shared_randomstreams.RandomStreams
    updates : list of (shared variable, symbolic expression)
        Those of one step.
    simulate : function
        Makes one step.
    params : list
        ``[positions, stepsize, avg_acceptance_rate]``.
    """

    def __init__(self, **attributes):
        vars(self).update(attributes)
        self.params = [self.positions, self.stepsize, self.avg_acceptance_rate]

    def __repr__(self):
        n_chains, n_dimensions = self.positions.get_value(borrow=True).shape
        return described(self, n_chains=n_chains, n_dimensions=n_dimensions)

    @classmethod
    def new_from_shared_positions(
        cls,
        shared_positions,
        energy_fn,
        initial_stepsize=0.01,
        target_acceptance_rate=0.9,
        n_steps=20,
        stepsize_dec=0.98,
        stepsize_min=0.001,
        stepsize_max=0.25,
        stepsize_inc=1.02,
        avg_acceptance_slowness=0.9,
        seed=12345,
    ):
        """Make a sampler.

        Parameters
        ----------
        shared_positions : shared variable, floatX, (n_chains, n_dimensions)
            Where the chains begin.
        energy_fn : function
            From positions to the potential energy of each, minus the logarithm of the
            density up to a constant: floatX, (n_chains,). Theano must know its gradient.
        initial_stepsize : float
        n_steps : int
            Number of leapfrog steps. At least 2.
        target_acceptance_rate, stepsize_dec, stepsize_min, stepsize_max, stepsize_inc
            See :func:`theano_tutorials.hmc.hmc_updates`.
        avg_acceptance_slowness : float
            See :func:`theano_tutorials.hmc.hmc_updates`. In [0, 1).
        seed : int
            Seed of the velocities and of the acceptance.

        Returns
        -------
        HMC_sampler

        Raises
        ------
        ValueError
            If a number is out of its range.

        Examples
        --------
        >>> start = theano.shared(np.zeros((3, 2), dtype=theano.config.floatX))
        >>> sampler = HMC_sampler.new_from_shared_positions(start, lambda x: 0.5 * (x**2).sum(axis=1))
        >>> sampler.draw().shape
        (3, 2)
        """
        require_positive(
            initial_stepsize=initial_stepsize,
            stepsize_dec=stepsize_dec,
            stepsize_min=stepsize_min,
            stepsize_max=stepsize_max,
            stepsize_inc=stepsize_inc,
        )
        require_fraction(target_acceptance_rate=target_acceptance_rate, avg_acceptance_slowness=avg_acceptance_slowness)
        require_counts(n_steps=n_steps)
        if n_steps < 2:
            raise ValueError(f"n_steps is {n_steps}: expected at least 2 leapfrog steps")
        stepsize, avg_acceptance_rate = (
            theano.shared(np.asarray(value, dtype=theano.config.floatX), name=name)
            for value, name in ((initial_stepsize, "stepsize"), (target_acceptance_rate, "avg_acceptance_rate"))
        )
        s_rng = RandomStreams(seed)
        accept, final_pos = hmc_move(s_rng, shared_positions, energy_fn, stepsize, int(n_steps))
        updates = hmc_updates(
            shared_positions,
            stepsize,
            avg_acceptance_rate,
            final_pos,
            accept,
            target_acceptance_rate,
            stepsize_inc,
            stepsize_dec,
            stepsize_min,
            stepsize_max,
            avg_acceptance_slowness,
        )
        return cls(
            positions=shared_positions,
            stepsize=stepsize,
            stepsize_min=stepsize_min,
            stepsize_max=stepsize_max,
            avg_acceptance_rate=avg_acceptance_rate,
            target_acceptance_rate=target_acceptance_rate,
            s_rng=s_rng,
            updates=updates,
            simulate=theano.function([], [], updates=updates),
        )

    def draw(self, **kwargs):
        """Make one step, and return the positions: numpy.ndarray, floatX, (n_chains, n_dimensions).

        Parameters
        ----------
        **kwargs
            Those of ``get_value`` of a shared variable.
        """
        self.simulate()
        return self.positions.get_value(**kwargs)


def sample_hmc(
    n_samples=1000,
    n_burnin=1000,
    n_dimensions=5,
    n_chains=3,
    initial_stepsize=0.001,
    stepsize_max=0.5,
    target_acceptance_rate=0.9,
    n_steps=20,
    seed=123,
    output_dir=None,
    resume=False,
    overwrite=False,
    tensorboard=False,
):
    """Sample a normal distribution by hybrid Monte Carlo.

    Parameters
    ----------
    n_samples : int
        Number of samples of each chain. A multiple of 100.
    n_burnin : int
        Number of steps before the first sample. A multiple of 100.
    n_dimensions : int
        Number of dimensions of the distribution. Its mean and covariance are drawn.
    n_chains : int
        Number of chains.
    initial_stepsize : float
        Size of a leapfrog step at the beginning.
    stepsize_max : float
        Largest size of a leapfrog step.
    target_acceptance_rate : float
        Fraction of accepted steps to which the step size is adapted.
    n_steps : int
        Number of leapfrog steps for a proposal.
    seed : int
        Seed of the distribution and of the places where the chains begin.
    output_dir, resume, overwrite, tensorboard
        See :func:`theano_tutorials.open_run`.

    Returns
    -------
    theano_tutorials.TrainingResult
        Its model is an :class:`theano_tutorials.HMC_sampler` with three more attributes: ``samples``, a
        shared variable, floatX, (n_samples, n_chains, n_dimensions), which is a
        parameter of the run; ``mean`` and ``covariance`` of the distribution.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """
    arguments = dict(locals())
    require_counts(n_samples=n_samples, n_burnin=n_burnin, n_dimensions=n_dimensions, n_chains=n_chains)
    for name in ("n_samples", "n_burnin"):
        if arguments[name] % _DRAWS_PER_LINE:
            raise ValueError(f"{name} is {arguments[name]}: expected a multiple of {_DRAWS_PER_LINE}")
    rng = np.random.RandomState(seed)
    mean, covariance = _normal_distribution(rng, n_dimensions)
    run = open_run(output_dir, "hmc", arguments, [mean, covariance], resume, overwrite, tensorboard)

    precision = np.linalg.inv(covariance)
    positions = theano.shared(rng.randn(n_chains, n_dimensions).astype(theano.config.floatX), name="positions")
    sampler = HMC_sampler.new_from_shared_positions(
        positions,
        lambda x: 0.5 * (T.dot(x - mean, precision) * (x - mean)).sum(axis=1),
        initial_stepsize,
        target_acceptance_rate,
        n_steps,
        stepsize_max=stepsize_max,
    )
    sampler.mean, sampler.covariance = mean, covariance
    shape = n_samples, n_chains, n_dimensions
    sampler.samples = theano.shared(np.zeros(shape, dtype=theano.config.floatX), name="samples", borrow=True)
    sampler.params.append(sampler.samples)

    index = T.lscalar("index")
    n_drawn = theano.shared(np.asarray(0), name="n_drawn")
    new_positions, _, rate = (value for _, value in sampler.updates)
    burn_in = theano.function([index], rate, updates=sampler.updates, on_unused_input="ignore")
    kept = [(sampler.samples, T.set_subtensor(sampler.samples[n_drawn], new_positions)), (n_drawn, n_drawn + 1)]
    sample = theano.function([index], rate, updates=sampler.updates + kept, on_unused_input="ignore")

    with run:
        for phase, function, n_draws in (("burn-in", burn_in, n_burnin), ("sampling", sample, n_samples)):
            n_lines = n_draws // _DRAWS_PER_LINE
            result = pretrain(function, sampler, _DRAWS_PER_LINE, n_lines, run, phase, "acceptance rate")
    _draw(run, sampler)
    return result


def _normal_distribution(rng, n_dimensions):
    # As the tutorial draws it, which may be no covariance: then it is refused.
    mean = np.array(10 * rng.rand(n_dimensions), dtype=theano.config.floatX)
    covariance = np.array(rng.rand(n_dimensions, n_dimensions), dtype=theano.config.floatX)
    covariance = (covariance + covariance.T) / 2
    np.fill_diagonal(covariance, 1)
    if np.linalg.eigvalsh(covariance).min() <= 0:
        raise ValueError(
            f"the covariance that is drawn for n_dimensions {n_dimensions} and this seed is not positive definite: "
            "choose another seed, or fewer dimensions"
        )
    return mean, covariance


def _draw(run, sampler):
    if run.folder is None or len(sampler.mean) < 2:
        return
    from theano_tutorials.runs import plots  # here, since matplotlib would delay every start

    samples = sampler.samples.get_value().reshape(-1, len(sampler.mean))
    run.draw({"samples.png": lambda: plots.samples_on_density(samples, sampler.mean, sampler.covariance)})
