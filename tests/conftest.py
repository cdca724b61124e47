import os

# What a rewrite raises, Theano would log and pass over; here and in the processes that tests start, it is an error.
os.environ["THEANO_FLAGS"] = ",".join(filter(None, ["on_opt_error=raise", os.environ.get("THEANO_FLAGS")]))

import theano_tutorials  # noqa: F401  isort: skip  (before any test module imports theano)

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import theano.tensor as T
from hypothesis import HealthCheck, settings
from models import TUTORIALS

from theano_tutorials import load_data, minibatch_function, save_parameters, sgd_updates
from theano_tutorials.datasets import read_idx

collect_ignore = ["old_code"]  # scripts of Python 2

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
    """Files of a small model of each tutorial, trained on 10,000 images of MNIST, by the tutorial's name."""
    folder = tmp_path_factory.mktemp("models")
    (images, labels), _, _ = load_data("mnist")
    for name, tutorial in TUTORIALS.items():
        x, y = T.matrix(), T.ivector()
        batch_size = 50
        model = tutorial.build(x, batch_size, **tutorial.small)
        cost = model.negative_log_likelihood(y)
        updates = sgd_updates(cost, model.params, learning_rate=0.1)
        train = minibatch_function([x, y], cost, [images, labels], batch_size, updates)
        for minibatch in range(200):
            train(minibatch)
        save_parameters(folder / f"{name}.safetensors", model)
    return {name: folder / f"{name}.safetensors" for name in TUTORIALS}


@pytest.fixture(scope="session")
def digits():
    """Some hundred digits of MNIST's test set: uint8 (300, 28, 28), and their labels."""
    folder = Path(__file__).parents[1] / "data" / "mnist"
    images = read_idx(folder / "t10k-images-idx3-ubyte.gz", 3)
    labels = read_idx(folder / "t10k-labels-idx1-ubyte.gz", 1)
    return images[::33][:300], labels[::33][:300]
