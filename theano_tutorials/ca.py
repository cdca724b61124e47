"""Contractive autoencoder: its code changes little where the input does.

    h = sigmoid(x W + b)
    J = dh / dx,  J_ij = W_ij h_j (1 - h_j)
    z = sigmoid(h W' + b')
    cost = L(x, z) + contraction level * ||J||^2

W' is the transpose of W, L the cross-entropy of the denoising autoencoder, and
||J||^2 the sum of the squares of all elements.

References
----------
Deep Learning Tutorials, code of cA.py.
S. Rifai, P. Vincent, X. Muller, X. Glorot and Y. Bengio, "Contractive auto-encoders:
explicit invariance during feature extraction", ICML 2011.
"""

import numpy as np
import theano.tensor as T

from theano_tutorials.checks import require_counts, require_not_negative
from theano_tutorials.da import TiedAutoencoder, cross_entropies
from theano_tutorials.datasets import load_data
from theano_tutorials.runs import MAIN_PHASE, draw_filters, open_run
from theano_tutorials.training import minibatch_function, number_of_minibatches, pretrain, sgd_updates


class cA(TiedAutoencoder):
    """Contractive autoencoder with tied weights.

    Parameters
    ----------
    numpy_rng, input, n_visible, n_hidden, W, bhid, bvis
        See :class:`theano_tutorials.da.TiedAutoencoder`, which says what its other
        attributes are and what is raised.
    n_batchsize : int
        Number of examples in a minibatch.

    Attributes
    ----------
    L_rec : symbolic vector, floatX, (n_batchsize,)
        Cross-entropy of each example, after :meth:`get_cost_updates`.
    L_jacob : scalar symbolic variable, floatX
        ``||J||^2``, mean over the minibatch, after :meth:`get_cost_updates`.
    architecture : dict
        ``n_visible``, ``n_hidden`` and ``n_batchsize``, for :meth:`from_parameters`.

    Examples
    --------
    >>> autoencoder = cA(np.random.RandomState(123), n_visible=784, n_hidden=500, n_batchsize=10)
    >>> cost, updates = autoencoder.get_cost_updates(contraction_level=0.1, learning_rate=0.01)
    """

    def __init__(self, numpy_rng, input=None, n_visible=784, n_hidden=100, n_batchsize=1, W=None, bhid=None, bvis=None):
        require_counts(n_batchsize=n_batchsize)
        super().__init__(numpy_rng, input, n_visible, n_hidden, W, bhid, bvis)
        self.n_batchsize = self.architecture["n_batchsize"] = int(n_batchsize)

    @classmethod
    def from_parameters(cls, parameters, n_visible, n_hidden, n_batchsize):
        """Build a saved model from shared variables by name and from its ``architecture``."""
        given = (parameters[name] for name in ("W", "b", "b_prime"))
        return cls(None, T.matrix("x"), n_visible, n_hidden, n_batchsize, *given)

    def get_jacobian(self, hidden, W):
        """Derivative of the code with respect to the input: floatX, (n_batchsize, n_visible, n_hidden).

        Parameters
        ----------
        hidden : symbolic matrix, floatX, (n_batchsize, n_hidden)
            The code.
        W : symbolic matrix, floatX, (n_visible, n_hidden)
        """
        slope = T.reshape(hidden * (1 - hidden), (self.n_batchsize, 1, self.n_hidden))
        return slope * T.reshape(W, (1, self.n_visible, self.n_hidden))

    def get_cost_updates(self, contraction_level, learning_rate):
        """Cost of a minibatch, and the updates of one step of gradient descent.

        Parameters
        ----------
        contraction_level : float
            Weight of ``||J||^2`` in the cost. At least 0.
        learning_rate : float or scalar symbolic variable

        Returns
        -------
        (scalar symbolic variable, list of (shared variable, symbolic expression))

        Raises
        ------
        TypeError
            If a symbolic learning rate is no scalar.
        ValueError
            If a number is out of its range.

        References
        ----------
        Rifai et al. 2011, equation 3.
        """
        require_not_negative(contraction_level=contraction_level)
        code = self.get_hidden_values(self.x)
        self.L_rec = cross_entropies(self.x, self.get_reconstructed_input(code))
        # The sum of the squares of get_jacobian(), of which the factors are summed apart: a thousandth of the work.
        slopes = T.sum((code * (1 - code)) ** 2, axis=0)
        self.L_jacob = T.dot(slopes, T.sum(self.W**2, axis=0)) / self.n_batchsize
        cost = T.mean(self.L_rec) + contraction_level * self.L_jacob
        return cost, sgd_updates(cost, self.params, learning_rate)


def train_ca(
    learning_rate=0.01,
    n_epochs=20,
    dataset="mnist",
    batch_size=10,
    n_hidden=500,
    contraction_level=0.1,
    seed=123,
    output_dir=None,
    resume=False,
    overwrite=False,
    tensorboard=False,
):
    """Train a contractive autoencoder on MNIST or a data set like it.

    Parameters
    ----------
    learning_rate : float
        Step size of gradient descent.
    n_epochs : int
        Number of passes over the training set.
    dataset : str, path or arrays
        mnist, fashion-mnist, kmnist, or the path of a folder of IDX files, of an
        .npz, a .csv or a .pkl.gz file. In Python, arrays too: read_data lists them.
        Values have to be in [0, 1].
    batch_size : int
        Number of examples in a minibatch.
    n_hidden : int
        Number of hidden units.
    contraction_level : float
        Weight of the squared norm of the Jacobian in the cost.
    seed : int
        Seed of the weights.
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
    A line has the means over all minibatches of an epoch: of the cross-entropy, and
    of the norm of the Jacobian. The original's lines have neither: see docs/results.md.
    """
    arguments = dict(locals())
    datasets = load_data(dataset)
    train_x, _ = datasets[0]
    n_batches = number_of_minibatches(train_x, batch_size)
    run = open_run(output_dir, "ca", arguments, datasets, resume, overwrite, tensorboard)

    rng = np.random.RandomState(seed)
    autoencoder = cA(rng, T.matrix("x"), datasets.n_features, n_hidden, batch_size)
    _, updates = autoencoder.get_cost_updates(contraction_level, learning_rate)

    outputs = [T.mean(autoencoder.L_rec), T.sqrt(autoencoder.L_jacob)]
    function = minibatch_function([autoencoder.x], outputs, [train_x], batch_size, updates)
    monitored = ("reconstruction cost", "jacobian norm")
    result = pretrain(function, autoencoder, n_batches, n_epochs, run, MAIN_PHASE, monitored)
    draw_filters(run, autoencoder.W, datasets)
    return result
