"""Archives of NumPy arrays."""

import numpy as np

from theano_tutorials.datasets.errors import DatasetError

_OF_MEDMNIST = {
    f"{part}_{kind}": f"{ours}_{name}"
    for part, name in (("train", "train"), ("val", "valid"), ("test", "test"))
    for kind, ours in (("images", "x"), ("labels", "y"))
}


def read_npz(path):
    """Read the arrays of an ``.npz`` file.

    Parameters
    ----------
    path : path
        With ``x_train``, ``y_train``, ``x_test``, ``y_test`` and, if it has a
        validation set of its own, ``x_valid``, ``y_valid``. Or with the names of
        MedMNIST: ``train_images``, ``train_labels``, and so on.

    Returns
    -------
    list of two or three (inputs, labels) pairs: training, validation if there is one, test
        Arrays as they are in the file.

    Raises
    ------
    DatasetError
        If the file is not whole, or arrays are missing or made of objects.
    """
    try:
        # Opened here, since NumPy leaves a file open that it cannot read.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: array for name, array in archive.items() if isinstance(array, np.ndarray)}
    except Exception as error:  # NumPy, zipfile, zlib and struct each have their own
        raise DatasetError(f"{path}: not a valid .npz file ({type(error).__name__}: {error})") from error
    for found, name in _OF_MEDMNIST.items():
        if found in arrays:
            arrays.setdefault(name, arrays.pop(found))
    names = ["train", "valid", "test"] if "x_valid" in arrays or "y_valid" in arrays else ["train", "test"]
    expected = [f"{kind}_{name}" for name in names for kind in "xy"]
    if not set(expected) <= set(arrays):
        raise DatasetError(f"{path}: arrays {', '.join(sorted(arrays)) or 'none'}: expected {', '.join(expected)}")
    return [(arrays[f"x_{name}"], arrays[f"y_{name}"]) for name in names]
