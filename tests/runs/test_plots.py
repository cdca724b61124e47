"""Figures: what is laid out where, and PNG images that can be read."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from theano_tutorials import plotting

RNG = np.random.RandomState(0)


def pixels(png):
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("L"))


@given(n=st.integers(1, 30), height=st.integers(1, 6), width=st.integers(1, 6), border=st.integers(0, 2))
def test_tile_puts_every_image_into_its_place(n, height, width, border):
    images = RNG.rand(n, height, width)
    canvas = plotting.tile(images, border)
    columns = (canvas.shape[1] + border) // (width + border)
    assert columns**2 >= n > (columns - 1) ** 2
    for index in range(n):
        top, left = index // columns * (height + border), index % columns * (width + border)
        for row in range(height):
            for column in range(width):
                assert canvas[top + row, left + column] == images[index, row, column]
                canvas[top + row, left + column] = np.nan
    assert np.isnan(canvas).all()


@pytest.mark.parametrize(("n_pixels", "shape"), [(784, (28, 28)), (64, (8, 8)), (1, (1, 1)), (10, (1, 10))])
def test_vectors_become_square_images_where_possible(n_pixels, shape):
    vectors = RNG.rand(3, n_pixels)
    images = plotting.as_images(vectors)
    assert images.shape == (3, *shape)
    np.testing.assert_array_equal(images.ravel(), vectors.ravel())


LABELS = np.arange(20) % 10
IMAGES = RNG.rand(20, 784)
FIGURES = {
    "learning curve": lambda: plotting.learning_curve([1, 2, 3], [0.3, 0.2, 0.25], [0.3, 0.21, np.nan]),
    "learning curve of one validation": lambda: plotting.learning_curve([1], [0.5], [0.5]),
    "learning curve without errors": lambda: plotting.learning_curve([1, 2], [0.1, 0.0], [0.1, 0.0]),
    "filters of a matrix": lambda: plotting.filters(IMAGES.T),
    "filters of a convolution": lambda: plotting.filters(IMAGES[:, :75].reshape(20, 3, 5, 5)),
    "filters that are constant": lambda: plotting.filters(np.zeros((784, 10))),
    "confusion": lambda: plotting.confusion(LABELS, LABELS[::-1], 10),
    "confusion without mistakes": lambda: plotting.confusion(LABELS, LABELS, 10),
    "mistakes": lambda: plotting.mistakes(IMAGES, LABELS, (LABELS + LABELS % 2) % 10),
    "no mistakes": lambda: plotting.mistakes(IMAGES, LABELS, LABELS),
    "more mistakes than are shown": lambda: plotting.mistakes(
        np.tile(IMAGES, (6, 1)), np.tile(LABELS, 6), np.tile(LABELS, 6) ^ 1
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_an_image_and_the_same_each_time(name):
    png = FIGURES[name]()
    assert pixels(png).min() < 128
    assert FIGURES[name]() == png


def test_filters_show_each_unit_in_its_own_range():
    weights = np.zeros((4, 2))
    weights[:, 0] = [0, 1, 0, 1]
    weights[:, 1] = [-500, 500, 500, -500]
    image = pixels(plotting.filters(weights))
    # Were both scaled alike, the first would be grey all over.
    assert np.mean(image < 32) > 0.1
    assert np.mean((image > 64) & (image < 192)) < 0.01
