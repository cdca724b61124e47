"""Files as Python 2 has them: what is read is text if it can be, what is written may be text or bytes."""

import codecs
import gzip
import io
import os
import pickle
import urllib.request

import numpy as np

from theano_tutorials.datasets import read_data
from theano_tutorials.runs.tensors import write_atomically

_SNIFFED = 1 << 20  # bytes
_ENCODING = {"encoding": "utf-8", "errors": "surrogateescape"}
MNIST = "mnist.pkl.gz"


def open_(name, mode="r", buffering=-1):
    """``open`` and ``file`` of Python 2.

    Whether a file is text is seen in its first megabyte, not in the mode: old scripts open
    pickles as text, and lines of text with "rb". Where no file ``mnist.pkl.gz`` is, the MNIST
    of this library is read in its place.
    """
    kind = mode.replace("U", "").replace("t", "").replace("b", "") or "r"
    if kind == "r" and is_missing_mnist(name):
        return io.BytesIO(mnist_file(compressed=True))
    raw = io.FileIO(name, kind)
    if kind == "r":
        return readable(io.BufferedReader(raw, _SNIFFED), newline=None if "U" in mode else "\n")
    return _Updated(raw) if "+" in kind else _written(raw, buffering)


def fdopen(fd, mode="r", bufsize=-1):
    """``os.fdopen`` of Python 2."""
    if "r" in mode:
        return os.fdopen(fd, mode, bufsize)
    return _written(io.FileIO(fd, mode.replace("b", "")), bufsize)


def _written(raw, buffering):
    file = _Written(raw)
    file.is_buffered = buffering not in (0, 1)
    return file


def gzip_open(filename, mode="rb", compresslevel=9):
    """``gzip.open`` of Python 2."""
    if "r" not in mode:
        return _Written(gzip.open(filename, mode.replace("b", "") + "b", compresslevel))
    if is_missing_mnist(filename):
        return io.BytesIO(mnist_file(compressed=False))
    return readable(io.BufferedReader(gzip.open(filename, "rb"), _SNIFFED))


def readable(binary, newline="\n"):
    """A binary file that can peek, or text around it."""
    return io.TextIOWrapper(binary, newline=newline, **_ENCODING) if _is_text(binary) else binary


def _is_text(binary):
    begin = binary.peek(_SNIFFED)[:_SNIFFED]
    try:
        codecs.getincrementaldecoder("utf-8")().decode(begin)
    except UnicodeDecodeError:
        return False
    return b"\0" not in begin


class _TakesText:
    """Writes text and bytes."""

    softspace = False  # see texts.print_statement
    is_buffered = True

    def write(self, data):
        self.softspace = False
        written = super().write(data.encode(**_ENCODING) if isinstance(data, str) else data)
        if not self.is_buffered:
            self.flush()
        return written

    def writelines(self, lines):
        for line in lines:
            self.write(line)


class _Written(_TakesText, io.BufferedWriter):
    """A file that is written."""


class _Updated(_TakesText, io.BufferedRandom):
    """A file that is read and written; what is read is text."""

    def read(self, *size):
        return super().read(*size).decode(**_ENCODING)

    def readline(self, *size):
        return super().readline(*size).decode(**_ENCODING)

    def readlines(self, *hint):
        return [line.decode(**_ENCODING) for line in super().readlines(*hint)]

    def __next__(self):
        line = self.readline()
        if not line:
            raise StopIteration
        return line


def bytes_of(file):
    """The binary file below one that was opened as text."""
    return getattr(file, "buffer", file)


def is_missing_mnist(path):
    """Whether a path is that of ``mnist.pkl.gz`` in a place where no such file is."""
    return isinstance(path, (str, os.PathLike)) and os.path.basename(path) == MNIST and not os.path.exists(path)


def mnist_file(compressed):
    """The content of the tutorials' ``mnist.pkl.gz``, as bytes: three pairs of float32 images and int64 labels."""
    splits = []
    for images, labels in read_data("mnist"):
        splits.append((np.asarray(images, dtype="float32").reshape(len(labels), -1), np.asarray(labels, dtype="int64")))
    # By the name of the module that every NumPy knows.
    content = pickle.dumps(tuple(splits), protocol=2).replace(b"cnumpy._core.", b"cnumpy.core.")
    return gzip.compress(content, compresslevel=1) if compressed else content


def urlretrieve(url, filename=None, *arguments, **options):
    """``urllib.urlretrieve``; the address of ``mnist.pkl.gz`` is dead, so the MNIST of this library is written."""
    if url.rpartition("/")[2] != MNIST:
        return urllib.request.urlretrieve(url, filename, *arguments, **options)
    filename = MNIST if filename is None else filename
    write_atomically(filename, mnist_file(compressed=True))
    return filename, {}
