"""A saved model put to use: its layers again, and the probabilities of the classes of examples.

A class says itself how its models are built from what is saved of them:

- ``model.architecture``: a dict, in types of JSON, of the sizes of a model;
- ``from_parameters(parameters, **architecture)``: a class method that builds the
  model over shared variables, by name as :func:`named_parameters` names them, and
  thus draws none at random; its ``input`` is for any number of examples;
- ``model.example_shape``: shape of one example, for classifiers;
- ``model.p_y_given_x``: of classifiers, what :attr:`LoadedModel.predict` computes
  from ``model.input``.
"""

import inspect
import math
import reprlib
from pathlib import Path
from typing import Callable, NamedTuple, Optional

import numpy as np
import theano

from theano_tutorials.datasets import BYTE_SCALE, in_theano_order, read_data
from theano_tutorials.runs.directory import BEST_MODEL
from theano_tutorials.runs.parameters import named_parameters
from theano_tutorials.runs.tensors import read_tensors

_BLOCK = 500  # examples at a time, so that the memory does not grow with their number


class LoadedModel(NamedTuple):
    """A model with its parameters set, and a compiled function.

    Attributes
    ----------
    model : object
        Of the class that was saved.
    predict : function, or None where the model is no classifier
        Of examples, for any n: rows (n, n_features), grey images (n, height, width)
        or images in colour, with the channels first or last, as
        :func:`theano_tutorials.load_data` takes them. uint8 is divided by 256 as in
        training; floats have the scale of training. Returns the probability of each
        class, floatX, (n, n_classes).
        Raises ValueError for other shapes and dtypes and for values that are NaN or
        infinite.
    """

    model: object
    predict: Optional[Callable]


def load_model(path, model_class=None):
    """Build a saved model again, and compile a function that classifies examples.

    Parameters
    ----------
    path : path
        Folder of a run, which holds ``best_model.safetensors``, or such a file.
    model_class : type, optional
        Class of the model, where it is not one of this library; see the module's
        docstring.

    Returns
    -------
    LoadedModel
        ``(model, predict)``.

    Raises
    ------
    OSError
        If the file cannot be read.
    TypeError
        If the class does not build a model of the parameters that it is given.
    ValueError
        If it is not a whole file of this library, of another class, or
        architecture and parameters in it do not fit each other.

    Examples
    --------
    ::

        model, predict = load_model("runs/lenet")
        digits = predict(images).argmax(axis=1)
    """
    model = read_model(path, model_class)
    if not hasattr(model, "p_y_given_x"):
        return LoadedModel(model, None)
    probabilities = theano.function([model.input], model.p_y_given_x)

    def predict(images):
        rows = _checked_rows(images, model.example_shape)
        # Of no example, too, the number of classes is known from the probabilities of one.
        used = rows if len(rows) else np.zeros((1, rows.shape[1]), rows.dtype)
        blocks = [_scaled(used[start : start + _BLOCK]) for start in range(0, len(used), _BLOCK)]
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
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise ValueError(f"images of dtype {images.dtype}: expected uint8, or floats such as byte / 256")
    if images.dtype != np.uint8 and not np.isfinite(images).all():
        raise ValueError(f"images with {np.sum(~np.isfinite(images))} values that are NaN or infinite: expected none")
    return images.reshape(len(images), n_features)


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
    """Errors over all examples of the validation and the test set.

    Training leaves out the last partial minibatch, this does not: the two may
    differ by a little.

    Parameters
    ----------
    predict : function
        As :func:`load_model` compiles it.
    dataset : str or path
        As :func:`theano_tutorials.datasets.read_data` takes it.

    Returns
    -------
    (float, float)
        Fractions of misclassified examples, in [0, 1].

    Raises
    ------
    ValueError
        If the data set is not there, not valid, or of images of another size.
    """
    _, *splits = read_data(dataset)
    return tuple(float(np.mean(predict(images).argmax(axis=1) != labels)) for images, labels in splits)


def read_model(path, model_class=None):
    """Read a saved model and build it again, for any number of examples.

    Parameters
    ----------
    path, model_class
        As :func:`load_model` takes them.

    Returns
    -------
    object
        Of ``model_class``, or of the library's class that the file names.

    Raises
    ------
    OSError, TypeError, ValueError
        As :func:`load_model`.
    """
    path = Path(path)
    if path.is_dir():
        path = path / BEST_MODEL
        if not path.exists():
            raise FileNotFoundError(
                f"{path.parent} holds no {BEST_MODEL}: expected the folder of a run that was validated, "
                "or a .safetensors file"
            )
    tensors, metadata = read_tensors(path)
    name, architecture = metadata.get("model"), metadata.get("architecture")
    classes = _classes(model_class)
    if not (isinstance(name, str) and name in classes):
        raise ValueError(
            f"{path}: a model {reprlib.repr(name)}: expected {', '.join(classes)}, or the class of the model as "
            "model_class"
        )
    for key, value in tensors.items():
        if value.dtype != theano.config.floatX:
            raise ValueError(f"{path} does not fit: {key} has dtype {value.dtype}: expected {theano.config.floatX}")
        if not np.isfinite(value).all():
            raise ValueError(f"{path}: {key} has values that are NaN or infinite: expected none")
    # Nothing is allocated for a size in the architecture: each parameter that is there has to fit.
    parameters = {key: theano.shared(value, name=key.rpartition(".")[2]) for key, value in tensors.items()}
    model = _built(path, classes[name], parameters, architecture)
    used = named_parameters(model)
    if {id(param) for param in used.values()} != {id(param) for param in parameters.values()}:
        raise ValueError(
            f"{path} does not fit {name}: it holds {', '.join(sorted(parameters)) or 'nothing'}: "
            f"expected {', '.join(sorted(used))}"
        )
    return model


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
