"""What a run prints: the tutorials' own lines, and a progress bar on a terminal or in a notebook."""

import sys
import threading
import warnings
from contextlib import contextmanager

from tqdm import tqdm

_SLOW = 1.0  # seconds, after which it is said what takes them
_NARROW = 70  # columns; there the bar says less
_SHORT = "{percentage:3.0f}%|{bar}| {remaining}{postfix}"


def validation_lines(epoch, minibatch, n_minibatches, validation_loss, test_loss):
    """Lines of a validation; losses are fractions in [0, 1], that of the test None unless the model is the best."""
    where = f"epoch {epoch}, minibatch {minibatch}/{n_minibatches}"
    lines = [f"{where}, validation error {validation_loss * 100:f} %"]
    if test_loss is not None:
        lines.append(f"     {where}, test error of best model {test_loss * 100:f} %")
    return lines


def pretraining_line(phase, epoch, values):
    """Line of an epoch without validation; ``values`` are means by name, ``phase`` may be empty."""
    means = (f"{name} {value:f}" for name, value in values.items())
    return ", ".join([*filter(None, [phase]), f"epoch {epoch}", *means])


def evaluation_lines(validation_loss, test_loss):
    """Errors of a saved model; both are fractions in [0, 1]."""
    return f"validation error {validation_loss * 100:f} %\ntest error {test_loss * 100:f} %"


def best_line(result):
    """The best figures of a :class:`~theano_tutorials.TrainingResult`."""
    if not result.best_iteration:
        return "No validation was reached"
    return (
        f"Best validation score of {result.best_validation_loss * 100:f} % obtained at iteration "
        f"{result.best_iteration}, with test performance {result.test_loss * 100:f} %"
    )


def summary(result):
    """Closing lines of a run that came to its end."""
    return (
        f"Optimization complete. {best_line(result)}\n"
        f"The code ran for {result.n_epochs} epochs, with {result.n_epochs / result.seconds:.2f} epochs/sec"
    )


class _Bar(tqdm):
    @staticmethod
    def format_meter(n, total, elapsed, ncols=None, **options):
        if ncols is not None and ncols < _NARROW:
            options["bar_format"] = _SHORT
        return tqdm.format_meter(n, total, elapsed, ncols=ncols, **options)


class _ProgressBar:
    def __init__(self, bar):
        self._bar = bar

    def advance(self, cost, total):
        """Count one iteration of an expected total, and show its cost."""
        if not self._bar.disable:
            self._bar.total = int(total)
            self._bar.set_postfix_str(f"cost {cost:.4f}", refresh=False)
            self._bar.update()

    def show(self, lines):
        """Print lines above the bar."""
        for line in lines:
            tqdm.write(f"{line}\n", file=sys.stdout, end="")  # in one piece, whatever interrupts it
        sys.stdout.flush()


class _CellBar(_ProgressBar):
    def show(self, lines):
        """Put the lines into the one line of the bar, in the place of those before."""
        self._bar.set_description_str(", ".join(line.strip() for line in lines))


def in_notebook():
    """Whether this process runs the cells of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return shell is not None and "IPKernelApp" in shell.config


@contextmanager
def said_if_slow(what):
    """Print what is done if it takes more than a second and somebody looks on: on a terminal, or in a notebook."""
    stream = sys.stdout if in_notebook() else sys.stderr
    timer = threading.Timer(_SLOW, lambda: print(f"{what} ...", file=stream, flush=True))
    if in_notebook() or stream.isatty():
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def progress_bar(initial=0, what="training"):
    """Bar with iterations, from ``initial`` on, cost and time left; nothing in a pipe.

    In a notebook it has the lines of the validations, too: one line, and not one for each.
    """
    if in_notebook():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # without ipywidgets the bar is made of letters
            from tqdm.auto import tqdm as cell_bar
        with cell_bar(initial=initial, unit="it", desc=what) as bar:
            yield _CellBar(bar)
        return
    with _Bar(initial=initial, unit="it", desc=what, disable=None, leave=False, dynamic_ncols=True) as bar:
        yield _ProgressBar(bar)
