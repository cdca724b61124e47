"""Stacked denoising autoencoder: each layer is pretrained as an autoencoder, then all as a classifier.

    x_0 = x,  x_i = sigmoid(x_(i-1) W_i + b_i)
    P(Y = j | x) = softmax_j(x_n W + b)

In the pretraining of layer i, a denoising autoencoder learns to rebuild x_(i-1); W_i
and b_i are parameters of it, too. The fine-tuning minimises the negative
log-likelihood of the labels with respect to all layers.

References
----------
Deep Learning Tutorials, "Stacked Denoising Autoencoders (SdA)".
Y. Bengio, P. Lamblin, D. Popovici and H. Larochelle, "Greedy layer-wise training of
deep networks", NIPS 2006.
P. Vincent, H. Larochelle, I. Lajoie, Y. Bengio and P.-A. Manzagol, "Stacked denoising
autoencoders", Journal of Machine Learning Research 11, 2010.
"""

from collections import defaultdict

import numpy as np
import theano
import theano.tensor as T
from theano.tensor.shared_randomstreams import RandomStreams

from theano_tutorials.checks import require_counts, require_fraction, require_positive
from theano_tutorials.da import dA
from theano_tutorials.datasets import load_data
from theano_tutorials.logreg import LogisticRegression
from theano_tutorials.mlp import HiddenLayer
from theano_tutorials.reprs import described
from theano_tutorials.runs import console, draw_classifier, open_run
from theano_tutorials.training import (
    EarlyStopping,
    compile_functions,
    minibatch,
    number_of_minibatches,
    pretrain,
    sgd_updates,
    train,
    with_arguments,
)


class StackedNetwork:
    """Layers of logistic sigmoids below a logistic regression: what SdA and DBN have in common.

    Parameters
    ----------
    numpy_rng : numpy.random.RandomState
        Draws the weights of the layers, from the input upwards.
    n_ins : int
        Number of input features.
    hidden_layers_sizes : sequence of int
        Number of units of each layer, from the input upwards.
    n_outs : int
        Number of classes.
    parameters : dict of str to shared variable, optional
        Parameters to use, by name (``"sigmoid_layers.0.W"``, ...); by default new ones.

    Attributes
    ----------
    x : symbolic matrix, floatX, (n_examples, n_ins)
        The input; ``input`` is another name of it.
    y : symbolic vector, int32, (n_examples,)
        The labels.
    sigmoid_layers : list of HiddenLayer
    logLayer : LogisticRegression
    params : list
        The parameters of the layers, from the input upwards.
    finetune_cost, errors : scalar symbolic variables
        Negative log-likelihood of ``y``, in nats, and fraction of errors, in [0, 1].
    p_y_given_x, y_pred, negative_log_likelihood
        The same as in ``logLayer``.
    architecture : dict
        ``n_ins``, ``hidden_layers_sizes`` and ``n_outs``, for ``from_parameters``.
    example_shape : tuple of int
        Shape of one example: ``(n_ins,)``.

    Raises
    ------
    ValueError
        If a size is below one, or there is no hidden layer.
    """

    def __init__(self, numpy_rng, n_ins, hidden_layers_sizes, n_outs, parameters=None):
        sizes = tuple(hidden_layers_sizes)
        if not sizes:
            raise ValueError("hidden_layers_sizes is empty: expected at least one layer")
        require_counts(
            n_ins=n_ins, n_outs=n_outs, **{f"hidden_layers_sizes[{i}]": size for i, size in enumerate(sizes)}
        )
        given = defaultdict(lambda: None) if parameters is None else parameters
        self.x = self.input = T.matrix("x")
        self.y = T.ivector("y")
        self.n_layers = len(sizes)
        self.architecture = {"n_ins": int(n_ins), "hidden_layers_sizes": list(map(int, sizes)), "n_outs": int(n_outs)}
        self.example_shape = (int(n_ins),)

        self.sigmoid_layers = []
        output = self.x
        for i, (n_in, n_out) in enumerate(zip((n_ins, *sizes), sizes)):
            W, b = (given[f"sigmoid_layers.{i}.{name}"] for name in "Wb")
            layer = HiddenLayer(numpy_rng, output, n_in, n_out, W, b, activation=T.nnet.sigmoid)
            self.sigmoid_layers.append(layer)
            output = layer.output
        self.logLayer = LogisticRegression(output, sizes[-1], n_outs, given["logLayer.W"], given["logLayer.b"])
        self.params = [param for layer in (*self.sigmoid_layers, self.logLayer) for param in layer.params]

        self.finetune_cost = self.logLayer.negative_log_likelihood(self.y)
        self.errors = self.logLayer.errors(self.y)
        self.p_y_given_x = self.logLayer.p_y_given_x
        self.y_pred = self.logLayer.y_pred
        self.negative_log_likelihood = self.logLayer.negative_log_likelihood

    def __repr__(self):
        return described(self, "architecture")

    def build_finetune_functions(self, datasets, batch_size, learning_rate):
        """Compile the functions of the fine-tuning.

        Parameters
        ----------
        datasets : list of three (inputs, labels) pairs
        batch_size : int
        learning_rate : float

        Returns
        -------
        (function, function, function)
            ``train(index)`` updates the parameters and returns the cost before it;
            ``validate()`` and ``test()`` return the fraction of errors of each minibatch,
            a list.

        Raises
        ------
        ValueError
            If the batch size is below one or above the size of the smallest set.
        """
        functions = self.finetune_functions(datasets, batch_size, learning_rate)

        def validate():
            return [functions.validate(i) for i in range(functions.n_valid_batches)]

        def test():
            return [functions.test(i) for i in range(functions.n_test_batches)]

        return functions.train, validate, test

    def finetune_functions(self, datasets, batch_size, learning_rate):
        """Compile the same for :func:`theano_tutorials.train`: :class:`theano_tutorials.Functions`."""
        updates = sgd_updates(self.finetune_cost, self.params, learning_rate)
        return compile_functions(self.x, self.y, self.finetune_cost, self.errors, updates, datasets, batch_size)


