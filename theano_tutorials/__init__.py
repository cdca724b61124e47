"""The Theano Deep Learning Tutorials on a computer of today.

Importing this package imports Theano and makes it work; see
:mod:`theano_tutorials.backend`.
"""

import sys

# First, since it makes Theano importable.
try:
    from theano_tutorials import backend  # noqa: F401  isort: skip
except ImportError as error:
    # One line for "python -m theano_tutorials"; Python 3.9 does not say which module it runs.
    if sys.argv[:1] != ["-m"] or "theano_tutorials" not in getattr(sys, "orig_argv", ["theano_tutorials"]):
        raise
    sys.exit(f"error: {error}")
from theano_tutorials import kernels  # noqa: F401  isort: skip

from theano_tutorials.ca import cA, train_ca
from theano_tutorials.da import dA, train_da
from theano_tutorials.datasets import DatasetError, DatasetWarning, load_data, read_data, shared_dataset
from theano_tutorials.dbn import DBN, train_dbn
from theano_tutorials.hmc import HMC_sampler, sample_hmc
from theano_tutorials.lenet import LeNet5, LeNetConvPoolLayer, train_lenet
from theano_tutorials.logistic_cg import FlatLogisticRegression, train_logistic_cg
from theano_tutorials.logreg import LogisticRegression, train_logreg
from theano_tutorials.lstm import LSTM, train_lstm
from theano_tutorials.mlp import MLP, HiddenLayer, train_mlp
from theano_tutorials.rbm import RBM, train_rbm
from theano_tutorials.rnnrbm import RnnRbm, train_rnnrbm
from theano_tutorials.rnnslu import RNNSLU, train_rnnslu
from theano_tutorials.runs import draw_classifier, open_run
from theano_tutorials.runs.parameters import load_parameters, save_parameters
from theano_tutorials.runs.session import TrainingDiverged, TrainingInterrupted, TrainingResult
from theano_tutorials.saved import export_onnx, load_model
from theano_tutorials.sda import SdA, train_sda
from theano_tutorials.studies import search
from theano_tutorials.training import (
    EarlyStopping,
    Functions,
    compile_functions,
    evaluate,
    minibatch_function,
    pretrain,
    sgd_updates,
    train,
)

__version__ = "0.2.0"

__all__ = [
    "DBN",
    "LSTM",
    "MLP",
    "RBM",
    "RNNSLU",
    "DatasetError",
    "DatasetWarning",
    "EarlyStopping",
    "FlatLogisticRegression",
    "Functions",
    "HMC_sampler",
    "HiddenLayer",
    "LeNet5",
    "LeNetConvPoolLayer",
    "LogisticRegression",
    "RnnRbm",
    "SdA",
    "TrainingDiverged",
    "TrainingInterrupted",
    "TrainingResult",
    "cA",
    "compile_functions",
    "dA",
    "draw_classifier",
    "evaluate",
    "export_onnx",
    "load_data",
    "load_model",
    "load_parameters",
    "minibatch_function",
    "open_run",
    "pretrain",
    "read_data",
    "sample_hmc",
    "save_parameters",
    "search",
    "sgd_updates",
    "shared_dataset",
    "train",
    "train_ca",
    "train_da",
    "train_dbn",
    "train_lenet",
    "train_logistic_cg",
    "train_logreg",
    "train_lstm",
    "train_mlp",
    "train_rbm",
    "train_rnnrbm",
    "train_rnnslu",
    "train_sda",
]
