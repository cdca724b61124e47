"""Tables of pixels with a column of labels, such as those of Kaggle."""

import csv
import io
import zlib

import numpy as np

from theano_tutorials.datasets.errors import DatasetError
from theano_tutorials.datasets.files import open_plain_or_gzipped

_LABEL_NAMES = ("label", "class", "target", "y")


def read_csv(path):
    """Read a table: an example in each line.

    Parameters
    ----------
    path : path
        Numbers between commas, gzipped or not. The first line may have the names of
        the columns. The labels are in the column called label, class, target or y;
        without names, in the first one.

    Returns
    -------
    (inputs, labels)
        uint8 if all are whole numbers from 0 to 255, or else float64, (n_examples,
        n_features); float64, (n_examples,).

    Raises
    ------
    DatasetError
        If a line is not as described.
    """
    try:
        with open_plain_or_gzipped(path) as file:
            lines = io.TextIOWrapper(file, encoding="utf-8-sig")
            first = next(csv.reader([lines.readline()]), [])
            names = [] if all(map(_is_number, first)) else [name.strip().lower() for name in first]
            rows = [*lines] if names else [",".join(first), *lines]
            table = np.loadtxt(rows, delimiter=",", ndmin=2) if any(rows) else np.zeros((0, 0))
    except (OSError, EOFError, ValueError, zlib.error, csv.Error) as error:
        raise DatasetError(f"{path}: not a table of numbers between commas ({error})") from error
    if table.shape[1] < 2:
        raise DatasetError(f"{path}: {table.shape[1]} columns: expected a label and at least one pixel")
    found = [names.index(name) for name in _LABEL_NAMES if name in names]
    if names and not found:
        raise DatasetError(
            f"{path}: columns {', '.join(names[:3])}, ...: expected one called {', '.join(_LABEL_NAMES)} "
            "(the test.csv of Kaggle has none)"
        )
    column = found[0] if found else 0
    inputs = np.delete(table, column, axis=1)
    is_bytes = ((inputs >= 0) & (inputs <= 255) & (inputs % 1 == 0)).all()
    return (inputs.astype(np.uint8) if is_bytes else inputs), table[:, column]


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
