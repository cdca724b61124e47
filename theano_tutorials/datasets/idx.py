"""IDX files, the form in which MNIST is distributed, and folders of them.

References
----------
Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits",
which also defines the IDX format.
G. Cohen, S. Afshar, J. Tapson and A. van Schaik, "EMNIST: an extension of MNIST
to handwritten letters", 2017.
"""

import re
import struct
import zlib

import numpy as np

from theano_tutorials.datasets.errors import DatasetError
from theano_tutorials.datasets.files import open_plain_or_gzipped

_NAME = re.compile(r"(?P<prefix>.*?)(?P<split>train|t10k|test)-(?P<kind>images|labels)[-.]idx[13]-ubyte(\.gz)?")
_N_DIMENSIONS = {"images": 3, "labels": 1}
_CHUNK = 1 << 20


def read_idx_folder(folder):
    """Read the images and labels of a folder of IDX files.

    Parameters
    ----------
    folder : path
        With four files as :func:`idx_groups` finds them.

    Returns
    -------
    list of two (images, labels) pairs: training, test
        uint8, (n_examples, height, width) and (n_examples,). Images of EMNIST,
        which are stored transposed, are upright.

    Raises
    ------
    DatasetError
        If the folder does not hold one set of such files, whole and valid.
    """
    groups = idx_groups(folder)
    # EMNIST is distributed as one folder with all of its splits.
    prefix = "emnist-digits-" if "emnist-digits-" in groups else next(iter(groups), None)
    if prefix is None or (len(groups) > 1 and prefix != "emnist-digits-"):
        found = [f"a set {name}*" for name in groups] or [path.name for path in folder.iterdir()] or ["nothing"]
        raise DatasetError(
            f"{folder}: found {', '.join(sorted(found))}: expected one set of train-images-idx3-ubyte, "
            "train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, each with .gz or without"
        )
    files = groups[prefix]
    splits = []
    for split in ("train", "test"):
        images = read_idx(files[split, "images"], _N_DIMENSIONS["images"])
        labels = read_idx(files[split, "labels"], _N_DIMENSIONS["labels"])
        if len(images) != len(labels):
            raise DatasetError(
                f"{files[split, 'images']} has {len(images)} images, {files[split, 'labels']} has {len(labels)} "
                "labels: expected as many"
            )
        splits.append((images.transpose(0, 2, 1) if prefix.startswith("emnist-") else images, labels))
    return splits


def idx_groups(folder):
    """Complete sets of IDX files in a folder: prefix -> {(split, kind): path}."""
    groups = {}
    # Sorted backwards, so that of a file and its .gz the unpacked one is kept.
    for path in sorted(folder.iterdir(), reverse=True) if folder.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match and path.is_file():
            split = "train" if match["split"] == "train" else "test"
            groups.setdefault(match["prefix"], {})[split, match["kind"]] = path
    return {prefix: files for prefix, files in groups.items() if len(files) == 4}


def read_idx(path, n_dimensions):
    """Read an IDX file of unsigned bytes.

    Parameters
    ----------
    path : path
        Gzipped if its name ends in ``.gz``.
    n_dimensions : int
        3 for images, 1 for labels.

    Returns
    -------
    numpy.ndarray, uint8, with that many dimensions

    Raises
    ------
    DatasetError
        If the file is not a whole IDX file of that kind.
    """
    header_size = 4 + 4 * n_dimensions
    try:
        with open_plain_or_gzipped(path) as file:
            header = file.read(header_size)
            if len(header) < header_size:
                raise DatasetError(f"{path}: {len(header)} bytes: expected a header of {header_size}")
            magic, *shape = struct.unpack(f">{1 + n_dimensions}I", header)
            expected_magic = 0x0800 + n_dimensions
            if magic != expected_magic:
                raise DatasetError(
                    f"{path}: magic number {magic:#010x}: expected {expected_magic:#010x}, "
                    f"unsigned bytes in {n_dimensions} dimension{'s' if n_dimensions > 1 else ''}"
                )
            size = int(np.prod(shape, dtype=object))
            data = _read_at_most(file, size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from error
    if len(data) != size:
        found = "more" if len(data) > size else f"{len(data)}"
        raise DatasetError(
            f"{path}: {found} bytes after the header: expected {size}, for {' x '.join(map(str, shape))}"
        )
    if size == 0:
        raise DatasetError(f"{path}: {' x '.join(map(str, shape))} bytes: expected at least one")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _read_at_most(file, size):
    # In pieces: a header may promise more than memory holds.
    data = bytearray()
    while len(data) < size:
        piece = file.read(min(_CHUNK, size - len(data)))
        if not piece:
            break
        data += piece
    return bytes(data)
