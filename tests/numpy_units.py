"""What the tests of autoencoders and Boltzmann machines compute in NumPy, in float64."""

import itertools

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cross_entropy(x, z):
    """Mean over the rows, in nats."""
    return -np.mean(np.sum(x * np.log(z) + (1 - x) * np.log(1 - z), axis=1))


def states(n):
    """All states of n binary units: (2^n, n)."""
    return np.array(list(itertools.product([0, 1], repeat=n)), dtype=float)


def values(params):
    """Values of shared variables, as float64."""
    return [param.get_value().astype("float64") for param in params]


def stream(seed, number):
    """The generator of the stream that a RandomStreams makes at so many calls after the first."""
    seeds = np.random.RandomState(seed)
    for _ in range(number + 1):
        seed = seeds.randint(2**30)
    return np.random.RandomState(int(seed))


def slopes(cost, params, step=1e-4):
    """Differences of ``cost(params)`` for each element of each array: a list of arrays."""
    found = []
    for number, old in enumerate(params):
        slope = np.zeros_like(old)
        for place in np.ndindex(*old.shape):
            around = []
            for move in (step, -step):
                moved = [array.copy() for array in params]
                moved[number][place] += move
                around.append(cost(moved))
            slope[place] = (around[0] - around[1]) / (2 * step)
        found.append(slope)
    return found
