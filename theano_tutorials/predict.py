"""A saved model put to use: its layers again, and the probabilities of the digits in images."""

import reprlib
from pathlib import Path
from typing import Callable, NamedTuple

import numpy as np
import theano
import theano.tensor as T

from theano_tutorials.checkpoint import read_tensors, require_layout, set_parameters
from theano_tutorials.checks import require_counts, require_shape
from theano_tutorials.datasets import BYTE_SCALE, read_data
from theano_tutorials.lenet import FILTER_SIZE, IMAGE_SIZE, N_HIDDEN, POOL_SIZE, LeNet5
from theano_tutorials.logreg import LogisticRegression
from theano_tutorials.mlp import MLP
from theano_tutorials.run import BEST_MODEL

_BLOCK = 500  # images at a time, so that the memory does not grow with their number


class SavedModel(NamedTuple):
    """What a file of parameters holds, checked.

    Attributes
    ----------
    path : path
        The file.
    name : str
        ``"LogisticRegression"``, ``"MLP"`` or ``"LeNet5"``.
    architecture : dict
        Arguments of that class: ``n_in``, ``n_hidden``, ``n_out`` or ``nkerns``.
    tensors : dict of str to numpy.ndarray, floatX
        Parameters by name, finite, of the shapes that the architecture asks for.
    """

    path: Path
    name: str
    architecture: dict
    tensors: dict


class LoadedModel(NamedTuple):
    """A model with its parameters set, and a compiled function.

    Attributes
    ----------
    model : LogisticRegression, MLP or LeNet5
    predict : function
        Of images, (n, 784) or (n, 28, 28) for any n: uint8, which is divided by
        256 as in training, or floats of the scale of training. Returns the
        probability of each class, floatX, (n, n_classes). Raises ValueError for
        other shapes and dtypes and for values that are NaN or infinite.
    """

    model: object
    predict: Callable


def load_model(path):
    """Build a saved model again, and compile a function that classifies images.

    Parameters
    ----------
    path : path
        Folder of a run, which holds ``best_model.safetensors``, or such a file.

    Returns
    -------
    LoadedModel
        ``(model, predict)``.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not a whole file of this library, or model, architecture and
        parameters in it do not fit each other.

    Examples
    --------
    ::

        model, predict = load_model("runs/lenet")
        digits = predict(images).argmax(axis=1)
    """
    saved = read_model(path)
    x = T.matrix("x")
    model = _BUILDERS[saved.name](x, **saved.architecture)
    set_parameters(saved.path, model, saved.tensors)
    probabilities = theano.function([x], model.p_y_given_x)
    n_in = saved.architecture.get("n_in", IMAGE_SIZE**2)
    n_out = saved.architecture["n_out"]

    def predict(images):
        images = _checked_images(images, n_in)
        result = np.empty((len(images), n_out), dtype=theano.config.floatX)
        for start in range(0, len(images), _BLOCK):
            rows = slice(start, start + _BLOCK)
            result[rows] = probabilities(_scaled(images[rows]))
        if not np.isfinite(result).all():
            raise ValueError(f"{saved.path}: the probabilities are NaN: its parameters are too large to compute with")
        return result

    return LoadedModel(model, predict)


def _checked_images(images, n_in):
    images = np.asarray(images)
    if images.ndim not in (2, 3) or np.prod(images.shape[1:]) != n_in:
        square = f" or (n, {IMAGE_SIZE}, {IMAGE_SIZE})" if n_in == IMAGE_SIZE**2 else ""
        raise ValueError(f"images of shape {images.shape}: expected (n, {n_in}){square}")
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise ValueError(f"images of dtype {images.dtype}: expected uint8, or floats such as byte / 256")
    if images.dtype != np.uint8 and not np.isfinite(images).all():
        raise ValueError(f"images with {np.sum(~np.isfinite(images))} values that are NaN or infinite: expected none")
    return images.reshape(len(images), n_in)


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


def read_model(path):
    """Read a saved model, and check that all in it fits.

    Parameters
    ----------
    path : path
        Folder of a run, which holds ``best_model.safetensors``, or such a file.

    Returns
    -------
    SavedModel

    Raises
    ------
    OSError, ValueError
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
    if not (isinstance(name, str) and name in _SHAPES):
        raise ValueError(f"{path}: a model {reprlib.repr(name)}: expected {', '.join(_SHAPES)}")
    try:
        shapes = _SHAPES[name](**architecture)
    except (TypeError, ValueError, RecursionError):
        raise ValueError(
            f"{path}: architecture {reprlib.repr(architecture)}: expected that of {name}, sizes of at least 1"
        ) from None
    require_layout(path, name, {key: (shape, theano.config.floatX) for key, shape in shapes.items()}, tensors)
    for key, value in tensors.items():
        if not np.isfinite(value).all():
            raise ValueError(f"{path}: {key} has values that are NaN or infinite: expected none")
    return SavedModel(path, name, architecture, tensors)


# Shapes of the parameters by name: known before a model is built, since building allocates.


def _logreg_shapes(n_in, n_out):
    require_counts(n_in=n_in, n_out=n_out)
    return {"W": (n_in, n_out), "b": (n_out,)}


def _mlp_shapes(n_in, n_hidden, n_out):
    require_counts(n_in=n_in, n_hidden=n_hidden, n_out=n_out)
    return {
        "hiddenLayer.W": (n_in, n_hidden),
        "hiddenLayer.b": (n_hidden,),
        "logRegressionLayer.W": (n_hidden, n_out),
        "logRegressionLayer.b": (n_out,),
    }


def _lenet_shapes(nkerns, n_out):
    require_shape(2, nkerns=nkerns)
    require_counts(n_out=n_out)
    map_size = IMAGE_SIZE
    for _ in nkerns:
        map_size = (map_size - FILTER_SIZE + 1) // POOL_SIZE
    return {
        "layer0.W": (nkerns[0], 1, FILTER_SIZE, FILTER_SIZE),
        "layer0.b": (nkerns[0],),
        "layer1.W": (nkerns[1], nkerns[0], FILTER_SIZE, FILTER_SIZE),
        "layer1.b": (nkerns[1],),
        "layer2.W": (nkerns[1] * map_size**2, N_HIDDEN),
        "layer2.b": (N_HIDDEN,),
        "layer3.W": (N_HIDDEN, n_out),
        "layer3.b": (n_out,),
    }


_SHAPES = {"LogisticRegression": _logreg_shapes, "MLP": _mlp_shapes, "LeNet5": _lenet_shapes}
_BUILDERS = {
    "LogisticRegression": LogisticRegression,
    "MLP": lambda x, **sizes: MLP(np.random.RandomState(), x, **sizes),
    "LeNet5": lambda x, **sizes: LeNet5(np.random.RandomState(), x, None, **sizes),
}
