"""What a worker does: one training, in the folder of the search or, where that is not at hand, in its own."""

import contextlib
import inspect
import math
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import theano_tutorials
from theano_tutorials.runs.directory import CONFIG
from theano_tutorials.runs.session import TrainingDiverged, TrainingStopped
from theano_tutorials.runs.watching import watched

SETTINGS = "search.json"
OUTPUT = "output.txt"
COMPLETE, PRUNED, FAILED = "complete", "pruned", "failed"
_SECONDS_BETWEEN_SWITCHES = 0.1
_SECONDS_BETWEEN_TRIES = 1.0
_one_at_a_time = threading.Lock()  # in a process, whatever number of threads the cluster gives it


class Job(NamedTuple):
    """A trial, as it is sent to a worker."""

    search: str  # of all searches
    number: int
    function: str
    arguments: dict
    checksum: str
    folder: str  # of the search


class Outcome(NamedTuple):
    """What a worker sends back."""

    state: str
    value: float  # best validation loss, NaN without one
    test_loss: float
    best_iteration: int
    n_epochs: int
    seconds: float
    losses: list  # of the validations
    error: str
    files: dict  # by name, where the folder of the search is not at hand


class _Watcher:
    def __init__(self, checksum, report, is_to_stop):
        self.checksum, self.report, self.is_to_stop = checksum, report, is_to_stop

    def run_begins(self, run):
        if run.checksum != self.checksum:
            raise ValueError(
                f"this worker has another data set: its checksum is {run.checksum[:12]}..., expected "
                f"{self.checksum[:12]}...: copy the files of the data set to all machines"
            )

    def validated(self, number, loss):
        self.report(number, loss)
        return self.is_to_stop()


def stops_early(function):
    """Whether a ``train_*`` stops early: then it has a best validation error, which a search compares."""
    return "improvement_threshold" in inspect.signature(function).parameters


def name_of(number):
    """Name of the folder of a trial, in that of its search."""
    return f"trials/{number:04d}"


def run_job(job):
    """Train, from the last checkpoint if there is one.

    Parameters
    ----------
    job : Job

    Returns
    -------
    Outcome
    """
    from distributed import Event, get_worker

    worker = get_worker()
    pruned = Event(event_of(job.search, job.number))
    task = worker.get_current_task()
    watcher = _Watcher(
        job.checksum,
        lambda number, loss: worker.log_event(job.search, (job.number, number, loss)),
        lambda: _is_unwanted(worker, task) or pruned.is_set(),
    )
    is_at_hand = _is_folder_of(job)
    if is_at_hand:
        folder = Path(job.folder) / name_of(job.number)
    else:
        folder = Path(tempfile.gettempdir()) / f"theano_tutorials-{job.search}-{job.number}"
    folder.mkdir(parents=True, exist_ok=True)
    arguments = dict(job.arguments)
    sent = worker.plugins.get(job.search)
    if sent is not None and sent.data is not None:
        arguments["dataset"] = sent.data
    with (
        _one_at_a_time,
        _undisturbed(),
        watched(watcher),
        open(folder / OUTPUT, "a") as output,
        contextlib.redirect_stdout(output),
    ):
        outcome = _train(getattr(theano_tutorials, job.function), arguments, folder)
    if is_at_hand:
        return outcome
    files = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith((".", "checkpoint"))}
    shutil.rmtree(folder)
    return outcome._replace(files=files)


@contextlib.contextmanager
def _undisturbed():
    # The worker's other threads ask for Python's lock many times a second; see docs/search.md.
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SECONDS_BETWEEN_SWITCHES)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def event_of(search, number):
    """Name of the event that tells a worker to stop a trial."""
    return f"{search}-{number}"


def _is_unwanted(worker, task):
    # Since the search that waited for it is gone.
    state = worker.state.tasks.get(task)
    return state is None or state.state == "cancelled"


def _is_folder_of(job):
    try:
        return job.search in (Path(job.folder) / SETTINGS).read_text()
    except OSError:
        return False


def _train(function, arguments, folder):
    try:
        return _outcome(COMPLETE, _result(function, arguments, folder))
    except TrainingStopped as stop:
        return _outcome(PRUNED, stop.result, str(stop))
    except TrainingDiverged as divergence:
        return _outcome(FAILED, divergence.result, str(divergence))
    except (OSError, ValueError, TypeError, MemoryError, ImportError) as error:
        return Outcome(FAILED, math.nan, math.nan, 0, 0, 0.0, [], f"{error}" or type(error).__name__, {})


def _result(function, arguments, folder):
    while True:
        try:
            return function(**arguments, output_dir=folder, resume=(folder / CONFIG).exists())
        except FileExistsError:  # the same trial still runs in a worker that nobody waits for any more
            time.sleep(_SECONDS_BETWEEN_TRIES)


def _outcome(state, result, error=""):
    return Outcome(
        state,
        result.best_validation_loss,
        result.test_loss,
        result.best_iteration,
        result.n_epochs,
        result.seconds,
        [float(loss) for loss in result.history.get("validation_error", ())],
        error,
        {},
    )
