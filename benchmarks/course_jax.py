"""The rest of the course in JAX, one jitted step a call and all updates in lax.scan."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.course_problem import (
    CONTRACTION_LEVEL,
    CORRUPTION_LEVEL,
    LEARNING_RATE,
    MODELS,
    N_GIBBS_STEPS,
    SEED,
    initial_values,
    quality,
)
from benchmarks.jax_side import epochs
from benchmarks.problem import N_PIXELS, Trainer

# Ways to draw random numbers.
_RANDOM = {"da": ["threefry2x32", "unsafe_rbg"], "rbm": ["threefry2x32", "unsafe_rbg"]}
KINDS = {kind: {model: _RANDOM.get(model, [""]) for model in MODELS} for kind in ("jax step", "jax scan")}


def _reconstruction_cost(x, hidden, params):
    scores = hidden @ params[0].T + params[2]
    return jnp.sum(jax.nn.softplus(scores) - x * scores) / len(x)


def _da_cost(params, x, y, key):
    kept = jax.random.bernoulli(key, 1 - CORRUPTION_LEVEL, x.shape)
    return _reconstruction_cost(x, jax.nn.sigmoid(x * kept @ params[0] + params[1]), params)


def _ca_cost(params, x, y, key):
    hidden = jax.nn.sigmoid(x @ params[0] + params[1])
    contraction = jnp.sum((hidden * (1 - hidden)) ** 2, 0) @ jnp.sum(params[0] ** 2, 0) / len(x)
    return _reconstruction_cost(x, hidden, params) + CONTRACTION_LEVEL * contraction


def _finetune_cost(params, x, y, key):
    for w, b in zip(params[:-2:2], params[1:-2:2]):
        x = jax.nn.sigmoid(x @ w + b)
    log_p = jax.nn.log_softmax(x @ params[-2] + params[-1])
    return -jnp.mean(jnp.take_along_axis(log_p, y[:, None], axis=1))


COSTS = {"da": _da_cost, "ca": _ca_cost, "finetune": _finetune_cost}


def _gradient_step(problem):
    cost, rate = COSTS[problem.model], LEARNING_RATE[problem.model]

    def update(state, batch):
        params, key = state
        key, used = jax.random.split(key) if problem.model == "da" else (key, key)
        result, gradients = jax.value_and_grad(cost)(params, *batch, used)
        return ([param - rate * gradient for param, gradient in zip(params, gradients)], key), result

    return update


def _rbm_step(problem):
    """PCD with the gradients of the free energy by hand; the pseudo-likelihood of one bit."""
    rate = LEARNING_RATE["rbm"]

    def update(state, batch):
        (w, hidden_biases, visible_biases), key, chain, bit = state
        x, _ = batch

        def free_energy(v):
            return -(v @ visible_biases) - jax.nn.softplus(v @ w + hidden_biases).sum(1)

        def gibbs(state, key):
            for_v, for_h = jax.random.split(key)
            v = jax.random.bernoulli(for_v, jax.nn.sigmoid(state[0] @ w.T + visible_biases)).astype(x.dtype)
            h_mean = jax.nn.sigmoid(v @ w + hidden_biases)
            return (jax.random.bernoulli(for_h, h_mean).astype(x.dtype), v, h_mean), None

        key, used = jax.random.split(key)
        start = (chain, jnp.zeros_like(x), jnp.zeros_like(chain))
        (chain, v, h_mean), _ = lax.scan(gibbs, start, jax.random.split(used, N_GIBBS_STEPS))
        bits = jnp.round(x)
        flipped = bits.at[:, bit].set(1 - bits[:, bit])
        cost = N_PIXELS * jnp.mean(jax.nn.log_sigmoid(free_energy(flipped) - free_energy(bits)))
        x_mean = jax.nn.sigmoid(x @ w + hidden_biases)
        step = rate / len(x)
        w = w + step * (x.T @ x_mean - v.T @ h_mean)
        hidden_biases = hidden_biases + step * (x_mean.sum(0) - h_mean.sum(0))
        visible_biases = visible_biases + step * (x.sum(0) - v.sum(0))
        return ([w, hidden_biases, visible_biases], key, chain, (bit + 1) % N_PIXELS), cost

    return update


def build(problem, kind, variant, splits, n_threads):
    """Trainer; XLA runs as many threads as the process may use cores."""
    initial = initial_values(problem)
    update = _rbm_step(problem) if problem.model == "rbm" else _gradient_step(problem)

    def new_state():
        key = jax.random.key(SEED, impl=variant or None)
        params = [jnp.array(value) for value in initial]
        if problem.model != "rbm":
            return jax.block_until_ready((params, key))
        chain = jnp.zeros((problem.batch_size, problem.n_hidden), jnp.float32)
        return jax.block_until_ready((params, key, chain, jnp.array(0)))

    reset, run, state = epochs(kind, update, new_state, problem, splits[0])

    def values():
        return [np.asarray(param) for param in state()[0]]

    return Trainer(reset, run, lambda split: quality(problem, values(), *splits[split]), values)
