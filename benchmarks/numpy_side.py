"""The three models in plain NumPy, gradients by hand, every array of a step in place where that is possible."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from benchmarks.problem import L2_REG, LEARNING_RATE, Trainer, initial_values

KINDS = {"numpy": {"logreg": [""], "mlp": [""], "lenet": [""]}}


def _softmax_gradient(scores, labels):
    """Mean negative log-likelihood, and its gradient, which takes the place of the scores."""
    n = len(labels)
    rows = np.arange(n)
    scores -= scores.max(axis=1, keepdims=True)
    of_labels = scores[rows, labels]
    np.exp(scores, out=scores)
    sums = scores.sum(axis=1, keepdims=True)
    cost = float(np.mean(np.log(sums[:, 0]) - of_labels))
    scores /= sums
    scores[rows, labels] -= 1
    scores /= n
    return cost, scores


def _affine(x, w, b, out=None):
    out = np.matmul(x, w, out=out)
    out += b
    return out


def _descend(params, gradients, rate):
    for param, gradient in zip(params, gradients):
        gradient *= rate
        param -= gradient


def _logreg_scores(params, x):
    return _affine(x, *params)


def _logreg_step(params, x, y, rate):
    cost, delta = _softmax_gradient(_logreg_scores(params, x), y)
    _descend(params, [x.T @ delta, delta.sum(axis=0)], rate)
    return cost


def _mlp_scores(params, x):
    return _affine(np.tanh(_affine(x, *params[:2])), *params[2:])


def _mlp_step(params, x, y, rate):
    w1, b1, w2, b2 = params
    hidden = _affine(x, w1, b1)
    np.tanh(hidden, out=hidden)
    cost, delta = _softmax_gradient(_affine(hidden, w2, b2), y)
    cost += L2_REG * float(np.vdot(w1, w1) + np.vdot(w2, w2))
    delta_hidden = delta @ w2.T
    g2 = hidden.T @ delta
    hidden *= hidden
    np.subtract(1, hidden, out=hidden)
    delta_hidden *= hidden
    gradients = [x.T @ delta_hidden, delta_hidden.sum(axis=0), g2, delta.sum(axis=0)]
    # The gradient of the penalty, as a smaller weight.
    for w in (w1, w2):
        w *= 1 - 2 * rate * L2_REG
    _descend(params, gradients, rate)
    return cost


def _patches(maps):
    """(batch, height, width, channels) -> (batch * positions, channels * 25), a copy."""
    windows = sliding_window_view(maps, (5, 5), axis=(1, 2))
    return windows.reshape(-1, maps.shape[3] * 25)


def _convolve(maps, w, b):
    """Convolution, max-pooling, bias and tanh; also what its gradient needs."""
    n, size = len(maps), maps.shape[1] - 4
    patches = _patches(maps)
    filters = w[:, :, ::-1, ::-1].reshape(len(w), -1)
    convolved = (patches @ filters.T).reshape(n, size // 2, 2, size // 2, 2, len(w))
    pooled = np.maximum(
        np.maximum(convolved[:, :, 0, :, 0], convolved[:, :, 0, :, 1]),
        np.maximum(convolved[:, :, 1, :, 0], convolved[:, :, 1, :, 1]),
    )
    is_maximum = convolved == pooled[:, :, None, :, None]
    pooled += b
    np.tanh(pooled, out=pooled)
    return pooled, (patches, filters, is_maximum)


def _convolve_gradient(output, delta, kept, needs_input):
    """Gradients for W, b and the input from that for the output, which is overwritten."""
    patches, filters, is_maximum = kept
    n, pooled_size, n_filters = len(output), output.shape[1], output.shape[3]
    delta *= 1 - output * output
    b_gradient = delta.sum(axis=(0, 1, 2))
    unpooled = (is_maximum * delta[:, :, None, :, None]).reshape(-1, n_filters)
    w_gradient = (unpooled.T @ patches).reshape(n_filters, -1, 5, 5)[:, :, ::-1, ::-1]
    if not needs_input:
        return w_gradient, b_gradient, None
    size = 2 * pooled_size
    columns = (unpooled @ filters).reshape(n, size, size, -1, 5, 5)
    input_gradient = np.zeros((n, size + 4, size + 4, columns.shape[3]), np.float32)
    for i in range(5):
        for j in range(5):
            input_gradient[:, i : i + size, j : j + size] += columns[..., i, j]
    return w_gradient, b_gradient, input_gradient


def _lenet_layers(params, x):
    maps0, kept0 = _convolve(x.reshape(-1, 28, 28, 1), *params[:2])
    maps1, kept1 = _convolve(maps0, *params[2:4])
    flat = maps1.transpose(0, 3, 1, 2).reshape(len(x), -1)
    hidden = np.tanh(_affine(flat, *params[4:6]))
    return maps0, kept0, maps1, kept1, flat, hidden


def _lenet_scores(params, x):
    return _affine(_lenet_layers(params, x)[-1], *params[6:])


def _lenet_step(params, x, y, rate):
    maps0, kept0, maps1, kept1, flat, hidden = _lenet_layers(params, x)
    w2, w3 = params[4], params[6]
    cost, delta3 = _softmax_gradient(_affine(hidden, *params[6:]), y)
    delta2 = delta3 @ w3.T
    delta2 *= 1 - hidden * hidden
    delta1 = (delta2 @ w2.T).reshape(len(x), -1, 4, 4).transpose(0, 2, 3, 1).copy()
    gradients2 = [flat.T @ delta2, delta2.sum(axis=0), hidden.T @ delta3, delta3.sum(axis=0)]
    w1_gradient, b1_gradient, delta0 = _convolve_gradient(maps1, delta1, kept1, needs_input=True)
    w0_gradient, b0_gradient, _ = _convolve_gradient(maps0, delta0, kept0, needs_input=False)
    _descend(params, [w0_gradient, b0_gradient, w1_gradient, b1_gradient, *gradients2], rate)
    return cost


_STEPS = {"logreg": _logreg_step, "mlp": _mlp_step, "lenet": _lenet_step}
_SCORES = {"logreg": _logreg_scores, "mlp": _mlp_scores, "lenet": _lenet_scores}


def build(problem, kind, variant, splits, n_threads):
    """Trainer; OPENBLAS_NUM_THREADS sets the threads."""
    size, rate = problem.batch_size, np.float32(LEARNING_RATE[problem.model])
    initial = initial_values(problem)
    params = [value.copy() for value in initial]
    step, scores = _STEPS[problem.model], _SCORES[problem.model]
    x, y = splits[0]

    def reset():
        for param, value in zip(params, initial):
            param[...] = value

    def run(n_updates=problem.n_updates):
        for i in range(n_updates):
            cost = step(params, x[i * size : (i + 1) * size], y[i * size : (i + 1) * size], rate)
        return cost

    def n_wrong(split):
        inputs, labels = splits[split]
        starts = range(0, len(inputs) // size * size, size)
        return sum(
            int(np.sum(scores(params, inputs[i : i + size]).argmax(axis=1) != labels[i : i + size])) for i in starts
        )

    run(1)
    return Trainer(reset, run, n_wrong, lambda: params)
