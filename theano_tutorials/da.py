"""Denoising autoencoder: rebuilds an input from a copy of which a part was erased.

    x~ = m x,  m_i is 0 with the probability of the corruption level, else 1
    y  = sigmoid(x~ W + b)
    z  = sigmoid(y W' + b')
    L(x, z) = -sum_i (x_i log z_i + (1 - x_i) log(1 - z_i))

W' is the transpose of W: the weights are tied. At corruption level 0 it is a plain
autoencoder.

References
----------
Deep Learning Tutorials, "Denoising Autoencoders (dA)".
P. Vincent, H. Larochelle, Y. Bengio and P.-A. Manzagol, "Extracting and composing
robust features with denoising autoencoders", ICML 2008.
"""

import numpy as np
import theano
import theano.tensor as T
from theano.tensor.shared_randomstreams import RandomStreams

from theano_tutorials.checks import require_counts, require_fraction, require_ndim, require_parameter
from theano_tutorials.datasets import load_data
from theano_tutorials.mlp import glorot_uniform
from theano_tutorials.reprs import described
from theano_tutorials.runs import MAIN_PHASE, draw_filters, open_run
from theano_tutorials.training import minibatch_function, number_of_minibatches, pretrain, sgd_updates


class TiedAutoencoder:
    """Autoencoder whose way back has the transposed weights: what dA and cA have in common.

    Parameters
    ----------
    numpy_rng : numpy.random.RandomState
        Draws the weights, where these are not given.
    input : symbolic matrix, floatX, (n_examples, n_visible), or None for a new variable
        Values in [0, 1].
    n_visible, n_hidden : int
        Number of inputs and of hidden units.
    W : shared or other symbolic variable, floatX, (n_visible, n_hidden), optional
        Weights to use; by default new ones, after Glorot and Bengio 2010, four times
        wider as for every logistic sigmoid.
    bhid, bvis : shared or other symbolic variables, floatX, (n_hidden,) and (n_visible,), optional
        Biases of the hidden units and of the reconstruction; by default zero.

    Attributes
    ----------
    params : list
        ``[W, b, b_prime]``.
    W_prime : symbolic matrix, floatX, (n_hidden, n_visible)
        The transpose of ``W``.
    x : symbolic matrix
        The input; ``input`` is another name of it.
    architecture : dict
        ``n_visible`` and ``n_hidden``, for ``from_parameters``.

    Raises
    ------
    TypeError
        If ``input`` is not a matrix, or a parameter is not a symbolic variable.
    ValueError
        If a size is below one or a given parameter has another shape.
    """

    def __init__(self, numpy_rng, input, n_visible, n_hidden, W=None, bhid=None, bvis=None):
        require_counts(n_visible=n_visible, n_hidden=n_hidden)
        if W is None:
            weights = glorot_uniform(numpy_rng, n_visible, n_hidden, (n_visible, n_hidden), scale=4)
            W = theano.shared(weights, name="W", borrow=True)
        if bvis is None:
            bvis = theano.shared(np.zeros(n_visible, dtype=theano.config.floatX), name="b_prime", borrow=True)
        if bhid is None:
            bhid = theano.shared(np.zeros(n_hidden, dtype=theano.config.floatX), name="b", borrow=True)
        require_parameter("W", W, (n_visible, n_hidden))
        require_parameter("bhid", bhid, (n_hidden,))
        require_parameter("bvis", bvis, (n_visible,))
        self.n_visible, self.n_hidden = int(n_visible), int(n_hidden)
        self.architecture = {"n_visible": self.n_visible, "n_hidden": self.n_hidden}
        self.W, self.b, self.b_prime = W, bhid, bvis
        self.W_prime = self.W.T
        self.x = self.input = T.matrix("input") if input is None else input
        require_ndim(2, input=self.x)
        self.params = [self.W, self.b, self.b_prime]

    def __repr__(self):
        return described(self, "architecture")

    def get_hidden_values(self, input):
        """Code of an input: floatX, (n_examples, n_hidden)."""
        return T.nnet.sigmoid(T.dot(input, self.W) + self.b)

    def get_reconstructed_input(self, hidden):
        """Reconstruction from a code: floatX, (n_examples, n_visible), in (0, 1)."""
        return T.nnet.sigmoid(T.dot(hidden, self.W_prime) + self.b_prime)


