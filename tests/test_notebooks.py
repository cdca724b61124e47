"""In a notebook: what a cell shows, in a kernel that is real."""

import runpy
import time
from pathlib import Path

import jupytext
import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

pytestmark = [pytest.mark.one_python, pytest.mark.slow]
FOLDER = Path(__file__).parents[1] / "notebooks"
TEXTS = sorted(FOLDER.glob("*.md"))


def outputs_of(*cells, folder):
    """Run cells in a fresh kernel, and return the outputs of the last one."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook.cells[-1].outputs


def text_of(outputs):
    return "".join(output.get("text", "") for output in outputs)


def test_the_import_prints_nothing(tmp_path):
    assert outputs_of("import theano_tutorials", folder=tmp_path) == []


def test_a_training_has_one_line_that_is_updated_and_a_result_with_its_history(tmp_path):
    outputs = outputs_of(
        "from theano_tutorials import train_logreg",
        "result = train_logreg(n_epochs=20)",
        folder=tmp_path,
    )
    text = text_of(outputs)
    assert "Optimization complete. Best validation score" in text
    assert "epoch 3, " not in text
    (bar,) = [output for output in outputs if output.output_type == "display_data"]
    assert "epoch 20, minibatch 83/83, validation error" in bar.data["text/plain"] or "widget-view" in str(bar.data)
    assert sum(len(str(output)) for output in outputs) < 3000


@pytest.mark.parametrize("drawn", ["result.plot()", "plots.filters(result.model.W.get_value().T.reshape(-1, 28, 28))"])
def test_a_cell_shows_a_figure(drawn, tmp_path):
    outputs = outputs_of(
        "from theano_tutorials import train_logreg\nfrom theano_tutorials.runs import plots",
        "result = train_logreg(n_epochs=2)",
        drawn,
        folder=tmp_path,
    )
    (shown,) = outputs
    assert shown.data["image/png"].startswith("iVBOR")
    assert len(shown.data["text/plain"]) < 100


def test_theano_before_the_library_is_a_line_that_says_what_to_do(tmp_path):
    (shown,) = outputs_of(
        "try:\n    import theano\nexcept Exception:\n    pass",
        "try:\n    import theano_tutorials\nexcept ImportError as error:\n    print(error)",
        folder=tmp_path,
    )
    assert shown.text.count("\n") == 1
    assert "restart the kernel" in shown.text
    assert "import theano_tutorials first" in shown.text


def test_an_interrupted_cell_says_how_to_go_on_and_has_its_result(tmp_path):
    manager, client = start_new_kernel(cwd=str(tmp_path))
    try:
        client.execute_interactive("from theano_tutorials import train_logreg", timeout=120)
        cell = client.execute("train_logreg(n_epochs=10**6, patience=10**9, output_dir='run')")
        deadline = time.monotonic() + 60
        while not (tmp_path / "run" / "metrics.csv").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        manager.interrupt_kernel()
        while True:
            reply = client.get_shell_msg(timeout=60)
            if reply["parent_header"]["msg_id"] == cell:
                break
        assert reply["content"]["ename"] == "TrainingInterrupted"
        message = reply["content"]["evalue"]
        assert message.startswith("interrupted in epoch ")
        assert "Best validation score of " in message
        assert "resume=True" in message

        time.sleep(0.5)  # for a moment, the kernel refuses what may have been queued behind the failed cell
        printed = []
        client.execute_interactive(
            "import sys; print(len(sys.last_value.result.history['epoch']) > 0, sys.last_value.result.model)",
            timeout=60,
            output_hook=lambda message: printed.append(message["content"].get("text", "")),
        )
        assert "True <LogisticRegression: n_in=784, n_out=10, 7,850 parameters>" in "".join(printed)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


# The notebooks of the course


def without_figures(cell):
    """What a cell shows, but for pictures, times and "Compiling ...", which comes where it is slow."""
    outputs = cell.get("outputs", ())
    shown = [sorted(output.data) for output in outputs if output.output_type != "stream"]
    return shown, [line for line in text_of(outputs).splitlines() if "epochs/sec" not in line and line[-4:] != " ..."]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.stem)
def test_a_notebook_runs_and_is_what_is_stored(text):
    executed = runpy.run_path(str(FOLDER / "execute.py"))["executed"](text)
    stored = nbformat.read(text.with_suffix(".ipynb"), as_version=4)
    assert [cell.source for cell in stored.cells] == [cell.source for cell in executed.cells]
    assert [cell.id for cell in stored.cells] == [cell.id for cell in executed.cells]
    for cell, fresh in zip(stored.cells, executed.cells):
        assert without_figures(cell) == without_figures(fresh)
    assert text.with_suffix(".ipynb").stat().st_size < 300_000


def test_every_notebook_has_its_text():
    assert TEXTS
    assert sorted(FOLDER.glob("*.ipynb")) == [text.with_suffix(".ipynb") for text in TEXTS]
    assert all(jupytext.read(text).cells[0].cell_type == "markdown" for text in TEXTS)
