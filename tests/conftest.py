import theano_tutorials  # noqa: F401  isort: skip  (before any test module imports theano)

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import theano
import theano.tensor as T
from hypothesis import HealthCheck, settings

from theano_tutorials import MLP, LeNet5, LogisticRegression, load_data, save_parameters, sgd_updates

# Its assertions, too, show values where they fail.
pytest.register_assert_rewrite("small_dataset")

# The same examples each time, and many others for make fuzz. The deadline is that of a damaged file.
settings.register_profile(
    "quick",
    max_examples=200,
    derandomize=True,
    deadline=timedelta(seconds=10),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("fuzz", settings.get_profile("quick"), max_examples=5000, derandomize=False, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# A suite in the background of a shell would ignore Ctrl-C, and so would the processes that it starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Model, batch size, learning rate, minibatches.
_QUICK = {
    "LogisticRegression": (lambda x: LogisticRegression(x, 784, 10), 600, 0.13, 3 * 83),
    "MLP": (lambda x: MLP(np.random.RandomState(1), x, 784, 50, 10), 20, 0.05, 500),
    "LeNet5": (lambda x: LeNet5(np.random.RandomState(1), x, 100, nkerns=(5, 8)), 100, 0.1, 60),
}


@pytest.fixture(scope="session")
def run_script():
    """Runs a script of scripts/ with arguments and environment variables, and returns the finished process."""

    def run(name, *arguments, **environment):
        finished = subprocess.run(
            [sys.executable, Path(__file__).parents[1] / "scripts" / name, *map(str, arguments)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        finished.stderr = without_waiting(finished.stderr)
        return finished

    return run


def without_waiting(text):
    """Standard error without what is said where another process on this machine compiles."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("waiting for another"))


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory):
    """Files of the three models, trained on some minibatches of MNIST, by class name."""
    folder = tmp_path_factory.mktemp("models")
    (images, labels), _, _ = load_data("mnist")
    for name, (build, batch_size, learning_rate, n_minibatches) in _QUICK.items():
        index, x, y = T.lscalar(), T.matrix(), T.ivector()
        model = build(x)
        cost = model.negative_log_likelihood(y)
        rows = slice(index * batch_size, (index + 1) * batch_size)
        train = theano.function(
            [index],
            cost,
            updates=sgd_updates(cost, model.params, learning_rate),
            givens={x: images[rows], y: labels[rows]},
        )
        for minibatch in range(n_minibatches):
            train(minibatch % (50000 // batch_size))
        save_parameters(folder / f"{name}.safetensors", model)
    return {name: folder / f"{name}.safetensors" for name in _QUICK}
