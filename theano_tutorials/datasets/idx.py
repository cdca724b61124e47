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
from pathlib import Path

import numpy as np

from theano_tutorials.datasets.errors import DatasetError
from theano_tutorials.datasets.files import open_plain_or_gzipped

_NAME = re.compile(r"(?P<prefix>.*?)(?P<split>train|t10k|test)-(?P<kind>images|labels)[-.]idx[123]-(ubyte|int)(\.gz)?")
_N_DIMENSIONS = {"images": 3, "labels": 1}
# QMNIST's labels are eight numbers each, int32; the first is the class.
_QMNIST_LABELS = 0x0C02
_QMNIST_COLUMNS = 8
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
        uint8, (n_examples, height, width); uint8 or int32, (n_examples,). Images of
        EMNIST, which are stored transposed, are upright. Labels of EMNIST's letters,
        1 to 26 in the files, are 0 to 25.

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
        labels = read_labels(files[split, "labels"])
        if prefix.endswith("emnist-letters-"):
            labels = _from_zero(files[split, "labels"], labels)
        if len(images) != len(labels):
            raise DatasetError(
                f"{files[split, 'images']} has {len(images)} images, {files[split, 'labels']} has {len(labels)} "
                "labels: expected as many"
            )
        splits.append((images.transpose(0, 2, 1) if "emnist-" in prefix else images, labels))
    return splits


def _from_zero(path, labels):
    if labels.min() < 1:
        raise DatasetError(f"{path}: labels from {labels.min()} to {labels.max()}: expected 1 to 26 for letters")
    return labels - 1


def idx_groups(folder):
    """Complete sets of IDX files in a folder: prefix -> {(split, kind): path}.

    If there is none, those of its folder ``MNIST/raw`` or ``raw``, where torchvision
    keeps them.
    """
    return next(filter(None, (_groups(folder / place) for place in ("", "MNIST/raw", "raw"))), {})


def _groups(folder):
    groups = {}
    # Sorted backwards, so that of a file and its .gz the unpacked one is kept; and of a folder and a file, the file.
    paths = sorted(folder.iterdir(), reverse=True) if folder.is_dir() else []
    for path in sorted(paths, key=Path.is_file):
        match = _NAME.fullmatch(path.name)
        # The archive of Kaggle unpacks to folders, each with a file of the same name.
        file = path / path.name if path.is_dir() else path
        if match and file.is_file():
            split = "train" if match["split"] == "train" else "test"
            groups.setdefault(match["prefix"], {})[split, match["kind"]] = file
    return {prefix: files for prefix, files in groups.items() if len(files) == 4}


def read_labels(path):
    """Read an IDX file of labels: as :func:`read_idx`, or of QMNIST, of whose columns the first is kept.

    Returns
    -------
    numpy.ndarray, uint8 or int32, (n_examples,)
    """
    try:
        with open_plain_or_gzipped(path) as file:
            magic, n, columns = struct.unpack(">3I", file.read(12).ljust(12, b"\0"))
            if (magic, columns) != (_QMNIST_LABELS, _QMNIST_COLUMNS):
                return read_idx(path, _N_DIMENSIONS["labels"])
            size = 4 * n * columns
            data = _read_at_most(file, size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from error
    if len(data) != size or not n:
        raise DatasetError(f"{path}: {len(data)} bytes after the header: expected {size}, at least one label")
    return np.frombuffer(data, dtype=">i4").reshape(n, columns)[:, 0].astype(np.int32)


def read_idx(path, n_dimensions):
    """Read an IDX file of unsigned bytes.

    Parameters
    ----------
    path : path
        Gzipped or not.
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
