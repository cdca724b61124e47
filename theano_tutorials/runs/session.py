"""What goes on around the loop of a training: progress, signals, divergence and checkpoints.

A loop asks a :class:`Session` for its minibatches, and tells it what they cost and
which metrics came of them. The session does everything else between two of them.
"""

import math
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass

from theano_tutorials.checks import require_counts
from theano_tutorials.runs import console
from theano_tutorials.runs.directory import NO_RUN
from theano_tutorials.runs.signals import signals_noted


@dataclass
class TrainingResult:
    """What a training reached.

    Attributes
    ----------
    best_validation_loss, test_loss : float
        Fractions of misclassified examples, in [0, 1], of the best model;
        infinite and NaN where no validation took place.
    best_iteration : int
        Parameter updates made when the best model was seen, 0 before.
    n_epochs : int
        Epochs begun.
    seconds : float
        Wall-clock time of the loop, without interruptions.
    model : object
        The trained model, its parameters those of the best validation, or the
        last ones where there is none.
    """

    best_validation_loss: float
    test_loss: float
    best_iteration: int
    n_epochs: int
    seconds: float
    model: object = None


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


class Session:
    """One phase of a training, from where its checkpoint stands to its end.

    Parameters
    ----------
    phase : str
        Its name among the phases of the run.
    state : TrainingState
    n_batches : int
        Minibatches of an epoch.
    n_epochs : int
        Epochs, counted from the beginning of the phase.
    run : Run, optional
        Keeps results and state.

    Attributes
    ----------
    epoch : int
        Epochs begun; at the start of a ``with`` block those that are complete.
    done : bool
        Set by the loop where it shall end before its last epoch.

    Raises
    ------
    TrainingDiverged
        If the cost of a minibatch is NaN or infinite.
    TrainingInterrupted
        If SIGINT (Ctrl-C) or SIGTERM arrives: after the minibatch and a checkpoint.
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
        self.epoch = 0
        self.done = False

    def __enter__(self):
        with ExitStack() as stack:
            stack.enter_context(self._run)
            self._seconds_before = self._run.restore(self._phase, self._state)
            stack.callback(self._state.restore_best_parameters)
            self._started = time.perf_counter()
            self.epoch = self._state.iteration // self._n_batches
            self._signals = stack.enter_context(signals_noted())
            self._bar = stack.enter_context(console.progress_bar(self._state.iteration))
            self._leave = stack.pop_all()
        return self

    def __exit__(self, *exception):
        with self._leave:
            if self._has_advanced and exception[0] is None:
                self._save()

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
                raise TrainingInterrupted(self._signals[0], self.result())
            if self._has_news and self._run.is_due():
                self._save()

    def _save(self):
        self._run.save(self._phase, self._state, self.seconds())
        self._has_news = False

    def note_cost(self, cost, expected_end=math.inf):
        """Take note of what a minibatch costs.

        Parameters
        ----------
        cost : float or numpy.ndarray without dimensions
        expected_end : float
            Minibatches after which the loop would end before its last epoch.
        """
        cost = float(cost)
        state = self._state
        if not math.isfinite(cost):
            self._run.save_results(self._phase, state)
            raise TrainingDiverged(
                f"the cost is {cost} at iteration {state.iteration + 1} (epoch {self.epoch}): lower the learning rate",
                self.result(),
            )
        state.cost_sum += cost
        self._bar.advance(cost, min(self._last_iteration, expected_end))

    def mean_cost(self, n_minibatches):
        """Mean cost of the minibatches since the last call; the loop knows how many there were."""
        total, self._state.cost_sum = self._state.cost_sum, 0.0
        return total / n_minibatches

    def record(self, lines, **metrics):
        """Print lines, and keep a row of metrics: numbers by name, None where there is none."""
        for line in lines:
            self._bar.write(line)
        self._run.record(self._phase, metrics)
        self._has_news = True

    def seconds(self):
        """Time of the phase so far, rounded to milliseconds, without interruptions."""
        return round(self._seconds_before + time.perf_counter() - self._started, 3)

    def result(self):
        """What has been reached: a :class:`TrainingResult`."""
        early_stopping = self._state.early_stopping
        return TrainingResult(
            best_validation_loss=early_stopping.best_loss if early_stopping else math.inf,
            test_loss=self._state.test_loss,
            best_iteration=early_stopping.best_iteration if early_stopping else 0,
            n_epochs=math.ceil(self._state.iteration / self._n_batches),
            seconds=self._seconds_before + time.perf_counter() - self._started,
            model=self._state.model,
        )
