"""The directory of a run: its configuration, its results, and the state from which it resumes.

===============================  ==================================================
``config.json``                  model, hyper-parameters, data checksum, versions
``metrics.csv``                  one row for each validation, or for each epoch
``best_model.safetensors``       parameters of the best validation, or the last ones
``checkpoint.safetensors``       state from which ``resume`` continues
``seconds.json``                 time of each phase up to its checkpoint
``*.png``                        the figures of the tutorial
===============================  ==================================================

A training may have several phases. For instance, each layer of a stack is pretrained
in a phase of its own. The phase of :func:`theano_tutorials.train` has the file names
above. Every other phase has ``metrics-<phase>.csv`` and
``checkpoint-<phase>.safetensors``.

Every file is replaced atomically. The safetensors files contain no times. So equal
runs give equal files.
"""

import csv
import hashlib
import io
import json
import math
import platform
import re
import subprocess
import tempfile
import time
from importlib import metadata
from pathlib import Path

import filelock
import numpy as np
import theano
from theano.compile import SharedVariable
from theano.gof import Variable

from theano_tutorials.runs import watching
from theano_tutorials.runs.parameters import describe
from theano_tutorials.runs.tensors import read_tensors, remove_unfinished, write_atomically, write_tensors

CONFIG = "config.json"
METRICS = "metrics.csv"
BEST_MODEL = "best_model.safetensors"
CHECKPOINT = "checkpoint.safetensors"
SECONDS = "seconds.json"
MAIN_PHASE = "train"
LOCK = ".lock"
_SECONDS_BETWEEN_CHECKPOINTS = 1.0
# Where a run is kept and how long it trains does not make it another one.
_NOT_HYPERPARAMETERS = ("dataset", "output_dir", "resume", "overwrite", "tensorboard")
_HOW_LONG = "n_epochs"
_VERSIONS_OF = ("theano_tutorials", "numpy", "scipy", "scipy-openblas32")
_OWN_FILES = ("checkpoint*.safetensors", "metrics*.csv", BEST_MODEL, SECONDS)  # of all phases
_FIGURES_OF_0_1 = ("learning_curve.png", "filters.png", "confusion.png", "mistakes.png")
_NOT_ON_A_CURVE = ("epoch", "iteration", "seconds")


def checksum(data):
    """sha256 over the bytes of all arrays of a data set, as hexadecimal digits.

    Parameters
    ----------
    data : array, symbolic variable of known value, or list or tuple of them
        Lists may be nested. For instance the result of
        :func:`theano_tutorials.load_data`.
    """
    digest = hashlib.sha256()
    _add_to_checksum(digest, data)
    return digest.hexdigest()


def _add_to_checksum(digest, data):
    if isinstance(data, (list, tuple)):
        for part in data:
            _add_to_checksum(digest, part)
        return
    if isinstance(data, SharedVariable):
        data = data.get_value(borrow=True)
    elif isinstance(data, Variable):
        data = data.eval()
    digest.update(np.ascontiguousarray(data))


def acquire(lock):
    """Lock a folder by its file ``LOCK``, or raise FileExistsError at once.

    Parameters
    ----------
    lock : filelock.FileLock

    Returns
    -------
    context manager
        Releases the lock.
    """
    try:
        return lock.acquire(timeout=0)
    except filelock.Timeout:
        folder = Path(lock.lock_file).parent
        raise FileExistsError(f"{folder} is in use by another process: wait for it, or choose another folder") from None


def require_same(folder, then, now):
    """Raise ValueError if what a folder was begun with, a dict, is not what it is resumed with."""
    differences = [
        f"{name} was {then.get(name)!r}, is {now.get(name)!r}"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]
    if differences:
        raise ValueError(f"{folder} cannot be resumed: {'; '.join(differences)}")


