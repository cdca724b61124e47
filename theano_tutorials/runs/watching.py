"""What goes on in a training, told to whoever called it from outside: a search, for instance."""

from contextlib import contextmanager
from contextvars import ContextVar

_watcher = ContextVar("watcher", default=None)


@contextmanager
def watched(watcher):
    """Tell a watcher about the trainings that begin within the block.

    Parameters
    ----------
    watcher : object
        Its ``run_begins(run)`` is called when the arguments have been checked and the functions
        are compiled; what it raises ends the training. Its ``validated(number, loss)`` is called
        after each validation, with its number in this phase, from one on, and the loss, a
        fraction in [0, 1]; the training stops if it returns True.
    """
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def run_begins(run):
    """Tell the watcher, if there is one, about a run."""
    watcher = _watcher.get()
    if watcher is not None:
        watcher.run_begins(run)


def validated(number, loss):
    """Tell the watcher, if there is one, about a validation; whether it wants the training to stop."""
    watcher = _watcher.get()
    return watcher is not None and bool(watcher.validated(number, loss))
