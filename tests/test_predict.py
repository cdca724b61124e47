"""The script that reads digits from image files."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from theano_tutorials import load_model
from theano_tutorials.images import read_digit
from theano_tutorials.saved import evaluate_model

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@pytest.fixture
def image_files(digits, tmp_path):
    """A digit as it is, and one inverted and enlarged."""
    Image.fromarray(digits[0][0]).save(tmp_path / "first.png")
    Image.fromarray(255 - digits[0][1]).resize((280, 280)).save(tmp_path / "second.jpg")
    return tmp_path / "first.png", tmp_path / "second.jpg"


def test_script_prints_digits_and_goes_on_after_a_bad_image(run_script, image_files, saved_models, tmp_path):
    first, second = image_files
    (tmp_path / "broken.png").write_text("broken")
    Image.new("L", (9, 9)).save(tmp_path / "blank.png")
    finished = run_script(
        "predict.py",
        saved_models["lenet"],
        first,
        tmp_path / "broken.png",
        tmp_path / "blank.png",
        tmp_path / "none.png",
        second,
    )
    assert finished.returncode == 1
    errors = finished.stderr.splitlines()
    assert len(errors) == 3
    for name, line in zip(("broken.png", "blank.png", "none.png"), errors):
        assert re.match(rf"error: .*{name}", line)
    lines = finished.stdout.splitlines()
    predict = load_model(saved_models["lenet"]).predict
    for path, (head, table, preparation) in zip(image_files, (lines[:3], lines[3:])):
        digit = read_digit(path)
        (expected,) = predict(digit.pixels[None])
        assert head == f"{path}: {expected.argmax()}"
        assert table.split() == [part for label, p in enumerate(expected) for part in (f"{label}:", f"{p:.4f}")]
        assert preparation.strip() == digit.preparation


def test_script_prints_json(run_script, image_files, saved_models):
    first, *others = image_files
    finished = run_script("predict.py", saved_models["mlp"], first, "--json", *others)
    assert (finished.returncode, finished.stderr) == (0, "")
    predict = load_model(saved_models["mlp"]).predict
    lines = finished.stdout.splitlines()
    assert len(lines) == len(image_files)
    for path, line in zip(image_files, lines):
        digit = read_digit(path)
        (expected,) = predict(digit.pixels[None])
        found = json.loads(line)
        assert found.pop("probabilities") == pytest.approx(expected.tolist(), rel=1e-4)
        assert found == {"file": str(path), "digit": expected.argmax(), "preparation": digit.preparation}


def test_script_evaluates(run_script, saved_models):
    losses = evaluate_model(load_model(saved_models["logreg"]).predict, "mnist")
    finished = run_script("predict.py", saved_models["logreg"], "--evaluate", "mnist")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout == "validation error {:f} %\ntest error {:f} %\n".format(*(100 * loss for loss in losses))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{model}"], "expected image files or --evaluate DATASET"),
        (["{model}", "--evaluate", "nowhere"], "data set nowhere not found"),
        (["nowhere", "digit.png"], "nowhere does not exist: expected the directory of a run, or its file best_model"),
        (["{model}", "nowhere.png"], "error: nowhere.png: No such file or directory"),
    ],
)
def test_script_ends_with_one_line_for_an_error(run_script, arguments, message, saved_models):
    finished = run_script("predict.py", *(part.format(model=saved_models["mlp"]) for part in arguments))
    assert (finished.returncode, finished.stdout) == (1, "")
    assert re.fullmatch(rf"(?=error: ).*{message}.*\n", finished.stderr)


def test_script_is_interrupted_by_ctrl_c(image_files, saved_models):
    command = [sys.executable, ROOT / "scripts" / "predict.py", saved_models["mlp"], *[image_files[0]] * 20000]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith(os.fspath(image_files[0]))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.startswith("Interrupted\n")
