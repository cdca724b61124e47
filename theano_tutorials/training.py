"""Minibatch stochastic gradient descent with early stopping, for any of the models.

A tutorial joins three pieces of this module: :func:`sgd_updates` turns a cost
into parameter updates, :func:`compile_functions` turns cost, errors and updates
into three Theano functions of a minibatch index, and :func:`train` calls them in
the order of the patience loop.
"""

import math
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Callable, NamedTuple

import numpy as np
import theano
import theano.tensor as T

from theano_tutorials import reporting
from theano_tutorials.checkpoint import named_parameters
from theano_tutorials.checks import require_counts, require_positive, shape_of


class TrainingDiverged(ArithmeticError):
    """The cost became NaN or infinite; the model holds its best parameters so far.

    Attributes
    ----------
    result : TrainingResult
        What was reached before.
    """

    def __init__(self, message, result):
        super().__init__(message)
        self.result = result


class TrainingInterrupted(KeyboardInterrupt):
    """A signal ended the training; the model holds its best parameters so far.

    Attributes
    ----------
    signal : signal.Signals
        SIGINT (Ctrl-C) or SIGTERM.
    result : TrainingResult
        What was reached before.
    """

    def __init__(self, number, result):
        super().__init__()
        self.signal = signal.Signals(number)
        self.result = result


