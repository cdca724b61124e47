"""Parameters and training state on disk: a file is whole, or it is not there."""

import glob
import hashlib
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import safetensors.numpy

from theano_tutorials.checks import shape_of

# One key: safetensors writes several in any order, and equal runs shall give equal files.
_METADATA_KEY = "theano_tutorials"


def named_parameters(model):
    """Parameters of a model by name: ``W`` and ``b`` of a layer, ``layer0.W`` of a model made of layers."""
    layers = {name: part for name, part in vars(model).items() if hasattr(part, "params")}
    if not layers:
        return dict(zip(("W", "b"), model.params))
    return {f"{layer}.{name}": value for layer in layers for name, value in named_parameters(layers[layer]).items()}


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


def remove_unfinished(path):
    """Remove what a killed process left of :func:`write_atomically`, where no other process writes that file."""
    path = Path(path)
    for aside in path.parent.glob(f".{glob.escape(path.name)}.*"):
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


def describe(model):
    """Class and architecture of a model, as metadata."""
    return {"model": type(model).__name__, "architecture": getattr(model, "architecture", {})}


def save_parameters(path, model):
    """Write the parameters of a model to a safetensors file, by name, with its architecture.

    Parameters
    ----------
    path : path
    model : LogisticRegression, MLP or LeNet5

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    values = {name: param.get_value(borrow=True) for name, param in named_parameters(model).items()}
    write_tensors(path, values, describe(model))


def load_parameters(path, model):
    """Set the parameters of a model from a file of :func:`save_parameters`.

    Parameters
    ----------
    path : path
    model : LogisticRegression, MLP or LeNet5
        Of the same class and shapes as the one that was saved.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not a safetensors file, or its names, shapes or dtypes are not
        those of the model; nothing is set then.
    """
    values, _ = read_tensors(path)
    set_parameters(path, model, values)


def set_parameters(path, model, values):
    """Set the parameters of a model from arrays by name, read from ``path``, or raise ValueError and set none."""
    parameters = named_parameters(model)
    require_fit(path, model, values)
    for name, param in parameters.items():
        param.set_value(values[name])


def require_fit(path, model, values):
    """Raise ValueError unless arrays by name, read from ``path``, are parameters of the model."""
    expected = {name: (shape_of(param), param.dtype) for name, param in named_parameters(model).items()}
    require_layout(path, type(model).__name__, expected, values)


def require_layout(path, model_name, expected, values):
    """Raise ValueError unless arrays by name, read from ``path``, have the expected shapes and dtypes by name."""
    found = {name: (value.shape, str(value.dtype)) for name, value in values.items()}
    differences = [
        f"{name}: {found.get(name, 'missing')}, expected {expected.get(name, 'none')}"
        for name in sorted({*found, *expected})
        if found.get(name) != expected.get(name)
    ]
    if differences:
        raise ValueError(f"{path} does not fit {model_name}: {'; '.join(differences)}")
