"""LeNet with the examples of each training minibatch in another order.

python -m benchmarks.roundings SEED --output-dir FOLDER

The order changes nothing but the rounding of the sums over a minibatch: how far the errors of
several seeds lie apart is what "within one image" can mean. See docs/results.md.
"""

import argparse

import numpy as np

from theano_tutorials import read_data, train_lenet

BATCH_SIZE = 500


def reordered(training, seed):
    """Images and labels of a training set, with the examples of each minibatch in an order drawn from the seed."""
    rng = np.random.RandomState(seed)
    n_examples = len(training[1])
    order = np.concatenate(
        [rng.permutation(np.arange(i, min(i + BATCH_SIZE, n_examples))) for i in range(0, n_examples, BATCH_SIZE)]
    )
    return tuple(part[order] for part in training)


def main():
    """Train LeNet with the hyper-parameters of the tutorial."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seed", type=int)
    parser.add_argument("--output-dir")
    parser.add_argument("--n-epochs", type=int, default=200)
    arguments = parser.parse_args()
    training, *others = read_data("mnist")
    train_lenet(
        dataset=(reordered(training, arguments.seed), *others),
        n_epochs=arguments.n_epochs,
        batch_size=BATCH_SIZE,
        output_dir=arguments.output_dir,
    )


if __name__ == "__main__":
    main()