def _git_revision():
    """Commit of the checkout that this library runs from, None for an installed one."""
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _require_writable(folder):
    """Raise OSError unless a file can be made in the folder, or in the one that it will be made in."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        raise OSError(f"{folder} cannot be written ({error.strerror}): choose another folder") from error


def _tensorboard_writer():
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ImportError("tensorboardX is not installed: pip install 'theano_tutorials[tensorboard]'") from error
    return SummaryWriter


def open_run(output_dir, model, arguments, data, resume=False, overwrite=False, tensorboard=False):
    """Open a directory in which a training keeps its results.

    Parameters
    ----------
    output_dir : path or None
        Directory of the run: metrics, best model, checkpoint and figures.
    model : str
        Name of the tutorial.
    arguments : dict
        Arguments of the ``train_*`` function by name: the hyper-parameters and
        ``dataset``. The arguments of ``open_run`` may be in it; they are left out.
    data : list
        The data set. See ``checksum``.
    resume : bool
        Continue the run in this directory from its last checkpoint.
    overwrite : bool
        Replace the run in this directory with a new one.
    tensorboard : bool
        Also write TensorBoard event files to this directory.

    Returns
    -------
    Run
        If ``output_dir`` is None, it keeps nothing.

    Raises
    ------
    ValueError
        If both ``resume`` and ``overwrite`` are True, or if the run was made with
        other data or hyper-parameters. The message lists the differences. Only
        the number of epochs may change.
    OSError
        If the directory cannot be written, if another process uses it, or if it
        holds a run and neither ``resume`` nor ``overwrite`` is True.
    ImportError
        If ``tensorboard`` is True and tensorboardX is not installed.
    """
    if resume and overwrite:
        raise ValueError("resume and overwrite exclude each other: give one of them")
    if output_dir is None:
        if resume or overwrite or tensorboard:
            raise ValueError("resume, overwrite and tensorboard need the directory of a run: give output_dir")
        return NO_RUN
    return Run(Path(output_dir), model, arguments, data, resume, overwrite, tensorboard)


def _as_json_has_it(value):
    # JSON has no tuples, and knows nothing of NumPy; of what it has no form for, the text is kept.
    return json.loads(json.dumps(value, default=lambda other: getattr(other, "tolist", other.__str__)()))


def _number(text):
    # One type for a row, whether it is fresh or read: empty where there is no number.
    if text == "":
        return None
    try:
        return int(text)
    except ValueError:
        return float(text)


def _of_phase(name, phase):
    stem, _, suffix = name.partition(".")
    return name if phase == MAIN_PHASE else f"{stem}-{phase}.{suffix}"


def column(rows, name):
    """Numbers of a column of metrics, NaN where a row has none: numpy.ndarray, (n_rows,)."""
    return np.array([np.nan if row[name] is None else row[name] for row in rows])


class Run:
    """The directory of a run, checked by :func:`open_run`.

    A ``with`` block locks the directory. The first block creates it; until then,
    nothing is written. Blocks may be nested: one block around several phases, and
    in it one block for each phase.
    """

    def __init__(self, folder, model, arguments, data, resume, overwrite, tensorboard):
        self._event_writer_class = _tensorboard_writer() if tensorboard else None
        self._events = None
        self.folder = folder
        self._resume = resume
        self._overwrite = overwrite
        self._lock = filelock.FileLock(folder / LOCK)
        self._has_begun = False
        self._rows = {}
        self._last_save = -math.inf
        hyperparameters = {name: value for name, value in arguments.items() if name not in _NOT_HYPERPARAMETERS}
        config = {
            "model": model,
            "hyperparameters": hyperparameters,
            "floatX": theano.config.floatX,
            "data": {"name": str(getattr(data, "name", arguments.get("dataset"))), "sha256": checksum(data)},
            "versions": {
                "python": platform.python_version(),
                "theano": theano.__version__,
                **{name: metadata.version(name) for name in _VERSIONS_OF},
            },
            "git_revision": _git_revision(),
            "figures": [],
        }
        self._config = _as_json_has_it(config)  # to be compared with what is read
        self._require_free_or_same()
        _require_writable(folder)

    @property
    def checksum(self):
        """sha256 of the data set, as hexadecimal digits."""
        return self._config["data"]["sha256"]

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        acquire(self._lock)
        if not self._has_begun:
            try:
                self._begin()
            except BaseException:
                self._lock.release()
                raise
        return self

    def __exit__(self, *_):
        self._lock.release()
        if self._events is not None and not self._lock.is_locked:
            self._events.close()
            self._events = None

    def _begin(self):
        watching.run_begins(self)
        if self._overwrite:
            self._remove()
        self._require_free_or_same()
        remove_unfinished(self.folder, (*_OWN_FILES, CONFIG, "*.png"))
        if (self.folder / CONFIG).exists():
            # How it began stays; how long it goes on may be new.
            self._config = {**self._read_config(), "hyperparameters": self._config["hyperparameters"]}
        self._write_config()
        self._has_begun = True
        print(f"Run directory: {self.folder}", flush=True)

    def _remove(self):
        try:
            figures = [Path(name).name for name in self._read_config()["figures"]]  # of this folder, whatever it says
        except (OSError, ValueError):
            figures = []
        own = [path for name in _OWN_FILES for path in self.folder.glob(name)]
        # The configuration last: until then it is known whose the files are.
        for path in [*own, *(self.folder / name for name in figures if name.endswith(".png")), self.folder / CONFIG]:
            path.unlink(missing_ok=True)

    def _read_config(self):
        path = self.folder / CONFIG
        try:
            found = json.loads(path.read_bytes())
            if "hyperparameters" not in found:
                found = _config_of_today(found)
            dict(found["hyperparameters"], model=found["model"], data=found["data"]["sha256"])
            return found
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}: not the configuration of a run ({type(error).__name__}: {error})") from error

    def _write_config(self):
        content = (json.dumps(self._config, indent=2) + "\n").encode()
        path = self.folder / CONFIG
        if not path.exists() or path.read_bytes() != content:
            write_atomically(path, content)

    def _require_free_or_same(self):
        if not (self.folder / CONFIG).exists() or self._overwrite:
            return
        if not self._resume:
            raise FileExistsError(f"{self.folder} holds another run: resume it, overwrite it, or choose another folder")
        before, floatX = self._read_config().get("floatX"), theano.config.floatX
        if before not in (None, floatX):
            raise ValueError(
                f"{self.folder} cannot be resumed: floatX was {before}, is {floatX}: set THEANO_FLAGS=floatX={before}"
            )
        then, now = (
            {**config["hyperparameters"], "model": config["model"], "data": config["data"]["sha256"], _HOW_LONG: None}
            for config in (self._read_config(), self._config)
        )
        require_same(self.folder, then, now)

    def restore(self, phase, state):
        """Set the state of a phase from its checkpoint, if there is one.

        Parameters
        ----------
        phase : str
        state : theano_tutorials.runs.state.TrainingState

        Returns
        -------
        float
            Seconds that the phase took up to its checkpoint.

        Raises
        ------
        OSError
            If the checkpoint cannot be read.
        TypeError
            If a checkpoint cannot hold what the functions update.
        ValueError
            If the checkpoint is damaged or of another model, or if the name of
            the phase is not valid or was used before.
        """
        if not re.fullmatch(r"[\w.-]+", phase):
            raise ValueError(f"the phase is called {phase!r}: expected letters, digits, dots and hyphens")
        if phase in self._rows:
            raise ValueError(f"two phases of a run are called {phase!r}: give each a name of its own")
        state.require_keepable()
        self._rows[phase] = []
        path = self.folder / _of_phase(CHECKPOINT, phase)
        if not path.exists():
            return 0.0
        tensors, description = read_tensors(path)
        rows = self._read_metrics(phase, description.get("rows", description.get("validations")))
        state.set_from(path, tensors, description)
        self._rows[phase] = rows
        try:
            return self._read_seconds()[phase]
        except KeyError:  # version 0.1
            return rows[-1]["seconds"] if rows else 0.0

    def _read_metrics(self, phase, n_rows):
        path = self.folder / _of_phase(METRICS, phase)
        if n_rows == 0:
            return []
        try:
            with open(path, newline="") as file:
                # There may be more, if a kill came between the metrics and the checkpoint.
                texts = list(csv.DictReader(file))[:n_rows]
            rows = [{name: _number(text) for name, text in row.items()} for row in texts]
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: not the metrics of a run ({type(error).__name__}: {error})") from error
        if len(rows) != n_rows:
            raise ValueError(f"{path}: {len(rows)} rows: expected {n_rows}, as the checkpoint says")
        return rows

    def _read_seconds(self):
        path = self.folder / SECONDS
        if not path.exists():
            return {}
        try:
            return {phase: float(seconds) for phase, seconds in json.loads(path.read_bytes()).items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: not the times of a run ({type(error).__name__}: {error})") from error

    def rows(self, phase=MAIN_PHASE):
        """Metrics of a phase: a list of dicts of numbers by name, None for a missing number."""
        return self._rows.get(phase, [])

    def record(self, phase, row):
        """Add a row of metrics. :meth:`save` writes it."""
        self._rows[phase].append(row)
        if self._event_writer_class is not None:
            if self._events is None:
                # TensorBoard forgets what an interrupted run wrote from this step on.
                self._events = self._event_writer_class(str(self.folder), purge_step=row["iteration"])
            for name, value in row.items():
                if name not in _NOT_ON_A_CURVE and value is not None:
                    tag = name if phase == MAIN_PHASE else f"{phase}/{name}"
                    self._events.add_scalar(tag, value, row["iteration"])

    def is_due(self):
        """Whether it is time for another checkpoint."""
        return time.monotonic() - self._last_save >= _SECONDS_BETWEEN_CHECKPOINTS

    def save(self, phase, state, seconds):
        """Write metrics, best model and checkpoint of a phase."""
        self.save_results(phase, state)
        tensors, description = state.to_tensors()
        description = {**description, "phase": phase, "rows": len(self._rows[phase])}
        write_tensors(self.folder / _of_phase(CHECKPOINT, phase), tensors, description)
        times = {**self._read_seconds(), phase: seconds}
        write_atomically(self.folder / SECONDS, (json.dumps(times) + "\n").encode())
        self._last_save = time.monotonic()

    def save_results(self, phase, state):
        """Write metrics and best model, and leave the checkpoint as it is."""
        rows = self._rows[phase]
        if rows:
            text = io.StringIO()
            writer = csv.DictWriter(text, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            write_atomically(self.folder / _of_phase(METRICS, phase), text.getvalue().encode())
        write_tensors(self.folder / BEST_MODEL, state.results(), describe(state.model))

    def draw(self, figures):
        """Draw and write figures. If a figure cannot be drawn, a line on standard error says so.

        Parameters
        ----------
        figures : dict of str to function
            File name to a function without arguments that returns a matplotlib figure,
            or a PNG image as bytes.
        """
        from theano_tutorials.runs.plots import drawing, png  # here, since matplotlib would delay every start

        self._config["figures"] = sorted({*self._config["figures"], *figures})
        self._write_config()
        for name, draw in figures.items():
            with drawing(name):
                figure = draw()
                write_atomically(self.folder / name, figure if isinstance(figure, bytes) else png(figure))


class _NoRun:
    """Stands for a run that keeps nothing."""

    folder = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def restore(self, phase, state):
        return 0.0

    def rows(self, phase):
        return []

    def is_due(self):
        return False

    def _ignore(self, *_):
        pass

    record = save = save_results = draw = _ignore


NO_RUN = _NoRun()


def _config_of_today(config):
    # Version 0.1 had another word, and the same four figures for all.
    hyperparameters = config.pop("parameters")
    return {**config, "hyperparameters": hyperparameters, "figures": list(_FIGURES_OF_0_1)}
