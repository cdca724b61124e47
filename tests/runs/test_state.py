"""The state of a training is what its functions update: killed and resumed, it ends with the same bits.

KILLS in the environment sets how many processes are killed; ``make soak`` asks
for many.
"""

import csv
import functools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import small_models
import theano
import theano.tensor as T
from small_models import TRAININGS, shared
from theano.tensor.shared_randomstreams import RandomStreams

from theano_tutorials import EarlyStopping, LogisticRegression, open_run, pretrain
from theano_tutorials.runs.state import TrainingState, updated_variables
from theano_tutorials.runs.tensors import read_tensors, write_tensors

KILLS = int(os.environ.get("KILLS", "1"))
SEED = 2026


# Processes


def start(kind, folder):
    command = [sys.executable, small_models.__file__, kind, folder]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)


def finish(kind, folder):
    with start(kind, folder) as process:
        output, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (0, "")
    return output


def kill_after(kind, folder, line, at_random):
    """Kill a training some time after it printed a line; return whether it had not ended by then."""
    with start(kind, folder) as process:
        for printed in process.stdout:
            if re.match(line, printed):
                break
        time.sleep(at_random.uniform(0, 0.3))
        process.kill()
    assert process.returncode in (0, -signal.SIGKILL)
    return process.returncode != 0


def assert_same_run(folder, reference):
    names = sorted(path.name for path in reference.iterdir())
    assert sorted(path.name for path in folder.iterdir()) == names
    for name in names:
        if name.endswith(".safetensors"):
            assert (folder / name).read_bytes() == (reference / name).read_bytes(), name
        if name.endswith(".csv"):
            assert rows(folder / name) == rows(reference / name)


def rows(path):
    with open(path, newline="") as file:
        return [{name: text for name, text in row.items() if name != "seconds"} for row in csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in TRAININGS if kind != "phases"])
def test_killed_runs_of_every_kind_of_state_end_with_the_same_bits(kind, tmp_path):
    finish(kind, tmp_path / "reference")
    at_random = random.Random(SEED)
    killed = 0
    while killed < KILLS:
        if kill_after(kind, tmp_path / "run", r".*epoch \d+", at_random):
            killed += 1
        else:  # it was faster: begin anew
            assert_same_run(tmp_path / "run", tmp_path / "reference")
            shutil.rmtree(tmp_path / "run")
    finish(kind, tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "reference")


@pytest.mark.slow
@pytest.mark.parametrize("repeat", range(KILLS))
def test_killed_runs_go_on_in_the_phase_where_they_were(repeat, tmp_path):
    finish("phases", tmp_path / "reference")
    at_random = random.Random(SEED + repeat)
    lines = {"layer-0": "layer-0, epoch 2", "layer-1": "layer-1, epoch 2", "train": "epoch 2,"}
    for killed, line in lines.items():
        was_killed = kill_after("phases", tmp_path / "run", line, at_random)
        assert was_killed or killed == "train"  # whose epochs may end before the kill
        begun = [path.name for path in (tmp_path / "run").glob("checkpoint*")]
        assert ("checkpoint-layer-1.safetensors" in begun) >= (killed != "layer-0")
    output = finish("phases", tmp_path / "run")
    # What was finished is not trained again.
    assert "layer-0" not in output.split("Optimization complete")[0]
    assert_same_run(tmp_path / "run", tmp_path / "reference")
    printed = finish("phases", tmp_path / "run").splitlines()
    assert printed[1].startswith("Optimization complete")
    assert len(printed) == 3
    assert_same_run(tmp_path / "run", tmp_path / "reference")


@pytest.fixture
def counting():
    """A model of one parameter, and a function that adds one to it."""
    count = shared([0])
    model = type("Model", (), {})()
    model.count, model.params = count, [count]
    return model, theano.function([T.lscalar()], count.sum(), updates=[(count, count + 1)], on_unused_input="ignore")


def test_phases_have_names_of_their_own(counting, tmp_path):
    model, step = counting
    with open_run(tmp_path / "run", "counts", {}, []) as run:
        pretrain(step, model, 3, 2, run, phase="first")
        with pytest.raises(ValueError, match="two phases of a run are called 'first': give each a name of its own"):
            pretrain(step, model, 3, 2, run, phase="first")
        for name in ("", "a/b", "a b"):
            with pytest.raises(ValueError, match=f"the phase is called '{name}': expected letters"):
                pretrain(step, model, 3, 2, run, phase=name)
        assert pretrain(step, model, 3, 3, run, phase="second").n_epochs == 3
        assert [row["epoch"] for row in run.rows("second")] == [1, 2, 3]
    assert model.count.get_value() == 3 * (2 + 3)


def test_overwrite_removes_the_files_of_all_phases(counting, tmp_path):
    model, step = counting
    with open_run(tmp_path / "run", "counts", {}, []) as run:
        pretrain(step, model, 3, 2, run, phase="first")
        run.draw({"counts.png": lambda: b"drawn"})
    (tmp_path / "run" / "notes.txt").write_text("of the user")
    with open_run(tmp_path / "run", "counts", {}, [], overwrite=True) as run:
        pretrain(step, model, 3, 1, run, phase="other")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        ".lock",
        "best_model.safetensors",
        "checkpoint-other.safetensors",
        "config.json",
        "metrics-other.csv",
        "notes.txt",
        "seconds.json",
    }


# What is found


