"""Arrays and other files on disk: a file is whole, or it is not there."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import safetensors.numpy

# One key: safetensors writes several in any order, and equal runs shall give equal files.
_METADATA_KEY = "theano_tutorials"


def write_atomically(path, data):
    """Replace a file by ``data``: written beside it, synchronised, then renamed.

    Parameters
    ----------
    path : path
    data : bytes

    Raises
    ------
    OSError
        If it cannot be written; the file that was there before is untouched.
    """
    path = Path(path)
    handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, 0o666 & ~_umask())
            file.write(data)
            file.flush()
            os.fsync(handle)
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove_unfinished(folder, names):
    """Remove what a killed process left of :func:`write_atomically`, where no other process writes such files.

    Parameters
    ----------
    folder : pathlib.Path
    names : iterable of str
        Names of the files, with wildcards.
    """
    for name in names:
        for aside in folder.glob(f".{name}.*"):
            aside.unlink()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_tensors(path, tensors, metadata):
    """Write arrays by name, and metadata as JSON, to a safetensors file, atomically.

    Parameters
    ----------
    path : path
    tensors : dict of str to numpy.ndarray
    metadata : dict
        What JSON can hold. A checksum of everything is written with it.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    # safetensors writes the memory as it lies.
    contiguous = {name: np.asarray(value, order="C") for name, value in tensors.items()}
    text = json.dumps({"sha256": _checksum(contiguous, metadata), **metadata}, sort_keys=True)
    write_atomically(path, safetensors.numpy.save(contiguous, metadata={_METADATA_KEY: text}))


def read_tensors(path):
    """Read what :func:`write_tensors` wrote.

    Returns
    -------
    (dict of str to numpy.ndarray, dict)
        The arrays and the metadata.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not a whole safetensors file of this library.
    """
    data = Path(path).read_bytes()
    try:
        tensors = safetensors.numpy.load(data)
        header_size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + header_size])
        metadata = json.loads(header["__metadata__"][_METADATA_KEY])
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path}: not a whole safetensors file of theano_tutorials ({type(error).__name__}: {error})"
        ) from error
    if not isinstance(metadata, dict) or metadata.pop("sha256", None) != _checksum(tensors, metadata):
        raise ValueError(f"{path}: damaged: its checksum is not that of its content")
    return tensors, metadata


def _checksum(tensors, metadata):
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        digest.update(tensors[name])
    return digest.hexdigest()
