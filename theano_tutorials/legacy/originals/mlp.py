"""``mlp.py`` of the course."""

from theano_tutorials import MLP, HiddenLayer, LogisticRegression, train_mlp
from theano_tutorials.legacy.course import IMPORTED, SUMMARY, load_data, printing, ran
from theano_tutorials.runs.console import best_line

globals().update(IMPORTED)


def test_mlp(
    learning_rate=0.01,
    L1_reg=0.00,
    L2_reg=0.0001,
    n_epochs=1000,
    dataset="mnist.pkl.gz",
    batch_size=20,
    n_hidden=500,
):
    """Train a multilayer perceptron; see :func:`theano_tutorials.train_mlp`."""
    datasets = load_data(dataset)
    print("... building the model")
    print("... training")
    with printing(*SUMMARY):
        result = train_mlp(learning_rate, L1_reg, L2_reg, n_epochs, datasets, batch_size, n_hidden)
    print(f"Optimization complete. {best_line(result)}")
    ran("mlp.py", result.seconds)


if __name__ == "__main__":
    test_mlp()
