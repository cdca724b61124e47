"""Read a data set, check it, and put it into shared variables."""

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

TRAINING_PER_VALIDATION = 6  # one training example in six is for validation: 10,000 of MNIST's 60,000

_SPLITS = ("train", "validation", "test")


class Splits(list):
    """A list of three (inputs, labels) pairs: training, validation and test set. It also has their common sizes.

    Attributes
    ----------
    example_shape : tuple of int
        Shape of one example, in Theano's order: (height, width) for grey images,
        (channels, height, width) for colour images, (n_features,) for rows.
    n_features : int
        Number of columns of the inputs: the product of ``example_shape``.
    n_classes : int
        The largest label of all three sets, plus one. Labels are 0 to
        ``n_classes - 1``.
    image_shape : tuple of three int, or None
        (channels, height, width) of an example, with 1, 3 or 4 channels. A row is
        taken as a square grey image if its length is a square number. None if an
        example is not an image.
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
        ``"kmnist"``, which are downloaded once; or a path. :func:`read_data` lists
        the kinds of files.

    Returns
    -------
    Splits, a list of three (inputs, labels) pairs: training, validation, test
        Inputs are a floatX shared variable, (n_examples, n_features). Labels are an
        int32 view, (n_examples,), of a floatX shared variable.

    Raises
    ------
    DatasetError
        If the data set is missing or not valid.

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
        If True, the shared variable may use the memory of the given array.

    Returns
    -------
    (floatX shared variable, int32 view of a floatX shared variable)
        Labels are stored as floatX, because a GPU keeps only such data. They are
        cast to integers where they are used.
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

        - A folder with four IDX files, gzipped or not, with their usual names
          (``train-images-idx3-ubyte.gz``, ...). A prefix is allowed, as in EMNIST.
          The images of EMNIST are transposed; they are put upright.
        - An ``.npz`` file with ``x_train``, ``y_train``, ``x_test`` and ``y_test``.
          It may also have a validation set, ``x_valid`` and ``y_valid``. Inputs are
          rows, (n_examples, n_features), or images, grey or with channels; see
          :func:`in_theano_order` for the order of dimensions.
        - The tutorials' ``mnist.pkl.gz``, or a pickle of the same form, written
          by Python 2 or 3. If there is no file of this name, it means the MNIST
          that comes with this library.

    Returns
    -------
    Splits, a list of three (inputs, labels) pairs: training, validation, test
        Inputs: float32, (n_examples, n_features); bytes are divided by 256.
        Labels: int64, (n_examples,), from 0 to 65,535. If the files have no
        validation set, it is the last sixth of the training set.

    Raises
    ------
    DatasetError
        If the data set is missing or not valid.
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
