"""Runs that are kept, killed, resumed and refused, by real processes.

KILLS in the environment sets how many processes are killed; ``make soak`` asks
for many.
"""

import csv
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from models import TUTORIALS, as_options
from tensorboardX.proto import event_pb2

from theano_tutorials import read_data, train_mlp
from theano_tutorials.runs.directory import BEST_MODEL, CHECKPOINT, CONFIG, METRICS, SECONDS
from theano_tutorials.runs.tensors import read_tensors, write_tensors

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("KILLS", "3"))
SEED = 2026
SCRIPTS = Path(__file__).parents[2] / "scripts"
RUN_OF_0_1 = Path(__file__).parents[1] / "data" / "run_of_0_1"
FIGURES = ("learning_curve.png", "filters.png", "confusion.png", "mistakes.png")
METRICS_COLUMNS = ["epoch", "iteration", "cost", "validation_error", "test_error", "seconds", "patience"]

# Saves at every validation, so that a process is likely to be killed while it writes.
PROGRAM = """
import json, sys
import theano_tutorials
from theano_tutorials.runs import directory
directory._SECONDS_BETWEEN_CHECKPOINTS = 0
try:
    getattr(theano_tutorials, f"train_{sys.argv[1]}")(**json.loads(sys.argv[2]))
except (OSError, ValueError) as error:
    sys.exit(f"error: {type(error).__name__}: {error}")
"""

