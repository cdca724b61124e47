"""Load a saved model, and compute the probabilities of the classes of examples.

The class of a model says how the model is built again:

- ``model.architecture`` is a dict of the sizes of the model, in types of JSON.
- ``from_parameters(parameters, **architecture)`` is a class method. It builds the
  model from shared variables by name (see :func:`named_parameters`). So it draws no
  weights at random. The ``input`` of this model accepts any number of examples.
- ``model.example_shape`` is the shape of one example. Only classifiers need it; one of
  sequences has none.
- ``model.p_y_given_x`` is what :attr:`LoadedModel.predict` computes from
  ``model.input``. Only classifiers have it.
"""

import inspect
import math
import reprlib
import threading
import warnings
from pathlib import Path
from typing import Callable, NamedTuple, Optional

import numpy as np
import theano

from theano_tutorials.datasets import BYTE_SCALE, MAX_BYTE, DatasetWarning, in_theano_order, read_data
from theano_tutorials.runs.directory import BEST_MODEL
from theano_tutorials.runs.parameters import in_floatX, named_parameters
from theano_tutorials.runs.tensors import read_tensors

_BRIGHT = 20  # no image that is scaled to mean 0 and variance 1 has such pixels
_NEARLY = 0.9  # -1 and 1 themselves need not occur in a few images
_BLOCK = 500  # examples at a time, so that the memory does not grow with their number


class LoadedModel(NamedTuple):
    """A model with its saved parameters, and a compiled function.

    Attributes
    ----------
    model : object
        An object of the class that was saved.
    predict : function, or None if the model is not a classifier
        ``predict(examples)`` returns the probability of each class, floatX,
        (n, n_classes). Examples, for any n, are rows (n, n_features), grey images
        (n, height, width), or colour images with the channels first or last; an array
        or lists. uint8, and other integers from 0 to 255, are divided by 256, as in
        training. Floats must have the scale of training; for a model of this library,
        a DatasetWarning says if they look like bytes, or like pixels from -1 to 1. Raises ValueError for other shapes
        and dtypes, and for values that are NaN or infinite. Threads may share it.
    """

    model: object
    predict: Optional[Callable]


def load_model(path, model_class=None):
    """Load a saved model, and compile a function that classifies examples.

    Parameters
    ----------
    path : path
        Directory of a run, or its file ``best_model.safetensors``; or a directory of
        runs, such as ``runs/mlp``: the one whose best model was written last.
    model_class : type, optional
        Class of the model, if it is not a class of this library. The docstring of
        this module says what it needs.

    Returns
    -------
    LoadedModel
        ``(model, predict)``.

    Raises
    ------
    OSError
        If the file cannot be read.
    TypeError
        If the class builds a model with parameters that have no names.
    ValueError
        If the file is damaged, was written for another class, or has an
        architecture that does not agree with its parameters.

    Examples
    --------
    ::

        model, predict = load_model("runs/lenet")
        digits = predict(images).argmax(axis=1)
    """
    model = read_model(path, model_class)
    if not (hasattr(model, "p_y_given_x") and hasattr(model, "example_shape")):
        return LoadedModel(model, None)
    probabilities = theano.function([model.input], model.p_y_given_x)
    one_at_a_time = threading.Lock()  # the function of Theano has one set of buffers

    def predict(images):
        rows = _checked_rows(images, model.example_shape)
        if model_class is None and rows.size and rows.dtype != np.uint8:
            _warn_of_another_scale(rows.min(), rows.max())
        # Of no example, too, the number of classes is known from the probabilities of one.
        used = rows if len(rows) else np.zeros((1, rows.shape[1]), rows.dtype)
        blocks = [_scaled(used[start : start + _BLOCK]) for start in range(0, len(used), _BLOCK)]
        with one_at_a_time:
            result = np.concatenate([probabilities(block) for block in blocks])[: len(rows)]
        if not np.isfinite(result).all():
            raise ValueError(f"{path}: the probabilities are NaN: its parameters are too large to compute with")
        return result

    return LoadedModel(model, predict)


def _checked_rows(images, example_shape):
    given = np.asarray(images)
    images = in_theano_order(given)
    n_features = math.prod(example_shape)
    # A row may be any image of as many values; an image has one shape, of which a single channel may be left out.
    fits = images.ndim >= 2 and math.prod(images.shape[1:]) == n_features
    if images.ndim > 2 and len(example_shape) > 1:
        fits = images.shape[1:] in (example_shape, example_shape[example_shape[0] == 1 :])
    if not fits:
        raise ValueError(f"images of shape {given.shape}: expected {_expected(example_shape)}")
    if images.dtype.kind in "iu" and images.size and images.min() >= 0 and images.max() <= MAX_BYTE:
        images = images.astype(np.uint8)
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise ValueError(
            f"images of dtype {images.dtype}: expected uint8, integers from 0 to {MAX_BYTE}, or floats such as "
            "byte / 256"
        )
    if images.dtype != np.uint8 and not np.isfinite(images).all():
        raise ValueError(f"images with {np.sum(~np.isfinite(images))} values that are NaN or infinite: expected none")
    return images.reshape(len(images), n_features)


