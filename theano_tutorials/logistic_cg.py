"""Classifying digits with logistic regression, trained by conjugate gradient.

The model and its cost are those of :mod:`theano_tutorials.logreg`. All parameters are
one vector, theta: first the elements of W, then those of b. The nonlinear conjugate
gradient method minimises the cost of the whole training set by line searches along
directions d:

    d_1 = -g_1,  d_k = -g_k + beta_k d_(k-1)
    beta_k = max(0, g_k (g_k - g_(k-1)) / |g_(k-1)|^2)

SciPy has the method; Theano gives it the cost and its gradient g.

References
----------
Deep Learning Tutorials, code of logistic_cg.py.
J. Nocedal and S. J. Wright, "Numerical Optimization", 2006, section 5.2.
"""

import functools

import numpy as np
import theano
import theano.tensor as T

from theano_tutorials.checks import require_counts, require_labels, require_ndim, require_parameter
from theano_tutorials.datasets import load_data
from theano_tutorials.reprs import described
from theano_tutorials.runs import MAIN_PHASE, console, draw_classifier, open_run
from theano_tutorials.runs.session import Session
from theano_tutorials.runs.state import TrainingState
from theano_tutorials.training import EarlyStopping, compile_functions, mean_loss, minibatch_function


class FlatLogisticRegression:
    """Logistic regression over one vector of parameters.

    Parameters
    ----------
    input : symbolic matrix, floatX, (n_examples, n_in)
    n_in, n_out : int
        Number of input features and of classes.
    theta : shared or other symbolic variable, floatX, (n_in * n_out + n_out,), optional
        Parameters to use; by default new ones, all zero.

    Attributes
    ----------
    params : list
        ``[theta]``.
    W, b : symbolic matrix and vector, floatX, (n_in, n_out) and (n_out,)
        Views of ``theta``.
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
        If ``input`` is not a matrix, or ``theta`` is not a symbolic variable.
    ValueError
        If a size is below one or ``theta`` has another shape.

    Notes
    -----
    The original has this class under the name ``LogisticRegression``, in logistic_cg.

    Examples
    --------
    >>> classifier = FlatLogisticRegression(T.matrix("x"), n_in=784, n_out=10)
    >>> classifier.theta.get_value().shape
    (7850,)
    """

    def __init__(self, input, n_in, n_out, theta=None):
        require_ndim(2, input=input)
        require_counts(n_in=n_in, n_out=n_out)
        n_weights = n_in * n_out
        if theta is None:
            zeros = np.zeros(n_weights + n_out, dtype=theano.config.floatX)
            theta = theano.shared(zeros, name="theta", borrow=True)
        require_parameter("theta", theta, (n_weights + n_out,))
        self.input = input
        self.architecture = {"n_in": int(n_in), "n_out": int(n_out)}
        self.example_shape = (n_in,)
        self.theta = theta
        self.params = [theta]
        self.W = theta[:n_weights].reshape((n_in, n_out))
        self.b = theta[n_weights:]
        self.p_y_given_x = T.nnet.softmax(T.dot(input, self.W) + self.b)
        self.y_pred = T.argmax(self.p_y_given_x, axis=1)

    def __repr__(self):
        return described(self, "architecture")

    @classmethod
    def from_parameters(cls, parameters, n_in, n_out):
        """Build a saved model from shared variables by name and from its ``architecture``."""
        return cls(T.matrix("x"), n_in, n_out, parameters["theta"])

    def negative_log_likelihood(self, y):
        """Mean of ``-log P(Y = y | x)``, in nats; see :class:`theano_tutorials.LogisticRegression`."""
        require_labels(y)
        return -T.mean(T.log(self.p_y_given_x)[T.arange(y.shape[0]), y])

    def errors(self, y):
        """Fraction of the minibatch that is misclassified, in [0, 1]."""
        require_labels(y)
        return T.mean(T.neq(self.y_pred, y))


def train_logistic_cg(
    n_epochs=50,
    dataset="mnist",
    batch_size=600,
    output_dir=None,
    resume=False,
    overwrite=False,
    tensorboard=False,
):
    """Train logistic regression by conjugate gradient on MNIST or a data set like it.

    Parameters
    ----------
    n_epochs : int
        Largest number of iterations of the method. Each passes over the training set
        several times.
    dataset : str, path or arrays
        mnist, fashion-mnist, kmnist, or the path of a folder of IDX files, of an
        .npz, a .csv or a .pkl.gz file. In Python, arrays too: read_data lists them.
    batch_size : int
        Number of examples that are computed at a time. The last ones that do not fill
        a minibatch are left out.
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
    SciPy cannot begin in the middle of the method. A run that is resumed computes the
    iterations before again, without their validations.
    """
    arguments = dict(locals())
    datasets = load_data(dataset)
    run = open_run(output_dir, "logistic_cg", arguments, datasets, resume, overwrite, tensorboard)

    x = T.matrix("x")
    y = T.ivector("y")
    classifier = FlatLogisticRegression(x, n_in=datasets.n_features, n_out=datasets.n_classes)
    cost = classifier.negative_log_likelihood(y)

    functions = compile_functions(x, y, cost, classifier.errors(y), [], datasets, batch_size)
    batch_gradient = minibatch_function([x, y], T.grad(cost, classifier.theta), datasets[0], batch_size)

    result = _minimize(functions, batch_gradient, classifier, n_epochs, run)
    print(console.summary(result), flush=True)
    draw_classifier(run, classifier, classifier.W, datasets, batch_size)
    return result


def _minimize(functions, batch_gradient, classifier, n_epochs, run):
    from scipy.optimize import fmin_cg  # here: half of a second at every start

    n_batches = functions.n_train_batches

    def at(theta):
        classifier.theta.set_value(np.asarray(theta, dtype=theano.config.floatX))

    def cost_of(theta):
        at(theta)
        return mean_loss(functions.train, n_batches)

    def gradient_of(theta):
        at(theta)
        total = functools.reduce(np.add, (batch_gradient(i) for i in range(n_batches)))
        return (total / n_batches).astype("float64")

    early_stopping = EarlyStopping(patience=2)  # keeps the best; the method ends by itself
    state = TrainingState(classifier, functions[:3], early_stopping)
    with Session(MAIN_PHASE, state, 1, n_epochs, run) as session:
        n_before = state.iteration
        seen = iter(range(1, n_epochs + 1))

        def validate(theta):
            if next(seen) <= n_before:
                return
            for _ in session.minibatches():
                session.note_cost(cost_of(theta))
                loss = mean_loss(functions.validate, functions.n_valid_batches)
                session.record_validation(
                    n_batches, n_batches, loss, lambda: mean_loss(functions.test, functions.n_test_batches), 1
                )

        if n_before < n_epochs:
            zeros = np.zeros(classifier.theta.get_value(borrow=True).shape)
            fmin_cg(cost_of, zeros, gradient_of, callback=validate, maxiter=n_epochs, disp=False)
        return session.result()
