"""The rest of the course, as every side has to train it: see problem.py.

Parameters are W, the hidden biases and the visible biases; those of ``finetune`` are in
the order of the layers.
"""

import numpy as np

from benchmarks.problem import N_CLASSES, N_PIXELS, N_TRAIN, Problem

MODELS = ("da", "ca", "rbm", "finetune")
LEARNING_RATE = {"da": 0.1, "ca": 0.01, "rbm": 0.1, "finetune": 0.1}
N_HIDDEN = {"da": 500, "ca": 500, "rbm": 500, "finetune": 1000}
N_LAYERS = 3
CORRUPTION_LEVEL = 0.3
CONTRACTION_LEVEL = 0.1
N_GIBBS_STEPS = 15
SEED = 123


def course_problem(model, batch_size, n_updates):
    """Problem with the tutorial's number of hidden units."""
    return Problem(model, batch_size, N_HIDDEN[model], N_TRAIN, n_updates)


def initial_values(problem):
    """Initial parameters: uniform ones for a logistic sigmoid, and zeros."""
    rng = np.random.RandomState(SEED)

    def weights(n_in, n_out):
        bound = 4 * np.sqrt(6 / (n_in + n_out))
        return rng.uniform(-bound, bound, (n_in, n_out)).astype(np.float32)

    n_hidden = problem.n_hidden
    if problem.model != "finetune":
        return [weights(N_PIXELS, n_hidden), np.zeros(n_hidden, np.float32), np.zeros(N_PIXELS, np.float32)]
    matrices = [weights(n_in, n_hidden) for n_in in (N_PIXELS, *[n_hidden] * (N_LAYERS - 1))]
    matrices.append(np.zeros((n_hidden, N_CLASSES), np.float32))
    return [array for w in matrices for array in (w, np.zeros(w.shape[1], np.float32))]


def _sigmoid(x):
    return np.exp(-np.logaddexp(0, -x))


def quality(problem, values, x, y):
    """What parameters are worth on (x, y), in double precision.

    Misclassified examples of ``finetune``, else the cross-entropy of the reconstruction
    from the means of the hidden units, mean over the examples, in nats.
    """
    values = [np.asarray(value, np.float64) for value in values]
    if problem.model == "finetune":
        for w, b in zip(values[:-2:2], values[1:-2:2]):
            x = _sigmoid(x @ w + b)
        return int((np.argmax(x @ values[-2] + values[-1], axis=1) != y).sum())
    w, hidden_biases, visible_biases = values
    scores = _sigmoid(x @ w + hidden_biases) @ w.T + visible_biases
    return float((np.logaddexp(0, scores) - x * scores).sum(axis=1).mean())
