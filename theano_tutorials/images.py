"""Convert image files to digits like those of MNIST.

MNIST's digits were scans of black ink on white paper. They were inverted, scaled
to fit 20 x 20 pixels with their proportions kept, grey where a pixel is partly
ink, and placed into 28 x 28 pixels with their centre of mass in the centre.
:func:`read_digit` does the same to a file.

References
----------
Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits".
"""

import warnings
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

IMAGE_SIZE = 28
BOX_SIZE = 20
_CENTRE = IMAGE_SIZE // 2  # of mass, in pixels from zero; so it is in MNIST
_MIN_CONTRAST = 16  # of 256 grey levels, between paper and ink
_NOISE = 1 / 8  # of the strongest ink; what is fainter does not count for the box


class Digit(NamedTuple):
    """An image in the form of MNIST's images.

    Attributes
    ----------
    pixels : numpy.ndarray, uint8, (28, 28)
        Light ink on black.
    preparation : str
        Description of the conversion, for instance "inverted, 120 x 180 pixels of
        300 x 200 scaled to 13 x 20, centred".
    """

    pixels: np.ndarray
    preparation: str


def read_digit(path):
    """Read an image file of one digit, and convert it to an image like those of MNIST.

    The image may have any size and any colour mode.

    - Colours become grey. Transparent parts become white. Only the first frame of
      an animation is used. The EXIF orientation turns a photograph upright.
    - The background is the median of the image's border. If the darkest pixel is
      farther from it than the lightest pixel, the ink is dark; then the image is
      inverted.
    - The rectangle around the ink is scaled to fit 20 x 20 pixels. The strongest
      ink becomes 255.
    - The digit is moved by whole pixels, so that its centre of mass is in the
      centre of 28 x 28 black pixels.

    An image of MNIST hardly changes. The background should have an even
    brightness. It should contain nothing but the digit.

    Parameters
    ----------
    path : path
        A file in a format that Pillow reads. EPS is refused, because it is a program.

    Returns
    -------
    Digit

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not an image, or is damaged, too large or blank.
    """
    with open(path, "rb") as file:
        try:
            grey = _grey_levels(file)
        except UnidentifiedImageError:
            raise ValueError(f"{path}: not an image of a format that Pillow reads, such as PNG or JPEG") from None
        except Exception as error:  # each decoder has its own
            raise ValueError(f"{path}: not an image that can be read ({type(error).__name__}: {error})") from error
    try:
        return _as_in_mnist(grey)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _grey_levels(file):
    """Brightness, uint8, (height, width), of an image in an open file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of metadata that is damaged
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(file) as image:
            if image.format == "EPS":
                raise ValueError("EPS: expected pixels, not a program")
            ImageOps.exif_transpose(image, in_place=True)
            if image.has_transparency_data and not image.mode.startswith("I"):
                on_white = Image.new("RGBA", image.size, "white")
                on_white.alpha_composite(image.convert("RGBA"))
                return _brightness(on_white)
            return _brightness(image)


def _brightness(image):
    if image.mode.startswith("I;16"):
        return (np.asarray(image) >> 8).astype(np.uint8)
    if image.mode in ("I", "F"):  # of no fixed range
        values = np.asarray(image, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError(f"{np.sum(~np.isfinite(values))} pixels are NaN or infinite: expected none")
        return np.interp(values, (values.min(), values.max()), (0, 255)).astype(np.uint8)
    return np.asarray(image.getchannel("L") if image.mode == "LAB" else image.convert("L"))


def _as_in_mnist(grey):
    height, width = grey.shape
    background = np.uint8(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))
    is_dark = background - grey.min() > grey.max() - background
    ink = background - np.minimum(grey, background) if is_dark else np.maximum(grey, background) - background
    if ink.max() < _MIN_CONTRAST:
        raise ValueError(
            f"blank, grey levels from {grey.min()} to {grey.max()}: expected a digit at least {_MIN_CONTRAST} of 256 "
            "levels darker or lighter than the background (transparent counts as white)"
        )
    box = _bounding_box(ink > ink.max() * _NOISE)
    scaled = _scaled(ink[box])
    found, fitted = (" x ".join(map(str, reversed(array.shape))) for array in (ink[box], scaled))
    preparation = (
        f"{'inverted, ' if is_dark else ''}{found} pixels of {width} x {height} "
        f"{'kept' if found == fitted else f'scaled to {fitted}'}, centred"
    )
    return Digit(_centred(scaled), preparation)


def _bounding_box(is_ink):
    rows, columns = (np.flatnonzero(is_ink.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _scaled(ink):
    height, width = ink.shape
    scale = BOX_SIZE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    scaled = np.asarray(Image.fromarray(ink).resize(size, Image.Resampling.HAMMING), dtype=np.float64)
    if scaled.max() == 0:
        raise ValueError(f"specks far apart: expected a digit that is still there at {size[0]} x {size[1]} pixels")
    return np.uint8(np.rint(scaled * (255 / scaled.max())))


def _centred(ink):
    mass = ink.sum()
    image = np.zeros((IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)
    place = []
    for axis, size in enumerate(ink.shape):
        centre = ink.sum(axis=1 - axis) @ np.arange(size) / mass
        start = min(max(round(_CENTRE - centre), 0), IMAGE_SIZE - size)
        place.append(slice(start, start + size))
    image[tuple(place)] = ink
    return image