class dA(TiedAutoencoder):
    """Denoising autoencoder with tied weights.

    Parameters
    ----------
    numpy_rng : numpy.random.RandomState
        Draws the seed of ``theano_rng`` and then the weights, where these are not given.
    theano_rng : theano.tensor.shared_randomstreams.RandomStreams, optional
        Draws the corruption.
    input, n_visible, n_hidden, W, bhid, bvis
        See :class:`theano_tutorials.da.TiedAutoencoder`, which says what its attributes
        are and what is raised.

    Examples
    --------
    >>> autoencoder = dA(np.random.RandomState(123), n_visible=784, n_hidden=500)
    >>> cost, updates = autoencoder.get_cost_updates(corruption_level=0.3, learning_rate=0.1)
    """

    def __init__(
        self, numpy_rng, theano_rng=None, input=None, n_visible=784, n_hidden=500, W=None, bhid=None, bvis=None
    ):
        if theano_rng is None:
            theano_rng = RandomStreams(numpy_rng.randint(2**30))
        super().__init__(numpy_rng, input, n_visible, n_hidden, W, bhid, bvis)
        self.theano_rng = theano_rng

    @classmethod
    def from_parameters(cls, parameters, n_visible, n_hidden):
        """Build a saved model from shared variables by name and from its ``architecture``."""
        given = (parameters[name] for name in ("W", "b", "b_prime"))
        return cls(None, RandomStreams(0), T.matrix("x"), n_visible, n_hidden, *given)

    def get_corrupted_input(self, input, corruption_level):
        """Erase each value of ``input`` with the probability ``corruption_level``: set it to zero.

        Each call draws from a stream of its own.
        """
        kept = self.theano_rng.binomial(size=input.shape, n=1, p=1 - corruption_level, dtype=theano.config.floatX)
        return kept * input

    def get_cost_updates(self, corruption_level, learning_rate):
        """Cost of a minibatch, and the updates of one step of gradient descent.

        Parameters
        ----------
        corruption_level : float or scalar symbolic variable
            Probability in [0, 1) that a value is erased.
        learning_rate : float or scalar symbolic variable

        Returns
        -------
        (scalar symbolic variable, list of (shared variable, symbolic expression))
            The cost is the mean over the examples of the cross-entropy, in nats.

        Raises
        ------
        TypeError
            If a symbolic learning rate is no scalar.
        ValueError
            If a number is out of its range.

        References
        ----------
        Vincent et al. 2008, sections 2.2 and 2.3.
        """
        if not isinstance(corruption_level, theano.Variable):
            require_fraction(corruption_level=corruption_level)
        code = self.get_hidden_values(self.get_corrupted_input(self.x, corruption_level))
        cost = T.mean(cross_entropies(self.x, self.get_reconstructed_input(code)))
        return cost, sgd_updates(cost, self.params, learning_rate)


def cross_entropies(x, z):
    """Cross-entropy of each row of ``z``, probabilities, with that of ``x``: floatX, (n_examples,), in nats."""
    return -T.sum(x * T.log(z) + (1 - x) * T.log(1 - z), axis=1)


def train_da(
    learning_rate=0.1,
    n_epochs=15,
    dataset="mnist",
    batch_size=20,
    n_hidden=500,
    corruption_level=0.3,
    seed=123,
    output_dir=None,
    resume=False,
    overwrite=False,
    tensorboard=False,
):
    """Train a denoising autoencoder on MNIST or a data set like it.

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
    corruption_level : float
        Probability that a pixel is erased. The tutorial trains with 0 and with 0.3.
    seed : int
        Seed of the weights and of the corruption.
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
    """
    arguments = dict(locals())
    datasets = load_data(dataset)
    train_x, _ = datasets[0]
    n_batches = number_of_minibatches(train_x, batch_size)
    run = open_run(output_dir, "da", arguments, datasets, resume, overwrite, tensorboard)

    rng = np.random.RandomState(seed)
    theano_rng = RandomStreams(rng.randint(2**30))
    autoencoder = dA(rng, theano_rng, T.matrix("x"), datasets.n_features, n_hidden)
    cost, updates = autoencoder.get_cost_updates(corruption_level, learning_rate)

    function = minibatch_function([autoencoder.x], cost, [train_x], batch_size, updates)
    result = pretrain(function, autoencoder, n_batches, n_epochs, run, MAIN_PHASE)
    draw_filters(run, autoencoder.W, datasets)
    return result
