"""A model of a user, of which the library knows nothing: trained, killed, resumed, loaded and drawn."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import denoising_autoencoder
import numpy as np
import pytest
from denoising_autoencoder import DenoisingAutoencoder

from theano_tutorials import evaluate, load_model, read_data
from theano_tutorials.runs.tensors import read_tensors

pytestmark = [pytest.mark.one_python, pytest.mark.slow]

PROGRAM = denoising_autoencoder.__file__
CHECKPOINT = "checkpoint-pretraining.safetensors"
KILLS = int(os.environ.get("KILLS", "1"))


def test_it_is_at_most_sixty_lines():
    assert len(Path(PROGRAM).read_text().splitlines()) <= 60


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The first 6,000 training images of MNIST and 1,000 test images, as a user's own file."""
    (x_train, y_train), _, (x_test, y_test) = read_data("mnist")
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    # As bytes, of which the library makes what read_data gave.
    x_train, x_test = ((256 * x).astype("uint8") for x in (x_train[:6000], x_test[:1000]))
    np.savez(path, x_train=x_train, y_train=y_train[:6000], x_test=x_test, y_test=y_test[:1000])
    return path


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(*arguments):
    process = start(*arguments)
    output, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (0, "")
    return output


@pytest.fixture(scope="module")
def whole(digits, tmp_path_factory):
    """Folder of a run without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    finish(digits, folder)
    return folder


def rows_without_times(folder):
    with open(folder / "metrics-pretraining.csv", newline="") as file:
        return [{name: text for name, text in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def test_killed_and_resumed_it_ends_with_the_same_bits(digits, whole, tmp_path):
    rng = np.random.RandomState(0)
    for kill in range(KILLS):
        folder = tmp_path / str(kill)
        process = start(digits, folder)
        deadline = time.monotonic() + 300
        while not (folder / CHECKPOINT).exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not (folder / "filters.png").exists()
        finish(digits, folder, "--resume")
        for name in ("best_model.safetensors", CHECKPOINT, "filters.png"):
            assert (folder / name).read_bytes() == (whole / name).read_bytes()
        assert rows_without_times(folder) == rows_without_times(whole)


def test_its_noise_is_part_of_what_is_kept(whole):
    tensors, description = read_tensors(whole / CHECKPOINT)
    assert description["counters"]["iteration"] == 5 * 5000 // 50
    (noise,) = description["updated"]
    assert (noise["random_state"][0], len(tensors["updated.0"])) == ("MT19937", 624)


def test_loaded_it_reconstructs(whole):
    model, predict = load_model(whole, DenoisingAutoencoder)
    assert predict is None  # it is no classifier
    assert model.architecture == {"corruption": 0.3}
    images = read_data("mnist")[2][0][:1000]
    reconstruction = evaluate(model.reconstruct(model.input), {model.input: images})
    assert np.mean((reconstruction - images) ** 2) < 0.5 * np.mean((images.mean(axis=0) - images) ** 2)


def test_without_its_class_it_is_refused(whole):
    with pytest.raises(ValueError, match=r"a model 'DenoisingAutoencoder': expected .*, or the class of the model as"):
        load_model(whole)
