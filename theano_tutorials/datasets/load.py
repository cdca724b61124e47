"""Read a data set, check it, and put it into shared variables."""

import math
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import theano
import theano.tensor as T

from theano_tutorials.datasets.arrays import pairs_of
from theano_tutorials.datasets.check import checked_split
from theano_tutorials.datasets.csv import read_csv
from theano_tutorials.datasets.errors import DatasetError, DatasetWarning
from theano_tutorials.datasets.idx import read_idx_folder
from theano_tutorials.datasets.known import CLASS_NAMES, KNOWN_DATASETS, folder_of_known
from theano_tutorials.datasets.npz import read_npz
from theano_tutorials.datasets.pickles import read_pickle
from theano_tutorials.datasets.shapes import common_shape, image_shape_of

TRAINING_PER_VALIDATION = 6  # one training example in six is for validation: 10,000 of MNIST's 60,000

# Of examples that nobody has split, the seventh part is for validation and another one for the test, as in MNIST.
_PARTS = 7
_SEED = 0  # of every order that is drawn here
_EXAMPLES_PER_CLASS = 10  # so many, and a class that is missing is no accident
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
    name : str
        Name or path of the data set.
    class_names : tuple of str
        What each class is called: that of Fashion-MNIST and KMNIST, else the number.
    """

    def __init__(self, pairs, example_shape, n_classes, name):
        super().__init__(pairs)
        self.name = name
        self.example_shape = example_shape
        self.n_features = math.prod(example_shape)
        self.n_classes = n_classes
        self.class_names = CLASS_NAMES.get(name, tuple(map(str, range(n_classes))))
        self.image_shape = image_shape_of(example_shape)


def load_data(dataset="mnist"):
    """Load a data set into shared variables.

    Parameters
    ----------
    dataset : str, path or arrays
        ``"mnist"``, which comes with this library; ``"fashion-mnist"`` or
        ``"kmnist"``, which are downloaded once; a path; or arrays. :func:`read_data`
        lists the kinds of files and arrays. What this function returned is returned
        again.

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
    if isinstance(dataset, Splits) and isinstance(dataset[0][0], theano.Variable):
        return dataset
    data = read_data(dataset)
    return Splits([shared_dataset(split) for split in data], data.example_shape, data.n_classes, data.name)


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
    # Theano takes aligned memory only, which arrays from another process may not have.
    shared_x, shared_y = (
        theano.shared(np.require(data, theano.config.floatX, ["ALIGNED"]), borrow=borrow) for data in (data_x, data_y)
    )
    return shared_x, T.cast(shared_y, "int32")


def read_data(dataset="mnist"):
    """Read and check a data set.

    Parameters
    ----------
    dataset : str, path or arrays
        A name of ``KNOWN_DATASETS``, or

        - A folder with four IDX files, gzipped or not, with their usual names
          (``train-images-idx3-ubyte.gz``, ...). A prefix is allowed, as in EMNIST and
          QMNIST. The images of EMNIST are transposed; they are put upright. Its
          letters, 1 to 26 in the files, get the labels 0 to 25.
        - An ``.npz`` file with ``x_train``, ``y_train``, ``x_test`` and ``y_test``.
          It may also have a validation set, ``x_valid`` and ``y_valid``. Inputs are
          rows, (n_examples, n_features), or images, grey or with channels; see
          :func:`theano_tutorials.datasets.shapes.in_theano_order` for the order of dimensions. Or a file of MedMNIST.
        - A ``.csv`` file, such as the ``train.csv`` of Kaggle: an example in each line,
          with a column ``label``. See :func:`theano_tutorials.datasets.csv.read_csv`.
        - The tutorials' ``mnist.pkl.gz``, or a pickle of the same form, written
          by Python 2 or 3. If there is no file of this name, it means the MNIST
          that comes with this library.
        - Arrays in memory: ``(x, y)``, ``((x_train, y_train), (x_test, y_test))``, or
          three such pairs, with a validation set between the two.

    Returns
    -------
    Splits, a list of three (inputs, labels) pairs: training, validation, test
        Inputs: float32, (n_examples, n_features); bytes are divided by 256.
        Labels: int64, (n_examples,), from 0 to 65,535. If there is no validation set,
        it is the last sixth of the training set. If there is no test set either, a
        seventh of the examples is for validation and another one for the test, drawn
        at random with seed 0; a line on standard error says so.

    Raises
    ------
    DatasetError
        If the data set is missing or not valid.

    Warns
    -----
    DatasetWarning
        If the training examples lie class by class. They are shuffled, with seed 0,
        before a validation set is made of them. Or if the training set lacks a class of
        the other sets.
    """
    if isinstance(dataset, Splits):
        return _of_arrays(dataset)
    name, pairs = _pairs(dataset)
    names = {1: ("data",), 2: (_SPLITS[0], _SPLITS[-1]), 3: _SPLITS}[len(pairs)]
    checked = [checked_split(f"{name}, {part} set", *pair) for part, pair in zip(names, pairs)]
    if len(checked) == 1:
        checked = _split_at_random(name, *checked[0])
    if len(checked) == 2:
        checked = _split_validation(name, checked)
    else:
        checked[0] = _shuffled_if_sorted(name, checked[0])
    _warn_of_classes_without_training(name, checked)
    example_shape = common_shape(name, [inputs.shape[1:] for inputs, _ in checked])
    n_classes = 1 + max(int(labels.max()) for _, labels in checked)
    rows = [(inputs.reshape(len(inputs), -1), labels) for inputs, labels in checked]
    return Splits(rows, example_shape, n_classes, str(name))


