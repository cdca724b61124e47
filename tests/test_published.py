"""The figures that the tutorials published, by the commands of README.md."""

import re
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "scripts"


def output_of(script, folder, *options):
    finished = subprocess.run(
        [sys.executable, str(SCRIPTS / script), "--output-dir", str(folder), *options],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout.splitlines()


def test_logistic_regression_to_its_end(tmp_path):
    lines = output_of("train_logreg.py", tmp_path)
    assert lines[1:7] == [
        "epoch 1, minibatch 83/83, validation error 12.458333 %",
        "     epoch 1, minibatch 83/83, test error of best model 12.375000 %",
        "epoch 2, minibatch 83/83, validation error 11.010417 %",
        "     epoch 2, minibatch 83/83, test error of best model 10.958333 %",
        "epoch 3, minibatch 83/83, validation error 10.312500 %",
        "     epoch 3, minibatch 83/83, test error of best model 10.312500 %",
    ]
    assert lines[-2] == (
        "Optimization complete. Best validation score of 7.500000 % obtained at iteration 6059, "
        "with test performance 7.489583 %"
    )
    assert re.fullmatch(r"The code ran for 74 epochs, with \d+\.\d\d epochs/sec", lines[-1])


def test_first_epoch_of_the_multilayer_perceptron(tmp_path):
    assert output_of("train_mlp.py", tmp_path, "--n-epochs", "1")[1:3] == [
        "epoch 1, minibatch 2500/2500, validation error 9.620000 %",
        "     epoch 1, minibatch 2500/2500, test error of best model 10.090000 %",
    ]


def test_first_epoch_of_lenet(tmp_path):
    assert output_of("train_lenet.py", tmp_path, "--n-epochs", "1")[1:3] == [
        "epoch 1, minibatch 100/100, validation error 9.230000 %",
        "     epoch 1, minibatch 100/100, test error of best model 9.520000 %",
    ]
