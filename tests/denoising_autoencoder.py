"""A denoising autoencoder, written as a user of the library writes it: nothing in the library knows of it."""

import argparse

import numpy as np

from theano_tutorials import load_data, minibatch_function, open_run, pretrain, sgd_updates  # before theano
from theano_tutorials.runs import plots

import theano  # isort: skip
import theano.tensor as T  # isort: skip
from theano.tensor.shared_randomstreams import RandomStreams  # isort: skip


class DenoisingAutoencoder:
    """Reconstructs an input from a corrupted copy, with tied weights (Vincent et al., 2008, section 2)."""

    def __init__(self, input, W, b, b_prime, corruption):
        self.input, self.W, self.b, self.b_prime = input, W, b, b_prime
        self.params = [W, b, b_prime]
        self.architecture = {"corruption": corruption}
        kept = RandomStreams(seed=89677).binomial(input.shape, n=1, p=1 - corruption, dtype=theano.config.floatX)
        self.reconstruction = self.reconstruct(kept * input)
        self.cost = T.nnet.binary_crossentropy(self.reconstruction, input).sum(axis=1).mean()

    def reconstruct(self, x):
        return T.nnet.sigmoid(T.dot(T.nnet.sigmoid(T.dot(x, self.W) + self.b), self.W.T) + self.b_prime)

    @classmethod
    def from_parameters(cls, parameters, corruption):
        return cls(T.matrix("x"), **parameters, corruption=corruption)


def train_autoencoder(n_epochs, n_hidden, corruption, dataset, output_dir=None, resume=False, batch_size=50):
    arguments = dict(locals())
    datasets = load_data(dataset)
    train_x, _ = datasets[0]
    run = open_run(output_dir, "denoising autoencoder", arguments, train_x, resume)

    n_in, rng = datasets.n_features, np.random.RandomState(123)
    bound = 4 * np.sqrt(6 / (n_in + n_hidden))
    values = [rng.uniform(-bound, bound, (n_in, n_hidden)), np.zeros(n_hidden), np.zeros(n_in)]
    W, b, b_prime = (theano.shared(value.astype(theano.config.floatX)) for value in values)
    model = DenoisingAutoencoder(T.matrix("x"), W, b, b_prime, corruption)
    updates = sgd_updates(model.cost, model.params, learning_rate=0.1)
    function = minibatch_function([model.input], model.cost, [train_x], batch_size, updates)

    n_batches = train_x.get_value(borrow=True).shape[0] // batch_size
    result = pretrain(function, model, n_batches, n_epochs, run, monitored="cross-entropy")
    run.draw({"filters.png": lambda: plots.filters(W.get_value().T.reshape(-1, *datasets.image_shape))})
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset")
    parser.add_argument("output_dir")
    parser.add_argument("--resume", action="store_true")
    train_autoencoder(n_epochs=5, n_hidden=100, corruption=0.3, **vars(parser.parse_args()))