class SdA(StackedNetwork):
    """Stacked denoising autoencoder.

    Parameters
    ----------
    numpy_rng : numpy.random.RandomState
        Draws the seed of ``theano_rng``, where this is not given, and then the weights.
    theano_rng : theano.tensor.shared_randomstreams.RandomStreams, optional
        Draws the corruption.
    n_ins, hidden_layers_sizes, n_outs, parameters
        See :class:`theano_tutorials.sda.StackedNetwork`.
    corruption_levels : sequence of float
        Kept as an attribute; the functions of the pretraining get theirs when they
        are called.

    Attributes
    ----------
    dA_layers : list of dA
        Each has the ``W`` and ``b`` of its layer of ``sigmoid_layers``, and a
        ``b_prime`` of its own.

    Examples
    --------
    >>> network = SdA(np.random.RandomState(89677), n_ins=784, hidden_layers_sizes=[30, 20], n_outs=10)
    >>> [layer.n_visible for layer in network.dA_layers]
    [784, 30]
    """

    def __init__(
        self,
        numpy_rng,
        theano_rng=None,
        n_ins=784,
        hidden_layers_sizes=(500, 500),
        n_outs=10,
        corruption_levels=(0.1, 0.1),
        parameters=None,
    ):
        if theano_rng is None:
            theano_rng = RandomStreams(numpy_rng.randint(2**30))
        super().__init__(numpy_rng, n_ins, hidden_layers_sizes, n_outs, parameters)
        self.corruption_levels = tuple(corruption_levels)
        self.dA_layers = [
            dA(numpy_rng, theano_rng, layer.input, n_visible, n_hidden, layer.W, layer.b)
            for layer, n_visible, n_hidden in zip(
                self.sigmoid_layers, (n_ins, *hidden_layers_sizes), hidden_layers_sizes
            )
        ]

    @classmethod
    def from_parameters(cls, parameters, n_ins, hidden_layers_sizes, n_outs):
        """Build a saved model from shared variables by name and from its ``architecture``."""
        return cls(None, RandomStreams(0), n_ins, hidden_layers_sizes, n_outs, parameters=parameters)

    def pretraining_functions(self, train_set_x, batch_size):
        """Compile a function for the pretraining of each layer.

        Parameters
        ----------
        train_set_x : shared variable, floatX, (n_examples, n_ins)
        batch_size : int

        Returns
        -------
        list of function
            ``function(index, corruption=0.2, lr=0.1)`` makes an update on a minibatch
            and returns the cost before it.
        """
        index = T.lscalar("index")
        corruption_level = T.scalar("corruption")
        learning_rate = T.scalar("lr")
        inputs = [index, theano.In(corruption_level, value=0.2), theano.In(learning_rate, value=0.1)]
        givens = {self.x: minibatch(train_set_x, index, batch_size)}
        functions = []
        with console.said_if_slow("Compiling"):
            for layer in self.dA_layers:
                cost, updates = layer.get_cost_updates(corruption_level, learning_rate)
                functions.append(theano.function(inputs, cost, updates=updates, givens=givens))
        return functions


