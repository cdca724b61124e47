"""Deep belief network: each layer is pretrained as a restricted Boltzmann machine, then all as a classifier.

The layers are those of the stacked denoising autoencoder. In the pretraining of layer
i, a restricted Boltzmann machine learns the distribution of x_(i-1), the activations of
the layer below; W_i and b_i are its weights and the biases of its hidden units.

References
----------
Deep Learning Tutorials, "Deep Belief Networks".
G. E. Hinton, S. Osindero and Y.-W. Teh, "A fast learning algorithm for deep belief
nets", Neural Computation 18, 2006.
"""

import numpy as np
import theano
import theano.tensor as T
from theano.tensor.shared_randomstreams import RandomStreams

from theano_tutorials.checks import require_counts, require_positive
from theano_tutorials.datasets import load_data
from theano_tutorials.rbm import RBM
from theano_tutorials.runs import console, draw_classifier, open_run
from theano_tutorials.sda import StackedNetwork
from theano_tutorials.training import EarlyStopping, minibatch, number_of_minibatches, pretrain, train, with_arguments


class DBN(StackedNetwork):
    """Deep belief network.

    Parameters
    ----------
    numpy_rng : numpy.random.RandomState
        Draws the seed of ``theano_rng``, where this is not given, and then the weights.
    theano_rng : theano.tensor.shared_randomstreams.RandomStreams, optional
        Draws the states of the units.
    n_ins, hidden_layers_sizes, n_outs, parameters
        See :class:`theano_tutorials.sda.StackedNetwork`.

    Attributes
    ----------
    rbm_layers : list of RBM
        Each has the ``W`` of its layer of ``sigmoid_layers``, whose ``b`` is its
        ``hbias``, and a ``vbias`` of its own.

    Examples
    --------
    >>> network = DBN(np.random.RandomState(123), n_ins=784, hidden_layers_sizes=[30, 20], n_outs=10)
    >>> [layer.n_visible for layer in network.rbm_layers]
    [784, 30]
    """

    def __init__(
        self, numpy_rng, theano_rng=None, n_ins=784, hidden_layers_sizes=(500, 500), n_outs=10, parameters=None
    ):
        if theano_rng is None:
            theano_rng = RandomStreams(numpy_rng.randint(2**30))
        super().__init__(numpy_rng, n_ins, hidden_layers_sizes, n_outs, parameters)
        self.rbm_layers = [
            RBM(layer.input, n_visible, n_hidden, layer.W, layer.b, numpy_rng=numpy_rng, theano_rng=theano_rng)
            for layer, n_visible, n_hidden in zip(
                self.sigmoid_layers, (n_ins, *hidden_layers_sizes), hidden_layers_sizes
            )
        ]

    @classmethod
    def from_parameters(cls, parameters, n_ins, hidden_layers_sizes, n_outs):
        """Build a saved model from shared variables by name and from its ``architecture``."""
        return cls(None, RandomStreams(0), n_ins, hidden_layers_sizes, n_outs, parameters)

    def pretraining_functions(self, train_set_x, batch_size, k):
        """Compile a function for the pretraining of each layer, by contrastive divergence.

        Parameters
        ----------
        train_set_x : shared variable, floatX, (n_examples, n_ins)
        batch_size : int
        k : int
            Number of Gibbs steps for an update (CD-k).

        Returns
        -------
        list of function
            ``function(index, lr=0.1)`` makes an update on a minibatch and returns minus
            the cross-entropy of the reconstruction.
        """
        index = T.lscalar("index")
        learning_rate = T.scalar("lr")
        inputs = [index, theano.In(learning_rate, value=0.1)]
        givens = {self.x: minibatch(train_set_x, index, batch_size)}
        functions = []
        with console.said_if_slow("Compiling"):
            for layer in self.rbm_layers:
                cost, updates = layer.get_cost_updates(learning_rate, persistent=None, k=k)
                functions.append(theano.function(inputs, cost, updates=updates, givens=givens))
        return functions


def train_dbn(
    finetune_lr=0.1,
    pretraining_epochs=100,
    pretrain_lr=0.01,
    k=1,
    n_epochs=1000,
    dataset="mnist",
    batch_size=10,
    hidden_layers_sizes=(1000, 1000, 1000),
    epochs_of_patience=4,
    patience_increase=2,
    improvement_threshold=0.995,
    seed=123,
    output_dir=None,
    resume=False,
    overwrite=False,
    tensorboard=False,
):
    """Train a deep belief network on MNIST or a data set like it.

    Parameters
    ----------
    finetune_lr : float
        Step size of gradient descent in the fine-tuning.
    pretraining_epochs : int
        Number of passes over the training set for each layer in the pretraining.
    pretrain_lr : float
        Step size of contrastive divergence in the pretraining.
    k : int
        Number of Gibbs steps for an update in the pretraining (CD-k).
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
    epochs_of_patience : int
        The patience at the beginning of the fine-tuning, in epochs.
    patience_increase, improvement_threshold
        See :class:`theano_tutorials.EarlyStopping`.
    seed : int
        Seed of the weights and of all samples.
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
    Defaults are those of the tutorial; it published a validation error of 1.27 % and
    a test error of 1.34 %.
    """
    arguments = dict(locals())
    require_counts(epochs_of_patience=epochs_of_patience, pretraining_epochs=pretraining_epochs, n_epochs=n_epochs)
    require_positive(pretrain_lr=pretrain_lr)
    datasets = load_data(dataset)
    train_x, _ = datasets[0]
    n_batches = number_of_minibatches(train_x, batch_size)
    run = open_run(output_dir, "dbn", arguments, datasets, resume, overwrite, tensorboard)

    rng = np.random.RandomState(seed)
    network = DBN(rng, None, datasets.n_features, hidden_layers_sizes, datasets.n_classes)

    # Before the pretraining, which takes hours, so that a bad argument is an error at once.
    functions = network.finetune_functions(datasets, batch_size, finetune_lr)
    patience = epochs_of_patience * functions.n_train_batches
    early_stopping = EarlyStopping(patience, patience_increase, improvement_threshold)

    with run:
        for i, function in enumerate(network.pretraining_functions(train_x, batch_size, k)):
            step = with_arguments(function, lr=pretrain_lr)
            pretrain(step, network, n_batches, pretraining_epochs, run, f"pretraining-layer-{i}")
        result = train(functions, network, early_stopping, n_epochs, run)
        draw_classifier(run, network, network.sigmoid_layers[0].W, datasets, batch_size)
    return result
