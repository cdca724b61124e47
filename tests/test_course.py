"""The rest of the course: each script runs, draws and prints, and each run goes on where a signal ended it."""

import csv
import os
import re
import signal

import pytest
from models import REST, as_options

from theano_tutorials import TrainingInterrupted, load_model
from theano_tutorials.runs.parameters import named_parameters
from theano_tutorials.runs.session import Session

pytestmark = [pytest.mark.one_python, pytest.mark.slow]

every_tutorial = pytest.mark.parametrize("name", REST)


@pytest.fixture
def arguments(name, tmp_path):
    """Those of a quick training, with a small data set."""
    tutorial = REST[name]
    if tutorial.write_data is None:
        return tutorial.quick
    folder = tmp_path / "data"
    folder.mkdir()
    return {**tutorial.quick, "dataset": tutorial.write_data(folder)}


def names_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


@every_tutorial
def test_its_script_trains_prints_and_draws(name, run_script, arguments, tmp_path):
    tutorial = REST[name]
    folder = tmp_path / "run"
    finished = run_script(f"{tutorial.train.__name__}.py", "--output-dir", folder, *as_options(arguments))
    assert (finished.returncode, finished.stderr) == (0, "")
    first, *lines, last = finished.stdout.splitlines()
    assert first == f"Run directory: {folder}"
    pattern = "\n".join(tutorial.lines).replace("\n(?:", "(?:\n")
    assert re.fullmatch(pattern, "\n".join(lines))
    files = names_in(folder)
    assert [file for file in files if file.endswith(".png")] == sorted(tutorial.figures)
    tables = [file for file in files if file.endswith(".csv")]
    figures = sorted(tutorial.figures) if len(tutorial.figures) <= 6 else [f"{len(tutorial.figures)} figures"]
    assert last == f"Results in {folder}: {', '.join(['best_model.safetensors', *tables, *figures])}"
    if tutorial.build:
        model, predict = load_model(folder)
        assert type(model) is type(tutorial.build())
        assert (predict is None) == (not hasattr(model, "example_shape"))


@every_tutorial
def test_a_signal_ends_it_and_it_goes_on_to_the_same_bits(name, arguments, tmp_path, monkeypatch):
    tutorial = REST[name]
    tutorial.train(**arguments, output_dir=tmp_path / "whole")
    n_rows = sum(len(rows_of(path)) for path in (tmp_path / "whole").glob("*.csv"))
    record = Session.record
    for number in {1, n_rows - 1}:
        folder = tmp_path / str(number)
        rows = []

        def interrupting(session, lines, *, number=number, rows=rows, **metrics):
            record(session, lines, **metrics)
            rows.append(metrics)
            if len(rows) == number:
                os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr(Session, "record", interrupting)
        with pytest.raises(TrainingInterrupted) as interrupt:
            tutorial.train(**arguments, output_dir=folder)
        assert interrupt.value.signal == signal.SIGINT
        assert len(rows) == number
        monkeypatch.undo()
        tutorial.train(**arguments, output_dir=folder, resume=True)
        assert_same_run(folder, tmp_path / "whole")


def assert_same_run(folder, reference):
    assert names_in(folder) == names_in(reference)
    for name in names_in(reference):
        if name.endswith((".safetensors", ".png")):
            assert (folder / name).read_bytes() == (reference / name).read_bytes(), name
        elif name.endswith(".csv"):
            assert rows_of(folder / name) == rows_of(reference / name)


def rows_of(path):
    with open(path, newline="") as file:
        return [{name: text for name, text in row.items() if name != "seconds"} for row in csv.DictReader(file)]


@pytest.mark.parametrize("name", [name for name, tutorial in REST.items() if tutorial.build])
def test_every_parameter_has_its_name(name):
    model = REST[name].build()
    assert list(named_parameters(model)) == list(REST[name].parameter_names)
    assert list(named_parameters(model).values()) == model.params


@pytest.mark.parametrize("name", [name for name, tutorial in REST.items() if tutorial.first])
def test_its_first_epochs_are_those_of_the_original(name, run_script):
    tutorial = REST[name]
    finished = run_script(f"{tutorial.train.__name__}.py", *as_options(tutorial.first))
    assert (finished.returncode, finished.stderr) == (0, "")
    printed = [float(number) for number in re.findall(r" (\d+\.\d{6})", finished.stdout)]
    # Another processor rounds sums in another way.
    assert printed[: len(tutorial.figures_of_first)] == pytest.approx(tutorial.figures_of_first, rel=1e-5)
