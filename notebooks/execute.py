"""Execute the notebooks of this folder: make notebooks

Each is written twice: NAME.md is its text, as jupytext has it, and NAME.ipynb has the
outputs, too. Change the text, and run this.
"""

import sys
from pathlib import Path

import jupytext
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
WIDGET = "application/vnd.jupyter.widget-view+json"
TEXTS = sorted(FOLDER.glob("*.md"))


def executed(text):
    """A notebook, from its text, that was run from top to bottom.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails.
    """
    notebook = jupytext.read(text)
    NotebookClient(notebook, timeout=600, store_widget_state=False, resources={"metadata": {"path": FOLDER}}).execute()
    for index, cell in enumerate(notebook.cells):
        cell.id = f"{text.stem}-{index}"  # the same each time
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":  # a progress bar lives in its kernel only
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
    notebook.metadata.pop("widgets", None)
    return notebook


if __name__ == "__main__":
    for path in TEXTS:
        jupytext.write(executed(path), path.with_suffix(".ipynb"))
        print(path.with_suffix(".ipynb"), file=sys.stderr)
