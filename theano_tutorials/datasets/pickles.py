"""Pickles of arrays, such as the tutorials' mnist.pkl.gz, read without running what they hold."""

import io
import pickle
import re
import struct
from typing import ClassVar

import numpy as np

from theano_tutorials.datasets.errors import DatasetError
from theano_tutorials.datasets.files import open_plain_or_gzipped


def read_pickle(path):
    """Read three pairs of arrays from a pickle, of Python 2 or 3 and NumPy 1 or 2.

    Parameters
    ----------
    path : path
        Gzipped or not.

    Returns
    -------
    list of three (inputs, labels) pairs: training, validation, test
        Arrays as they are in the file; lists of numbers become arrays.

    Raises
    ------
    DatasetError
        If the file is not whole, or holds anything but such arrays.
    """
    try:
        with open_plain_or_gzipped(path) as file:
            data = file.read()  # all of it, since the checksum of gzip is at the end
        content = ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()
        return [tuple(_as_array(part, len(data)) for part in split) for split in _three_pairs(content)]
    except Exception as error:  # a damaged pickle raises whatever its last opcode does
        raise DatasetError(f"{path}: not a pickle of MNIST ({type(error).__name__}: {error})") from error


def _three_pairs(content):
    is_pairs = isinstance(content, (tuple, list)) and all(
        isinstance(split, (tuple, list)) and len(split) == 2 for split in content
    )
    if not (is_pairs and len(content) == 3):
        raise DatasetError("expected ((train_x, train_y), (valid_x, valid_y), (test_x, test_y))")
    return content


def _as_array(part, n_bytes):
    """The array of a part of a pair: a pickled array, or a list of numbers or of rows."""
    if not isinstance(part, (list, tuple)):
        return part.array()
    rows = [row.array() if isinstance(row, (PickledArray, PickledBuffer)) else row for row in part]
    lists = rows if rows and not isinstance(rows[0], (int, float)) else [rows]
    # A file has fewer numbers than bytes; a row that is there many times could be more than memory holds.
    size = len(lists) * max(map(np.size, lists) if isinstance(lists[0], np.ndarray) else map(len, lists))
    if size > n_bytes:
        raise DatasetError(f"{len(lists)} rows of {size} numbers together, in {n_bytes} bytes: expected fewer")
    for row in lists:
        if not isinstance(row, np.ndarray) and not {int, float} >= set(map(type, row)):
            raise DatasetError("a list of something else: expected numbers, or rows of numbers")
    return np.array(rows)


# Arrays need none of these: extension codes, which find_class does not see once they are cached, and
# dictionaries and sets, since to hash nested tuples takes as long as to print them.
_REFUSED_OPCODES = b"\x82\x83\x84" + b"}dsu\x8f\x90\x91"


class ArrayUnpickler(pickle._Unpickler):
    # The unpickler in Python: the one in C allocates whatever a damaged file asks for.
    dispatch: ClassVar = {
        opcode: load for opcode, load in pickle._Unpickler.dispatch.items() if opcode not in _REFUSED_OPCODES
    }

    def load_build(self):
        # Of anything else, such as the classes below, a state would replace attributes.
        state = self.stack.pop()
        target = self.stack[-1]
        if not isinstance(target, (PickledArray, _PickledDtype)):
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


class PickledArray:
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


class PickledBuffer:
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
    ("multiarray", "_reconstruct"): PickledArray,
    ("numeric", "_frombuffer"): PickledBuffer,
    ("numpy", "dtype"): _PickledDtype,
    ("numpy", "ndarray"): PickledArray,
    ("_codecs", "encode"): _encode,
}
