"""``logistic_sgd.py`` of the course."""

import pickle
import sys

import theano

from theano_tutorials import LogisticRegression, train_logreg
from theano_tutorials.legacy.course import IMPORTED, SUMMARY, load_data, printing
from theano_tutorials.runs.tensors import write_atomically

globals().update(IMPORTED)

BEST_MODEL = "best_model.pkl"


def sgd_optimization_mnist(learning_rate=0.13, n_epochs=1000, dataset="mnist.pkl.gz", batch_size=600):
    """Train logistic regression; see :func:`theano_tutorials.train_logreg`. Pickles the best model."""
    datasets = load_data(dataset)
    print("... building the model")
    print("... training the model")
    with printing(*SUMMARY):
        result = train_logreg(learning_rate, n_epochs, datasets, batch_size)
    write_atomically(BEST_MODEL, pickle.dumps(result.model, protocol=2))
    print(
        f"Optimization complete with best validation score of {result.best_validation_loss * 100:f} %,"
        f"with test performance {result.test_loss * 100:f} %"
    )
    print(f"The code run for {result.n_epochs} epochs, with {result.n_epochs / result.seconds:f} epochs/sec")
    print(f"The code for file logistic_sgd.py ran for {result.seconds:.1f}s", file=sys.stderr)


def predict():
    """Print what the pickled model says of the first ten test images."""
    with open(BEST_MODEL, "rb") as file:
        classifier = pickle.load(file)
    test_x, _ = load_data("mnist.pkl.gz")[2]
    predicted = theano.function([classifier.input], classifier.y_pred)(test_x.get_value()[:10])
    print("Predicted values for the first 10 examples in test set:")
    print(predicted)


if __name__ == "__main__":
    sgd_optimization_mnist()