def _warn_of_another_scale(low, high):
    if high > _BRIGHT or -1 <= low < -_NEARLY < _NEARLY < high <= 1:
        warnings.warn(
            f"images with floats from {low:g} to {high:g}: the data sets of this library have pixels from 0 to 1, "
            "bytes / 256: give bytes as uint8, or floats on the scale of the training",
            DatasetWarning,
            stacklevel=3,
        )


def _expected(example_shape):
    n_features = math.prod(example_shape)
    side = math.isqrt(n_features)
    shapes = [(n_features,)]
    if len(example_shape) > 1:
        shapes.append(example_shape)
    elif side**2 == n_features:
        shapes.append((side, side))
    return " or ".join(f"(n, {', '.join(map(str, shape))})" for shape in shapes)


def _scaled(images):
    if images.dtype == np.uint8:
        images = images / np.float32(BYTE_SCALE)
    return images.astype(theano.config.floatX)


def evaluate_model(predict, dataset):
    """Errors on all examples of the validation and the test set.

    Training leaves out the last partial minibatch. So its errors may be a little
    different.

    Parameters
    ----------
    predict : function
        See :class:`LoadedModel`.
    dataset : str or path
        See :func:`theano_tutorials.datasets.read_data`.

    Returns
    -------
    (float, float)
        Fractions of misclassified examples, in [0, 1].

    Raises
    ------
    ValueError
        If the data set is missing, is not valid, or has images of another size.
    """
    _, *splits = read_data(dataset)
    return tuple(float(np.mean(predict(images).argmax(axis=1) != labels)) for images, labels in splits)


def read_model(path, model_class=None):
    """Load a saved model, for any number of examples.

    Parameters
    ----------
    path, model_class
        See :func:`load_model`.

    Returns
    -------
    object
        An object of ``model_class``, or of the library's class that the file names.

    Raises
    ------
    OSError, TypeError, ValueError
        See :func:`load_model`.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: expected the directory of a run, or its file {BEST_MODEL}")
    if path.is_dir():
        path = _best_model_in(path)
    tensors, metadata = read_tensors(path)
    name, architecture = metadata.get("model"), metadata.get("architecture")
    classes = _classes(model_class)
    if not (isinstance(name, str) and name in classes):
        raise ValueError(
            f"{path}: a model {reprlib.repr(name)}: expected {', '.join(classes)}, or the class of the model as "
            "model_class"
        )
    for key, value in tensors.items():
        if value.dtype.kind != "f":
            raise ValueError(f"{path} does not fit: {key} has dtype {value.dtype}: expected floats")
        if not np.isfinite(value).all():
            raise ValueError(f"{path}: {key} has values that are NaN or infinite: expected none")
    # Nothing is allocated for a size in the architecture: each parameter that is there has to fit.
    parameters = {key: theano.shared(in_floatX(value), name=key.rpartition(".")[2]) for key, value in tensors.items()}
    model = _built(path, classes[name], parameters, architecture)
    used = named_parameters(model)
    if {id(param) for param in used.values()} != {id(param) for param in parameters.values()}:
        raise ValueError(
            f"{path} does not fit {name}: it holds {', '.join(sorted(parameters)) or 'nothing'}: "
            f"expected {', '.join(sorted(used))}"
        )
    return model


def _best_model_in(folder):
    # Of a run, or of a directory of runs.
    path = folder / BEST_MODEL
    if path.exists():
        return path
    of_runs = sorted(folder.glob(f"*/{BEST_MODEL}"), key=lambda file: file.stat().st_mtime_ns)
    if not of_runs:
        raise FileNotFoundError(
            f"{folder} holds no {BEST_MODEL}: expected the directory of a run that has a best model, "
            "or a .safetensors file"
        )
    return of_runs[-1]


def _classes(model_class):
    """Classes by name: the one given, or all that the library exports and that say how they are built."""
    import theano_tutorials  # here, since it imports this module

    exported = [getattr(theano_tutorials, name) for name in theano_tutorials.__all__]
    classes = [model_class] if model_class else [cls for cls in exported if hasattr(cls, "from_parameters")]
    return {cls.__name__: cls for cls in classes}


def _built(path, cls, parameters, architecture):
    try:
        inspect.signature(cls.from_parameters).bind(parameters, **architecture)
    except (TypeError, RecursionError):
        raise ValueError(
            f"{path}: architecture {reprlib.repr(architecture)}: expected that of {cls.__name__}: "
            f"{', '.join(list(inspect.signature(cls.from_parameters).parameters)[1:])}"
        ) from None
    try:
        return cls.from_parameters(parameters, **architecture)
    except KeyError as error:
        raise ValueError(f"{path} does not fit {cls.__name__}: it has no parameter {error}") from error
    except Exception as error:  # whatever Theano, or a class of the user, makes of sizes that make no sense
        raise ValueError(
            f"{path} does not fit {cls.__name__} with the architecture {reprlib.repr(architecture)}: "
            f"{type(error).__name__}: {error}"
        ) from error
