"""``utils.py`` of the course: many images in one array, to look at."""

import numpy


def scale_to_unit_interval(ndar, eps=1e-8):
    """A copy of an array whose values go from 0 to 1.

    Parameters
    ----------
    ndar : numpy.ndarray
    eps : float
        Added to the largest difference, so that it is not zero.
    """
    from_zero = ndar - ndar.min()
    return from_zero / (from_zero.max() + eps)


def tile_raster_images(
    X, img_shape, tile_shape, tile_spacing=(0, 0), scale_rows_to_unit_interval=True, output_pixel_vals=True
):
    """Images, which are the rows of a matrix, beside and below each other.

    Parameters
    ----------
    X : numpy.ndarray, (n_images, height * width), or tuple of four such arrays or None
        A tuple has the channels red, green, blue and alpha; one that is None is empty, or opaque.
    img_shape : (height, width)
    tile_shape : (rows, columns)
        Number of images in the picture; others are left out.
    tile_spacing : (rows, columns)
        Pixels between images.
    scale_rows_to_unit_interval : bool
        Scale each image so that its values go from 0 to 1.
    output_pixel_vals : bool
        Whether the picture has bytes from 0 to 255, or the values as they are.

    Returns
    -------
    numpy.ndarray
        Of the picture's height and width; with four channels, (height, width, 4).
    """
    height, width = ((image + gap) * tiles - gap for image, tiles, gap in zip(img_shape, tile_shape, tile_spacing))
    if isinstance(X, tuple):
        if len(X) != 4:
            raise ValueError(f"X has {len(X)} channels: expected 4, of which some may be None")
        dtype = "uint8" if output_pixel_vals else next((c.dtype for c in X if c is not None), "float64")
        picture = numpy.zeros((height, width, 4), dtype)
        opaque = 255 if output_pixel_vals else 1
        for i, channel in enumerate(X):
            if channel is None:
                picture[..., i] = opaque if i == 3 else 0
            else:
                picture[..., i] = tile_raster_images(
                    channel, img_shape, tile_shape, tile_spacing, scale_rows_to_unit_interval, output_pixel_vals
                )
        return picture

    picture = numpy.zeros((height, width), "uint8" if output_pixel_vals else X.dtype)
    for i, image in enumerate(X[: tile_shape[0] * tile_shape[1]]):
        row, column = divmod(i, tile_shape[1])
        top, left = row * (img_shape[0] + tile_spacing[0]), column * (img_shape[1] + tile_spacing[1])
        values = image.reshape(img_shape)
        if scale_rows_to_unit_interval:
            values = scale_to_unit_interval(values)
        picture[top : top + img_shape[0], left : left + img_shape[1]] = values * (255 if output_pixel_vals else 1)
    return picture
