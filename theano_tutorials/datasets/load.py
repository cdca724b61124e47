"""A data set from wherever it is, checked, into shared variables."""

import math
import os
from pathlib import Path

import numpy as np
import theano
import theano.tensor as T

from theano_tutorials.datasets.check import checked_split
from theano_tutorials.datasets.errors import DatasetError
from theano_tutorials.datasets.idx import read_idx_folder
from theano_tutorials.datasets.known import KNOWN_DATASETS, folder_of_known
from theano_tutorials.datasets.npz import read_npz
from theano_tutorials.datasets.pickles import read_pickle
from theano_tutorials.datasets.shapes import common_shape, image_shape_of

TRAINING_PER_VALIDATION = 6  # one training example in six validates: 10,000 of MNIST's 60,000

_SPLITS = ("train", "validation", "test")


class Splits(list):
    """A list of three (inputs, labels) pairs: training, validation, test; and what they have in common.

    Attributes
    ----------
    example_shape : tuple of int
        Shape of one example as the data has it, in Theano's order: (height,
        width) of grey images, (channels, height, width) of colour images,
        (n_features,) of rows.
    n_features : int
        Columns of the inputs, the product of ``example_shape``.
    n_classes : int
        The largest label of all three sets, plus one: labels are 0 to
        ``n_classes - 1``.
    image_shape : tuple of three int, or None
        (channels, height, width) of an example, with 1, 3 or 4 channels; rows are
        square images where that is possible. None where an example is no image.
    """

    def __init__(self, pairs, example_shape, n_classes):
        super().__init__(pairs)
        self.example_shape = example_shape
        self.n_features = math.prod(example_shape)
        self.n_classes = n_classes
        self.image_shape = image_shape_of(example_shape)


def load_data(dataset="mnist"):
    """Load a data set into shared variables.

    Parameters
    ----------
    dataset : str or path
        ``"mnist"``, which comes with this library; ``"fashion-mnist"`` or
        ``"kmnist"``, downloaded once; or a path, as :func:`read_data` takes it.

    Returns
    -------
    Splits, a list of three (inputs, labels) pairs: training, validation, test
        Inputs are a floatX shared variable, (n_examples, n_features), labels an
        int32 view, (n_examples,), of a floatX one.

    Raises
    ------
    DatasetError
        If the data set is not there or not valid.

    Examples
    --------
    >>> data = load_data("mnist")
    >>> (train_x, train_y), (valid_x, valid_y), (test_x, test_y) = data
    >>> train_x.get_value(borrow=True).shape
    (50000, 784)
    >>> data.example_shape, data.n_features, data.n_classes
    ((28, 28), 784, 10)
    """
    data = read_data(dataset)
    return Splits([shared_dataset(split) for split in data], data.example_shape, data.n_classes)


def shared_dataset(data_xy, borrow=True):
    """Put inputs and labels into shared variables.

    Parameters
    ----------
    data_xy : (inputs, labels)
        Array-like, (n_examples, n_features) and (n_examples,).
    borrow : bool
        Whether the shared variable may use the memory of a floatX array given.

    Returns
    -------
    (floatX shared variable, int32 view of a floatX shared variable)
        Labels are stored as floatX, since a GPU keeps only such data, and cast
        to integers where they are used.
    """
    data_x, data_y = data_xy
    shared_x = theano.shared(np.asarray(data_x, dtype=theano.config.floatX), borrow=borrow)
    shared_y = theano.shared(np.asarray(data_y, dtype=theano.config.floatX), borrow=borrow)
    return shared_x, T.cast(shared_y, "int32")


def read_data(dataset="mnist"):
    """Read and check a data set.

    Parameters
    ----------
    dataset : str or path
        A name of :data:`KNOWN_DATASETS`, or

        - a folder with four IDX files, gzipped or not, under their usual names
          (``train-images-idx3-ubyte.gz``, ...; with a prefix as in EMNIST, whose
          transposed images are put upright);
        - an ``.npz`` with ``x_train``, ``y_train``, ``x_test``, ``y_test`` and,
          if it has a validation set of its own, ``x_valid``, ``y_valid``: rows,
          (n_examples, n_features), or images, grey or with channels, in either
          order that :func:`in_theano_order` takes;
        - the tutorials' ``mnist.pkl.gz``, or a pickle of the same form, written
          by Python 2 or 3. Where no such file is found, that name stands for
          the MNIST that comes with this library.

    Returns
    -------
    Splits, a list of three (inputs, labels) pairs: training, validation, test
        float32 (n_examples, n_features), bytes divided by 256; int64
        (n_examples,), from 0 to 65,535. Without a validation set in the files,
        it is the last sixth of the training set.

    Raises
    ------
    DatasetError
        If the data set is not there or not valid.
    """
    path = Path(os.path.expanduser(dataset))
    if str(dataset) in KNOWN_DATASETS:
        path = folder_of_known(str(dataset))
        splits = read_idx_folder(path)
    elif path.is_dir():
        splits = read_idx_folder(path)
    elif not path.exists() and path.name == "mnist.pkl.gz":
        return read_data("mnist")
    elif not path.is_file():
        raise DatasetError(
            f"data set {dataset} not found: expected {', '.join(KNOWN_DATASETS)}, a folder of IDX files, "
            "an .npz file or a pickle such as mnist.pkl.gz"
        )
    elif path.suffix == ".npz":
        splits = read_npz(path)
    elif path.name.endswith((".pkl", ".pkl.gz", ".pickle", ".pickle.gz")):
        splits = read_pickle(path)
    else:
        raise DatasetError(f"{path}: expected a folder of IDX files, an .npz file, a .pkl or a .pkl.gz file")
    names = _SPLITS if len(splits) == len(_SPLITS) else (_SPLITS[0], _SPLITS[-1])
    checked = [checked_split(f"{path}, {name} set", *split) for name, split in zip(names, splits)]
    if len(checked) == 2:
        checked = _split_validation(path, checked)
    example_shape = common_shape(path, [inputs.shape[1:] for inputs, _ in checked])
    n_classes = 1 + max(int(labels.max()) for _, labels in checked)
    return Splits([(inputs.reshape(len(inputs), -1), labels) for inputs, labels in checked], example_shape, n_classes)


def _split_validation(path, splits):
    (inputs, labels), test = splits
    n_train = len(inputs) - len(inputs) // TRAINING_PER_VALIDATION
    if n_train == len(inputs):
        raise DatasetError(
            f"{path}: {len(inputs)} training examples: expected at least {TRAINING_PER_VALIDATION}, "
            "so that one in six makes a validation set"
        )
    return [(inputs[:n_train], labels[:n_train]), (inputs[n_train:], labels[n_train:]), test]
