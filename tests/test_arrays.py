"""Arrays in memory as a data set."""

import numpy as np
import pytest
import scipy.sparse
from small_dataset import assert_equal_pairs, assert_is_small_dataset, images, small_arrays

from theano_tutorials import DatasetError, load_data, load_model, read_data, train_lenet, train_logreg, train_mlp
from theano_tutorials.saved import evaluate_model

X, Y, TEST_X, TEST_Y = small_arrays()
N = 70
MANY_X, MANY_Y = images(N, 0), np.arange(N) % 10


def test_pairs_are_training_and_test():
    assert_is_small_dataset(read_data(((X, Y), (TEST_X, TEST_Y))))
    assert_is_small_dataset(read_data([[X.tolist(), Y.tolist()], [TEST_X.tolist(), list(TEST_Y)]]))


def test_three_pairs_are_training_validation_and_test():
    assert_is_small_dataset(read_data(((X[:10], Y[:10]), (X[10:], Y[10:]), (TEST_X, TEST_Y))))


def test_one_pair_is_split_at_random_which_is_said(capsys):
    data = read_data((MANY_X, MANY_Y))
    assert [len(y) for _, y in data] == [50, 10, 10]
    assert "arrays in memory: 70 examples, split at random (seed 0): 50 for training" in capsys.readouterr().err
    assert_equal_pairs(read_data((MANY_X, MANY_Y)), data)
    assert data.example_shape == (4, 3)
    # Each example is there once, with its label.
    rows = np.concatenate([np.column_stack([y, x * 256]) for x, y in data])
    expected = np.column_stack([MANY_Y, MANY_X.reshape(N, -1)])
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)])


def test_what_was_read_or_loaded_can_be_given_again():
    data = read_data(((X, Y), (TEST_X, TEST_Y)))
    assert read_data(data) is data
    loaded = load_data(data)
    assert load_data(loaded) is loaded
    assert_is_small_dataset(read_data(loaded))
    assert loaded.example_shape == (4, 3)


class Frame:
    """What a table of pandas has and a NumPy array has not; pandas is no dependency."""

    __module__ = "pandas.core.frame"

    def to_numpy(self):
        return X


@pytest.mark.parametrize(
    ("dataset", "fragment"),
    [
        (X, "data set of type numpy.ndarray: expected a name, a path, or arrays"),
        (None, "data set of type NoneType"),
        (3, "data set of type int"),
        ((X,), "data set of 1 parts: expected (x, y)"),
        ((X, Y, TEST_X, TEST_Y), "data set of 4 parts"),
        ((Frame(), Y), "pandas.Frame: expected a NumPy array, such as frame.to_numpy()"),
        ((scipy.sparse.csr_matrix(np.eye(8)), np.arange(8)), "expected a dense NumPy array, such as matrix.toarray()"),
        ((X.astype(object), Y), "numpy.ndarray with values of dtype object: expected numbers"),
        (([[1.0], [1.0, 2.0]], [0, 1]), "list that is no array"),
        ((X, list("0123456789ab")), "list with values of dtype <U1: expected numbers"),
        ((X[:6], Y[:6]), "6 examples: expected at least 7"),
        ((X, Y[:-1]), "12 images and 11 labels"),
    ],
)
def test_anything_else_is_named(dataset, fragment):
    with pytest.raises(DatasetError) as raised:
        read_data(dataset)
    assert fragment in str(raised.value)


@pytest.mark.parametrize("train", [train_logreg, train_mlp, train_lenet])
def test_each_tutorial_trains_on_arrays_keeps_the_run_and_resumes(tmp_path, train):
    rng = np.random.RandomState(0)
    dataset = rng.randint(0, 256, (N, 28, 28)), MANY_Y.astype(float)
    arguments = {"dataset": dataset, "batch_size": 10, "output_dir": tmp_path / "run"}
    train(n_epochs=1, **arguments)
    assert '"name": "arrays in memory"' in (tmp_path / "run" / "config.json").read_text()
    result = train(n_epochs=2, resume=True, **arguments)
    losses = evaluate_model(load_model(tmp_path / "run").predict, dataset)
    np.testing.assert_allclose(losses, [result.best_validation_loss, result.test_loss])
