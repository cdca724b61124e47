"""MNIST, and data sets like it: from files, checked, into shared variables.

References
----------
Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits",
which also defines the IDX format.
G. Cohen, S. Afshar, J. Tapson and A. van Schaik, "EMNIST: an extension of MNIST
to handwritten letters", 2017.
"""

import gzip
import io
import os
import pickle
import re
import struct
import zlib
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pooch
import theano
import theano.tensor as T

from theano_tutorials.checks import shape_of

N_CLASSES = 10
TRAINING_PER_VALIDATION = 6  # one training example in six validates: 10,000 of MNIST's 60,000
BYTE_SCALE = 256  # not 255: so mnist.pkl.gz was made

_PACKAGE = Path(__file__).resolve().parent
_EMBEDDED = (_PACKAGE / "data", _PACKAGE.parent / "data")  # in a wheel, in a checkout
_IDX_NAME = re.compile(r"(?P<prefix>.*?)(?P<split>train|t10k|test)-(?P<kind>images|labels)[-.]idx[13]-ubyte(\.gz)?")
_IDX_DIMENSIONS = {"images": 3, "labels": 1}
_SPLITS = ("train", "validation", "test")
_CHUNK = 1 << 20
_DOWNLOAD_TIMEOUT = 10  # seconds without an answer


class DatasetError(ValueError):
    """A data set is not there or not valid; the message says what was found and expected."""


class _Source(NamedTuple):
    url: str
    md5: dict  # of the files as distributed