def train_sda(
    finetune_lr=0.1,
    pretraining_epochs=15,
    pretrain_lr=0.001,
    n_epochs=1000,
    dataset="mnist",
    batch_size=1,
    hidden_layers_sizes=(1000, 1000, 1000),
    corruption_levels=(0.1, 0.2, 0.3),
    epochs_of_patience=10,
    patience_increase=2,
    improvement_threshold=0.995,
    seed=89677,
    output_dir=None,
    resume=False,
    overwrite=False,
    tensorboard=False,
):
    """Train a stacked denoising autoencoder on MNIST or a data set like it.

    Parameters
    ----------
    finetune_lr : float
        Step size of gradient descent in the fine-tuning.
    pretraining_epochs : int
        Number of passes over the training set for each layer in the pretraining.
    pretrain_lr : float
        Step size of gradient descent in the pretraining.
    n_epochs : int
        Largest number of passes over the training set in the fine-tuning.
    dataset : str, path or arrays
        mnist, fashion-mnist, kmnist, or the path of a folder of IDX files, of an
        .npz, a .csv or a .pkl.gz file. In Python, arrays too: read_data lists them.
        Values have to be in [0, 1].
    batch_size : int
        Number of examples in a minibatch.
    hidden_layers_sizes : tuple of int
        Number of units of each hidden layer, from the input upwards.
    corruption_levels : tuple of float
        Probability that an input of each autoencoder is erased; one for each layer.
    epochs_of_patience : int
        The patience at the beginning of the fine-tuning, in epochs.
    patience_increase, improvement_threshold
        See :class:`theano_tutorials.EarlyStopping`.
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

    Notes
    -----
    Defaults are those of the tutorial; it published a validation error of 1.39 % and
    a test error of 1.3 %.
    """
    arguments = dict(locals())
    if len(corruption_levels) != len(hidden_layers_sizes):
        raise ValueError(
            f"corruption_levels is {corruption_levels!r}: expected {len(hidden_layers_sizes)} numbers, one for each "
            "hidden layer"
        )
    require_fraction(**{f"corruption_levels[{i}]": level for i, level in enumerate(corruption_levels)})
    require_counts(epochs_of_patience=epochs_of_patience, pretraining_epochs=pretraining_epochs, n_epochs=n_epochs)
    require_positive(pretrain_lr=pretrain_lr)
    datasets = load_data(dataset)
    train_x, _ = datasets[0]
    n_batches = number_of_minibatches(train_x, batch_size)
    run = open_run(output_dir, "sda", arguments, datasets, resume, overwrite, tensorboard)

    rng = np.random.RandomState(seed)
    sizes = datasets.n_features, hidden_layers_sizes, datasets.n_classes
    network = SdA(rng, None, *sizes, corruption_levels)

    # Before the pretraining, which takes hours, so that a bad argument is an error at once.
    functions = network.finetune_functions(datasets, batch_size, finetune_lr)
    patience = epochs_of_patience * functions.n_train_batches
    early_stopping = EarlyStopping(patience, patience_increase, improvement_threshold)

    with run:
        pretraining = network.pretraining_functions(train_x, batch_size)
        for i, (function, level) in enumerate(zip(pretraining, corruption_levels)):
            step = with_arguments(function, corruption=level, lr=pretrain_lr)
            pretrain(step, network, n_batches, pretraining_epochs, run, f"pretraining-layer-{i}")
        result = train(functions, network, early_stopping, n_epochs, run)
        draw_classifier(run, network, network.sigmoid_layers[0].W, datasets, batch_size)
    return result
