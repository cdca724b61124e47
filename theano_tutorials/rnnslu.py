"""Slot filling by a recurrent network of Elman: a label for each word of a sentence.

    x_t = embeddings of the words around word t, side by side
    h_t = sigmoid(x_t wx + h_(t-1) wh + bh)
    P(Y_t | words up to the window of t) = softmax(h_t w + b)

An update is made for each sentence. After it, each embedding is scaled to length 1.

References
----------
Deep Learning Tutorials, "Recurrent Neural Networks with Word Embeddings".
J. L. Elman, "Finding structure in time", Cognitive Science 14, 1990.
G. Mesnil, X. He, L. Deng and Y. Bengio, "Investigation of recurrent-neural-network
architectures and learning methods for spoken language understanding", Interspeech 2013.
E. F. Tjong Kim Sang and S. Buchholz, "Introduction to the CoNLL-2000 shared task:
chunking", 2000, for the measure F1 of conlleval.
"""

import random

import numpy as np
import theano
import theano.tensor as T

from theano_tutorials.checks import require_counts, require_labels, require_positive
from theano_tutorials.datasets.slots import read_slots
from theano_tutorials.mlp import shared_parameters
from theano_tutorials.reprs import described
from theano_tutorials.runs import MAIN_PHASE, console, draw_curve, open_run
from theano_tutorials.runs.session import Session
from theano_tutorials.runs.state import TrainingState
from theano_tutorials.training import EarlyStopping, in_order, sgd_updates

_EPOCHS_UNTIL_DECAY = 10
_SMALLEST_RATE = 1e-5


def contextwin(l, win):  # noqa: E741  (the original's name)
    """Windows of words around each word of a sentence.

    Parameters
    ----------
    l : sequence of int
        Numbers of the words.
    win : int
        Number of words in a window; odd.

    Returns
    -------
    list of lists of int, (n_words, win)
        -1 before the sentence and after it.

    Raises
    ------
    ValueError
        If ``win`` is even or below one.

    Examples
    --------
    >>> contextwin([4, 7, 9], 3)
    [[-1, 4, 7], [4, 7, 9], [7, 9, -1]]
    """
    require_counts(win=win)
    if win % 2 == 0:
        raise ValueError(f"win is {win}: expected an odd number of words")
    border = win // 2 * [-1]
    padded = [*border, *map(int, l), *border]
    return [padded[i : i + win] for i in range(len(l))]


def chunks(labels):
    """Slots of a sentence, as conlleval finds them.

    Parameters
    ----------
    labels : sequence of str
        ``B-x``, ``I-x`` or ``O`` for each word.

    Returns
    -------
    set of (int, int, str)
        First word, the word after the last, and what the slot is. A slot begins at a
        ``B-``, and at an ``I-`` that does not go on with one of its kind.

    Examples
    --------
    >>> sorted(chunks(["B-city", "I-city", "O", "I-day"]))
    [(0, 2, 'city'), (3, 4, 'day')]
    """
    found, start, kind = set(), None, None
    for place, label in enumerate([*labels, "O"]):
        prefix, _, name = label.partition("-")
        if start is not None and (prefix != "I" or name != kind):
            found.add((start, place, kind))
            start = None
        if prefix != "O" and start is None:
            start, kind = place, name
    return found


def conlleval(p, g):
    """Precision, recall and F1 of slots, as of the program conlleval.

    Parameters
    ----------
    p, g : list of lists of str
        Labels of each sentence: predicted, and true.

    Returns
    -------
    dict of str to float
        ``p``, ``r`` and ``f1``, in percent; 0 where there is nothing to divide by.

    References
    ----------
    Tjong Kim Sang and Buchholz 2000, section 4.
    """
    predicted, true = ({(i, *chunk) for i, labels in enumerate(s) for chunk in chunks(labels)} for s in (p, g))
    n_correct = len(predicted & true)
    precision, recall = (100 * n_correct / len(s) if s else 0.0 for s in (predicted, true))
    total = precision + recall
    return {"p": precision, "r": recall, "f1": 2 * precision * recall / total if total else 0.0}


