"""The Theano Deep Learning Tutorials on a machine of today.

Importing this package imports Theano and makes it work; see
:mod:`theano_tutorials.backend`.
"""

# First, since it makes Theano importable.
from theano_tutorials import backend  # noqa: F401  isort: skip
from theano_tutorials import kernels  # noqa: F401  isort: skip

from theano_tutorials.checkpoint import load_parameters, save_parameters
from theano_tutorials.datasets import DatasetError, load_data, read_data, shared_dataset
from theano_tutorials.export import export_onnx
from theano_tutorials.lenet import LeNet5, LeNetConvPoolLayer, train_lenet
from theano_tutorials.logreg import LogisticRegression, train_logreg
from theano_tutorials.mlp import MLP, HiddenLayer, train_mlp
from theano_tutorials.predict import load_model
from theano_tutorials.training import (
    EarlyStopping,
    TrainingDiverged,
    TrainingInterrupted,
    TrainingResult,
    compile_functions,
    evaluate,
    sgd_updates,
    train,
)

__all__ = [
    "MLP",
    "DatasetError",
    "EarlyStopping",
    "HiddenLayer",
    "LeNet5",
    "LeNetConvPoolLayer",
    "LogisticRegression",
    "TrainingDiverged",
    "TrainingInterrupted",
    "TrainingResult",
    "compile_functions",
    "evaluate",
    "export_onnx",
    "load_data",
    "load_model",
    "load_parameters",
    "read_data",
    "save_parameters",
    "sgd_updates",
    "shared_dataset",
    "train",
    "train_lenet",
    "train_logreg",
    "train_mlp",
]