KNOWN_DATASETS = {
    "mnist": _Source(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
    "fashion-mnist": _Source(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
    "kmnist": _Source(
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        {
            "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
            "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
            "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
            "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
        },
    ),
}


def load_data(dataset="mnist"):
    """Load a data set into shared variables.

    Parameters
    ----------
    dataset : str or path
        ``"mnist"``, which comes with this library; ``"fashion-mnist"`` or
        ``"kmnist"``, downloaded once; or a path, as :func:`read_data` takes it.

    Returns
    -------
    list of three (inputs, labels) pairs: training, validation, test
        Inputs are a floatX shared variable, (n_examples, n_features), labels an
        int32 view, (n_examples,), of a floatX one.

    Raises
    ------
    DatasetError
        If the data set is not there or not valid.

    Examples
    --------
    >>> (train_x, train_y), (valid_x, valid_y), (test_x, test_y) = load_data("mnist")
    >>> train_x.get_value(borrow=True).shape
    (50000, 784)
    """
    return [shared_dataset(split) for split in read_data(dataset)]


def shared_dataset(data_xy, borrow=True):
    """Put inputs and labels into shared variables.

    Parameters
    ----------
    data_xy : (inputs, labels)
        Array-like, (n_examples, n_features) and (n_examples,).
    borrow : bool
        Whether the shared variable may use the memory of a floatX array given.

    Returns
    -------
    (floatX shared variable, int32 view of a floatX shared variable)
        Labels are stored as floatX, since a GPU keeps only such data, and cast
        to integers where they are used.
    """
    data_x, data_y = data_xy
    shared_x = theano.shared(np.asarray(data_x, dtype=theano.config.floatX), borrow=borrow)
    shared_y = theano.shared(np.asarray(data_y, dtype=theano.config.floatX), borrow=borrow)
    return shared_x, T.cast(shared_y, "int32")


def n_features(datasets):
    """Number of input features of what :func:`load_data` returned."""
    return shape_of(datasets[0][0])[1]


def read_data(dataset="mnist"):
    """Read and check a data set.

    Parameters
    ----------
    dataset : str or path
        A name of :data:`KNOWN_DATASETS`, or

        - a folder with four IDX files, gzipped or not, under their usual names
          (``train-images-idx3-ubyte.gz``, ...; with a prefix as in EMNIST, whose
          transposed images are put upright);
        - an ``.npz`` with ``x_train``, ``y_train``, ``x_test``, ``y_test`` and,
          if it has a validation set of its own, ``x_valid``, ``y_valid``;
        - the tutorials' ``mnist.pkl.gz``, or a pickle of the same form, written
          by Python 2 or 3. Where no such file is found, that name stands for
          the MNIST that comes with this library.

    Returns
    -------
    list of three (inputs, labels) pairs: training, validation, test
        float32 (n_examples, n_features), bytes divided by 256; int64
        (n_examples,). Without a validation set in the files, it is the last
        sixth of the training set.

    Raises
    ------
    DatasetError
        If the data set is not there or not valid.
    """
    path = Path(os.path.expanduser(dataset))
    if str(dataset) in KNOWN_DATASETS:
        path = _folder_of_known(str(dataset))
        splits = _read_idx_folder(path)
    elif path.is_dir():
        splits = _read_idx_folder(path)
    elif not path.exists() and path.name == "mnist.pkl.gz":
        return read_data("mnist")
    elif not path.is_file():
        raise DatasetError(
            f"data set {dataset} not found: expected {', '.join(KNOWN_DATASETS)}, a folder of IDX files, "
            "an .npz file or a pickle such as mnist.pkl.gz"
        )
    elif path.suffix == ".npz":
        splits = _read_npz(path)
    elif path.name.endswith((".pkl", ".pkl.gz", ".pickle", ".pickle.gz")):
        splits = _read_pickle(path)
    else:
        raise DatasetError(f"{path}: expected a folder of IDX files, an .npz file, a .pkl or a .pkl.gz file")
    names = _SPLITS if len(splits) == len(_SPLITS) else (_SPLITS[0], _SPLITS[-1])
    checked = [_checked_split(f"{path}, {name} set", *split) for name, split in zip(names, splits)]
    if len(checked) == 2:
        checked = _split_validation(path, checked)
    widths = [inputs.shape[1] for inputs, _ in checked]
    if len(set(widths)) != 1:
        raise DatasetError(f"{path}: images of {', '.join(map(str, widths))} pixels: expected one size in all sets")
    return checked


def _split_validation(path, splits):
    (inputs, labels), test = splits
    n_train = len(inputs) - len(inputs) // TRAINING_PER_VALIDATION
    if n_train == len(inputs):
        raise DatasetError(
            f"{path}: {len(inputs)} training examples: expected at least {TRAINING_PER_VALIDATION}, "
            "so that one in six makes a validation set"
        )
    return [(inputs[:n_train], labels[:n_train]), (inputs[n_train:], labels[n_train:]), test]


def _checked_split(where, inputs, labels):
    if inputs.ndim < 2 or labels.ndim != 1:
        raise DatasetError(
            f"{where}: inputs of shape {inputs.shape}, labels of shape {labels.shape}: "
            "expected (n_examples, ...) and (n_examples,)"
        )
    if len(inputs) != len(labels):
        raise DatasetError(f"{where}: {len(inputs)} images and {len(labels)} labels: expected as many")
    if inputs.size == 0:
        raise DatasetError(f"{where}: inputs of shape {inputs.shape}: expected at least one example of one pixel")
    if labels.dtype.kind not in "iu":
        raise DatasetError(f"{where}: labels of dtype {labels.dtype}: expected integers")
    if labels.min() < 0 or labels.max() >= N_CLASSES:
        raise DatasetError(f"{where}: labels from {labels.min()} to {labels.max()}: expected 0 to {N_CLASSES - 1}")
    if inputs.dtype == np.uint8:
        inputs = inputs / np.float32(BYTE_SCALE)
    elif inputs.dtype.kind == "f":
        inputs = inputs.astype(np.float32)
        if not np.isfinite(inputs).all():
            raise DatasetError(f"{where}: {np.sum(~np.isfinite(inputs))} values are NaN or infinite: expected none")
    else:
        raise DatasetError(f"{where}: images of dtype {inputs.dtype}: expected uint8, or floats such as byte / 256")
    return inputs.reshape(len(inputs), -1), labels.astype(np.int64)


# Known data sets


def _folder_of_known(name):
    source = KNOWN_DATASETS[name]
    cache = Path(pooch.os_cache("theano_tutorials"), name)
    for folder in (*(embedded / name for embedded in _EMBEDDED), cache):
        if _idx_groups(folder):
            return folder
    for file, md5 in source.md5.items():
        try:
            pooch.retrieve(
                source.url + file,
                known_hash=f"md5:{md5}",
                fname=file,
                path=cache,
                downloader=pooch.HTTPDownloader(progressbar=True, timeout=_DOWNLOAD_TIMEOUT),
            )
        except (OSError, ValueError) as error:  # no connection or no disk; another checksum
            why = error if isinstance(error, ValueError) else type(error).__name__
            raise DatasetError(
                f"data set {name} is not on disk, and {source.url}{file} cannot be downloaded ({why}). "
                f"Put {', '.join(source.md5)} into {cache}, or name the folder that holds them"
            ) from error
    return cache


# IDX


def _idx_groups(folder):
    """Complete sets of IDX files in a folder: prefix -> {(split, kind): path}."""
    groups = {}
    # Sorted backwards, so that of a file and its .gz the unpacked one is kept.
    for path in sorted(folder.iterdir(), reverse=True) if folder.is_dir() else ():
        match = _IDX_NAME.fullmatch(path.name)
        if match and path.is_file():
            split = "train" if match["split"] == "train" else "test"
            groups.setdefault(match["prefix"], {})[split, match["kind"]] = path
    return {prefix: files for prefix, files in groups.items() if len(files) == 4}


def _read_idx_folder(folder):
    groups = _idx_groups(folder)
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
        images = read_idx(files[split, "images"], _IDX_DIMENSIONS["images"])
        labels = read_idx(files[split, "labels"], _IDX_DIMENSIONS["labels"])
        if len(images) != len(labels):
            raise DatasetError(
                f"{files[split, 'images']} has {len(images)} images, {files[split, 'labels']} has {len(labels)} "
                "labels: expected as many"
            )
        splits.append((images.transpose(0, 2, 1) if prefix.startswith("emnist-") else images, labels))
    return splits


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
        with _open(path) as file:
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


def _open(path):
    return gzip.open(path) if path.name.endswith(".gz") else open(path, "rb")


def _read_at_most(file, size):
    # In pieces: a header may promise more than memory holds.
    data = bytearray()
    while len(data) < size:
        piece = file.read(min(_CHUNK, size - len(data)))
        if not piece:
            break
        data += piece
    return bytes(data)


# NPZ


def _read_npz(path):
    try:
        # Opened here, since NumPy leaves a file open that it cannot read.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: array for name, array in archive.items() if isinstance(array, np.ndarray)}
    except Exception as error:  # NumPy, zipfile, zlib and struct each have their own
        raise DatasetError(f"{path}: not a valid .npz file ({type(error).__name__}: {error})") from error
    names = ["train", "valid", "test"] if "x_valid" in arrays or "y_valid" in arrays else ["train", "test"]
    expected = [f"{kind}_{name}" for name in names for kind in "xy"]
    if not set(expected) <= set(arrays):
        raise DatasetError(f"{path}: arrays {', '.join(sorted(arrays)) or 'none'}: expected {', '.join(expected)}")
    return [(arrays[f"x_{name}"], arrays[f"y_{name}"]) for name in names]


# Pickle


def _require_text(value):
    # Before it gets into a message: nested tuples take 300 bytes in a pickle, and terabytes as text.
    if not isinstance(value, str):
        raise DatasetError(f"an object of type {type(value).__name__}: expected text")
    return value


class _PickledDtype:
    """Stands for a ``numpy.dtype`` in a pickle: nothing of NumPy's own is called."""

    def __init__(self, code, *_):
        self.code = _require_text(code)
        self.byte_order = "|"

    def __setstate__(self, state):
        self.byte_order = _require_text(state[1])

    def dtype(self):
        if not re.fullmatch(r"[biuf][1248]", self.code) or self.byte_order not in ("<", ">", "|", "="):
            raise DatasetError(f"an array of dtype {self.byte_order}{self.code}: expected integers or floats")
        return np.dtype(self.code).newbyteorder(self.byte_order)


class _PickledArray:
    """Stands for a ``numpy.ndarray`` in a pickle until its parts are checked."""

    def __init__(self, *_):
        self.state = None

    def __setstate__(self, state):
        self.state = state

    def array(self):
        _, shape, dtype, is_fortran, data = self.state
        data = data.encode("latin1") if isinstance(data, str) else data
        return _array_from_bytes(data, dtype, shape, "F" if is_fortran else "C")


def _array_from_bytes(data, dtype, shape, order):
    return np.frombuffer(data, dtype=dtype.dtype()).reshape(shape, order=order)


class _PickledBuffer:
    """Stands for an array in a pickle of protocol 5."""

    def __init__(self, *arguments):
        self.arguments = arguments

    def array(self):
        return _array_from_bytes(*self.arguments)


def _encode(text, encoding):
    # Python 3 writes bytes in this way for protocols up to 2.
    if _require_text(encoding) != "latin1":
        raise DatasetError(f"bytes encoded as {encoding!r}: expected latin1")
    return text.encode("latin1")


_ADMITTED = {
    ("multiarray", "_reconstruct"): _PickledArray,
    ("numeric", "_frombuffer"): _PickledBuffer,
    ("numpy", "dtype"): _PickledDtype,
    ("numpy", "ndarray"): _PickledArray,
    ("_codecs", "encode"): _encode,
}


# Arrays need none of these: extension codes, which find_class does not see once they are cached, and
# dictionaries and sets, since to hash nested tuples takes as long as to print them.
_REFUSED_OPCODES = b"\x82\x83\x84" + b"}dsu\x8f\x90\x91"


class _ArrayUnpickler(pickle._Unpickler):
    # The unpickler in Python: the one in C allocates whatever a damaged file asks for.
    dispatch: ClassVar = {
        opcode: load for opcode, load in pickle._Unpickler.dispatch.items() if opcode not in _REFUSED_OPCODES
    }

    def load_build(self):
        # Of anything else, such as the classes above, a state would replace attributes.
        state = self.stack.pop()
        target = self.stack[-1]
        if not isinstance(target, (_PickledArray, _PickledDtype)):
            raise DatasetError(f"a state for a {type(target).__name__}: expected one for an array")
        target.__setstate__(state)

    def load_bytearray8(self):
        # The inherited method allocates what the file asks for, too.
        (size,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(size))

    dispatch.update({pickle.BUILD[0]: load_build, pickle.BYTEARRAY8[0]: load_bytearray8})

    def find_class(self, module, name):
        module = re.sub(r"^numpy\._?core\.", "", module)
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise DatasetError(f"an object {module}.{name}: expected NumPy arrays and nothing else") from None


def _read_pickle(path):
    try:
        with _open(path) as file:
            data = io.BytesIO(file.read())  # all of it, since the checksum of gzip is at the end
        content = _ArrayUnpickler(data, encoding="latin1").load()
        return [tuple(part.array() for part in split) for split in _three_pairs(content)]
    except Exception as error:  # a damaged pickle raises whatever its last opcode does
        raise DatasetError(f"{path}: not a pickle of MNIST ({type(error).__name__}: {error})") from error


def _three_pairs(content):
    is_pairs = isinstance(content, (tuple, list)) and all(
        isinstance(split, (tuple, list)) and len(split) == 2 for split in content
    )
    if not (is_pairs and len(content) == 3):
        raise DatasetError("expected ((train_x, train_y), (valid_x, valid_y), (test_x, test_y))")
    return content