class RNNSLU:
    """Elman's network over the words of a sentence.

    Parameters
    ----------
    nh : int
        Number of hidden units.
    nc : int
        Number of labels.
    ne : int
        Number of words.
    de : int
        Size of an embedding.
    cs : int
        Number of words in a window.
    rng : numpy.random.RandomState, optional
        Draws the initial weights; by default ``RandomState(345)``.
    parameters : dict of str to shared variable, optional
        Parameters to use, by name; by default new ones.

    Attributes
    ----------
    emb : shared variable, floatX, (ne + 1, de)
        The embeddings; the last one is that of what is no word.
    wx, wh, w : shared variables, floatX, (de * cs, nh), (nh, nh) and (nh, nc)
    bh, b, h0 : shared variables, floatX, (nh,), (nc,) and (nh,)
    params : list
        ``[emb, wx, wh, w, bh, b, h0]``.
    idxs : symbolic matrix, int32, (n_words, cs)
        Windows of a sentence; ``input`` is another name of it.
    p_y_given_x_sentence : symbolic matrix, floatX, (n_words, nc)
        Probability of each label for each word.
    y_pred : symbolic vector, int64, (n_words,)
    classify : function
        ``classify(windows)`` returns the label of each word.
    sentence_train : function
        ``sentence_train(windows, labels, lr)`` makes an update, and returns the cost.
    normalize : function
        Scales each embedding to length 1.
    architecture : dict
        For :meth:`from_parameters`.

    Raises
    ------
    ValueError
        If a size is below one.
    """

    def __init__(self, nh, nc, ne, de, cs, rng=None, parameters=None):
        require_counts(nh=nh, nc=nc, ne=ne, de=de, cs=cs)
        self.architecture = {name: int(n) for name, n in (("nh", nh), ("nc", nc), ("ne", ne), ("de", de), ("cs", cs))}
        rng = np.random.RandomState(345) if rng is None else rng
        weights = {"emb": (ne + 1, de), "wx": (de * cs, nh), "wh": (nh, nh), "w": (nh, nc)}
        shapes = {**weights, "bh": (nh,), "b": (nc,), "h0": (nh,)}

        def draw(name, shape):
            return 0.2 * rng.uniform(-1.0, 1.0, shape) if name in weights else np.zeros(shape)

        found = shared_parameters(shapes, parameters, draw)
        vars(self).update(found)
        self.params = list(found.values())

        self.idxs = self.input = T.imatrix("idxs")
        x = self.emb[self.idxs].reshape((self.idxs.shape[0], de * cs))

        def recurrence(x_t, h_tm1):
            return T.nnet.sigmoid(T.dot(x_t, self.wx) + T.dot(h_tm1, self.wh) + self.bh)

        h, _ = theano.scan(recurrence, sequences=x, outputs_info=[self.h0], name="recurrence")
        self.p_y_given_x_sentence = T.nnet.softmax(T.dot(h, self.w) + self.b)
        self.y_pred = T.argmax(self.p_y_given_x_sentence, axis=1)

        y, lr = T.ivector("y_sentence"), T.scalar("lr")
        nll = self.negative_log_likelihood(y)
        with console.said_if_slow("Compiling"):
            self.classify = theano.function([self.idxs], self.y_pred)
            self.sentence_train = theano.function([self.idxs, y, lr], nll, updates=sgd_updates(nll, self.params, lr))
            self.normalize = theano.function([], [], updates=[(self.emb, _of_length_one(self.emb))])

    def __repr__(self):
        return described(self, "architecture")

    @classmethod
    def from_parameters(cls, parameters, nh, nc, ne, de, cs):
        """Build a saved model from shared variables by name and from its ``architecture``."""
        return cls(nh, nc, ne, de, cs, parameters=parameters)

    def negative_log_likelihood(self, y):
        """Mean of ``-log P(Y = y | x)`` over the words of a sentence, in nats.

        Parameters
        ----------
        y : symbolic vector of integers, (n_words,)
            The true labels.
        """
        require_labels(y)
        return -T.mean(T.log(self.p_y_given_x_sentence)[T.arange(y.shape[0]), y])

    def train(self, x, y, window_size, learning_rate):
        """Make an update for a sentence, and scale the embeddings.

        Parameters
        ----------
        x, y : sequences of int, (n_words,)
            Words and their labels.
        window_size : int
            Number of words in a window, ``cs``.
        learning_rate : float

        Returns
        -------
        numpy.ndarray without dimensions
            The cost before the update, in nats.
        """
        windows = np.array(contextwin(x, window_size), dtype="int32")
        cost = self.sentence_train(windows, np.asarray(y, dtype="int32"), learning_rate)
        self.normalize()
        return cost


def _of_length_one(embeddings):
    return embeddings / T.sqrt((embeddings**2).sum(axis=1)).dimshuffle(0, "x")


