"""Small models whose training changes more than their parameters.

As a program it trains one of them into a folder: ``small_models.py KIND FOLDER``.
"""

import sys

import numpy as np

from theano_tutorials import (
    EarlyStopping,
    HiddenLayer,
    LogisticRegression,
    compile_functions,
    minibatch_function,
    open_run,
    pretrain,
    sgd_updates,
    shared_dataset,
    train,
)
from theano_tutorials.runs import directory

import theano  # isort: skip
import theano.tensor as T  # isort: skip
from theano.sandbox.rng_mrg import MRG_RandomStreams  # isort: skip
from theano.tensor.shared_randomstreams import RandomStreams  # isort: skip

N_IN, N_CLASSES, BATCH_SIZE, N_BATCHES = 12, 3, 10, 20
N_EPOCHS = 100


def shared(values, name=None):
    return theano.shared(np.asarray(values, dtype=theano.config.floatX), name=name)


def points(n, seed):
    """Points of as many classes as features allow, that lie around centres of their own."""
    rng = np.random.RandomState(seed)
    labels = rng.randint(N_CLASSES, size=n)
    centres = np.eye(N_CLASSES).repeat(N_IN // N_CLASSES, axis=1)
    return (centres[labels] + rng.randn(n, N_IN)).astype("float32"), labels


SPLITS = [points(BATCH_SIZE * N_BATCHES, 0), points(60, 1), points(60, 2)]


def train_classifier(run, make):
    """Early stopping; ``make(x)`` returns a classifier, its cost of labels, and the updates of a cost."""
    x, y = T.matrix("x"), T.ivector("y")
    classifier, cost, updates = make(x, y)
    datasets = [shared_dataset(split) for split in SPLITS]
    functions = compile_functions(x, y, cost, classifier.errors(y), updates, datasets, BATCH_SIZE)
    train(functions, classifier, EarlyStopping(10**6), N_EPOCHS, run)


def with_noise(streams):
    """Logistic regression on inputs of which some are left out at random."""

    def make(x, y):
        noise = streams.binomial(size=x.shape, p=0.7, dtype=theano.config.floatX)
        classifier = LogisticRegression(x, N_IN, N_CLASSES)
        trained = LogisticRegression(noise * x, N_IN, N_CLASSES, W=classifier.W, b=classifier.b)
        cost = trained.negative_log_likelihood(y)
        return classifier, cost, sgd_updates(cost, classifier.params, 0.1)

    return make


def with_momentum(x, y):
    classifier = LogisticRegression(x, N_IN, N_CLASSES)
    cost = classifier.negative_log_likelihood(y)
    updates = []
    for param, gradient in zip(classifier.params, T.grad(cost, classifier.params)):
        velocity = shared(np.zeros_like(param.get_value()))
        step = 0.9 * velocity - 0.02 * gradient
        updates += [(velocity, step), (param, param + step)]
    return classifier, cost, updates


def with_decay(x, y):
    classifier = LogisticRegression(x, N_IN, N_CLASSES)
    cost = classifier.negative_log_likelihood(y)
    rate = theano.shared(0.3, name="rate")
    return classifier, cost, [*sgd_updates(cost, classifier.params, rate), (rate, 0.999 * rate)]


class RBM:
    """A restricted Boltzmann machine, trained by persistent contrastive divergence (Tieleman, 2008)."""

    def __init__(self, visible, n_hidden=4):
        self.W = shared(0.1 * np.random.RandomState(0).randn(N_IN, n_hidden))
        self.hbias, self.vbias = shared(np.zeros(n_hidden)), shared(np.zeros(N_IN))
        self.params = [self.W, self.hbias, self.vbias]
        self.persistent_chain = shared(np.zeros((BATCH_SIZE, n_hidden)))
        streams = RandomStreams(5)

        def sample(probabilities):
            return streams.binomial(size=probabilities.shape, p=probabilities, dtype=theano.config.floatX)

        chain_end = sample(T.nnet.sigmoid(T.dot(self.persistent_chain, self.W.T) + self.vbias))
        hidden = sample(T.nnet.sigmoid(T.dot(chain_end, self.W) + self.hbias))
        self.cost = T.mean(self.free_energy(visible)) - T.mean(self.free_energy(chain_end))
        self.updates = sgd_updates(self.cost, self.params, 0.05, consider_constant=[chain_end])
        self.updates.append((self.persistent_chain, hidden))

    def free_energy(self, visible):
        return -T.dot(visible, self.vbias) - T.nnet.softplus(T.dot(visible, self.W) + self.hbias).sum(axis=1)


def train_with_chain(run):
    x = T.matrix("x")
    machine = RBM(x)
    data = shared(SPLITS[0][0] > 0.5)
    step = minibatch_function([x], machine.cost, [data], BATCH_SIZE, machine.updates)
    pretrain(step, machine, N_BATCHES, N_EPOCHS, run, phase="chain", monitored="difference of free energies")


class Stack:
    """Two layers, each trained to reconstruct what is below it, and a logistic regression on top of them."""

    def __init__(self, x, n_hidden=(8, 5)):
        rng, streams = np.random.RandomState(1), RandomStreams(2)
        self.sigmoid_layers, self.costs = [], []
        for n_in, n_out in zip((N_IN, *n_hidden), n_hidden):
            layer = HiddenLayer(rng, x, n_in, n_out, activation=T.nnet.sigmoid)
            kept = streams.binomial(size=x.shape, p=0.8, dtype=theano.config.floatX)
            code = T.nnet.sigmoid(T.dot(kept * x, layer.W) + layer.b)
            self.costs.append(T.mean((T.dot(code, layer.W.T) - x) ** 2))
            self.sigmoid_layers.append(layer)
            x = layer.output
        self.logLayer = LogisticRegression(x, n_hidden[-1], N_CLASSES)
        self.params = [param for layer in (*self.sigmoid_layers, self.logLayer) for param in layer.params]


def train_in_phases(run):
    x, y = T.matrix("x"), T.ivector("y")
    stack = Stack(x)
    datasets = [shared_dataset(split) for split in SPLITS]
    with run:
        for i, (layer, cost) in enumerate(zip(stack.sigmoid_layers, stack.costs)):
            step = minibatch_function([x], cost, [datasets[0][0]], BATCH_SIZE, sgd_updates(cost, layer.params, 0.1))
            pretrain(step, stack, N_BATCHES, N_EPOCHS // 3, run, phase=f"layer-{i}")
        cost = stack.logLayer.negative_log_likelihood(y)
        updates = sgd_updates(cost, stack.params, 0.1)
        functions = compile_functions(x, y, cost, stack.logLayer.errors(y), updates, datasets, BATCH_SIZE)
        train(functions, stack, EarlyStopping(10**6), N_EPOCHS // 3, run)


TRAININGS = {
    "RandomStreams": lambda run: train_classifier(run, with_noise(RandomStreams(3))),
    "MRG_RandomStreams": lambda run: train_classifier(run, with_noise(MRG_RandomStreams(4))),
    "momentum": lambda run: train_classifier(run, with_momentum),
    "decay": lambda run: train_classifier(run, with_decay),
    "chain": train_with_chain,
    "phases": train_in_phases,
}

if __name__ == "__main__":
    # Saves at every row of the metrics, so that a process is likely to be killed while it writes.
    directory._SECONDS_BETWEEN_CHECKPOINTS = 0
    kind, folder = sys.argv[1:]
    TRAININGS[kind](open_run(folder, kind, {}, SPLITS, resume=True))
