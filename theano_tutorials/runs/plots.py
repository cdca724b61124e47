"""Arrays as figures of matplotlib, which a cell of a notebook shows, and figures as PNG images."""

import contextlib
import io
import math
import sys

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
    matplotlib.figure.Figure
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
    return figure


def filters(images, names=None):
    """Weights as images, one for each unit, each scaled to its own range.

    Parameters
    ----------
    images : numpy.ndarray, (n_units, height, width) or (n_units, channels, height, width)
        Three or four channels are shown in colour, of others the first.
    names : sequence of str, optional
        What stands above each image, for instance the class that the unit is for.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _captioned(_scaled(_displayed(images)), names, 6)
    figure.suptitle("Weights of each unit, each in its own range")
    scale = figure.colorbar(axes.images[0], ax=axes, ticks=[0, 1], shrink=0.5, aspect=30)
    scale.ax.set_yticklabels(["smallest", "largest"])
    return figure


def images(values, columns):
    """Images with values in [0, 1].

    Parameters
    ----------
    values : numpy.ndarray, (n, height, width) or (n, channels, height, width)
        Three or four channels are shown in colour, of others the first.
    columns : int
        Number of images in a row.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, _ = _figure_of(tile(np.clip(_displayed(values), 0, 1), columns=columns), 6)
    return figure


def piano_roll(roll, r, dt):
    """A piano roll: time to the right, notes upwards, dark where they sound.

    Parameters
    ----------
    roll : numpy.ndarray, (n_steps, r[1] - r[0])
    r : (int, int)
        MIDI note number of the first column, and the one after the last.
    dt : float
        Seconds from one row to the next.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _figure(9, 4)
    extent = (0, dt * len(roll), r[0] - 0.5, r[1] - 0.5)
    axes.imshow(
        np.asarray(roll).T, origin="lower", aspect="auto", cmap="gray_r", interpolation="nearest", extent=extent
    )
    axes.set(xlabel="time (s)", ylabel="MIDI note number")
    return figure


def samples_on_density(samples, mean, covariance):
    """Samples as dots on the contours of a normal density; of more than two dimensions, the first two.

    Parameters
    ----------
    samples : numpy.ndarray, (n_samples, n_dimensions)
    mean : numpy.ndarray, (n_dimensions,)
    covariance : numpy.ndarray, (n_dimensions, n_dimensions)

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _figure(6, 6)
    mean, covariance = mean[:2], covariance[:2, :2]
    width = 4 * np.sqrt(np.diag(covariance))
    axis_0, axis_1 = (np.linspace(m - w, m + w, 200) for m, w in zip(mean, width))
    difference = np.stack(np.meshgrid(axis_0, axis_1), axis=-1) - mean
    distance = np.sqrt(np.einsum("...i,ij,...j", difference, np.linalg.inv(covariance), difference))
    axes.plot(samples[:, 0], samples[:, 1], ".", markersize=2, label=f"{len(samples)} samples")
    lines = axes.contour(axis_0, axis_1, distance, levels=[1, 2, 3], colors="black", linewidths=1)
    axes.clabel(lines, fmt=lambda level: f"{level:g} $\\sigma$")
    axes.set(xlabel="$x_0$", ylabel="$x_1$")
    axes.legend(loc="upper right")
    return figure


def confusion(labels, predictions, names):
    """Confusion matrix.

    Parameters
    ----------
    labels, predictions : numpy.ndarray of int, (n_examples,)
    names : sequence of str
        What each class is called.

    Returns
    -------
    matplotlib.figure.Figure
    """
    n_classes = len(names)
    counts = np.zeros((n_classes, n_classes), int)
    np.add.at(counts, (labels, predictions), 1)
    # The diagonal would drown what the figure is for.
    mistakes = np.where(np.eye(n_classes, dtype=bool), 0, counts)
    figure, axes = _figure(6, 6)
    # Of the colours the lighter ones, on which the counts can be read.
    axes.imshow(mistakes, cmap="Reds", vmin=0, vmax=1.6 * max(1, mistakes.max()))
    for row, column in np.ndindex(*counts.shape):
        axes.text(column, row, counts[row, column], ha="center", va="center", fontsize="small")
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_xticks(range(n_classes), names, rotation=90 if _are_long(names) else 0)
    axes.set_yticks(range(n_classes), names)
    return figure


