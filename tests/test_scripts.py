"""The command line: what it prints, its exit codes, and how it ends when it is disturbed."""

import fcntl
import inspect
import os
import pty
import random
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
import venv
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from models import REST, TUTORIALS, as_options

import theano_tutorials
from theano_tutorials import datasets

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
ENDLESS = ["--batch-size", "50", "--n-epochs", "100000000", "--patience", "1000000000"]
A_WHILE = 60  # seconds

VALIDATION = r"epoch (\d+), minibatch (\d+)/(\d+), validation error (\d+\.\d{6}) %"
TEST = r"     epoch (\d+), minibatch (\d+)/(\d+), test error of best model (\d+\.\d{6}) %"
BEST = r"Best validation score of (\d+\.\d{6}) % obtained at iteration (\d+), with test performance (\d+\.\d{6}) %"
COMPLETE = rf"Optimization complete\. {BEST}"
SPEED = r"The code ran for (\d+) epochs, with \d+\.\d\d epochs/sec"


@pytest.fixture(scope="module")
def environment(request):
    """Environment with a compile cache of these tests, warm from the second run on."""
    cache = request.config.cache.mkdir("theano_scripts")
    return {**os.environ, "THEANO_FLAGS": f"on_opt_error=raise,base_compiledir={shlex.quote(str(cache))}"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """The first 700 training images of MNIST, as an .npz."""
    folder = ROOT / "data" / "mnist"
    x = datasets.read_idx(folder / "train-images-idx3-ubyte.gz", 3)[:700]
    y = datasets.read_idx(folder / "train-labels-idx1-ubyte.gz", 1)[:700]
    path = tmp_path_factory.mktemp("dataset") / "few.npz"
    splits = {"train": slice(400), "valid": slice(400, 550), "test": slice(550, 700)}
    arrays = {f"{kind}_{name}": data[rows] for name, rows in splits.items() for kind, data in (("x", x), ("y", y))}
    np.savez(path, **arrays)
    return path


def command(name, *arguments):
    return [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *map(str, arguments)]


def run(env, name, *arguments, **options):
    return subprocess.run(command(name, *arguments), env=env, capture_output=True, text=True, timeout=300, **options)


def start(env, name, *arguments):
    """Start a script as the leader of a process group, as a shell does."""
    return subprocess.Popen(
        command(name, *arguments),
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def assert_one_error(finished, *parts):
    assert finished.returncode == 1
    assert finished.stderr.startswith("error: ")
    assert finished.stderr.count("\n") == 1
    for part in parts:
        assert part in finished.stderr


def shape_of(output):
    """The lines of a run without what differs from run to run: the place and the speed."""
    return re.sub(r"Run directory: .*|with .* epochs/sec|Results in .*:", "", output)


def wait_for_validation(process):
    assert process.stdout.readline().startswith("Run directory: ")
    assert re.fullmatch(VALIDATION, process.stdout.readline().rstrip("\n"))


@pytest.fixture(autouse=True)
def _runs_are_kept_aside(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


# Help


@pytest.mark.parametrize("name", [*TUTORIALS, *REST])
def test_help_shows_every_parameter_with_its_default(environment, name):
    function = {**TUTORIALS, **REST}[name].train
    finished = run({**environment, "COLUMNS": "500"}, function.__name__, "--help")
    assert (finished.returncode, finished.stderr) == (0, "")
    listed = dict(re.findall(r"^  --([\w-]+).*?\(default: (.*?)\)$", finished.stdout, re.MULTILINE | re.DOTALL))
    expected = {"device": "the one in THEANO_FLAGS or .theanorc, or cpu"}
    for parameter in inspect.signature(function).parameters.values():
        expected[parameter.name.replace("_", "-").lower()] = str(parameter.default)
    expected["output-dir"] = f"runs/{name}/<date-time>"
    assert listed == expected


# A run


def quick(name):
    return as_options(TUTORIALS[name].quick)


@pytest.fixture(scope="module", params=TUTORIALS)
def finished(request, environment, dataset, tmp_path_factory):
    """A finished run of each script: the tutorial, what it printed, and its output folder."""
    folder = tmp_path_factory.mktemp("runs") / "new" / request.param
    arguments = ["--dataset", dataset, "--output-dir", folder, *quick(request.param)]
    return request.param, run(environment, f"train_{request.param}", *arguments), folder


def test_a_run_prints_the_lines_of_the_tutorials(finished):
    _, process, folder = finished
    assert (process.returncode, process.stderr) == (0, "")
    first, *lines, complete, speed, results = process.stdout.splitlines()
    assert first == f"Run directory: {folder}"
    figures = sorted(path.name for path in folder.glob("*.png"))
    assert results == f"Results in {folder}: best_model.safetensors, metrics.csv, {', '.join(figures)}"
    assert "learning_curve.png" in figures
    best = 101.0
    epochs = 0
    while lines:
        epoch, minibatch, of, error = re.fullmatch(VALIDATION, lines.pop(0)).groups()
        epochs += 1
        assert (int(epoch), minibatch) == (epochs, of)
        if float(error) < best:
            best = float(error)
            tested = re.fullmatch(TEST, lines.pop(0)).groups()
            assert tested[:3] == (epoch, minibatch, of)
            at = int(epoch) * int(of)
            test_error = tested[3]
    assert re.fullmatch(COMPLETE, complete).groups() == (f"{best:f}", str(at), test_error)
    assert re.fullmatch(SPEED, speed)[1] == str(epochs)


def test_the_output_folder_keeps_the_best_model(finished, dataset):
    name, process, folder = finished
    _, (valid_x, valid_y), _ = theano_tutorials.read_data(dataset)
    predicted = theano_tutorials.load_model(folder).predict(valid_x).argmax(axis=1)
    tutorial = TUTORIALS[name]
    batch_size = tutorial.quick.get("batch_size", tutorial.batch_size)
    n_used = len(valid_x) // batch_size * batch_size
    error = np.mean((predicted != valid_y)[:n_used]) * 100
    assert f"Best validation score of {error:f} %" in process.stdout


def test_the_same_command_gives_the_same_bytes(finished, environment, dataset, tmp_path):
    name, process, folder = finished
    # From another folder, for good measure.
    again = run(environment, f"train_{name}", "--dataset", dataset, "--output-dir", "out", *quick(name), cwd=tmp_path)
    assert shape_of(again.stdout) == shape_of(process.stdout)
    model = "best_model.safetensors"
    assert (tmp_path / "out" / model).read_bytes() == (folder / model).read_bytes()


@pytest.mark.parametrize(
    ("columns", "bar"),
    [
        (40, r" *\d+%\|.+\| \d\d:\d\d, cost \d+\.\d{4}"),
        (80, r"training: +\d+%\|.+\| \d+/60 \[\d\d:\d\d<\d\d:\d\d, .*it/s, cost \d+\.\d{4}\]"),
        (200, r"training: +\d+%\|.+\| \d+/60 \[\d\d:\d\d<\d\d:\d\d, .*it/s, cost \d+\.\d{4}\]"),
    ],
)
def test_a_terminal_shows_a_progress_bar(environment, dataset, columns, bar):
    # Slowed down by its size: a bar is drawn ten times a second.
    arguments = ["--dataset", dataset, "--n-hidden", "1500", "--n-epochs", "3"]
    main, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))  # rows, columns
    process = subprocess.Popen(command("train_mlp", *arguments), env=environment, stdout=secondary, stderr=secondary)
    os.close(secondary)
    shown = b""
    try:
        while select.select([main], [], [], A_WHILE)[0]:
            shown += os.read(main, 65536)
    except OSError:  # Linux says so when the other side is closed
        pass
    os.close(main)
    assert process.wait() == 0
    drawn = [line for line in re.split(r"[\r\n]", shown.decode()) if re.fullmatch(bar, line.strip())]
    assert drawn
    assert all(len(line) <= columns for line in drawn)
    assert re.search(COMPLETE, shown.decode())


# Errors


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--nonsense", "1"], "unrecognized arguments: --nonsense 1"),
        (["--n-epochs", "many"], "--n-epochs: invalid number value: 'many'"),
        (["--dataset", "/nonexistent.npz"], "/nonexistent.npz not found"),
        (["--batch-size", "0"], "batch_size is 0"),
        (["--batch-size", "151"], "batch_size is 151: expected at most 150"),
        (["--learning-rate", "0"], "learning_rate is 0"),
        (["--learning-rate", "nan"], "learning_rate is nan"),
        (["--learning-rate", "-1"], "learning_rate is -1"),
        (["--n-epochs", "0"], "n_epochs is 0"),
        (["--patience", "1"], "patience is 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_argument_is_one_line(environment, dataset, arguments, part):
    # Without optimisation: n_epochs is checked after the functions are compiled.
    env = {**environment, "THEANO_FLAGS": environment["THEANO_FLAGS"] + ",mode=FAST_COMPILE"}
    finished = run(env, "train_logreg", "--dataset", dataset, "--batch-size", "50", *arguments)
    assert_one_error(finished, part)
    assert finished.stdout == ""


def test_test_values_are_refused_in_one_line(environment, dataset):
    env = {**environment, "THEANO_FLAGS": environment["THEANO_FLAGS"] + ",compute_test_value=raise"}
    finished = run(env, "train_mlp", "--dataset", dataset)
    assert_one_error(finished, "compute_test_value: the variables of the tutorials have no test values")


def test_three_numbers_of_filters_are_one_too_many(environment, dataset):
    finished = run(environment, "train_lenet", "--dataset", dataset, "--nkerns", "2", "3", "4")
    assert_one_error(finished, "unrecognized arguments: 4")


@pytest.mark.parametrize("kind", ["used", "not a folder", "not writable"])
def test_an_output_folder_that_will_not_do_is_one_line(environment, dataset, tmp_path, kind):
    folder = {"used": tmp_path, "not a folder": tmp_path / "file" / "out", "not writable": Path("/proc/out")}[kind]
    (tmp_path / "file").write_text("")
    (tmp_path / "config.json").write_text("of another run")
    options = ["--dataset", dataset, "--batch-size", "50", "--output-dir", folder]
    finished = run(environment, "train_logreg", *options)
    assert_one_error(finished, str(folder))
    assert (tmp_path / "config.json").read_text() == "of another run"


def test_divergence_names_the_iteration_and_keeps_the_best_model(environment, tmp_path):
    # Weights of millions after the first of two minibatches; times the second, more than float32 can hold.
    x = np.full((100, 4), 1e-3, "float32")
    x[50:] = 3e37
    y = np.arange(100) % 10
    y[:50] = 0
    path = tmp_path / "huge.npz"
    np.savez(path, x_train=x, y_train=y, x_valid=x[:50], y_valid=y[:50], x_test=x[:50], y_test=y[:50])
    out = tmp_path / "out"
    arguments = ["--batch-size", "50", "--patience", "2", "--learning-rate", "1e10", "--output-dir", out]
    finished = run(environment, "train_logreg", "--dataset", path, *arguments)
    assert_one_error(finished, "at iteration 2 (epoch 1): lower the learning rate")
    assert re.match(r"error: the cost is (nan|inf|-inf) ", finished.stderr)
    assert re.fullmatch(rf"Run directory: .*\n{VALIDATION}\n{TEST}\n{BEST}\n", finished.stdout)
    kept = safetensors.numpy.load_file(out / "best_model.safetensors")
    assert {name: value.shape for name, value in kept.items()} == {"W": (4, 10), "b": (10,)}
    assert all(np.isfinite(value).all() for value in kept.values())


def test_a_full_disk_is_one_line(environment, dataset):
    with open("/dev/full", "w") as full:
        finished = subprocess.run(
            command("train_logreg", "--dataset", dataset, *quick("logreg")),
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert_one_error(finished, "No space left on device")


@pytest.mark.parametrize("arguments", [ENDLESS, ["--help"]], ids=["run", "help"])
def test_output_that_nobody_reads_is_one_line(environment, dataset, arguments):
    # Buffered, the usual way: then it is the flush that fails.
    env = {**environment, "PYTHONUNBUFFERED": ""}
    process = start(env, "train_logreg", "--dataset", dataset, *arguments)
    if arguments is ENDLESS:
        wait_for_validation(process)
    process.stdout.close()
    assert process.stderr.read() == "error: standard output was closed\n"
    assert process.wait(A_WHILE) == 1
    process.stderr.close()


def test_a_python_without_the_library_says_what_to_do(tmp_path):
    venv.create(tmp_path / "bare", symlinks=True)
    python = tmp_path / "bare" / "bin" / "python"
    finished = subprocess.run(
        [python, "-E", ROOT / "scripts" / "train_logreg.py"], capture_output=True, text=True, cwd=tmp_path
    )
    assert_one_error(finished, "theano_tutorials is not installed in", str(python), "make setup", ".venv/bin/python")


# Ctrl-C


def interrupt(process):
    """Ctrl-C on a terminal: the signal goes to the whole process group, a running g++ included."""
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=A_WHILE)
    assert (process.returncode, err) == (130, "")
    return out


@pytest.mark.parametrize("seed", range(2))
def test_ctrl_c_in_the_training_keeps_the_best_model(environment, dataset, tmp_path, seed):
    process = start(environment, "train_logreg", "--dataset", dataset, "--output-dir", tmp_path, *ENDLESS)
    wait_for_validation(process)
    time.sleep(random.Random(seed).uniform(0, 0.3))
    last = interrupt(process).splitlines()[-1]
    reached = re.search(rf"Interrupted in epoch (\d+)\. (?:{BEST}|No validation was reached)$", last)
    assert int(reached[1]) >= 1
    if "No validation" not in last:
        values = safetensors.numpy.load_file(tmp_path / "best_model.safetensors")
        assert {name: value.shape for name, value in values.items()} == {"W": (784, 10), "b": (10,)}


# From 0.1 s on: before, it is Python itself that starts.
@pytest.mark.parametrize("seed", range(4))
def test_ctrl_c_while_it_imports_and_compiles(environment, dataset, seed, tmp_path):
    env = {**environment, "THEANO_FLAGS": f"on_opt_error=raise,base_compiledir={shlex.quote(str(tmp_path))}"}
    process = start(env, "train_logreg", "--dataset", dataset, *ENDLESS)
    time.sleep(random.Random(seed).uniform(0.1, 1 + seed))
    assert interrupt(process) in ("", "Interrupted before the training began\n")


def test_nohup_is_respected(environment, dataset):
    # A shell without job control starts what it puts into the background so.
    nohup = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    arguments = ["--dataset", dataset, *quick("logreg")]
    process = subprocess.Popen(
        [*nohup, *command("train_logreg", *arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    wait_for_validation(process)
    process.send_signal(signal.SIGINT)
    # Not communicate(), which leaves out what has been read ahead.
    out, err = process.stdout.read(), process.stderr.read()
    assert (process.wait(A_WHILE), err) == (0, "")
    process.stdout.close()
    process.stderr.close()
    assert re.search(COMPLETE, out)


def test_a_warning_about_the_data_is_one_line(environment, tmp_path):
    labels = np.repeat(np.arange(10), 12)
    pixels = np.random.RandomState(0).rand(120, 16)
    np.savez(tmp_path / "data.npz", x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
    finished = run(
        environment, "train_logreg", "--dataset", tmp_path / "data.npz", "--batch-size", "10", "--n-epochs", "1"
    )
    said = "the training examples lie class by class: they are shuffled (seed 0)"
    assert (finished.returncode, finished.stderr) == (0, f"warning: {tmp_path}/data.npz: {said}\n")


def test_a_table_is_trained_on(environment, tmp_path):
    pixels = np.random.RandomState(0).randint(0, 256, (70, 16))
    lines = [f"{i % 10},{','.join(map(str, row))}" for i, row in enumerate(pixels)]
    (tmp_path / "train.csv").write_text("\n".join(["label," + ",".join(f"pixel{i}" for i in range(16)), *lines]))
    finished = run(
        environment, "train_logreg", "--dataset", tmp_path / "train.csv", "--batch-size", "10", "--n-epochs", "1"
    )
    assert finished.returncode == 0
    assert finished.stderr.endswith(
        "train.csv: 70 examples, split at random (seed 0): 50 for training, 10 for validation, 10 for the test\n"
    )
