"""Minibatch stochastic gradient descent with early stopping, for any model.

A tutorial joins three pieces of this module: :func:`sgd_updates` turns a cost
into parameter updates, :func:`compile_functions` turns cost, errors and updates
into three Theano functions of a minibatch index, and :func:`train` calls them in
the order of the patience loop. Without labels, :func:`minibatch_function` compiles
one function, and :func:`pretrain` calls it for a number of epochs.
"""

import functools
import math
from typing import Callable, NamedTuple

import numpy as np
import theano
import theano.tensor as T

from theano_tutorials.checks import python_number, require_counts, require_ndim, require_positive, shape_of
from theano_tutorials.datasets import BYTE_SCALE
from theano_tutorials.runs import console
from theano_tutorials.runs.directory import MAIN_PHASE
from theano_tutorials.runs.session import Session
from theano_tutorials.runs.state import TrainingState


class Functions(NamedTuple):
    """Three compiled functions of a minibatch index, and their ranges.

    ``train(i)`` updates the parameters and returns the cost before the update;
    ``validate(i)`` and ``test(i)`` return the fraction of errors.
    """

    train: Callable
    validate: Callable
    test: Callable
    n_train_batches: int
    n_valid_batches: int
    n_test_batches: int


class EarlyStopping:
    """The patience rule: how long to train without a significant improvement.

    Parameters
    ----------
    patience : int
        Number of minibatches to train in any case. At least 2.
    patience_increase : float
        A significant improvement at iteration ``i`` extends the patience to
        ``i * patience_increase``. At least 1.
    improvement_threshold : float
        An improvement is significant if the new loss is below this fraction of
        the best loss. In (0, 1].

    Attributes
    ----------
    best_loss : float
        Lowest validation loss so far, infinite before the first.
    best_iteration : int
        Parameter updates made when that loss was seen, 0 before the first.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> early_stopping = EarlyStopping(patience=10000)
    >>> early_stopping.validation_frequency(n_train_batches=2500)
    2500
    >>> early_stopping.validation_frequency(n_train_batches=50000)
    5000

    References
    ----------
    L. Prechelt, "Early stopping - but when?", Neural Networks: Tricks of the
    Trade, 1998. The rule is that of the Deep Learning Tutorials, "Getting
    started", section Early-Stopping.
    """

    def __init__(self, patience, patience_increase=2, improvement_threshold=0.995):
        if not 2 <= patience < math.inf:
            raise ValueError(f"patience is {patience!r}: expected at least 2 minibatches")
        if not (math.isfinite(patience_increase) and patience_increase >= 1):
            raise ValueError(f"patience_increase is {patience_increase!r}: expected a number of at least 1")
        if not 0 < improvement_threshold <= 1:
            raise ValueError(f"improvement_threshold is {improvement_threshold!r}: expected a number in (0, 1]")
        self.patience = python_number(patience)
        self.patience_increase = python_number(patience_increase)
        self.improvement_threshold = python_number(improvement_threshold)
        self.best_loss = math.inf
        self.best_iteration = 0

    def __repr__(self):
        names = ("patience", "patience_increase", "improvement_threshold", "best_loss", "best_iteration")
        return f"EarlyStopping({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    def validation_frequency(self, n_train_batches):
        """Minibatches between two validations: at least two fit into the patience."""
        return int(min(n_train_batches, self.patience // 2))


def sgd_updates(cost, params, learning_rate, consider_constant=None):
    """Updates of one step of gradient descent.

    Parameters
    ----------
    cost : scalar symbolic variable
    params : list of shared variables
    learning_rate : float or scalar symbolic variable
        Positive and finite. It may be symbolic, for instance a shared variable that
        changes during the training.
    consider_constant : list of symbolic variables, optional
        Expressions that the gradient treats as constants, for instance the end of
        the chain in contrastive divergence.

    Returns
    -------
    list of (shared variable, symbolic expression)
        ``param - learning_rate * d cost / d param`` for each parameter, ready
        for the ``updates`` of ``theano.function``.

    Raises
    ------
    TypeError
        If a symbolic learning rate is no scalar.
    ValueError
        If the learning rate is not positive and finite.
    """
    if isinstance(learning_rate, theano.Variable):
        require_ndim(0, learning_rate=learning_rate)
        learning_rate = T.cast(learning_rate, theano.config.floatX)
    else:
        require_positive(learning_rate=learning_rate)
        learning_rate = python_number(learning_rate)  # of float64, the updates would be of float64 too
    gradients = T.grad(cost, params, consider_constant=consider_constant)
    return [(param, param - learning_rate * gradient) for param, gradient in zip(params, gradients)]


def number_of_examples(data):
    """Number of rows of a data set in a shared variable."""
    return shape_of(data)[0]


def number_of_minibatches(data, batch_size):
    """Number of whole minibatches of a data set; ValueError if there is none."""
    require_counts(batch_size=batch_size)
    n_examples = number_of_examples(data)
    if batch_size > n_examples:
        raise ValueError(f"batch_size is {batch_size}: expected at most {n_examples}, the number of training examples")
    return n_examples // batch_size


def with_arguments(function, **arguments):
    """A function of a minibatch index: ``function(index, **arguments)``.

    Parameters
    ----------
    function : function
        Compiled by Theano.
    """

    @functools.wraps(function, updated=())
    def step(index):
        return function(index, **arguments)

    return step


def in_order(function, n_updates, n_batches, epochs):
    """A function of a minibatch index that takes its minibatches in another order in each epoch.

    Parameters
    ----------
    function : function
        Compiled by Theano; called with the arrays of a minibatch.
    n_updates : shared variable, integer scalar
        Number of updates so far. ``function`` adds one, so that a checkpoint has it.
    n_batches : int
        Number of minibatches in an epoch.
    epochs : iterator
        Yields the minibatches of one epoch after the other: a list of tuples of arrays.
    """
    current = {"epoch": -1}

    @functools.wraps(function, updated=())
    def step(index):
        while current["epoch"] < int(n_updates.get_value()) // n_batches:  # from the first one, where a run goes on
            current["minibatches"] = next(epochs)
            current["epoch"] += 1
        return function(*current["minibatches"][index])

    return step


def minibatch(data, index, batch_size):
    """Rows ``index * batch_size`` up to ``(index + 1) * batch_size``, symbolic or not."""
    return data[index * batch_size : (index + 1) * batch_size]


def minibatch_function(inputs, outputs, data, batch_size, updates=None):
    """Compile a function of a minibatch index.

    The data stays in its shared variables. The function gets only the index.
    ``givens`` replaces each input by a slice of its data.

    Parameters
    ----------
    inputs : list of symbolic variables
        Inputs of ``outputs`` and ``updates``.
    outputs : symbolic variable, or list of them
    data : list of shared variables, or views of them
        The data of each input. A minibatch is some of its rows.
    batch_size : int
    updates : list of (shared variable, symbolic expression), or dict, optional

    Returns
    -------
    function
        ``function(index)``. The index starts at zero.

    Raises
    ------
    ValueError
        If the numbers of inputs and of data differ, or the batch size is below one.

    Examples
    --------
    >>> x = T.matrix("x")
    >>> data = theano.shared(np.arange(12, dtype=theano.config.floatX).reshape(6, 2))
    >>> minibatch_sum = minibatch_function([x], x.sum(), [data], batch_size=2)
    >>> [float(minibatch_sum(i)) for i in range(3)]
    [6.0, 22.0, 38.0]
    """
    require_counts(batch_size=batch_size)
    if len(inputs) != len(data):
        raise ValueError(f"{len(inputs)} inputs, {len(data)} data: expected as many")
    index = T.lscalar("index")
    givens = {variable: minibatch(rows, index, batch_size) for variable, rows in zip(inputs, data)}
    return theano.function([index], outputs, updates=updates, givens=givens)


def compile_functions(x, y, cost, errors, updates, datasets, batch_size):
    """Compile the functions that train, validate and test on a minibatch.

    Each is a :func:`minibatch_function`.

    Parameters
    ----------
    x, y : symbolic variables
        Inputs and labels in the graphs of ``cost`` and ``errors``.
    cost, errors : scalar symbolic variables
    updates : list of (shared variable, symbolic expression)
    datasets : list of three (inputs, labels) pairs
        Training, validation and test set, for instance of
        :func:`theano_tutorials.load_data`.
    batch_size : int

    Returns
    -------
    Functions

    Raises
    ------
    ValueError
        If the batch size is below one or above the size of the smallest set.
    """
    require_counts(batch_size=batch_size)
    sizes = [number_of_examples(data_x) for data_x, _ in datasets]
    if batch_size > min(sizes):
        raise ValueError(
            f"batch_size is {batch_size}: expected at most {min(sizes)}, the size of the smallest split "
            f"(train, validation, test: {', '.join(map(str, sizes))})"
        )
    train_set, valid_set, test_set = datasets
    with console.said_if_slow("Compiling"):
        return Functions(
            minibatch_function([x, y], cost, train_set, batch_size, updates),
            minibatch_function([x, y], errors, valid_set, batch_size),
            minibatch_function([x, y], errors, test_set, batch_size),
            *(size // batch_size for size in sizes),
        )


def evaluate(expression, inputs):
    """Compute the value of a symbolic expression on data, in one call.

    Parameters
    ----------
    expression : symbolic variable, or list of them
        For instance ``classifier.y_pred``.
    inputs : dict
        From symbolic inputs to data: an array, lists of numbers, or rows of a shared
        variable such as ``test_x[:20]``. Numbers get the dtype of the input. uint8 for
        an input of floats is divided by 256, as in :func:`theano_tutorials.read_data`.

    Returns
    -------
    numpy.ndarray, or list of them

    Raises
    ------
    ValueError
        If data has another number of dimensions than its input, is no array of numbers,
        or has values that the dtype of the input cannot hold.

    Examples
    --------
    >>> x = T.matrix("x")
    >>> evaluate(x.sum(axis=1), {x: np.ones((2, 3), dtype="float32")})
    array([3., 3.], dtype=float32)
    """
    givens = {variable: _in_dtype_of(variable, data) for variable, data in inputs.items()}
    return theano.function([], expression, givens=givens, on_unused_input="ignore")()


def _in_dtype_of(variable, data):
    if isinstance(data, theano.Variable):
        return data
    array = np.asarray(data)
    if array.dtype.kind not in "biuf" or array.ndim != variable.ndim:
        raise ValueError(
            f"data of dtype {array.dtype} and shape {array.shape} for {variable}: expected numbers in "
            f"{variable.ndim} dimensions"
        )
    if variable.dtype.startswith("float"):
        return array.astype(variable.dtype) / (BYTE_SCALE if array.dtype == np.uint8 else 1)
    converted = array.astype(variable.dtype)
    if not np.array_equal(converted, array):
        raise ValueError(
            f"data from {array.min()} to {array.max()} of dtype {array.dtype} for {variable}: expected whole numbers "
            f"that {variable.dtype} holds"
        )
    return converted


def mean_loss(function, n_batches):
    """Mean of ``function(i)`` over all minibatches."""
    return float(np.mean([function(i) for i in range(n_batches)]))


def train(functions, model, early_stopping, n_epochs, run=None):
    """Train until the patience or the number of epochs is reached.

    Prints the lines of the tutorials. At the end, the model has the parameters of
    the best validation. This is also true if a signal ends the training.

    Parameters
    ----------
    functions : Functions
    model : object with ``params``, a list of shared variables
        See :func:`theano_tutorials.runs.parameters.named_parameters`.
    early_stopping : EarlyStopping
    n_epochs : int
    run : theano_tutorials.runs.directory.Run, optional
        Keeps the results and the state of the training, from which it can resume.

    Returns
    -------
    TrainingResult

    Raises
    ------
    TrainingDiverged, TrainingInterrupted, TypeError, ValueError, OSError
        See :class:`theano_tutorials.runs.session.Session`.

    References
    ----------
    Deep Learning Tutorials, "Getting started", section Early-Stopping.
    """
    n_train_batches = int(functions.n_train_batches)
    validation_frequency = early_stopping.validation_frequency(n_train_batches)
    state = TrainingState(model, functions[:3], early_stopping)
    with Session(MAIN_PHASE, state, n_train_batches, n_epochs, run) as session:
        session.done = early_stopping.patience <= state.iteration - 1  # where a run goes on
        while session.epoch < n_epochs and not session.done:
            for minibatch_index in session.minibatches():
                iteration = (session.epoch - 1) * n_train_batches + minibatch_index
                session.note_cost(functions.train(minibatch_index), early_stopping.patience + 1)
                if (iteration + 1) % validation_frequency == 0:
                    loss = mean_loss(functions.validate, functions.n_valid_batches)
                    if loss < early_stopping.best_loss * early_stopping.improvement_threshold:
                        early_stopping.patience = max(
                            early_stopping.patience, iteration * early_stopping.patience_increase
                        )
                    session.record_validation(
                        minibatch_index + 1,
                        n_train_batches,
                        loss,
                        lambda: mean_loss(functions.test, functions.n_test_batches),
                        validation_frequency,
                        patience=early_stopping.patience,
                    )
                session.done = early_stopping.patience <= iteration
        result = session.result()
    print(console.summary(result), flush=True)
    return result


def pretrain(function, model, n_batches, n_epochs, run=None, phase="pretraining", monitored="cost", after_epoch=None):
    """Train for a number of epochs, without labels and validation.

    Autoencoders and RBMs are trained in this way. Prints one line for each epoch.
    Several calls can share one run: give each a phase of its own, and put them into
    one ``with run:`` block.

    Parameters
    ----------
    function : function
        A function of a minibatch index; see :func:`minibatch_function`. It updates
        the parameters and returns the monitored value, or a list of several.
    model : object with ``params``, a list of shared variables
        See :func:`theano_tutorials.runs.parameters.named_parameters`.
    n_batches : int
        Number of minibatches in an epoch.
    n_epochs : int
    run : theano_tutorials.runs.directory.Run, optional
        Keeps the results and the state of the training, from which it can resume.
    phase : str
        Name of this part of the training. It is part of the file names and of the
        printed lines. ``MAIN_PHASE`` for a training that has no other part: its files
        are ``metrics.csv`` and ``checkpoint.safetensors``.
    monitored : str, or tuple of str
        Name of the value that the function returns, for instance
        ``"pseudo-likelihood"``; or a name for each of several. The means over an
        epoch are printed and kept.
    after_epoch : function of int, optional
        Called with the number of each epoch when it is complete, before its
        checkpoint. After a kill it may be called for the same epoch again.

    Returns
    -------
    TrainingResult
        Its model has the parameters of the last epoch.

    Raises
    ------
    TrainingDiverged, TrainingInterrupted, TypeError, ValueError, OSError
        See :class:`theano_tutorials.runs.session.Session`.
    """
    require_counts(n_batches=n_batches)
    n_batches = int(n_batches)
    names = (monitored,) if isinstance(monitored, str) else tuple(monitored)
    state = TrainingState(model, [function])
    with Session(phase, state, n_batches, n_epochs, run) as session:
        while session.epoch < n_epochs:
            for minibatch_index in session.minibatches():
                session.note_cost(function(minibatch_index))
                if minibatch_index + 1 == n_batches:
                    values = dict(zip(names, np.atleast_1d(session.mean_cost(n_batches)).tolist()))
                    if after_epoch:
                        after_epoch(session.epoch)
                    session.record(
                        [console.pretraining_line("" if phase == MAIN_PHASE else phase, session.epoch, values)],
                        epoch=session.epoch,
                        iteration=state.iteration + 1,
                        **values,
                        seconds=session.seconds(),
                    )
        return session.result()
