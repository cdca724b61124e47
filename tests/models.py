"""The tutorials as the tests know them: one row each.

``TUTORIALS`` has the three that the course begins with, which every suite takes up, and
``REST`` the others, for tests/test_course.py and what is the same for all.
"""

import pickle
from typing import Callable, NamedTuple, Optional

import numpy as np
import theano.tensor as T

import theano_tutorials as tutorials
from theano_tutorials.datasets.music import write_midi


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


def some_of_mnist(folder):
    """500, 100 and 100 examples, as a file."""
    (x, y), _, (test_x, test_y) = tutorials.read_data("mnist")
    path = folder / "some.npz"
    np.savez(path, x_train=x[:600], y_train=y[:600], x_test=test_x[:100], y_test=test_y[:100])
    return path


def _some_music(folder):
    roll = np.eye(12)[np.arange(50) % 12]
    write_midi(folder / "scale.mid", roll, (60, 72))
    write_midi(folder / "back.mid", roll[::-1], (60, 72))
    return folder


def _some_texts(folder):
    # As the tutorial's imdb.pkl: the training set, and the test set.
    rng = np.random.RandomState(0)
    path = folder / "imdb.pkl"
    with open(path, "wb") as file:
        for n in (200, 60):
            pickle.dump(
                ([rng.randint(2, 20, size=rng.randint(2, 9)).tolist() for _ in range(n)], [0, 1] * (n // 2)), file
            )
    return path


def _some_slots(folder):
    # As a fold of ATIS.
    rng = np.random.RandomState(0)
    splits = []
    for n in (20, 10, 10):
        words = [rng.randint(5, size=rng.randint(1, 7)) for _ in range(n)]
        labels = [sentence // 2 for sentence in words]
        splits.append((words, labels, labels))
    names = {"words2idx": dict(zip("abcde", range(5))), "labels2idx": {"O": 0, "B-x": 1, "I-x": 2}}
    path = folder / "fold.pkl"
    path.write_bytes(pickle.dumps((*splits, names)))
    return path


class Course(NamedTuple):
    """What tests/test_course.py has to know of a tutorial.

    ``train`` is its ``train_*`` or ``sample_*``; ``quick`` has arguments of one that
    takes a moment on some hundred images. ``lines`` are patterns of what that prints
    between the first line and the last, and ``figures`` what it draws. ``build()`` makes
    a small model, and ``parameter_names`` are those of its parameters. ``write_data``
    puts a small data set into a folder, and returns its path; by default some of MNIST,
    and None where there is no data. ``first`` has
    arguments by which the figures of the first epochs of the original come out, and
    ``figures_of_first`` these figures, in the order of the lines.
    """

    train: Callable
    quick: dict
    lines: list
    figures: list
    build: Optional[Callable] = None
    parameter_names: list = ()
    write_data: Optional[Callable] = some_of_mnist
    first: Optional[dict] = None
    figures_of_first: list = ()


_COST = r"epoch \d, cost \d+\.\d{6}"
_VALIDATION = r"epoch \d, minibatch \d+/\d+, validation error \d+\.\d{6} %"
_TEST = r"     epoch \d, minibatch \d+/\d+, test error of best model \d+\.\d{6} %"
_ENDING = [r"Optimization complete\. Best validation score of .*", r"The code ran for \d epochs, with .* epochs/sec"]
_OF_A_CLASSIFIER = ["confusion.png", "filters.png", "learning_curve.png", "mistakes.png"]
_STACK = {"hidden_layers_sizes": [6, 5], "pretraining_epochs": 2, "n_epochs": 1, "batch_size": 10}
_OF_A_STACK = [f"sigmoid_layers.{i}.{name}" for i in range(2) for name in "Wb"] + ["logLayer.W", "logLayer.b"]


def _rng():
    return np.random.RandomState(0)


REST = {
    "logistic_cg": Course(
        train=tutorials.train_logistic_cg,
        quick={"n_epochs": 2, "batch_size": 50},
        lines=[_VALIDATION, _TEST, _VALIDATION, f"(?:{_TEST})?", *_ENDING],
        figures=_OF_A_CLASSIFIER,
        build=lambda: tutorials.FlatLogisticRegression(T.matrix(), 6, 3),
        parameter_names=["theta"],
    ),
    "da": Course(
        train=tutorials.train_da,
        quick={"n_hidden": 8, "n_epochs": 3},
        lines=[_COST] * 3,
        figures=["filters.png"],
        build=lambda: tutorials.dA(_rng(), n_visible=6, n_hidden=4),
        parameter_names=["W", "b", "b_prime"],
        first={"n_epochs": 1},
        figures_of_first=[81.771419],
    ),
    "ca": Course(
        train=tutorials.train_ca,
        quick={"n_hidden": 8, "n_epochs": 3},
        lines=[r"epoch \d, reconstruction cost \d+\.\d{6}, jacobian norm \d+\.\d{6}"] * 3,
        figures=["filters.png"],
        build=lambda: tutorials.cA(_rng(), n_visible=6, n_hidden=4),
        parameter_names=["W", "b", "b_prime"],
        first={"n_epochs": 1},
        figures_of_first=[78.225143, 13.985197],
    ),
    "rbm": Course(
        train=tutorials.train_rbm,
        quick={"n_hidden": 8, "n_epochs": 3, "k": 2, "n_chains": 3, "n_samples": 2, "plot_every": 2},
        lines=[r"epoch \d, pseudo-likelihood -\d+\.\d{6}"] * 3,
        figures=[
            *(f"{what}_epoch_{epoch:02}.png" for what in ("chains", "filters") for epoch in (1, 2, 3)),
            "filters.png",
            "samples.png",
        ],
        build=lambda: tutorials.RBM(n_visible=6, n_hidden=4),
        parameter_names=["W", "hbias", "vbias"],
    ),
    "sda": Course(
        train=tutorials.train_sda,
        quick={**_STACK, "corruption_levels": [0.1, 0.2]},
        lines=[rf"pretraining-layer-{i}, {_COST}" for i in (0, 0, 1, 1)] + [_VALIDATION, _TEST, *_ENDING],
        figures=_OF_A_CLASSIFIER,
        build=lambda: tutorials.SdA(_rng(), n_ins=6, hidden_layers_sizes=[5, 4], n_outs=3),
        parameter_names=_OF_A_STACK,
    ),
    "dbn": Course(
        train=tutorials.train_dbn,
        quick=_STACK,
        lines=[rf"pretraining-layer-{i}, {_COST.replace('cost ', 'cost -')}" for i in (0, 0, 1, 1)]
        + [_VALIDATION, _TEST, *_ENDING],
        figures=_OF_A_CLASSIFIER,
        build=lambda: tutorials.DBN(_rng(), n_ins=6, hidden_layers_sizes=[5, 4], n_outs=3),
        parameter_names=_OF_A_STACK,
    ),
    "rnnrbm": Course(
        train=tutorials.train_rnnrbm,
        quick={"n_epochs": 3, "n_hidden": 6, "n_hidden_recurrent": 5, "r": [60, 72], "batch_size": 20},
        lines=[r"epoch \d, log-likelihood -\d+\.\d{6}"] * 3,
        figures=["sample1.png", "sample2.png"],
        build=lambda: tutorials.RnnRbm(n_hidden=3, n_hidden_recurrent=2, r=(60, 65)),
        parameter_names=["W", "bv", "bh", "Wuh", "Wuv", "Wvu", "Wuu", "bu"],
        write_data=_some_music,
    ),
    "lstm": Course(
        train=tutorials.train_lstm,
        quick={"n_epochs": 3, "dim_proj": 5, "n_words": 20, "batch_size": 10},
        lines=[_VALIDATION, _TEST, _VALIDATION, f"(?:{_TEST})?", _VALIDATION, f"(?:{_TEST})?", *_ENDING],
        figures=["learning_curve.png"],
        build=lambda: tutorials.LSTM(_rng(), T.imatrix(), T.matrix(), n_words=6, dim_proj=3),
        parameter_names=["Wemb", "lstm_W", "lstm_U", "lstm_b", "U", "b"],
        write_data=_some_texts,
    ),
    "rnnslu": Course(
        train=tutorials.train_rnnslu,
        quick={"n_epochs": 3, "nhidden": 5, "emb_dimension": 3, "win": 3},
        lines=[_VALIDATION, _TEST, _VALIDATION, f"(?:{_TEST})?", _VALIDATION, f"(?:{_TEST})?", *_ENDING],
        figures=["learning_curve.png"],
        build=lambda: tutorials.RNNSLU(nh=4, nc=3, ne=6, de=2, cs=3),
        parameter_names=["emb", "wx", "wh", "w", "bh", "b", "h0"],
        write_data=_some_slots,
    ),
    "hmc": Course(
        train=tutorials.sample_hmc,
        quick={"n_burnin": 100, "n_samples": 200, "n_dimensions": 2},
        lines=[rf"{phase}, epoch \d, acceptance rate [01]\.\d{{6}}" for phase in ("burn-in", "sampling", "sampling")],
        figures=["samples.png"],
        write_data=None,
        first={"n_burnin": 500, "n_samples": 100},
        figures_of_first=[0.991, 1.0, 0.990828, 0.907763, 0.904313],
    ),
}


def as_options(arguments):
    """Arguments of a ``train_*`` function as options of its script."""
    options = []
    for name, value in arguments.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        options += ["--" + name.replace("_", "-").lower(), *map(str, values)]
    return options