def mistakes(images, labels, predictions, names):
    """Examples that are misclassified, the first hundred of them.

    Parameters
    ----------
    images : numpy.ndarray, (n_examples, height, width) or (n_examples, channels, height, width)
        Three or four channels are shown in colour, of others the first.
    labels, predictions : numpy.ndarray of int, (n_examples,)
    names : sequence of str
        What each class is called.

    Returns
    -------
    matplotlib.figure.Figure
    """
    wrong = np.flatnonzero(labels != predictions)
    shown = wrong[:N_MISTAKES]
    title = f"{len(wrong)} of {len(labels)} misclassified (true > predicted)" + (
        f", the first {len(shown)}" if len(shown) < len(wrong) else ""
    )
    if not len(shown):
        figure = _Figure(figsize=(_LEAST_WIDTH, _LEAST_HEIGHT), dpi=_DOTS_PER_INCH)
        figure.suptitle(title, y=0.7)
        return figure
    between = "\n> " if _are_long(names) else " > "
    captions = [f"{names[labels[example]]}{between}{names[predictions[example]]}" for example in shown]
    figure, _ = _captioned(_scaled(_displayed(images[shown])), captions, _LEAST_WIDTH)
    figure.suptitle(title)
    return figure


def _are_long(names):
    return max(map(len, names)) > 3


def _captioned(images, captions, least_width):
    # Figure of images in a near-square grid, with a caption above each, and its axes.
    if captions is None:
        return _figure_of(tile(images), least_width)
    _, height, width, *_ = images.shape
    n_lines = 1 + captions[0].count("\n")
    cell = n_lines * _CELL  # long names have two lines, and need wider ones
    gap = math.ceil(n_lines * _CAPTION / cell * width)  # pixels above each image
    padding = [(0, 0), (gap, 0), (0, 0)] + [(0, 0)] * (images.ndim - 3)
    border = math.ceil(width / 10)
    canvas = tile(np.pad(images, padding, constant_values=np.nan), border)
    columns = (canvas.shape[1] + border) // (width + border)
    figure, axes = _figure_of(canvas, max(least_width, cell * columns))
    for index, caption in enumerate(captions):
        row, column = divmod(index, columns)
        axes.text(
            column * (width + border) + width / 2,
            row * (height + gap + border) + gap / 2,
            caption,
            ha="center",
            va="center",
            fontsize="small",
        )
    return figure, axes


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


def tile(images, border=1, columns=None):
    """Lay images out in a grid.

    Parameters
    ----------
    images : numpy.ndarray, (n, height, width) or (n, height, width, colours)
    border : int
        Pixels between two images.
    columns : int, optional
        Number of images in a row; by default the grid is nearly square.

    Returns
    -------
    numpy.ndarray, (rows * (height + border) - border, columns * (width + border) - border) or with colours
        NaN where there is no image.
    """
    n, height, width, *colours = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    canvas = np.full((rows * (height + border) - border, columns * (width + border) - border, *colours), np.nan)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = row * (height + border), column * (width + border)
        canvas[top : top + height, left : left + width] = image
    return canvas


class _Figure(Figure):
    def _repr_png_(self):
        # For a cell of a notebook, whether pyplot is imported there or not.
        return png(self)


def _figure(width, height):
    figure = _Figure(figsize=(width, height), layout="constrained", dpi=_DOTS_PER_INCH)
    return figure, figure.subplots()


@contextlib.contextmanager
def drawing(name):
    """Say in a line on standard error that a figure could not be drawn, and go on after the block."""
    try:
        yield
    except Exception as error:  # whatever a library of figures may raise
        print(f"warning: {name} was not drawn ({type(error).__name__}: {error})", file=sys.stderr, flush=True)


def png(figure):
    """A figure of matplotlib as a PNG image, in bytes. Equal runs give equal files."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
