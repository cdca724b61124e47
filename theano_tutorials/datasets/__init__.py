"""MNIST, and data sets like it: from files, checked, into shared variables.

``load`` is the way through; ``known``, ``idx``, ``npz``, ``csv``, ``pickles`` and ``arrays`` read, and
``check`` and ``shapes`` say what is valid.
"""

from theano_tutorials.datasets.check import BYTE_SCALE, MAX_BYTE
from theano_tutorials.datasets.errors import DatasetError, DatasetWarning
from theano_tutorials.datasets.idx import read_idx
from theano_tutorials.datasets.known import KNOWN_DATASETS
from theano_tutorials.datasets.load import (
    TRAINING_PER_VALIDATION,
    Splits,
    load_data,
    read_data,
    shared_dataset,
)
from theano_tutorials.datasets.shapes import in_theano_order

__all__ = [
    "BYTE_SCALE",
    "KNOWN_DATASETS",
    "MAX_BYTE",
    "TRAINING_PER_VALIDATION",
    "DatasetError",
    "DatasetWarning",
    "Splits",
    "in_theano_order",
    "load_data",
    "read_data",
    "read_idx",
    "shared_dataset",
]