def train_rnnslu(
    lr=0.0970806646812754,
    n_epochs=60,
    dataset="flights",
    win=7,
    nhidden=200,
    emb_dimension=50,
    decay=True,
    seed=345,
    output_dir=None,
    resume=False,
    overwrite=False,
    tensorboard=False,
):
    """Train Elman's network to fill slots.

    Parameters
    ----------
    lr : float
        Step size of gradient descent at the beginning.
    n_epochs : int
        Largest number of passes over the training set.
    dataset : str or path
        flights, requests that are made by this library, or the path of a fold of ATIS,
        atis.fold3.pkl.gz.
    win : int
        Number of words in a window; odd.
    nhidden : int
        Number of hidden units.
    emb_dimension : int
        Size of an embedding.
    decay : bool
        Whether the step size is halved, and the best parameters are taken again, when
        ten epochs have not been better. Below 1e-5 the training ends.
    seed : int
        Seed of the weights and of the order of the sentences.
    output_dir, resume, overwrite, tensorboard
        See :func:`theano_tutorials.open_run`.

    Returns
    -------
    theano_tutorials.TrainingResult
        Its losses are 1 - F1, with the F1 of conlleval.

    Raises
    ------
    ValueError
        If an argument is out of its range or the data is not valid.
    theano_tutorials.TrainingDiverged
        If the cost becomes NaN or infinite.

    Notes
    -----
    The errors that are printed are 100 % - F1.
    """
    arguments = dict(locals())
    require_positive(lr=lr)
    contextwin([], win)
    slots = read_slots(dataset)
    run = open_run(output_dir, "rnnslu", arguments, [slots.sentences, slots.labels], resume, overwrite, tensorboard)

    rng = np.random.RandomState(seed)
    model = RNNSLU(nhidden, len(slots.label_names), len(slots.words), emb_dimension, win, rng)
    result = _fit(model, slots, lr, n_epochs, decay, seed, run)
    print(console.summary(result), flush=True)
    draw_curve(run)
    return result


def _fit(model, slots, lr, n_epochs, decay, seed, run):
    win = model.architecture["cs"]
    splits = [
        [(np.array(contextwin(words, win), dtype="int32"), labels) for words, labels in zip(*split)]
        for split in zip(slots.sentences, slots.labels)
    ]
    update, halve, rate, n_updates = _compiled(model, lr)

    def epochs():
        order = list(splits[0])
        while True:
            # As the original: the same shuffle of what the epoch before had.
            random.Random(seed).shuffle(order)
            yield order

    def loss_on(split):
        def names(sentences):
            return [[slots.label_names[label] for label in sentence] for sentence in sentences]

        predicted = names(model.classify(windows) for windows, _ in split)
        return 1 - conlleval(predicted, names(labels for _, labels in split))["f1"] / 100

    n_batches = len(splits[0])
    step = in_order(update, n_updates, n_batches, epochs())
    early_stopping = EarlyStopping(patience=2)  # keeps the best; the step size ends the training
    state = TrainingState(model, [update, halve], early_stopping)
    with Session(MAIN_PHASE, state, n_batches, n_epochs, run) as session:
        while session.epoch < n_epochs and not session.done:
            for index in session.minibatches():
                session.note_cost(step(index))
                if index + 1 < n_batches:
                    continue
                session.record_validation(
                    n_batches,
                    n_batches,
                    loss_on(splits[1]),
                    lambda: loss_on(splits[2]),
                    n_batches,
                    learning_rate=float(rate.get_value()),
                )
                best_epoch = early_stopping.best_iteration // n_batches
                if decay and session.epoch - best_epoch >= _EPOCHS_UNTIL_DECAY:
                    halve()
                    state.restore_best_parameters()
                session.done = rate.get_value() < _SMALLEST_RATE
        return session.result()


def _compiled(model, lr):
    # The step size and the number of updates are part of the state of a training.
    rate = theano.shared(np.asarray(lr, dtype=theano.config.floatX), name="learning_rate")
    n_updates = theano.shared(np.asarray(0), name="n_updates")
    y = T.ivector("y")
    nll = model.negative_log_likelihood(y)
    updates = dict(sgd_updates(nll, model.params, rate))
    updates[model.emb] = _of_length_one(updates[model.emb])
    updates[n_updates] = n_updates + 1
    with console.said_if_slow("Compiling"):
        update = theano.function([model.idxs, y], nll, updates=list(updates.items()))
        halve = theano.function([], [], updates=[(rate, rate / 2)])
    return update, halve, rate, n_updates
