"""What goes on around the loop of a training: progress, signals, divergence and checkpoints.

A loop asks a :class:`Session` for its minibatches, and tells it what they cost and
which metrics came of them. The session does everything else between two of them.
"""

import math
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from theano_tutorials.checks import require_counts
from theano_tutorials.runs import console, watching
from theano_tutorials.runs.directory import MAIN_PHASE, NO_RUN, column
from theano_tutorials.runs.signals import signals_noted


@dataclass
class TrainingResult:
    """The result of a training.

    Attributes
    ----------
    best_validation_loss, test_loss : float
        Fractions of misclassified examples of the best model, in [0, 1]. Without
        a validation they are infinite and NaN.
    best_iteration : int
        Number of parameter updates up to the best validation; 0 without one.
    n_epochs : int
        Number of epochs that were begun.
    seconds : float
        Wall-clock time of the loop, without interruptions.
    model : object
        The trained model, with the parameters of the best validation. Without a
        validation, it has the last parameters.
    history : dict of str to numpy.ndarray
        The rows of ``metrics.csv``, with a run directory or without: an array for each
        column, NaN where a row has no number. :func:`theano_tutorials.train` has
        ``epoch``, ``iteration``, ``cost`` (mean since the last validation),
        ``validation_error`` and ``test_error`` (fractions in [0, 1]), ``seconds`` and
        ``patience`` (iterations). ``pandas.DataFrame(result.history)`` makes a table of it.
    """

    best_validation_loss: float
    test_loss: float
    best_iteration: int
    n_epochs: int
    seconds: float
    model: object = None
    history: dict = field(default_factory=dict, repr=False, compare=False)

    def plot(self):
        """Draw the errors against the iterations.

        Returns
        -------
        matplotlib.figure.Figure
            A cell of a notebook shows it; ``savefig`` writes it to a file.

        Raises
        ------
        ValueError
            If the training had no validation.
        """
        from theano_tutorials.runs import plots  # here, since matplotlib would delay every start

        if "validation_error" not in self.history:
            raise ValueError(f"the history has {', '.join(self.history) or 'no rows'}: expected validation_error")
        return plots.learning_curve(*(self.history[name] for name in ("iteration", "validation_error", "test_error")))


class TrainingDiverged(ArithmeticError):
    """The cost became NaN or infinite. The model has its best parameters so far.

    Attributes
    ----------
    result : TrainingResult
        The result up to there.
    """

    def __init__(self, message, result):
        super().__init__(message)
        self.result = result


class TrainingInterrupted(KeyboardInterrupt):
    """A signal ended the training. The model has its best parameters so far.

    The message says how far it came, and how to go on. In a notebook, ``sys.last_value``
    is the exception of the cell that was interrupted.

    Attributes
    ----------
    signal : signal.Signals
        SIGINT (Ctrl-C) or SIGTERM.
    result : TrainingResult
        The result up to there.
    """

    def __init__(self, number, result, resumable):
        how = "call it again with resume=True" if resumable else "only a training with output_dir=... can be resumed"
        super().__init__(
            f"interrupted in epoch {result.n_epochs}. {console.best_line(result)}. The result up to there is the "
            f"attribute result of this exception (sys.last_value.result). To go on: {how}"
        )
        self.signal = signal.Signals(number)
        self.result = result


class TrainingStopped(Exception):
    """Who watches the training stopped it. The run directory has its curve, and can be resumed.

    Attributes
    ----------
    result : TrainingResult
        The result up to there.
    """

    def __init__(self, result):
        super().__init__(f"stopped in epoch {result.n_epochs}. {console.best_line(result)}")
        self.result = result