LONG = {name: tutorial.long for name, tutorial in TUTORIALS.items() if tutorial.long}
MLP = LONG["mlp"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Some of MNIST: 500, 100 and 100 examples."""
    path = tmp_path_factory.mktemp("data") / "some.npz"
    (x, y), _, (test_x, test_y) = read_data("mnist")
    np.savez(path, x_train=x[:600], y_train=y[:600], x_test=test_x[:100], y_test=test_y[:100])
    return str(path)


def command(kind, options):
    return [sys.executable, "-c", PROGRAM, kind, json.dumps(options)]


def run_to_its_end(kind, options, **keywords):
    return subprocess.run(command(kind, options), capture_output=True, text=True, timeout=300, check=False, **keywords)


def expect_success(finished):
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout.splitlines()


def expect_error(finished, *words):
    assert finished.returncode == 1
    (line,) = finished.stderr.splitlines()
    for word in words:
        assert word in line


def rows(folder):
    with open(folder / METRICS, newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_same_run(folder, reference):
    assert names(folder) == names(reference)
    for name in (BEST_MODEL, CHECKPOINT, "filters.png", "confusion.png", "mistakes.png", "learning_curve.png"):
        assert (folder / name).read_bytes() == (reference / name).read_bytes(), name
    assert rows(folder) == rows(reference)


@pytest.fixture(scope="module")
def reference(dataset, tmp_path_factory):
    """Folder and output of runs that were never interrupted."""
    runs = {}
    for kind, options in LONG.items():
        folder = tmp_path_factory.mktemp("reference") / kind
        lines = expect_success(run_to_its_end(kind, {**options, "dataset": dataset, "output_dir": str(folder)}))
        runs[kind] = folder, lines
    return runs


def test_a_run_leaves_its_files(reference, dataset):
    folder, lines = reference["mlp"]
    assert sorted(path.name for path in folder.iterdir() if path.name != ".lock") == sorted(
        [CONFIG, METRICS, BEST_MODEL, CHECKPOINT, SECONDS, *FIGURES]
    )
    for figure in FIGURES:
        assert (folder / figure).read_bytes().startswith(b"\x89PNG\r\n")

    config = json.loads((folder / CONFIG).read_text())
    assert config["model"] == "mlp"
    assert {name: config["hyperparameters"][name] for name in MLP} == MLP
    assert config["data"]["name"] == dataset
    assert len(config["data"]["sha256"]) == 64
    assert config["versions"]["theano"] == "1.0.5"
    assert config["versions"]["theano_tutorials"] == metadata.version("theano_tutorials")
    assert config["figures"] == sorted(FIGURES)
    (phase, seconds), *others = json.loads((folder / SECONDS).read_text()).items()
    assert (phase, others) == ("train", [])

    with open(folder / METRICS, newline="") as file:
        metrics = list(csv.DictReader(file))
    assert list(metrics[0]) == METRICS_COLUMNS
    assert 0 < float(metrics[-1]["seconds"]) <= seconds
    printed = [line for line in lines if "validation error" in line]
    assert len(metrics) == len(printed) == MLP["n_epochs"]
    for row, line in zip(metrics, printed):
        assert f"{float(row['validation_error']) * 100:f} %" in line
        assert float(row["cost"]) > 0
    assert [int(row["iteration"]) for row in metrics] == [25 * epoch for epoch in range(1, MLP["n_epochs"] + 1)]

    tensors, description = read_tensors(folder / BEST_MODEL)
    assert description == {"model": "MLP", "architecture": {"n_in": 784, "n_hidden": 8, "n_out": 10}}
    assert sorted(tensors) == sorted(TUTORIALS["mlp"].parameter_names)


def test_equal_runs_give_equal_files(reference, dataset, tmp_path):
    folder, lines = reference["lenet"]
    again = expect_success(
        run_to_its_end("lenet", {**LONG["lenet"], "dataset": dataset, "output_dir": str(tmp_path / "run")})
    )
    assert again[1:-1] == lines[1:-1]  # the first line says where it is, the last one how fast it was
    assert_same_run(tmp_path / "run", folder)


def wait_for_training(process, seconds, at_random):
    """Read lines until the training runs, then wait a random time."""
    assert process.stdout.readline().startswith("Run directory: ")
    line = process.stdout.readline()
    assert line.startswith(("epoch", "Optimization complete")), line + process.stderr.read()
    time.sleep(at_random.uniform(0, seconds))


def assert_whole(folder):
    """Every file that is there can be read."""
    for name in (BEST_MODEL, CHECKPOINT):
        if (folder / name).exists():
            read_tensors(folder / name)
    if (folder / METRICS).exists():
        for row in rows(folder):
            assert None not in row.values()
    json.loads((folder / CONFIG).read_text())


@pytest.mark.parametrize("kind", LONG)
def test_killed_runs_end_as_if_they_had_not_been(kind, reference, dataset, tmp_path):
    folder = tmp_path / "run"
    options = {**LONG[kind], "dataset": dataset, "output_dir": str(folder), "resume": True}
    at_random = random.Random(SEED)
    killed = 0
    while killed < KILLS:
        process = subprocess.Popen(
            command(kind, options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
        )
        with process:
            wait_for_training(process, 0.5, at_random)
            process.kill()
        if process.returncode == 0:  # it was faster: begin anew
            assert_same_run(folder, reference[kind][0])
            shutil.rmtree(folder)
            continue
        assert process.returncode == -signal.SIGKILL
        killed += 1
        assert_whole(folder)
    lines = expect_success(run_to_its_end(kind, options))
    assert lines[-2] == reference[kind][1][-2]
    assert_same_run(folder, reference[kind][0])


def test_what_a_killed_write_left_is_removed(reference, dataset, tmp_path):
    folder = copy_of(reference, tmp_path)
    (folder / f".{CHECKPOINT}.abcd").write_bytes(b"half")
    expect_success(run_to_its_end("mlp", {**MLP, "dataset": dataset, "output_dir": str(folder), "resume": True}))
    assert_same_run(folder, reference["mlp"][0])


# Signals


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_make_a_checkpoint_first(number, exit_code, reference, dataset, tmp_path):
    folder = tmp_path / "run"
    script = [
        sys.executable,
        str(SCRIPTS / "train_mlp.py"),
        "--dataset",
        dataset,
        "--output-dir",
        str(folder),
        "--resume",
    ]
    script += as_options(MLP)
    process = subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
    with process:
        wait_for_training(process, 0.1, random.Random(SEED))
        process.send_signal(number)
        *_, last = process.stdout.read().splitlines()
        assert process.stderr.read() == ""
    assert process.returncode == exit_code
    assert last.startswith("Interrupted in epoch ")
    assert "Best validation score of" in last

    _, description = read_tensors(folder / CHECKPOINT)
    assert 0 < description["counters"]["iteration"] < 25 * MLP["n_epochs"]
    finished = subprocess.run(script, capture_output=True, text=True, timeout=300, check=False)
    assert expect_success(finished)[-3] == reference["mlp"][1][-2]
    assert_same_run(folder, reference["mlp"][0])


# Runs that are there already


def copy_of(reference, tmp_path, kind="mlp"):
    shutil.copytree(reference[kind][0], tmp_path / "run")
    return tmp_path / "run"


def test_a_finished_run_prints_its_result_again(reference, dataset, tmp_path):
    folder = copy_of(reference, tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    lines = expect_success(
        run_to_its_end("mlp", {**MLP, "dataset": dataset, "output_dir": str(folder), "resume": True})
    )
    assert lines[1] == reference["mlp"][1][-2]
    assert len(lines) == 3
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_figures_that_a_kill_prevented_are_drawn_by_resume(reference, dataset, tmp_path):
    folder = copy_of(reference, tmp_path)
    (folder / "confusion.png").unlink()
    run_to_its_end("mlp", {**MLP, "dataset": dataset, "output_dir": str(folder), "resume": True})
    assert_same_run(folder, reference["mlp"][0])


def test_another_run_is_neither_mixed_nor_lost(reference, dataset, tmp_path):
    folder = copy_of(reference, tmp_path)
    finished = run_to_its_end("mlp", {**MLP, "dataset": dataset, "output_dir": str(folder)})
    expect_error(finished, str(folder), "holds another run", "resume", "overwrite")
    assert_same_run(folder, reference["mlp"][0])


def test_overwrite_replaces_a_run(reference, dataset, tmp_path):
    folder = copy_of(reference, tmp_path)
    options = {**LONG["lenet"], "dataset": dataset, "output_dir": str(folder), "overwrite": True}
    expect_success(run_to_its_end("lenet", options))
    assert_same_run(folder, reference["lenet"][0])


def test_resume_and_overwrite_exclude_each_other(dataset, tmp_path):
    options = {**MLP, "dataset": dataset, "output_dir": str(tmp_path), "overwrite": True, "resume": True}
    expect_error(run_to_its_end("mlp", options), "resume and overwrite exclude each other")


def test_resume_refuses_a_run_of_another_floatX(reference, dataset, tmp_path, monkeypatch):
    folder = copy_of(reference, tmp_path)
    monkeypatch.setenv("THEANO_FLAGS", "floatX=float64")
    options = {**LONG["mlp"], "dataset": dataset, "output_dir": str(folder), "resume": True}
    said = "cannot be resumed: floatX was float32, is float64: set THEANO_FLAGS=floatX=float32"
    expect_error(run_to_its_end("mlp", options), str(folder), said)


@pytest.mark.parametrize(
    ("kind", "change", "differences"),
    [
        ("mlp", {"n_hidden": 9, "L1_reg": 0.001}, ["L1_reg was 0.0, is 0.001", "n_hidden was 8, is 9"]),
        ("mlp", {"dataset": "mnist"}, ["data was '"]),
        ("lenet", {}, ["model was 'mlp', is 'lenet'", "nkerns was None, is [2, 3]"]),
    ],
)
def test_resume_refuses_another_run_and_lists_the_differences(kind, change, differences, reference, dataset, tmp_path):
    folder = copy_of(reference, tmp_path)
    options = {**LONG[kind], "dataset": dataset, "output_dir": str(folder), "resume": True, **change}
    expect_error(run_to_its_end(kind, options), str(folder), "cannot be resumed", *differences)
    assert_same_run(folder, reference["mlp"][0])


def test_a_checkpoint_of_another_architecture_is_refused(reference, dataset, tmp_path):
    folder = copy_of(reference, tmp_path)
    shutil.copy(reference["lenet"][0] / CHECKPOINT, folder / CHECKPOINT)
    options = {**MLP, "dataset": dataset, "output_dir": str(folder), "resume": True}
    expect_error(run_to_its_end("mlp", options), CHECKPOINT, "LeNet5", "MLP")


@pytest.mark.parametrize("name", [CHECKPOINT, CONFIG, METRICS, SECONDS])
@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"\xff" * 300])
def test_a_damaged_file_is_an_error(name, damage, reference, dataset, tmp_path):
    folder = copy_of(reference, tmp_path)
    damaged = damage((folder / name).read_bytes())
    (folder / name).write_bytes(damaged)
    options = {**MLP, "dataset": dataset, "output_dir": str(folder), "resume": True}
    expect_error(run_to_its_end("mlp", options), name)
    assert (folder / name).read_bytes() == damaged
    assert (folder / BEST_MODEL).read_bytes() == (reference["mlp"][0] / BEST_MODEL).read_bytes()


def test_a_resume_that_fails_lets_go_of_the_directory(reference, dataset, tmp_path):
    folder = copy_of(reference, tmp_path)
    (folder / CHECKPOINT).write_bytes(b"")
    options = {**MLP, "dataset": dataset, "output_dir": folder, "resume": True}
    kept = []  # with their tracebacks, as a notebook keeps them
    for _ in range(2):
        with pytest.raises(ValueError, match=CHECKPOINT) as caught:
            train_mlp(**options)
        kept.append(caught)


def test_a_directory_in_use_is_refused(dataset, tmp_path):
    options = {**MLP, "dataset": dataset, "output_dir": str(tmp_path / "run"), "n_epochs": 10**6}
    with subprocess.Popen(command("mlp", options), stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        wait_for_training(process, 0, random)
        expect_error(run_to_its_end("mlp", {**options, "resume": True}), "in use by another process")
        process.kill()


def test_a_full_disk_is_an_error_and_the_last_good_files_stay(dataset, tmp_path):
    # The limit is above what Theano compiles and below a checkpoint of 1000 hidden units.
    options = {**MLP, "dataset": dataset, "n_hidden": 1000, "n_epochs": 1, "output_dir": str(tmp_path / "run")}
    expect_success(run_to_its_end("mlp", options))
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    limit = len(before[CHECKPOINT]) - 1000
    code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
    options["output_dir"] = str(tmp_path / "full")
    finished = subprocess.run(
        [sys.executable, "-c", code + PROGRAM, "mlp", json.dumps(options)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    expect_error(finished, "File too large")
    assert sorted(path.name for path in (tmp_path / "full").iterdir() if path.name != ".lock") == [
        BEST_MODEL,
        CONFIG,
        METRICS,
    ]
    assert (tmp_path / "full" / BEST_MODEL).read_bytes() == before[BEST_MODEL]


def test_a_directory_that_cannot_be_written_is_an_error_before_the_training(dataset):
    # Root, too, can make no file there.
    finished = run_to_its_end("mlp", {**MLP, "dataset": dataset, "output_dir": "/proc/self"})
    expect_error(finished, "/proc/self")
    assert finished.stdout == ""


def test_wrong_arguments_leave_nothing_behind(dataset, tmp_path):
    options = {**MLP, "batch_size": 101, "dataset": dataset, "output_dir": str(tmp_path / "runs" / "run")}
    expect_error(run_to_its_end("mlp", options), "batch_size is 101")
    assert list(tmp_path.iterdir()) == []


# How long


def without_n_epochs(folder):
    config = json.loads((folder / CONFIG).read_text())
    del config["hyperparameters"]["n_epochs"]
    return config


@pytest.mark.parametrize("kind", LONG)
def test_a_finished_run_goes_on_for_more_epochs(kind, reference, dataset, tmp_path):
    options = {**LONG[kind], "dataset": dataset, "output_dir": str(tmp_path / "run")}
    expect_success(run_to_its_end(kind, {**options, "n_epochs": 1}))
    seconds = [json.loads((tmp_path / "run" / SECONDS).read_text())["train"]]
    lines = expect_success(run_to_its_end(kind, {**options, "resume": True}))
    assert lines[-2] == reference[kind][1][-2]
    assert_same_run(tmp_path / "run", reference[kind][0])
    assert without_n_epochs(tmp_path / "run") == without_n_epochs(reference[kind][0])
    assert json.loads((tmp_path / "run" / CONFIG).read_text())["hyperparameters"]["n_epochs"] == options["n_epochs"]
    # Seconds count on from where the first part ended.
    with open(tmp_path / "run" / METRICS, newline="") as file:
        seconds += [float(row["seconds"]) for row in list(csv.DictReader(file))[1:]]
    seconds.append(json.loads((tmp_path / "run" / SECONDS).read_text())["train"])
    assert seconds == sorted(seconds)
    n_epochs, speed = re.fullmatch(r"The code ran for (\d+) epochs, with (.*) epochs/sec", lines[-1]).groups()
    # Both are rounded: the seconds to milliseconds, the speed to two digits.
    of_the_last_row = seconds[-2]
    assert float(speed) <= int(n_epochs) / (of_the_last_row - 0.0005) + 0.005


def test_a_run_of_fewer_epochs_than_it_has_is_not_changed(reference, dataset, tmp_path):
    folder = copy_of(reference, tmp_path)
    lines = expect_success(
        run_to_its_end("mlp", {**MLP, "dataset": dataset, "output_dir": str(folder), "resume": True, "n_epochs": 2})
    )
    assert lines[1] == reference["mlp"][1][-2]
    assert_same_run(folder, reference["mlp"][0])


def test_a_test_error_of_zero_is_a_number_fresh_and_resumed(tmp_path):
    # Two classes that a line separates: no error from the first validation on.
    images = np.repeat(np.arange(40) % 2, 4).reshape(40, 2, 2).astype("float32")
    labels = np.arange(40) % 2
    np.savez(tmp_path / "easy.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    options = {"n_hidden": 2, "batch_size": 4, "learning_rate": 1.0, "dataset": str(tmp_path / "easy.npz")}
    for folder, parts in (("whole", [4]), ("parts", [1, 2, 4])):
        for n_epochs in parts:
            train_mlp(**options, n_epochs=n_epochs, output_dir=tmp_path / folder, resume=True)
    for name in FIGURES:
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")
    assert "0.0" in [row["test_error"] for row in rows(tmp_path / "whole")]


# Runs of version 0.1


def test_a_run_of_version_0_1_goes_on_to_the_same_bits(tmp_path, capsys):
    shutil.copytree(RUN_OF_0_1 / "cut", tmp_path / "run")
    before = json.loads((tmp_path / "run" / CONFIG).read_text())
    train_mlp(
        **{**before["parameters"], "dataset": RUN_OF_0_1 / "small.npz", "output_dir": tmp_path / "run", "resume": True}
    )
    expected = (RUN_OF_0_1 / "best_model_of_the_whole.safetensors").read_bytes()
    assert (tmp_path / "run" / BEST_MODEL).read_bytes() == expected
    assert capsys.readouterr().out.splitlines()[1].startswith("epoch 24, minibatch 10/10")
    config = json.loads((tmp_path / "run" / CONFIG).read_text())
    assert config["hyperparameters"] == before["parameters"]
    assert config["versions"] == before["versions"]  # of those that it was begun with
    assert [int(row["epoch"]) for row in rows(tmp_path / "run")] == list(range(1, 41))


def test_a_checkpoint_of_a_later_format_is_refused(tmp_path):
    shutil.copytree(RUN_OF_0_1 / "cut", tmp_path / "run")
    tensors, description = read_tensors(tmp_path / "run" / CHECKPOINT)
    write_tensors(tmp_path / "run" / CHECKPOINT, tensors, {**description, "format": 3})
    arguments = json.loads((tmp_path / "run" / CONFIG).read_text())["parameters"]
    with pytest.raises(ValueError, match=r"checkpoint.safetensors has format 3: expected 2, or that of version 0\.1"):
        train_mlp(**arguments, dataset=RUN_OF_0_1 / "small.npz", output_dir=tmp_path / "run", resume=True)


# TensorBoard


def test_tensorboard_events_hold_the_metrics(dataset, tmp_path):
    folder = tmp_path / "run"
    options = {**MLP, "n_epochs": 5, "dataset": dataset, "output_dir": str(folder), "tensorboard": True}
    expect_success(run_to_its_end("mlp", options))
    (events,) = folder.glob("events.out.tfevents.*")
    scalars = {}
    for record in tfrecords(events.read_bytes()):
        event = event_pb2.Event.FromString(record)
        for value in event.summary.value:
            scalars.setdefault(value.tag, {})[event.step] = value.simple_value
    for name in ("cost", "validation_error", "patience"):
        expected = {int(row["iteration"]): np.float32(row[name]) for row in rows(folder)}
        assert scalars[name] == expected


def tfrecords(data):
    """Payloads of a TFRecord file: length, its checksum, payload, its checksum."""
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        yield data[12 : 12 + length]
        data = data[16 + length :]