def _of_arrays(splits):
    if not isinstance(splits[0][0], theano.Variable):
        return splits
    pairs = [(np.asarray(inputs.eval()), np.asarray(labels.eval(), dtype=np.int64)) for inputs, labels in splits]
    return Splits(pairs, splits.example_shape, splits.n_classes, splits.name)


def _pairs(dataset):
    """Name of a data set, and its one, two or three (inputs, labels) pairs."""
    if not isinstance(dataset, (str, os.PathLike)):
        return "arrays in memory", pairs_of(dataset)
    path = Path(os.path.expanduser(dataset))
    if not path.exists() and path.name == "mnist.pkl.gz":
        path = Path("mnist")
    if str(path) in KNOWN_DATASETS:
        path = folder_of_known(str(path))
    if path.is_dir():
        return path, read_idx_folder(path)
    if not path.is_file():
        raise DatasetError(
            f"data set {dataset} not found: expected {', '.join(KNOWN_DATASETS)}, a folder of IDX files, "
            "an .npz file, a .csv file or a pickle such as mnist.pkl.gz"
        )
    if path.suffix == ".npz":
        return path, read_npz(path)
    if path.name.endswith((".csv", ".csv.gz")):
        return path, [read_csv(path)]
    if path.name.endswith((".pkl", ".pkl.gz", ".pickle", ".pickle.gz")):
        return path, read_pickle(path)
    raise DatasetError(f"{path}: expected a folder of IDX files, an .npz file, a .csv, a .pkl or a .pkl.gz file")


def _split_at_random(name, inputs, labels):
    n_part = len(inputs) // _PARTS
    if n_part == 0:
        raise DatasetError(f"{name}: {len(inputs)} examples: expected at least {_PARTS}, to split them")
    n_train = len(inputs) - 2 * n_part
    print(
        f"{name}: {len(inputs)} examples, split at random (seed {_SEED}): {n_train} for training, {n_part} for "
        f"validation, {n_part} for the test",
        file=sys.stderr,
        flush=True,
    )
    order = np.random.RandomState(_SEED).permutation(len(inputs))
    parts = np.split(order, [n_train, n_train + n_part])
    return [(inputs[part], labels[part]) for part in parts]


def _split_validation(name, splits):
    (inputs, labels), test = splits
    n_train = len(inputs) - len(inputs) // TRAINING_PER_VALIDATION
    if n_train == len(inputs):
        raise DatasetError(
            f"{name}: {len(inputs)} training examples: expected at least {TRAINING_PER_VALIDATION}, "
            "so that one in six makes a validation set"
        )
    inputs, labels = _shuffled_if_sorted(name, (inputs, labels))
    return [(inputs[:n_train], labels[:n_train]), (inputs[n_train:], labels[n_train:]), test]


def _shuffled_if_sorted(name, training):
    """The training set, in another order if its classes come one after another."""
    inputs, labels = training
    n_classes = len(np.unique(labels))
    n_blocks = 1 + np.count_nonzero(np.diff(labels))
    if n_classes == 1 or len(labels) < _EXAMPLES_PER_CLASS * n_classes or n_blocks >= 2 * n_classes:
        return training
    _warn(f"{name}: the training examples lie class by class: they are shuffled (seed {_SEED})")
    order = np.random.RandomState(_SEED).permutation(len(labels))
    return inputs[order], labels[order]


def _warn_of_classes_without_training(name, splits):
    (_, trained), *others = splits
    known = np.unique(trained)
    for part, (_, labels) in zip(_SPLITS[1:], others):
        unknown = np.setdiff1d(labels, known)
        if len(unknown) and len(trained) >= _EXAMPLES_PER_CLASS * (len(known) + len(unknown)):
            shown = ", ".join(map(str, unknown[:10])) + (", ..." if len(unknown) > 10 else "")
            _warn(f"{name}: the training set has no example of {shown}, which the {part} set has: it cannot learn them")


def _warn(message):
    warnings.warn(message, DatasetWarning, stacklevel=4)
