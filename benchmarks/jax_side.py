"""The three models in JAX, one jitted step a call and a whole epoch in lax.scan."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.problem import L2_REG, LEARNING_RATE, Trainer, initial_values

# Ways to write the same step: the cost by one-hot rows or by gathering; convolutions by XLA's own, with
# channels first or last, or as a product with unfolded patches; max-pooling by reshaping or by reduce_window.
_STEP = {
    "logreg": ["", "one-hot"],
    "mlp": ["", "one-hot"],
    "lenet": ["", "channels-last", "patches", "patches reduce-window"],
}
KINDS = {"jax step": _STEP, "jax scan": {**_STEP, "lenet": ["channels-last", "patches"]}}


def _convolve(maps, w, words):
    if "patches" in words:
        height, width = maps.shape[1] - 4, maps.shape[2] - 4
        shifted = [maps[:, i : i + height, j : j + width] for i in range(5) for j in range(5)]
        return jnp.concatenate(shifted, axis=3) @ w.reshape(-1, w.shape[3])
    dimensions = ("NHWC", "HWIO", "NHWC") if "channels-last" in words else ("NCHW", "OIHW", "NCHW")
    return lax.conv_general_dilated(maps, w, (1, 1), "VALID", dimension_numbers=dimensions)


def _max_pool(maps, is_channels_last, words):
    n, a, b, c = maps.shape
    if "reduce-window" in words:
        window = (1, 2, 2, 1) if is_channels_last else (1, 1, 2, 2)
        return lax.reduce_window(maps, -jnp.inf, lax.max, window, window, "VALID")
    if is_channels_last:
        return maps.reshape(n, a // 2, 2, b // 2, 2, c).max(axis=(2, 4))
    return maps.reshape(n, a, b // 2, 2, c // 2, 2).max(axis=(3, 5))


def _is_channels_last(words):
    return "channels-last" in words or "patches" in words


def _scores_function(model, words):
    is_channels_last = _is_channels_last(words)

    def scores(params, x):
        if model == "lenet":
            x = x.reshape((-1, 28, 28, 1) if is_channels_last else (-1, 1, 28, 28))
            for w, b in (params[:2], params[2:4]):
                pooled = _max_pool(_convolve(x, w, words), is_channels_last, words)
                x = jnp.tanh(pooled + (b if is_channels_last else b[:, None, None]))
            x = x.reshape(len(x), -1)
            params = params[4:]
        if model != "logreg":
            x = jnp.tanh(x @ params[0] + params[1])
            params = params[2:]
        return x @ params[0] + params[1]

    return scores


def _cost_function(model, scores, words):
    def cost(params, x, y):
        log_p = jax.nn.log_softmax(scores(params, x))
        if "one-hot" in words:
            result = -jnp.mean(jnp.sum(log_p * jax.nn.one_hot(y, log_p.shape[1]), axis=1))
        else:
            result = -jnp.mean(jnp.take_along_axis(log_p, y[:, None], axis=1))
        if model == "mlp":
            result += L2_REG * ((params[0] ** 2).sum() + (params[2] ** 2).sum())
        return result

    return cost


def _layout(values, words):
    """The tutorials' parameters as JAX wants them: its convolution does not flip the filters."""
    values = [value[:, :, ::-1, ::-1] if value.ndim == 4 else value for value in values]
    if len(values) == 8 and _is_channels_last(words):
        values = [value.transpose(2, 3, 1, 0) if value.ndim == 4 else value for value in values]
        values[4] = values[4].reshape(-1, 4, 4, 500).transpose(1, 2, 0, 3).reshape(-1, 500)
    return values


def _from_layout(values, words):
    values = [np.asarray(value) for value in values]
    if len(values) == 8 and _is_channels_last(words):
        values = [value.transpose(3, 2, 0, 1) if value.ndim == 4 else value for value in values]
        values[4] = values[4].reshape(4, 4, -1, 500).transpose(2, 0, 1, 3).reshape(-1, 500)
    return [value[:, :, ::-1, ::-1] if value.ndim == 4 else value for value in values]


def _resident(array):
    # Without a copy, since the arrays are aligned and nobody writes into them.
    return jax.device_put(array, may_alias=True)


def epochs(kind, update, new_state, problem, train):
    """What resets a state, what makes updates of it and returns the last cost, and what returns the state.

    ``update(state, batch)`` returns the new state and the cost, ``new_state()`` a ready state at the start.
    """
    size, n_updates = problem.batch_size, problem.n_updates
    x, y = (part[: n_updates * size].reshape(n_updates, size, *part.shape[1:]) for part in train)
    state = new_state()
    if kind == "jax scan":
        data = (_resident(x), _resident(y))
        epoch = jax.jit(functools.partial(lax.scan, update), donate_argnums=0).lower(state, data).compile()

        def run():
            nonlocal state
            state, costs = jax.block_until_ready(epoch(state, data))
            return float(costs[-1])

    else:
        batches = [(_resident(inputs), _resident(labels)) for inputs, labels in zip(x, y)]
        step = jax.jit(update, donate_argnums=0)

        def run(n_updates=n_updates):
            nonlocal state
            for batch in batches[:n_updates]:
                state, result = step(state, batch)
            jax.block_until_ready(state)
            return float(result)

        run(1)

    def reset():
        nonlocal state
        state = new_state()

    return reset, run, lambda: state


def build(problem, kind, variant, splits, n_threads):
    """Trainer; XLA runs as many threads as the process may use cores."""
    words, size, rate = variant.split(), problem.batch_size, LEARNING_RATE[problem.model]
    scores = _scores_function(problem.model, words)
    cost = _cost_function(problem.model, scores, words)
    initial = _layout(initial_values(problem), words)

    def new_params():
        return jax.block_until_ready([jnp.array(value) for value in initial])

    def update(params, batch):
        result, gradients = jax.value_and_grad(cost)(params, *batch)
        return [param - rate * gradient for param, gradient in zip(params, gradients)], result

    reset, run, params = epochs(kind, update, new_params, problem, splits[0])

    @jax.jit
    def errors(params, x, y):
        return jnp.sum(jnp.argmax(scores(params, x), axis=1) != y)

    def n_wrong(split):
        inputs, labels = splits[split]
        starts = range(0, len(inputs) // size * size, size)
        counts = [errors(params(), inputs[i : i + size], labels[i : i + size]) for i in starts]
        return int(sum(map(int, counts)))

    return Trainer(reset, run, n_wrong, lambda: _from_layout(params(), words))
