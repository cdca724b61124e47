"""Tables of pixels: which are read, and which are refused."""

import numpy as np
import pytest
from small_dataset import assert_refused, images, packed

from theano_tutorials import read_data
from theano_tutorials.datasets.csv import read_csv

N = 70
PIXELS, LABELS = images(N, 0).reshape(N, 12), np.arange(N) % 10
NAMES = [f"pixel{i}" for i in range(12)]


def table(pixels=PIXELS, labels=LABELS, names=None, place=0):
    rows = np.insert(pixels.astype(object), place, labels, axis=1)
    lines = [",".join(map(str, row)) for row in rows]
    return "\n".join(([",".join(names)] if names else []) + lines) + "\n"


FORMS = {
    "Kaggle": table(names=["label", *NAMES]),
    "no names": table(),
    "label at the end": table(names=[*NAMES, "class"], place=12),
    "byte order mark": "\ufeff" + table(names=["Label", *NAMES]),
    "line ends of Windows": table(names=["label", *NAMES]).replace("\n", "\r\n"),
    "quoted names": table(names=['"label"', *(f'"{name}"' for name in NAMES)]),
    "whole floats": table(names=["label", *NAMES], labels=LABELS.astype(float)),
}


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_a_table_is_bytes_and_labels(tmp_path, form, compress):
    path = tmp_path / ("train.csv.gz" if compress else "train.csv")
    content = FORMS[form].encode()
    path.write_bytes(packed(content) if compress else content)
    inputs, labels = read_csv(path)
    np.testing.assert_array_equal(inputs, PIXELS, strict=True)
    np.testing.assert_array_equal(labels, LABELS)


def test_a_table_of_floats_stays_as_it_is(tmp_path):
    (tmp_path / "train.csv").write_text(table(pixels=PIXELS / 256))
    np.testing.assert_array_equal(read_csv(tmp_path / "train.csv")[0], PIXELS / 256, strict=True)


def test_a_table_is_split_at_random_which_is_said(tmp_path, capsys):
    (tmp_path / "train.csv").write_text(FORMS["Kaggle"])
    data = read_data(tmp_path / "train.csv")
    assert [len(labels) for _, labels in data] == [50, 10, 10]
    said = "70 examples, split at random (seed 0): 50 for training, 10 for validation, 10 for the test"
    assert capsys.readouterr().err == f"{tmp_path}/train.csv: {said}\n"
    rows = np.concatenate([np.column_stack([labels, inputs * 256]) for inputs, labels in data])
    expected = np.column_stack([LABELS, PIXELS])
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)])


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ("", "columns: expected a label and at least one pixel"),
        ("label\n1\n2\n", "1 columns: expected a label and at least one pixel"),
        ("pixel0,pixel1\n1,2\n", "columns pixel0, pixel1, ...: expected one called label, class, target, y"),
        ("label,pixel0\n1,black\n", "not a table of numbers between commas"),
        ("label,pixel0\n1,2\n3\n", "not a table of numbers between commas"),
        ("label,pixel0\n1,2\n" + '"' * 9, "not a table of numbers between commas"),
        ("1;2\n3;4\n", "not a table of numbers between commas"),
        ("<!DOCTYPE html>", "a web page, not data"),
        ("label,pixel0\n0.5,1\n" * 8, "not a table of numbers between commas"),
        ("label,pixel0\n" + "0.5,1\n" * 8, "labels of dtype float64: expected integers, or whole numbers"),
        ("label,pixel0\n" + "1,1\n" * 6, "6 examples: expected at least 7, to split them"),
    ],
)
def test_a_table_of_something_else_is_refused(tmp_path, content, fragment):
    (tmp_path / "train.csv").write_text(content)
    assert_refused(tmp_path / "train.csv", fragment)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "train.csv").write_bytes(bytes(range(256)))
    assert_refused(tmp_path / "train.csv", "not a table of numbers between commas")
