"""theano.scan in C and in Python's loop, side by side: a recurrent net and the Gibbs chain of an RBM.

python -m benchmarks.scan
"""

import statistics
import sys
import time

import numpy as np

import theano_tutorials  # noqa: F401  isort: skip  (first: makes Theano importable)
import theano
import theano.tensor as T

ROUNDS = 15
_IN_C = "theano.scan_module.scan_perform_ext"


def recurrent_net(n_steps=100, n_hidden=100):
    """Step of a training of Elman's net: value and gradient over a sequence."""
    rng = np.random.RandomState(0)
    w = theano.shared(rng.uniform(-0.1, 0.1, (n_hidden, n_hidden)).astype("float32"))
    x = T.matrix()
    h, _ = theano.scan(lambda x_t, h: T.tanh(x_t + T.dot(h, w)), sequences=x, outputs_info=T.zeros(n_hidden))
    cost = (h**2).mean()
    step = theano.function([x], cost, updates=[(w, w - 0.1 * T.grad(cost, w))])
    inputs = rng.uniform(-1, 1, (n_steps, n_hidden)).astype("float32")
    return lambda: step(inputs)


def gibbs_chain(n_steps=15, n_visible=784, n_hidden=500, batch_size=20):
    """The chain of PCD-15: means and samples of both layers."""
    rng = np.random.RandomState(0)
    streams = theano.tensor.shared_randomstreams.RandomStreams(1)
    w = theano.shared(rng.uniform(-0.1, 0.1, (n_visible, n_hidden)).astype("float32"))

    def gibbs(h):
        v_mean = T.nnet.sigmoid(T.dot(h, w.T))
        v = streams.binomial(size=v_mean.shape, n=1, p=v_mean, dtype="float32")
        h_mean = T.nnet.sigmoid(T.dot(v, w))
        return streams.binomial(size=h_mean.shape, n=1, p=h_mean, dtype="float32")

    start = T.matrix()
    h, updates = theano.scan(gibbs, outputs_info=start, n_steps=n_steps)
    chain = theano.function([start], h[-1], updates=updates)
    inputs = rng.randint(0, 2, (batch_size, n_hidden)).astype("float32")
    return lambda: chain(inputs)


def short_steps(n_steps=1000, n_hidden=10):
    """Many short steps, where the loop itself counts."""
    return recurrent_net(n_steps, n_hidden)


def made(make, in_c):
    """The function of a benchmark, compiled with scan's C code or without."""
    before = sys.modules.pop(_IN_C, None)
    # What "from . import scan_perform_ext" finds first.
    vars(theano.scan_module).pop("scan_perform_ext", None)
    if not in_c:
        sys.modules[_IN_C] = None
    try:
        return make()
    finally:
        if not in_c:
            del sys.modules[_IN_C]
        if before is not None:
            sys.modules[_IN_C] = before


def seconds(function):
    """Seconds of one call."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def main():
    print("| | C, ms | Python, ms | ratio |\n| --- | --- | --- | --- |")
    for make in (recurrent_net, short_steps, gibbs_chain):
        sides = [made(make, in_c=True), made(make, in_c=False)]
        for side in sides * 3:
            side()
        times = [[seconds(side) for side in sides] for _ in range(ROUNDS)]
        in_c, in_python = (statistics.median(column) * 1000 for column in zip(*times))
        print(f"| {make.__name__.replace('_', ' ')} | {in_c:.2f} | {in_python:.2f} | {in_python / in_c:.1f} |")


if __name__ == "__main__":
    main()
