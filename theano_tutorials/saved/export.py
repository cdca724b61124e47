"""Export a saved model to an ONNX file. Other programs run it without Theano.

The graph of the model is translated by :mod:`theano_tutorials.saved.onnx_graph`.
"""

import math
from pathlib import Path

import numpy as np

from theano_tutorials.runs.parameters import named_parameters
from theano_tutorials.runs.tensors import write_atomically
from theano_tutorials.saved.models import read_model


def export_onnx(model_path, onnx_path, model_class=None):
    """Write a saved model as an ONNX file, atomically.

    =================  =======  ==============  ===================================
    input or output    dtype    shape
    =================  =======  ==============  ===================================
    ``images``         float32  (N, n_in)       byte / 256, for any N
    ``probabilities``  float32  (N, n_classes)  probability of each class
    ``digit``          int64    (N,)            the most probable class
    =================  =======  ==============  ===================================

    Parameters
    ----------
    model_path : path
        See :func:`theano_tutorials.load_model`.
    onnx_path : path
        File to write. Its name ends in ``.onnx``. An old file is replaced.
    model_class : type, optional
        See :func:`theano_tutorials.load_model`.

    Raises
    ------
    ImportError
        If the package onnx is not installed.
    OSError
        If a file cannot be read or written.
    ValueError
        If the model is not valid or not a classifier, if its graph has an Op that
        cannot be translated, or if the name does not end in ``.onnx``.
    """
    try:
        from theano_tutorials.saved.onnx_graph import onnx_model
    except ImportError as error:
        # onnx alone would bring another NumPy, perhaps one that Theano cannot use.
        packages = f'onnx "numpy=={np.__version__}"'
        raise ImportError(f"onnx cannot be imported ({error}): install it with pip install {packages}") from error
    onnx_path = Path(onnx_path)
    if onnx_path.suffix != ".onnx":
        raise ValueError(f"{onnx_path}: expected a name that ends in .onnx")
    model = read_model(model_path, model_class)
    name = type(model).__name__
    if not hasattr(model, "p_y_given_x"):
        raise ValueError(f"{model_path}: {name} has no p_y_given_x: expected a classifier")
    n_in = math.prod(model.example_shape)
    exported = onnx_model(model.input, model.p_y_given_x, n_in, name, named_parameters(model))
    write_atomically(onnx_path, exported.SerializeToString())
