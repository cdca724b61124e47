"""Figures: what is laid out where, PNG images that can be read, and which of them a classifier's run has."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import binary_opening, label

from theano_tutorials.runs import plots

RNG = np.random.RandomState(0)


def pixels(figure, mode="L"):
    with Image.open(io.BytesIO(plots.png(figure))) as image:
        return np.asarray(image.convert(mode))


@given(n=st.integers(1, 30), height=st.integers(1, 6), width=st.integers(1, 6), border=st.integers(0, 2))
def test_tile_puts_every_image_into_its_place(n, height, width, border):
    images = RNG.rand(n, height, width)
    canvas = plots.tile(images, border)
    columns = (canvas.shape[1] + border) // (width + border)
    assert columns**2 >= n > (columns - 1) ** 2
    for index in range(n):
        top, left = index // columns * (height + border), index % columns * (width + border)
        for row in range(height):
            for column in range(width):
                assert canvas[top + row, left + column] == images[index, row, column]
                canvas[top + row, left + column] = np.nan
    assert np.isnan(canvas).all()


def test_tile_keeps_colours():
    images = RNG.rand(2, 4, 5, 3)
    canvas = plots.tile(images)
    assert canvas.shape == (4, 11, 3)
    np.testing.assert_array_equal(canvas[:, 6:], images[1])


DIGITS = tuple("0123456789")
WORDS = tuple(f"class {digit}" for digit in DIGITS)
LABELS = np.arange(20) % 10
IMAGES = RNG.rand(20, 28, 28)
COLOURED = RNG.rand(20, 4, 12, 9)
FIGURES = {
    "learning curve": lambda: plots.learning_curve([1, 2, 3], [0.3, 0.2, 0.25], [0.3, 0.21, np.nan]),
    "learning curve of one validation": lambda: plots.learning_curve([1], [0.5], [0.5]),
    "learning curve down to no errors": lambda: plots.learning_curve([1, 2], [0.1, 0.0], [0.1, 0.0]),
    "learning curve without errors": lambda: plots.learning_curve([1, 2], [0.0, 0.0], [0.0, np.nan]),
    "learning curve without validations": lambda: plots.learning_curve([], [], []),
    "filters": lambda: plots.filters(IMAGES),
    "filters of many maps": lambda: plots.filters(IMAGES.reshape(20, 16, 7, 7)),
    "filters in colour": lambda: plots.filters(COLOURED),
    "filters of rectangular images": lambda: plots.filters(IMAGES.reshape(20, 112, 7)),
    "filters with names": lambda: plots.filters(IMAGES[:10], DIGITS),
    "filters with long names": lambda: plots.filters(IMAGES[:10], WORDS),
    "filters that are flat": lambda: plots.filters(IMAGES.reshape(20, 1, 784)),
    "filters that are constant": lambda: plots.filters(np.zeros((10, 28, 28))),
    "confusion": lambda: plots.confusion(LABELS, LABELS[::-1], DIGITS),
    "confusion without mistakes": lambda: plots.confusion(LABELS, LABELS, WORDS),
    "mistakes": lambda: plots.mistakes(IMAGES, LABELS, (LABELS + LABELS % 2) % 10, DIGITS),
    "mistakes in colour": lambda: plots.mistakes(COLOURED, LABELS, (LABELS + 1) % 10, WORDS),
    "no mistakes": lambda: plots.mistakes(IMAGES, LABELS, LABELS, DIGITS),
    "more mistakes than are shown": lambda: plots.mistakes(
        np.tile(IMAGES, (6, 1, 1)), np.tile(LABELS, 6), np.tile(LABELS, 6) ^ 1, DIGITS
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_an_image_and_the_same_each_time(name):
    assert pixels(FIGURES[name]()).min() < 128
    assert plots.png(FIGURES[name]()) == plots.png(FIGURES[name]())


def test_one_validation_is_a_point():
    image = pixels(plots.learning_curve([83], [0.12], [np.nan]), "RGB")
    below_the_legend = image[len(image) // 2 - 40 : len(image) // 2 + 40].astype(int)
    assert (abs(below_the_legend - (31, 119, 180)).sum(axis=-1) < 30).sum() > 30


@pytest.mark.parametrize("errors", [[0.124, 0.09, 0.075], [0.092, 0.03, 0.009], [0.9, 0.1, 0.007], [0.5, 0.5, 0.5]])
def test_the_axis_of_errors_has_labels_all_along(errors):
    image = pixels(plots.learning_curve([1, 2, 3], errors, [np.nan] * 3))
    columns = np.flatnonzero((image < 100).mean(axis=0) > 0.8)  # those of the frame
    labels = (image[:, 40 : columns[0] - 8] < 160).any(axis=1)
    places = np.flatnonzero(np.diff(labels.astype(int)) == 1)
    assert 4 <= len(places) <= 12
    assert places[0] < 0.2 * len(image)
    assert places[-1] > 0.7 * len(image)


@pytest.mark.parametrize(("n_wrong", "n_shown"), [(1, 1), (7, 7), (120, 100)])
def test_each_mistake_is_shown(n_wrong, n_shown):
    images = np.zeros((200, 10, 10))
    images[:, 0, 0] = 1  # else they would have no range, and be black as a whole
    labels = np.zeros(200, int)
    image = pixels(plots.mistakes(images, labels, np.where(np.arange(200) < n_wrong, 1, 0), DIGITS))
    block = np.ones((25, 25), bool)
    assert label(binary_opening(image < 32, block))[1] == n_shown


@pytest.mark.parametrize("n_wrong", [0, 1, 2])
def test_the_title_of_the_mistakes_is_whole(n_wrong):
    predictions = LABELS.copy()
    predictions[:n_wrong] += 1
    image = pixels(plots.mistakes(IMAGES, LABELS, predictions, DIGITS))
    assert (image[:40, :100] == 255).all()
    assert (image[:40, -100:] == 255).all()
    assert (image[:40] < 100).any()


def test_filters_show_each_unit_in_its_own_range():
    weights = np.array([[[0, 1], [0, 1]], [[-500, 500], [500, -500]]])
    image = pixels(plots.filters(weights))
    # Were both scaled alike, the first would be grey all over.
    assert np.mean(image < 32) > 0.1
    assert np.mean((image > 64) & (image < 192)) < 0.01


def test_three_channels_are_red_green_and_blue():
    # One image that is red all over, by mistake taken for another class.
    red = np.stack([np.ones((8, 8)), np.zeros((8, 8)), np.zeros((8, 8))])[None]
    image = pixels(plots.mistakes(red, np.array([0]), np.array([1]), DIGITS), "RGB")
    assert (image == (255, 0, 0)).all(axis=-1).mean() > 0.1
