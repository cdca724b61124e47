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
from PIL import Image, ImageFilter, ImageOps, UnidentifiedImageError
from scipy.ndimage import grey_closing

IMAGE_SIZE = 28
BOX_SIZE = 20
_CENTRE = IMAGE_SIZE // 2  # of mass, in pixels from zero; so it is in MNIST
_MIN_CONTRAST = 16  # of 256 grey levels, between paper and ink
_NOISE = 1 / 8  # of the strongest ink; what is fainter does not count for the box
_SMALL = 128  # longer side, in pixels, of the copy in which the light is measured
_STROKE = 1 / 5  # of the longer side; strokes are narrower, lights and shadows wider
_UNEVEN = 1 / 8  # of the contrast, between the darkest and the brightest part of the paper's border
_FAINT = 1 / 4  # of the strongest ink; what is fainter on evened out paper is its grain
_GRAIN = 1 / 100  # of the longer side


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
    - If the border shows that dark ink is on paper with uneven light, the image is
      divided by its light: a closing, which removes the strokes, on a small copy.
    - The background is the median of the image's border. If the darkest pixel is
      farther from it than the lightest pixel, the ink is dark; then the image is
      inverted.
    - The rectangle around the ink is scaled to fit 20 x 20 pixels. The strongest
      ink becomes 255.
    - The digit is moved by whole pixels, so that its centre of mass is in the
      centre of 28 x 28 black pixels.

    An image of MNIST hardly changes. The background should contain nothing but the
    digit. If light ink is on a dark background, its brightness should be even.

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
        return as_in_mnist(grey)
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
    if image.mode.startswith(("I", "F")):  # of no fixed range: also 16 bits hold 10, 12 or 15 of a camera
        values = np.asarray(image, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError(f"{np.sum(~np.isfinite(values))} pixels are NaN or infinite: expected none")
        return np.interp(values, (values.min(), values.max()), (0, 255)).astype(np.uint8)
    return np.asarray(image.getchannel("L") if image.mode == "LAB" else image.convert("L"))


def as_in_mnist(grey):
    """Convert the brightness of one digit to an image like those of MNIST; see :func:`read_digit`.

    Parameters
    ----------
    grey : numpy.ndarray, uint8, (height, width)

    Returns
    -------
    Digit

    Raises
    ------
    ValueError
        If it is blank.
    """
    height, width = grey.shape
    grey, is_evened = _with_even_light(grey)
    background = np.uint8(np.median(_border(grey)))
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
        f"{'light evened out, ' if is_evened else ''}{'inverted, ' if is_dark else ''}"
        f"{found} pixels of {width} x {height} "
        f"{'kept' if found == fitted else f'scaled to {fitted}'}, centred"
    )
    return Digit(_centred(scaled), preparation)


def _with_even_light(grey):
    """The image as if dark ink were on paper with even light, and whether that is a change."""
    height, width = grey.shape
    scale = min(1, _SMALL / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))
    across = _between_the_borders(small)
    darker = (across - small).max()
    light = _closing(small, max(size) * _STROKE)
    contrast = int(grey.max()) - int(grey.min())
    is_dark_ink = darker > (small - across).max() and (light - small).max() > darker / 2
    if not is_dark_ink or np.ptp(_border(light)) <= contrast * _UNEVEN or contrast < _MIN_CONTRAST:
        return grey, False
    light = np.asarray(Image.fromarray(light).resize((width, height), Image.Resampling.BICUBIC))
    ink = np.uint8(np.rint(255 * (1 - np.minimum(grey / np.maximum(light, 1.0), 1))))
    smooth = np.asarray(Image.fromarray(ink).filter(ImageFilter.GaussianBlur(max(height, width) * _GRAIN)))
    return np.where(smooth > ink.max() * _FAINT, 255 - ink, np.uint8(255)), True


def _border(image):
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


def _between_the_borders(image):
    """Brightness that goes evenly from each side of the border to the opposite one (Coons 1967)."""
    image = image.astype(np.float64)
    down, right = (np.linspace(0, 1, length) for length in image.shape)
    down = down[:, None]
    rows = (1 - down) * image[:1] + down * image[-1:]
    columns = (1 - right) * image[:, :1] + right * image[:, -1:]
    corners = (1 - right) * rows[:, :1] + right * rows[:, -1:]
    return rows + columns - corners


def _closing(image, width):
    """Morphological closing by a square: without what is dark and narrower than ``width`` pixels."""
    size = int(width) // 2 * 2 + 1
    # Beyond the border, the brightness goes on as it changes there.
    margin = min(size, *(length - 1 for length in image.shape))
    beyond = np.pad(image.astype(np.int16), margin, mode="reflect", reflect_type="odd")
    closed = np.uint8(np.clip(grey_closing(beyond, size=(size, size)), 0, 255))
    return closed[margin : margin + image.shape[0], margin : margin + image.shape[1]]


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