class Session:
    """One phase of a training, from its checkpoint to its end.

    Parameters
    ----------
    phase : str
        Name of the phase.
    state : TrainingState
    n_batches : int
        Number of minibatches in an epoch.
    n_epochs : int
        Number of epochs, counted from the beginning of the phase.
    run : Run, optional
        Keeps results and state.

    Attributes
    ----------
    epoch : int
        Number of epochs that were begun. At the start of a ``with`` block, the
        number of complete epochs.
    done : bool
        The loop sets it to end before its last epoch.

    Raises
    ------
    TrainingDiverged
        If the cost of a minibatch is NaN or infinite.
    TrainingInterrupted
        If SIGINT (Ctrl-C) or SIGTERM arrives. Raised after the current minibatch
        and a checkpoint.
    TrainingStopped
        If a watcher says so after a validation. Raised after a checkpoint.
    TypeError
        If a run cannot keep what the functions update.
    ValueError
        If ``n_epochs`` is below one, or the checkpoint is damaged or of another model.
    OSError
        If the run directory cannot be read or written.
    """

    def __init__(self, phase, state, n_batches, n_epochs, run=None):
        require_counts(n_epochs=n_epochs)
        self._phase = phase
        self._state = state
        self._n_batches = n_batches
        self._last_iteration = n_epochs * n_batches
        self._run = run or NO_RUN
        self._has_advanced = False
        self._has_news = False  # rows of metrics that no checkpoint has
        self._is_stopped = False
        self.epoch = 0
        self.done = False

    def __enter__(self):
        with ExitStack() as stack:
            stack.enter_context(self._run)
            self._seconds_before = self._run.restore(self._phase, self._state)
            stack.callback(self._state.restore_best_parameters)
            self._rows = list(self._run.rows(self._phase))
            self._started = time.perf_counter()
            self.epoch = self._state.iteration // self._n_batches
            self._signals = stack.enter_context(signals_noted())
            what = "training" if self._phase == MAIN_PHASE else self._phase
            self._bar = stack.enter_context(console.progress_bar(self._state.iteration, what))
            self._leave = stack.pop_all()
        return self

    def __exit__(self, *exception):
        with self._leave:
            if exception[0] is not None:
                return
            if self._has_advanced:
                self._save()
            if self._signals and self._phase != MAIN_PHASE:  # others follow, which would not know of it
                raise TrainingInterrupted(self._signals[0], self.result(), self._run.folder is not None)

    def minibatches(self):
        """Indices of an epoch's minibatches, from the first that has not been trained on to the end of the loop."""
        state = self._state
        self.epoch += 1
        for index in range(state.iteration % self._n_batches, self._n_batches):
            yield index
            state.iteration += 1
            self._has_advanced = True
            if self.done or state.iteration >= self._last_iteration:
                return
            if self._signals:
                self._save()
                raise TrainingInterrupted(self._signals[0], self.result(), self._run.folder is not None)
            if self._is_stopped:
                self._save()
                raise TrainingStopped(self.result())
            if self._has_news and self._run.is_due():
                self._save()

    def _save(self):
        self._run.save(self._phase, self._state, self.seconds())
        self._has_news = False

    def note_cost(self, cost, expected_end=math.inf):
        """Add the cost of a minibatch to the sum, and advance the progress bar.

        Parameters
        ----------
        cost : float or numpy.ndarray without dimensions, or a list of them
            Of several, the bar shows the first.
        expected_end : float
            Number of minibatches after which the loop will end by itself.
        """
        costs = [float(one) for one in cost] if isinstance(cost, list) else [float(cost)]
        state = self._state
        if not all(map(math.isfinite, costs)):
            self._run.save_results(self._phase, state)
            raise TrainingDiverged(
                f"the cost is {costs[0] if len(costs) == 1 else costs} at iteration {state.iteration + 1} "
                f"(epoch {self.epoch}): lower the learning rate",
                self.result(),
            )
        if len(costs) == 1:
            state.cost_sum += costs[0]
        else:
            state.cost_sum = [total + one for total, one in zip(state.cost_sum or [0.0] * len(costs), costs)]
        self._bar.advance(costs[0], min(self._last_iteration, expected_end))

    def mean_cost(self, n_minibatches):
        """Mean cost of the minibatches since the last call, or means. The loop knows their number."""
        total, self._state.cost_sum = self._state.cost_sum, 0.0
        return [one / n_minibatches for one in total] if isinstance(total, list) else total / n_minibatches

    def record(self, lines, **metrics):
        """Print lines, and keep a row of metrics: numbers by name, None for a missing number."""
        self._bar.show(lines)
        self._rows.append(metrics)
        self._run.record(self._phase, metrics)
        self._has_news = True

    def record_validation(self, minibatch, n_minibatches, loss, test, n_since, **metrics):
        """Compare a validation loss with the best one, print it, and keep a row of metrics.

        A model that is better is tested, and its parameters are kept.

        Parameters
        ----------
        minibatch, n_minibatches : int
            Number of the minibatch in its epoch, from one on, and of all, as they are printed.
        loss : float
            Validation loss, a fraction in [0, 1].
        test : function
            Returns the test loss.
        n_since : int
            Number of costs since the last validation; their mean is recorded.
        **metrics : int or float
            More columns of the row.
        """
        state, early_stopping = self._state, self._state.early_stopping
        iteration = state.iteration + 1
        test_loss = None
        if loss < early_stopping.best_loss:
            early_stopping.best_loss, early_stopping.best_iteration = loss, iteration
            test_loss = state.test_loss = test()
            state.keep_parameters()
        self.record(
            console.validation_lines(self.epoch, minibatch, n_minibatches, loss, test_loss),
            epoch=self.epoch,
            iteration=iteration,
            cost=self.mean_cost(n_since),
            validation_error=loss,
            test_error=test_loss,
            seconds=self.seconds(),
            **metrics,
        )
        self._is_stopped = watching.validated(len(self._rows), loss)

    def seconds(self):
        """Time of the phase so far, rounded to milliseconds, without interruptions."""
        return round(self._seconds_before + time.perf_counter() - self._started, 3)

    def result(self):
        """The result so far: a :class:`TrainingResult`."""
        early_stopping = self._state.early_stopping
        return TrainingResult(
            best_validation_loss=early_stopping.best_loss if early_stopping else math.inf,
            test_loss=self._state.test_loss,
            best_iteration=early_stopping.best_iteration if early_stopping else 0,
            n_epochs=math.ceil(self._state.iteration / self._n_batches),
            seconds=self._seconds_before + time.perf_counter() - self._started,
            model=self._state.model,
            history={name: column(self._rows, name) for name in (self._rows[0] if self._rows else ())},
        )
