"""Parameters on disk: a file is whole, or it is not there."""

import os
import tempfile
from pathlib import Path

import numpy as np
import safetensors.numpy

BEST_MODEL = "best_model.safetensors"


def named_parameters(model):
    """Parameters of a model by name: ``W`` and ``b`` of a layer, ``layer0.W`` of a model made of layers."""
    layers = {name: part for name, part in vars(model).items() if hasattr(part, "params")}
    if not layers:
        return {"W": model.W, "b": model.b}
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


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def save_parameters(path, model):
    """Write the parameters of a model to a safetensors file, by name.

    Parameters
    ----------
    path : path
    model : object
        A layer with ``W`` and ``b``, or a model made of such layers.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    # In C order: safetensors writes the memory of an array as it lies there.
    values = {
        name: np.asarray(param.get_value(borrow=True), order="C") for name, param in named_parameters(model).items()
    }
    write_atomically(path, safetensors.numpy.save(values, metadata={"model": type(model).__name__}))


def best_model_writer(output_dir):
    """Function that saves a model as the best one in a folder, or None for no folder.

    Parameters
    ----------
    output_dir : path or None
        Made if it is not there.

    Raises
    ------
    OSError
        If the folder cannot be made or written to, or already holds a model.
    """
    if output_dir is None:
        return None
    path = Path(output_dir, BEST_MODEL)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        raise FileExistsError(f"{path} holds the result of another run: choose another output folder, or remove it")
    tempfile.TemporaryFile(dir=path.parent).close()
    return lambda model: save_parameters(path, model)


def load_parameters(path, model):
    """Set the parameters of a model from a file of :func:`save_parameters`.

    Parameters
    ----------
    path : path
    model : object
        Of the same class and shapes as the one that was saved.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not a safetensors file, or its names, shapes or dtypes are not
        those of the model; nothing is set then.
    """
    try:
        values = safetensors.numpy.load(Path(path).read_bytes())
    except (safetensors.SafetensorError, KeyError) as error:  # KeyError: a dtype that NumPy does not have
        raise ValueError(f"{path}: not a valid safetensors file ({error})") from error
    parameters = named_parameters(model)
    found = {name: (value.shape, str(value.dtype)) for name, value in values.items()}
    expected = {name: (param.get_value(borrow=True).shape, param.dtype) for name, param in parameters.items()}
    differences = [
        f"{name}: {found.get(name, 'missing')}, expected {expected.get(name, 'none')}"
        for name in sorted({*found, *expected})
        if found.get(name) != expected.get(name)
    ]
    if differences:
        raise ValueError(f"{path} does not fit {type(model).__name__}: {'; '.join(differences)}")
    for name, param in parameters.items():
        param.set_value(values[name])
