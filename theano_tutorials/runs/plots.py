"""Arrays as figures: PNG images in memory."""

import io
import math

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

N_MISTAKES = 100  # shown at most
_DOTS_PER_INCH = 120
# Inches.
_LEAST_HEIGHT = 0.5  # wider images are drawn higher than they are
_LEAST_WIDTH = 6  # for a title
_CELL = 0.8  # width of one of the mistakes
_CAPTION = 0.2  # height of what stands above it


def learning_curve(iterations, validation_errors, test_errors):
    """Errors against iterations.

    Parameters
    ----------
    iterations : sequence of int
        Of each validation.
    validation_errors : sequence of float
        Fractions in [0, 1].
    test_errors : sequence of float
        Fractions in [0, 1], NaN where no test took place.

    Returns
    -------
    bytes
        PNG image.
    """
    figure, axes = _figure(6, 4)
    errors = 100 * np.asarray(validation_errors, dtype=float)
    marker = "o" if len(errors) == 1 else None  # one point makes no line
    axes.plot(iterations, errors, label="validation", linewidth=1, marker=marker)
    tested = np.isfinite(test_errors)
    axes.plot(
        np.asarray(iterations)[tested],
        100 * np.asarray(test_errors)[tested],
        ".",
        markersize=4,
        label="test of best model",
    )
    axes.set(xlabel="iteration", ylabel="error (%)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    positive = errors[errors > 0]
    if positive.size and positive.max() >= 10 * positive.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(which="both", alpha=0.3)
    axes.legend()
    return _png(figure)


def filters(images):
    """Weights as images, one for each unit, each scaled to its own range.

    Parameters
    ----------
    images : numpy.ndarray, (n_units, height, width) or (n_units, channels, height, width)
        Three or four channels are shown in colour, of others the first.

    Returns
    -------
    bytes
        PNG image.
    """
    figure, _ = _figure_of(tile(_scaled(_displayed(images))), 6)
    return _png(figure)


def confusion(labels, predictions, n_classes):
    """Confusion matrix.

    Parameters
    ----------
    labels, predictions : numpy.ndarray of int, (n_examples,)
    n_classes : int

    Returns
    -------
    bytes
        PNG image.
    """
    counts = np.zeros((n_classes, n_classes), int)
    np.add.at(counts, (labels, predictions), 1)
    # The diagonal would drown what the figure is for.
    mistakes = np.where(np.eye(n_classes, dtype=bool), 0, counts)
    figure, axes = _figure(6, 6)
    # Of the colours the lighter ones, on which the counts can be read.
    axes.imshow(mistakes, cmap="Reds", vmin=0, vmax=1.6 * max(1, mistakes.max()))
    for row, column in np.ndindex(*counts.shape):
        axes.text(column, row, counts[row, column], ha="center", va="center", fontsize="small")
    axes.set(xlabel="predicted", ylabel="true", xticks=range(n_classes), yticks=range(n_classes))
    return _png(figure)


def mistakes(images, labels, predictions):
    """Examples that are misclassified, the first hundred of them.

    Parameters
    ----------
    images : numpy.ndarray, (n_examples, height, width) or (n_examples, channels, height, width)
        Three or four channels are shown in colour, of others the first.
    labels, predictions : numpy.ndarray of int, (n_examples,)

    Returns
    -------
    bytes
        PNG image.
    """
    wrong = np.flatnonzero(labels != predictions)
    shown = wrong[:N_MISTAKES]
    title = f"{len(wrong)} of {len(labels)} misclassified (true > predicted)" + (
        f", the first {len(shown)}" if len(shown) < len(wrong) else ""
    )
    if not len(shown):
        figure = Figure(figsize=(_LEAST_WIDTH, _LEAST_HEIGHT), dpi=_DOTS_PER_INCH)
        figure.suptitle(title, y=0.7)
        return _png(figure)
    shown_images = _scaled(_displayed(images[shown]))
    _, height, width, *_ = shown_images.shape
    gap = math.ceil(_CAPTION / _CELL * width)  # pixels above each image, for its classes
    padding = [(0, 0), (gap, 0), (0, 0)] + [(0, 0)] * (shown_images.ndim - 3)
    border = math.ceil(width / 10)
    canvas = tile(np.pad(shown_images, padding, constant_values=np.nan), border)
    columns = (canvas.shape[1] + border) // (width + border)
    figure, axes = _figure_of(canvas, max(_LEAST_WIDTH, _CELL * columns))
    figure.suptitle(title)
    for index, example in enumerate(shown):
        row, column = divmod(index, columns)
        axes.text(
            column * (width + border) + width / 2,
            row * (height + gap + border) + gap / 2,
            f"{labels[example]} > {predictions[example]}",
            ha="center",
            va="center",
            fontsize="small",
        )
    return _png(figure)


def _scaled(images):
    # Each to its own range.
    axes_of_one = tuple(range(1, images.ndim))
    low, high = (reduce(images, axis=axes_of_one, keepdims=True) for reduce in (np.min, np.max))
    return (images - low) / np.where(high > low, high - low, 1)


def _figure_of(canvas, width):
    # Figure of a width in inches, and its axes, which show a canvas of numbers in [0, 1], NaN where nothing is.
    height = width * canvas.shape[0] / canvas.shape[1]
    figure, axes = _figure(width, max(_LEAST_HEIGHT, height))
    if canvas.ndim == 3:
        canvas = np.where(np.isnan(canvas), 1, canvas)  # a colour cannot be missing
    axes.imshow(canvas, cmap="gray", vmin=0, vmax=1, aspect="auto" if height < _LEAST_HEIGHT else "equal")
    axes.set_axis_off()
    return figure, axes


def _displayed(images):
    # Grey (n, height, width), or colours last: (n, height, width, 3).
    if images.ndim == 3:
        return images
    return images[:, :3].transpose(0, 2, 3, 1) if images.shape[1] in (3, 4) else images[:, 0]


def tile(images, border=1):
    """Lay images out in a near-square grid.

    Parameters
    ----------
    images : numpy.ndarray, (n, height, width) or (n, height, width, colours)
    border : int
        Pixels between two images.

    Returns
    -------
    numpy.ndarray, (rows * (height + border) - border, columns * (width + border) - border) or with colours
        NaN where there is no image.
    """
    n, height, width, *colours = images.shape
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    canvas = np.full((rows * (height + border) - border, columns * (width + border) - border, *colours), np.nan)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = row * (height + border), column * (width + border)
        canvas[top : top + height, left : left + width] = image
    return canvas


def _figure(width, height):
    figure = Figure(figsize=(width, height), layout="constrained", dpi=_DOTS_PER_INCH)
    return figure, figure.subplots()


def _png(figure):
    buffer = io.BytesIO()
    # Without its version, so that equal runs give equal files.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
