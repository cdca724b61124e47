"""The work that every side has to do: models, data, initial parameters, in plain NumPy.

Parameters are in the order of the layers from the image upwards, weights
before biases, in the tutorials' layout (filters of a true convolution).
"""

import gzip
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

MODELS = ("logreg", "mlp", "lenet")
BATCH_SIZE = {"logreg": 600, "mlp": 20, "lenet": 500}
LEARNING_RATE = {"logreg": 0.13, "mlp": 0.01, "lenet": 0.1}
SEED = {"mlp": 1234, "lenet": 23455}
L2_REG = 0.0001
N_PIXELS = 784
N_CLASSES = 10
N_KERNELS = (20, 50)
N_TRAIN, N_VALID = 50_000, 10_000

_DATA = Path(__file__).resolve().parents[1] / "data" / "mnist"
_ALIGNMENT = 64  # bytes; what JAX asks for to use an array without a copy


class Problem(NamedTuple):
    """One model on so much data; an epoch is ``n_updates`` minibatches in order."""

    model: str
    batch_size: int
    n_hidden: int
    n_train: int
    n_updates: int


class Trainer(NamedTuple):
    """What a side offers; at first it has made one update, so that all is compiled.

    ``reset()`` sets the initial parameters, ``run()`` makes the updates and
    returns the last cost, ``n_wrong(split)`` counts the misclassified examples of
    the whole minibatches of split 1 (validation) or 2 (test), and ``values()``
    returns the parameters.
    """

    reset: Callable
    run: Callable
    n_wrong: Callable
    values: Callable


def make_problem(model, batch_size=None, n_hidden=500, n_train=N_TRAIN, n_updates=None):
    """Problem with the tutorial's own numbers where none are given."""
    batch_size = batch_size or BATCH_SIZE[model]
    return Problem(model, batch_size, n_hidden, n_train, min(n_updates or n_train, n_train // batch_size))


def _read_idx(name, n_dimensions, dtype, scale):
    content = gzip.decompress((_DATA / name).read_bytes())
    shape = np.frombuffer(content, ">u4", n_dimensions, offset=4)
    data = np.frombuffer(content, np.uint8, offset=4 + 4 * n_dimensions).reshape(shape[0], -1)
    # Written into aligned memory at once: a copy would count in the peak of memory.
    raw = np.empty(data.size * np.dtype(dtype).itemsize + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    result = raw[start : start + data.size * np.dtype(dtype).itemsize].view(dtype).reshape(data.shape)
    np.multiply(data, dtype(scale), out=result)
    return result


def read_mnist():
    """Training, validation and test set: pairs of float32 (n, 784) and int32 (n,)."""
    pairs = []
    for prefix in ("train", "t10k"):
        images = _read_idx(f"{prefix}-images-idx3-ubyte.gz", 3, np.float32, 1 / 256)
        labels = _read_idx(f"{prefix}-labels-idx1-ubyte.gz", 1, np.int32, 1).ravel()
        pairs.append((images, labels))
    (x, y), test = pairs
    return [(x[:N_TRAIN], y[:N_TRAIN]), (x[N_TRAIN:], y[N_TRAIN:]), test]


def with_n_train(splits, n_train):
    """The splits with so many training examples, over again from the first where there are too few."""
    (x, y), *others = splits
    if n_train > len(x):
        rows = np.arange(n_train) % len(x)
        return [(x[rows], y[rows]), *others]
    return [(x[:n_train], y[:n_train]), *others]


def _glorot(rng, fan_in, fan_out, shape):
    bound = math.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def initial_values(problem):
    """Initial parameters, those that the tutorials draw."""
    rng = np.random.RandomState(SEED.get(problem.model))
    if problem.model == "logreg":
        weights = []
        last = N_PIXELS
    elif problem.model == "mlp":
        last = problem.n_hidden
        weights = [_glorot(rng, N_PIXELS, last, (N_PIXELS, last))]
    else:
        last = 500
        first, second = N_KERNELS
        weights = [
            _glorot(rng, 25, first * 25 // 4, (first, 1, 5, 5)),
            _glorot(rng, first * 25, second * 25 // 4, (second, first, 5, 5)),
            _glorot(rng, second * 16, last, (second * 16, last)),
        ]
    weights.append(np.zeros((last, N_CLASSES), np.float32))
    n_outputs = [w.shape[0] if w.ndim == 4 else w.shape[1] for w in weights]
    return [array for w, n in zip(weights, n_outputs) for array in (w, np.zeros(n, np.float32))]


def dense_flops(problem):
    """Floating-point operations of the matrix products of an epoch's updates, two for a multiplication and addition.

    Convolutions count as dense products. The gradient with respect to the
    images is not needed.
    """
    if problem.model == "logreg":
        layers = [N_PIXELS * N_CLASSES]
    elif problem.model == "mlp":
        layers = [N_PIXELS * problem.n_hidden, problem.n_hidden * N_CLASSES]
    else:
        first, second = N_KERNELS
        layers = [24 * 24 * 25 * first, 8 * 8 * 25 * first * second, 16 * second * 500, 500 * N_CLASSES]
    products = 3 * sum(layers) - layers[0]
    return 2 * products * problem.batch_size * problem.n_updates
