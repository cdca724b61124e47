"""``logistic_cg.py`` of the course."""

from theano_tutorials import FlatLogisticRegression as LogisticRegression
from theano_tutorials import train_logistic_cg
from theano_tutorials.legacy.course import IMPORTED, SUMMARY, load_data, printing, ran

globals().update(IMPORTED)


def cg_optimization_mnist(n_epochs=50, mnist_pkl_gz="mnist.pkl.gz"):
    """Train logistic regression by conjugate gradient; see :func:`theano_tutorials.train_logistic_cg`."""
    datasets = load_data(mnist_pkl_gz)
    print("... building the model")
    print("Optimizing using scipy.optimize.fmin_cg...")
    validation = r"epoch \d+, minibatch \S+, validation error (.*)"
    rules = (validation, lambda match: f"validation error {match[1]}"), (r"\s+epoch .*test error.*", None)
    with printing(*rules, *SUMMARY):
        result = train_logistic_cg(n_epochs, datasets)
    print(
        f"Optimization complete with best validation score of {result.best_validation_loss * 100:f} %, "
        f"with test performance {result.test_loss * 100:f} %"
    )
    ran("logistic_cg.py", result.seconds)


if __name__ == "__main__":
    cg_optimization_mnist()
