"""Classifying digits with logistic regression.

    P(Y = i | x, W, b) = softmax_i(x W + b)
    y_pred             = argmax_i P(Y = i | x, W, b)

The weights minimise the negative log-likelihood of the training labels, by
minibatch stochastic gradient descent.

References
----------
Deep Learning Tutorials, "Classifying MNIST digits using Logistic Regression".
C. M. Bishop, "Pattern Recognition and Machine Learning", 2006, section 4.3.4.
"""

import numpy as np
import theano
import theano.tensor as T

from theano_tutorials.checks import require_counts, require_labels, require_ndim, require_parameter
from theano_tutorials.datasets import load_data
from theano_tutorials.reprs import described
from theano_tutorials.runs import draw_classifier, open_run
from theano_tutorials.training import EarlyStopping, compile_functions, sgd_updates, train


class LogisticRegression:
    """Softmax of an affine map of the input: the last layer of every classifier here.

    Parameters
    ----------
    input : symbolic matrix, floatX, (n_examples, n_in)
    n_in, n_out : int
        Number of input features and of classes.
    W : shared or other symbolic variable, floatX, (n_in, n_out), optional
        Weights to use; by default new ones, all zero.
    b : shared or other symbolic variable, floatX, (n_out,), optional
        Biases to use; by default new ones, all zero.

    Attributes
    ----------
    params : list
        ``[W, b]``.
    architecture : dict
        ``n_in`` and ``n_out``, for :meth:`from_parameters`.
    example_shape : tuple of int
        Shape of one example: ``(n_in,)``.
    p_y_given_x : symbolic matrix, floatX, (n_examples, n_out)
        Probability of each class.
    y_pred : symbolic vector, int64, (n_examples,)
        The most probable class.

    Raises
    ------
    TypeError
        If ``input`` is not a matrix, or ``W`` or ``b`` is not a symbolic variable.
    ValueError
        If a size is below one or a given parameter has another shape.

    Examples
    --------
    >>> classifier = LogisticRegression(T.matrix("x"), n_in=784, n_out=10)
    >>> cost = classifier.negative_log_likelihood(T.ivector("y"))
    """

    def __init__(self, input, n_in, n_out, W=None, b=None):
        require_ndim(2, input=input)
        require_counts(n_in=n_in, n_out=n_out)
        if W is None:
            W = theano.shared(np.zeros((n_in, n_out), dtype=theano.config.floatX), name="W", borrow=True)
        if b is None:
            b = theano.shared(np.zeros(n_out, dtype=theano.config.floatX), name="b", borrow=True)
        require_parameter("W", W, (n_in, n_out))
        require_parameter("b", b, (n_out,))

        self.input = input
        self.architecture = {"n_in": int(n_in), "n_out": int(n_out)}
        self.example_shape = (n_in,)
        self.W = W
        self.b = b
        self.params = [W, b]
        self.p_y_given_x = T.nnet.softmax(T.dot(input, W) + b)
        self.y_pred = T.argmax(self.p_y_given_x, axis=1)

    def __repr__(self):
        return described(self, "architecture")

    @classmethod
    def from_parameters(cls, parameters, n_in, n_out):
        """Build a saved model from shared variables by name and from its ``architecture``."""
        return cls(T.matrix("x"), n_in, n_out, parameters["W"], parameters["b"])

    def negative_log_likelihood(self, y):
        """Mean of ``-log P(Y = y | x)`` over the minibatch.

        It is the mean, not the sum, so that the learning rate depends less on
        the batch size.

        Parameters
        ----------
        y : symbolic vector of integers, (n_examples,)
            The true classes.

        Raises
        ------
        TypeError
            If ``y`` is not a vector of integers.
        """
        require_labels(y)
        return -T.mean(T.log(self.p_y_given_x)[T.arange(y.shape[0]), y])

    def errors(self, y):
        """Fraction of the minibatch that is misclassified (zero-one loss), in [0, 1].

        Parameters
        ----------
        y : symbolic vector of integers, (n_examples,)
            The true classes.

        Raises
        ------
        TypeError
            If ``y`` is not a vector of integers.
        """
        require_labels(y)
        return T.mean(T.neq(self.y_pred, y))


def train_logreg(
    learning_rate=0.13,
    n_epochs=1000,
    dataset="mnist",
    batch_size=600,
    patience=5000,
    patience_increase=2,
    improvement_threshold=0.995,
    output_dir=None,
    resume=False,
    overwrite=False,
    tensorboard=False,
):
    """Train logistic regression on MNIST or a data set like it.

    Parameters
    ----------
    learning_rate : float
        Step size of gradient descent.
    n_epochs : int
        Largest number of passes over the training set.
    dataset : str, path or arrays
        mnist, fashion-mnist, kmnist, or the path of a folder of IDX files, of an
        .npz, a .csv or a .pkl.gz file. In Python, arrays too: read_data lists them.
    batch_size : int
        Number of examples in a minibatch.
    patience, patience_increase, improvement_threshold
        See :class:`theano_tutorials.EarlyStopping`.
    output_dir, resume, overwrite, tensorboard
        See :func:`theano_tutorials.open_run`.

    Returns
    -------
    theano_tutorials.TrainingResult

    Raises
    ------
    ValueError
        If an argument is out of its range or the data is not valid.
    theano_tutorials.TrainingDiverged
        If the cost becomes NaN or infinite.

    Notes
    -----
    Defaults are those of the tutorial; it published a validation error of
    7.500000 % and a test error of 7.489583 %.
    """
    arguments = dict(locals())
    early_stopping = EarlyStopping(patience, patience_increase, improvement_threshold)
    datasets = load_data(dataset)
    run = open_run(output_dir, "logreg", arguments, datasets, resume, overwrite, tensorboard)

    x = T.matrix("x")
    y = T.ivector("y")
    classifier = LogisticRegression(x, n_in=datasets.n_features, n_out=datasets.n_classes)
    cost = classifier.negative_log_likelihood(y)

    updates = sgd_updates(cost, classifier.params, learning_rate)
    functions = compile_functions(x, y, cost, classifier.errors(y), updates, datasets, batch_size)

    result = train(functions, classifier, early_stopping, n_epochs, run)
    draw_classifier(run, classifier, classifier.W, datasets, batch_size)
    return result
