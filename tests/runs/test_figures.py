"""Which figures the run of a classifier has, for images of every shape and for features that are none."""

import numpy as np
import pytest
import theano
import theano.tensor as T

from theano_tutorials import LogisticRegression, draw_classifier, load_data, open_run
from theano_tutorials.datasets.load import Splits
from theano_tutorials.runs.directory import NO_RUN

ALL = ["confusion.png", "filters.png", "learning_curve.png", "mistakes.png"]


def draw(tmp_path, shape, weights=None):
    """Draw the figures of an untrained classifier of examples of a shape."""
    labels = np.arange(12) % 3
    arrays = np.random.RandomState(0).randint(256, size=(12, *shape)).astype("uint8")
    np.savez(tmp_path / "data.npz", x_train=arrays, y_train=labels, x_test=arrays, y_test=labels)
    datasets = load_data(tmp_path / "data.npz")
    classifier = LogisticRegression(T.matrix(), datasets.n_features, datasets.n_classes)
    run = open_run(tmp_path / "run", "any", {}, datasets)
    with run:
        draw_classifier(run, classifier, weights or classifier.W, datasets, batch_size=5)
    return sorted(path.name for path in (tmp_path / "run").glob("*.png"))


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (3, 5, 4), (5, 4, 3), (4, 5, 5), (36,)])
def test_images_have_all_figures(tmp_path, shape, capfd):
    assert draw(tmp_path, shape) == ALL
    assert capfd.readouterr() == (f"Run directory: {tmp_path / 'run'}\n", "")


@pytest.mark.parametrize("shape", [(30,), (7, 5, 2)])
def test_of_features_that_are_no_image_there_is_no_picture_and_a_line_says_so(tmp_path, shape, capfd):
    assert draw(tmp_path, shape) == ["confusion.png", "learning_curve.png"]
    output, errors = capfd.readouterr()
    assert "examples of shape" in output
    assert "are no images" in output
    assert errors == ""


def test_a_figure_that_cannot_be_drawn_is_a_warning_and_the_others_are_there(tmp_path, capfd):
    broken = theano.shared(np.zeros((0, 1, 5, 5), dtype=theano.config.floatX))  # a convolution without filters
    assert draw(tmp_path, (6, 6), broken) == [name for name in ALL if name != "filters.png"]
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("warning: filters.png was not drawn (")


def test_without_a_run_nothing_is_drawn():
    draw_classifier(NO_RUN, None, None, None, 1)


def test_a_model_that_cannot_predict_is_a_warning(tmp_path, capfd):
    datasets = load_data("mnist")
    run = open_run(tmp_path / "run", "any", {}, datasets)
    classifier = LogisticRegression(T.matrix(), 784, 10)
    classifier.y_pred = classifier.y_pred + T.scalar("nobody gives it")
    with run:
        draw_classifier(run, classifier, classifier.W, datasets, batch_size=600)
    assert capfd.readouterr().err.startswith("warning: no figures were drawn (MissingInputError: ")


@pytest.mark.parametrize(("name", "first"), [("fashion-mnist", "T-shirt/top"), ("kmnist", "o"), ("other", "0")])
def test_classes_have_the_names_of_their_data_set(name, first):
    assert Splits([], (28, 28), 10, name).class_names[0] == first
    assert len(Splits([], (28, 28), 10, name).class_names) == 10