@pytest.mark.parametrize(
    ("kind", "n_arrays", "n_random_states"),
    [("RandomStreams", 0, 1), ("MRG_RandomStreams", 1, 0), ("momentum", 2, 0), ("decay", 1, 0), ("chain", 1, 2)],
)
def test_a_checkpoint_holds_what_the_functions_update(kind, n_arrays, n_random_states, tmp_path, monkeypatch):
    monkeypatch.setattr(small_models, "N_EPOCHS", 1)
    TRAININGS[kind](open_run(tmp_path / "run", kind, {}, small_models.SPLITS))
    (checkpoint,) = (tmp_path / "run").glob("checkpoint*.safetensors")
    tensors, description = read_tensors(checkpoint)
    kinds = [entry["random_state"] is not None for entry in description["updated"]]
    assert (kinds.count(False), kinds.count(True)) == (n_arrays, n_random_states)
    assert sum(name.startswith("updated.") for name in tensors) == len(kinds)


def test_each_updated_variable_is_found_once_in_the_order_of_the_functions():
    a, b, c, untouched = (shared([0], name) for name in ("a", "b", "c", "untouched"))
    first = theano.function([], untouched.sum(), updates=[(b, b + 1)])
    second = theano.function([], [], updates=[(a, a + 1), (b, b + 2), (c, c + untouched)])

    @functools.wraps(second)
    def wrapped():
        return second()

    assert updated_variables([first, first]) == [b]
    found = updated_variables([first, wrapped])
    assert found[0] is b
    assert len(found) == 3
    assert set(found) == {a, b, c}


def test_random_streams_are_found_though_no_update_names_them():
    streams = RandomStreams(0)
    function = theano.function([], streams.uniform())
    (state,) = updated_variables([function])
    assert state is streams.state_updates[0][0]


def test_a_function_that_theano_did_not_compile_is_refused_before_the_training(counting, tmp_path):
    model, _ = counting

    def step(index):
        raise AssertionError("trained on a minibatch")

    with pytest.raises(TypeError, match=r"is not compiled by theano.function: what it updates is not known"):
        pretrain(step, model, 3, 1, open_run(tmp_path / "run", "plain", {}, []))


def test_what_cannot_be_kept_is_refused_before_the_training(counting, tmp_path):
    model, _ = counting
    words = theano.shared("a text, of a type that is no array")
    step = theano.function([T.lscalar()], model.count.sum(), updates=[(words, words)], on_unused_input="ignore")
    with pytest.raises(TypeError, match="expected an array or a RandomState with the Mersenne Twister"):
        pretrain(step, model, 3, 1, open_run(tmp_path / "run", "generic", {}, []))
    # Without a run nothing has to be kept.
    assert pretrain(step, model, 3, 1).n_epochs == 1


# To arrays, and back


def state_of(velocity_shape=(2,), early_stopping=None):
    classifier = LogisticRegression(T.matrix(), 4, 3)
    velocity, streams = shared(np.zeros(velocity_shape), "velocity"), RandomStreams(0)
    function = theano.function([], streams.uniform(), updates=[(velocity, velocity + 1), (classifier.b, classifier.b)])
    return TrainingState(classifier, [function], early_stopping), function, velocity


def test_a_state_is_what_it_was(tmp_path):
    saved, function, velocity = state_of(early_stopping=EarlyStopping(100))
    function()
    saved.parameters["W"].set_value(np.full((4, 3), 7, "float32"))
    saved.keep_parameters()
    saved.parameters["W"].set_value(np.full((4, 3), 8, "float32"))
    saved.iteration, saved.cost_sum, saved.test_loss = 17, 0.1, 0.25
    early_stopping = saved.early_stopping
    early_stopping.patience, early_stopping.best_loss, early_stopping.best_iteration = 300, 0.125, 16
    write_tensors(tmp_path / "state", *saved.to_tensors())
    next_number = function()

    loaded, function, velocity = state_of(early_stopping=EarlyStopping(100))
    loaded.set_from(tmp_path / "state", *read_tensors(tmp_path / "state"))
    assert (loaded.iteration, loaded.cost_sum, loaded.test_loss) == (17, 0.1, 0.25)
    assert vars(loaded.early_stopping) == {**vars(early_stopping)}
    np.testing.assert_array_equal(velocity.get_value(), [1, 1])
    assert function() == next_number
    assert loaded.parameters["W"].get_value().max() == 8
    loaded.restore_best_parameters()
    assert loaded.parameters["W"].get_value().max() == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors, description: description.update(format=1), "has format 1: expected 2"),
        (lambda tensors, description: description.update(model="MLP"), "is of MLP .*: expected .*LogisticRegression"),
        (lambda tensors, description: tensors.pop("current.b"), r"b: missing, expected \(\(3,\), 'float32'\)"),
        (
            lambda tensors, description: description["updated"].pop(),
            r"keeps, besides the parameters, .*: expected .*an array float32 \(2,\)",
        ),
        (
            lambda tensors, description: tensors.update({"updated.1": np.zeros(3, "float32")}),
            r"keeps, besides the parameters, .*an array float32 \(3,\).*: expected .*an array float32 \(2,\)",
        ),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_nothing_is_set(change, message, tmp_path):
    saved, _, _ = state_of()
    tensors, description = saved.to_tensors()
    tensors = {name: value + 1 if value.dtype.kind == "f" else value for name, value in tensors.items()}
    # The velocity is kept as the second, so that the changes name it.
    assert [entry["name"] for entry in description["updated"]].index("velocity") == 1
    change(tensors, description)
    loaded, _, velocity = state_of()
    with pytest.raises(ValueError, match=message):
        loaded.set_from(tmp_path / "state", tensors, description)
    assert not velocity.get_value().any()
    assert not loaded.parameters["W"].get_value().any()
    assert loaded.iteration == 0
