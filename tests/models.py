"""The tutorials as the tests know them. A later one is one more row, and every suite takes it up."""

from typing import Callable, NamedTuple, Optional

import numpy as np

import theano_tutorials as tutorials


class Tutorial(NamedTuple):
    """What the suites have to know of a tutorial.

    ``build(x, batch_size, **sizes)`` makes its model, by default as its ``train_*``
    does for MNIST; ``small`` has sizes of one that is trained in a moment.
    ``quick`` has arguments of a short training on some hundred images, ``long``
    those of one that lasts long enough to be killed, ``published`` those by which
    the first ``lines`` of the tutorial come out, and, where the whole training is
    short enough for a test, its last line, ``ending``, after ``n_epochs``.
    """

    model: type
    train: Callable
    build: Callable
    parameter_names: list
    batch_size: int
    learning_rate: float
    small: dict
    quick: dict
    published: dict
    lines: list
    ending: Optional[str] = None
    n_epochs: Optional[int] = None
    long: Optional[dict] = None


def _mlp(x, batch_size=None, n_in=784, n_hidden=500, n_out=10):
    return tutorials.MLP(np.random.RandomState(1234), x, n_in, n_hidden, n_out)


def _lenet(x, batch_size=None, **sizes):
    return tutorials.LeNet5(np.random.RandomState(23455), x, batch_size, **sizes)


TUTORIALS = {
    "logreg": Tutorial(
        model=tutorials.LogisticRegression,
        train=tutorials.train_logreg,
        build=lambda x, batch_size=None, n_in=784, n_out=10: tutorials.LogisticRegression(x, n_in, n_out),
        parameter_names=["W", "b"],
        batch_size=600,
        learning_rate=0.13,
        small={},
        quick={"batch_size": 50, "n_epochs": 3},
        published={},
        lines=[
            "epoch 1, minibatch 83/83, validation error 12.458333 %",
            "     epoch 1, minibatch 83/83, test error of best model 12.375000 %",
            "epoch 2, minibatch 83/83, validation error 11.010417 %",
            "     epoch 2, minibatch 83/83, test error of best model 10.958333 %",
            "epoch 3, minibatch 83/83, validation error 10.312500 %",
            "     epoch 3, minibatch 83/83, test error of best model 10.312500 %",
        ],
        ending="Optimization complete. Best validation score of 7.500000 % obtained at iteration 6059, "
        "with test performance 7.489583 %",
        n_epochs=74,
    ),
    "mlp": Tutorial(
        model=tutorials.MLP,
        train=tutorials.train_mlp,
        build=_mlp,
        parameter_names=["hiddenLayer.W", "hiddenLayer.b", "logRegressionLayer.W", "logRegressionLayer.b"],
        batch_size=20,
        learning_rate=0.01,
        small={"n_hidden": 50},
        quick={"n_hidden": 30, "n_epochs": 2},
        published={"n_epochs": 1},
        lines=[
            "epoch 1, minibatch 2500/2500, validation error 9.620000 %",
            "     epoch 1, minibatch 2500/2500, test error of best model 10.090000 %",
        ],
        long={"n_hidden": 8, "batch_size": 20, "n_epochs": 300, "patience": 10**6, "learning_rate": 0.05},
    ),
    "lenet": Tutorial(
        model=tutorials.LeNet5,
        train=tutorials.train_lenet,
        build=_lenet,
        parameter_names=[f"layer{i}.{name}" for i in (3, 2, 1, 0) for name in "Wb"],
        batch_size=500,
        learning_rate=0.1,
        small={"nkerns": (5, 8)},
        quick={"nkerns": [2, 3], "batch_size": 50, "n_epochs": 1},
        published={"n_epochs": 1},
        lines=[
            "epoch 1, minibatch 100/100, validation error 9.230000 %",
            "     epoch 1, minibatch 100/100, test error of best model 9.520000 %",
        ],
        long={"nkerns": [2, 3], "batch_size": 20, "n_epochs": 6, "patience": 10**6},
    ),
}


def as_options(arguments):
    """Arguments of a ``train_*`` function as options of its script."""
    options = []
    for name, value in arguments.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        options += ["--" + name.replace("_", "-").lower(), *map(str, values)]
    return options