@dataclass
class TrainingResult:
    """What a training run reached.

    Attributes
    ----------
    best_validation_loss, test_loss : float
        Fractions of misclassified examples, in [0, 1], of the best model;
        infinite and NaN where no validation took place.
    best_iteration : int
        Parameter updates made when the best model was seen.
    n_epochs : int
        Epochs begun.
    seconds : float
        Wall-clock time of the loop.
    model : object
        The trained classifier, its parameters those of the best model.
    """

    best_validation_loss: float
    test_loss: float
    best_iteration: int
    n_epochs: int
    seconds: float
    model: object = None


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
    """The patience rule: how long to go on without a marked improvement.

    Parameters
    ----------
    patience : int
        Look at this many minibatches regardless; at least 2.
    patience_increase : float
        A marked improvement at iteration ``i`` extends the patience to
        ``i * patience_increase``; at least 1.
    improvement_threshold : float
        An improvement is marked if the loss falls below this fraction of the
        best loss, in (0, 1].

    Attributes
    ----------
    best_loss : float
        Lowest validation loss so far, infinite before the first.
    best_iteration : int
        Iteration (from zero) of that loss, -1 before the first.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> stopping = EarlyStopping(patience=10)
    >>> stopping.update(iteration=8, loss=0.5)
    True
    >>> stopping.patience
    16
    >>> stopping.should_stop(iteration=16)
    True

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
        self.patience = patience
        self.patience_increase = patience_increase
        self.improvement_threshold = improvement_threshold
        self.best_loss = math.inf
        self.best_iteration = -1

    def validation_frequency(self, n_train_batches):
        """Minibatches between two validations: at least two fit into the patience."""
        return int(min(n_train_batches, self.patience // 2))

    def update(self, iteration, loss):
        """Take note of a validation loss; return whether it is the best so far."""
        if not loss < self.best_loss:
            return False
        if loss < self.best_loss * self.improvement_threshold:
            self.patience = max(self.patience, iteration * self.patience_increase)
        self.best_loss = loss
        self.best_iteration = iteration
        return True

    def should_stop(self, iteration):
        """Whether the patience is used up at this iteration."""
        return self.patience <= iteration


def sgd_updates(cost, params, learning_rate):
    """Updates of one step of gradient descent.

    Parameters
    ----------
    cost : scalar symbolic variable
    params : list of shared variables
    learning_rate : float
        Positive and finite.

    Returns
    -------
    list of (shared variable, symbolic expression)
        ``param - learning_rate * d cost / d param`` for each parameter, ready
        for the ``updates`` of ``theano.function``.

    Raises
    ------
    ValueError
        If the learning rate is not positive and finite.
    """
    require_positive(learning_rate=learning_rate)
    gradients = T.grad(cost, params)
    return [(param, param - learning_rate * gradient) for param, gradient in zip(params, gradients)]


def number_of_examples(data_x):
    """Rows of a data set in a shared variable."""
    return shape_of(data_x)[0]


def minibatch(data, index, batch_size):
    """Rows ``index * batch_size`` up to ``(index + 1) * batch_size``, symbolic or not."""
    return data[index * batch_size : (index + 1) * batch_size]


def compile_functions(x, y, cost, errors, updates, datasets, batch_size):
    """Compile the functions that train, validate and test on a minibatch.

    The data stays in its shared variables; each function takes a minibatch
    index only, and ``givens`` puts the slice in the place of ``x`` and ``y``.

    Parameters
    ----------
    x, y : symbolic variables
        Inputs and labels from which ``cost`` and ``errors`` are built.
    cost, errors : scalar symbolic variables
    updates : list of (shared variable, symbolic expression)
    datasets : list of three (inputs, labels) pairs
        As :func:`theano_tutorials.datasets.load_data` returns them.
    batch_size : int

    Returns
    -------
    Functions

    Raises
    ------
    ValueError
        If the batch size is below one or beyond the smallest split.
    """
    require_counts(batch_size=batch_size)
    sizes = [number_of_examples(data_x) for data_x, _ in datasets]
    if batch_size > min(sizes):
        raise ValueError(
            f"batch_size is {batch_size}: expected at most {min(sizes)}, the size of the smallest split "
            f"(train, validation, test: {', '.join(map(str, sizes))})"
        )
    index = T.lscalar("index")

    def bound_to(data_x, data_y):
        return {x: minibatch(data_x, index, batch_size), y: minibatch(data_y, index, batch_size)}

    train_set, valid_set, test_set = datasets
    return Functions(
        theano.function([index], cost, updates=updates, givens=bound_to(*train_set)),
        theano.function([index], errors, givens=bound_to(*valid_set)),
        theano.function([index], errors, givens=bound_to(*test_set)),
        *(size // batch_size for size in sizes),
    )


def evaluate(expression, inputs):
    """Value of a symbolic expression over data, in one call.

    Parameters
    ----------
    expression : symbolic variable, or list of them
        For instance ``classifier.y_pred``.
    inputs : dict
        Symbolic input to the data put in its place: an array, or rows of a
        shared variable such as ``test_x[:20]``.

    Returns
    -------
    numpy.ndarray, or list of them

    Examples
    --------
    >>> x = T.matrix("x")
    >>> evaluate(x.sum(axis=1), {x: np.ones((2, 3), dtype="float32")})
    array([3., 3.], dtype=float32)
    """
    return theano.function([], expression, givens=inputs, on_unused_input="ignore")()


def mean_loss(function, n_batches):
    """Mean of ``function(i)`` over all minibatches."""
    return float(np.mean([function(i) for i in range(n_batches)]))


class TrainingState:
    """Where a training stands between two minibatches; a checkpoint holds all of it.

    Parameters
    ----------
    model : object with ``params``, a list of shared variables
    early_stopping : EarlyStopping
    rng : numpy.random.RandomState or None
        The generator that drew the parameters.

    Attributes
    ----------
    iteration : int
        Minibatches trained on.
    cost_sum : float
        Sum of their costs since the last validation.
    test_loss : float
        Fraction of test errors of the best model, NaN before the first validation.
    finished : bool
        Whether patience or epochs are used up.
    best_values : dict of str to numpy.ndarray
        Parameters of the best validation by name, at first the initial ones.
    """

    _COUNTERS = ("iteration", "cost_sum", "test_loss", "finished")
    _OF_EARLY_STOPPING = ("patience", "best_loss", "best_iteration")

    def __init__(self, model, early_stopping, rng=None):
        self.model = model
        self.early_stopping = early_stopping
        self.rng = rng
        self.iteration = 0
        self.cost_sum = 0.0
        self.test_loss = math.nan
        self.finished = False
        self.keep_parameters()

    def keep_parameters(self):
        """Take the current parameters as the best."""
        self.best_values = {name: param.get_value() for name, param in named_parameters(self.model).items()}

    def counters(self):
        """All numbers by name."""
        own = {name: getattr(self, name) for name in self._COUNTERS}
        return {**own, **{name: getattr(self.early_stopping, name) for name in self._OF_EARLY_STOPPING}}

    def set_counters(self, counters):
        """Undo :meth:`counters`."""
        for name in self._COUNTERS:
            setattr(self, name, counters[name])
        for name in self._OF_EARLY_STOPPING:
            setattr(self.early_stopping, name, counters[name])


@contextmanager
def _signals_noted():
    """List that SIGINT and SIGTERM are put into; a second signal acts as it did before."""
    noted = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def note(number, _):
        noted.append(number)
        restore()

    def restore():
        for number, handler in before.items():
            signal.signal(number, handler)

    # What is ignored stays so, as under nohup.
    caught = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in caught}
    try:
        yield noted
    finally:
        restore()


def train(functions, model, early_stopping, n_epochs, run=None, rng=None):
    """Train until the patience or the epochs are used up.

    Prints the tutorials' lines as it goes. At the end, and also when it is
    stopped early, the model's parameters are those of the best validation.

    Parameters
    ----------
    functions : Functions
    model : LogisticRegression, MLP or LeNet5
    early_stopping : EarlyStopping
    n_epochs : int
    run : theano_tutorials.run.Run, optional
        Keeps the results, and the state from which a later run goes on.
    rng : numpy.random.RandomState, optional
        The generator that drew the parameters, kept with the state.

    Returns
    -------
    TrainingResult

    Raises
    ------
    TrainingDiverged
        If the cost of a minibatch is NaN or infinite.
    TrainingInterrupted
        If SIGINT (Ctrl-C) or SIGTERM arrives: after the minibatch and a checkpoint.
    ValueError
        If ``n_epochs`` is below one, or the checkpoint is damaged or of another model.
    OSError
        If the run directory cannot be read or written.
    """
    require_counts(n_epochs=n_epochs)
    n_train_batches = functions.n_train_batches
    last_iteration = n_epochs * n_train_batches
    validation_frequency = early_stopping.validation_frequency(n_train_batches)
    state = TrainingState(model, early_stopping, rng)
    seconds_before = 0.0
    start = time.perf_counter()

    def seconds():
        return seconds_before + time.perf_counter() - start

    def result():
        return TrainingResult(
            best_validation_loss=early_stopping.best_loss,
            test_loss=state.test_loss,
            best_iteration=early_stopping.best_iteration + 1,
            n_epochs=math.ceil(state.iteration / n_train_batches),
            seconds=seconds(),
            model=model,
        )

    try:
        if run is not None:
            run.begin()
            if run.restore(state):
                seconds_before = run.seconds_before
        with _signals_noted() as signals, reporting.progress_bar(state.iteration) as bar:
            while not state.finished:
                iteration = state.iteration
                epoch, batch = divmod(iteration, n_train_batches)
                cost = float(functions.train(batch))
                if not math.isfinite(cost):
                    if run is not None:
                        run.save_results(state)
                    raise TrainingDiverged(
                        f"the cost is {cost} at iteration {iteration + 1} (epoch {epoch + 1}): lower the learning rate",
                        result(),
                    )
                state.cost_sum += cost
                state.iteration += 1
                bar.advance(cost, min(last_iteration, early_stopping.patience + 1))
                validates = state.iteration % validation_frequency == 0
                if validates:
                    loss = mean_loss(functions.validate, functions.n_valid_batches)
                    position = (epoch + 1, batch + 1, n_train_batches)
                    bar.write(reporting.validation_line(*position, loss))
                    is_best = early_stopping.update(iteration, loss)
                    if is_best:
                        state.keep_parameters()
                        state.test_loss = mean_loss(functions.test, functions.n_test_batches)
                        bar.write(reporting.test_line(*position, state.test_loss))
                    if run is not None:
                        run.record(
                            epoch=epoch + 1,
                            iteration=state.iteration,
                            cost=state.cost_sum / validation_frequency,
                            validation_error=loss,
                            test_error=state.test_loss if is_best else "",
                            seconds=f"{seconds():.3f}",
                            patience=early_stopping.patience,
                        )
                    state.cost_sum = 0.0
                state.finished = early_stopping.should_stop(iteration) or state.iteration == last_iteration
                if run is not None:
                    if state.finished or signals:
                        run.save(state)
                    elif validates:
                        run.save_if_due(state)
                if signals and not state.finished:
                    raise TrainingInterrupted(signals[0], result())
    finally:
        for name, param in named_parameters(model).items():
            param.set_value(state.best_values[name])
        if run is not None:
            run.close()
    ending = result()
    print(reporting.summary(ending), flush=True)
    if run is not None:
        run.draw(state)
    return ending
