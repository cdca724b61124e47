"""The directory of a training run: what it was, how it went, and all that is needed to go on.

================================  ==============================================
``config.json``                   model, parameters, data checksum, versions
``metrics.csv``                   a row per validation
``best_model.safetensors``        parameters of the best validation
``checkpoint.safetensors``        state from which ``resume`` goes on
``*.png``                         see :mod:`theano_tutorials.plotting`
================================  ==============================================

Every file is replaced atomically. The safetensors files hold no times, so that
equal runs give equal files.
"""

import csv
import hashlib
import io
import json
import math
import platform
import subprocess
import tempfile
import time
from importlib import metadata
from pathlib import Path

import filelock
import numpy as np
import theano

from theano_tutorials.checkpoint import (
    describe,
    named_parameters,
    read_tensors,
    remove_unfinished,
    require_fit,
    set_parameters,
    write_atomically,
    write_tensors,
)
from theano_tutorials.datasets import N_CLASSES

CONFIG = "config.json"
METRICS = "metrics.csv"
BEST_MODEL = "best_model.safetensors"
CHECKPOINT = "checkpoint.safetensors"
FIGURES = ("learning_curve.png", "filters.png", "confusion.png", "mistakes.png")
METRICS_COLUMNS = ("epoch", "iteration", "cost", "validation_error", "test_error", "seconds", "patience")
_LOCK = ".lock"
_SECONDS_BETWEEN_CHECKPOINTS = 1.0
_NOT_OF_THE_MODEL = ("dataset", "output_dir", "resume", "overwrite", "tensorboard")
_VERSIONS_OF = ("theano_tutorials", "theano", "numpy", "scipy", "scipy-openblas32")


def checksum(datasets):
    """sha256 over inputs and labels of all splits, as hexadecimal digits."""
    digest = hashlib.sha256()
    for inputs, labels in datasets:
        digest.update(np.ascontiguousarray(inputs.get_value(borrow=True)))
        digest.update(np.ascontiguousarray(labels.eval()))
    return digest.hexdigest()


def _git_revision():
    """Commit of the checkout that this library runs from, None for an installed one."""
    checkout = Path(__file__).resolve().parents[1]
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _predictions(model, inputs, batch_size):
    # LeNet is compiled for one batch size: the last batch is filled up.
    predict = theano.function([model.input], model.y_pred)
    filled = np.concatenate([inputs, np.zeros((-len(inputs) % batch_size, inputs.shape[1]), inputs.dtype)])
    batches = filled.reshape(-1, batch_size, inputs.shape[1])
    return np.concatenate([predict(batch) for batch in batches])[: len(inputs)]


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


def open_run(output_dir, model, parameters, datasets, resume=False, overwrite=False, tensorboard=False):
    """Run directory for a ``train_*`` function, or None where ``output_dir`` is None.

    Parameters
    ----------
    output_dir : path or None
    model : str
        Name of the tutorial.
    parameters : dict
        Arguments of the ``train_*`` function by name.
    datasets : list of (inputs, labels) pairs
    resume, overwrite : bool
        What to do with a run that is there: go on with it, or replace it.
    tensorboard : bool
        Whether to write TensorBoard event files, too.

    Raises
    ------
    ValueError
        If both are asked for, or a run to resume was made with other data or
        parameters; lists the differences.
    OSError
        If the directory cannot be written, holds a run that shall be neither
        resumed nor replaced, or is in use by another process.
    ImportError
        If tensorboardX is asked for and not installed.
    """
    if resume and overwrite:
        raise ValueError("resume and overwrite exclude each other: give one of them")
    if output_dir is None:
        if resume or overwrite or tensorboard:
            raise ValueError("resume, overwrite and tensorboard need the folder of a run: give output_dir")
        return None
    return Run(Path(output_dir), model, parameters, datasets, resume, overwrite, tensorboard)


class Run:
    """The directory of a run, checked by :func:`open_run` and made by :meth:`begin`."""

    def __init__(self, folder, model, parameters, datasets, resume, overwrite, tensorboard):
        self._event_writer_class = _tensorboard_writer() if tensorboard else None
        self._events = None
        self.folder = folder
        self._resume = resume
        self._overwrite = overwrite
        self._lock = filelock.FileLock(folder / _LOCK)
        self._test_set = datasets[-1]
        self._rows = []
        self._last_save = -math.inf
        config = {
            "model": model,
            "parameters": {name: value for name, value in parameters.items() if name not in _NOT_OF_THE_MODEL},
            "data": {"name": str(parameters["dataset"]), "sha256": checksum(datasets)},
            "versions": {
                "python": platform.python_version(),
                **{name: metadata.version(name) for name in _VERSIONS_OF},
            },
            "git_revision": _git_revision(),
        }
        # As it is read back: JSON has no tuples.
        self._config = json.loads(json.dumps(config))
        self._require_free_or_same()
        _require_writable(folder)

    def begin(self):
        """Make and lock the directory; until then, nothing of the run is on disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise FileExistsError(
                f"{self.folder} is in use by another process: wait for it, or choose another folder"
            ) from None
        names = (CHECKPOINT, BEST_MODEL, METRICS, *FIGURES, CONFIG)
        if self._overwrite:
            for name in names:
                (self.folder / name).unlink(missing_ok=True)
        for name in names:
            remove_unfinished(self.folder / name)
        self._require_free_or_same()
        if not (self.folder / CONFIG).exists():
            write_atomically(self.folder / CONFIG, (json.dumps(self._config, indent=2) + "\n").encode())
        print(f"Run directory: {self.folder}", flush=True)

    def _require_free_or_same(self):
        if not (self.folder / CONFIG).exists() or self._overwrite:
            return
        if not self._resume:
            raise FileExistsError(f"{self.folder} holds another run: resume it, overwrite it, or choose another folder")
        self._require_same_run()

    def _require_same_run(self):
        path = self.folder / CONFIG
        try:
            found = json.loads(path.read_bytes())
            then = {**found["parameters"], "model": found["model"], "data": found["data"]["sha256"]}
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}: not the configuration of a run ({type(error).__name__}: {error})") from error
        now = {**self._config["parameters"], "model": self._config["model"], "data": self._config["data"]["sha256"]}
        differences = [
            f"{name} was {then.get(name)!r}, is {now.get(name)!r}"
            for name in sorted({*then, *now})
            if then.get(name) != now.get(name)
        ]
        if differences:
            raise ValueError(f"{self.folder} cannot be resumed: {'; '.join(differences)}")

    def restore(self, state):
        """Set a :class:`~theano_tutorials.training.TrainingState` from the checkpoint; return whether there is one.

        Raises
        ------
        OSError
            If the checkpoint cannot be read.
        ValueError
            If it is damaged or of another model.
        """
        path = self.folder / CHECKPOINT
        if not path.exists():
            return False
        tensors, description = read_tensors(path)
        expected = describe(state.model)
        if {name: description.get(name) for name in expected} != json.loads(json.dumps(expected)):
            raise ValueError(
                f"{path} is of {description.get('model')} {description.get('architecture')}: expected {expected}"
            )
        current, best = (
            {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
            for prefix in ("current.", "best.")
        )
        require_fit(path, state.model, best)
        self._rows = self._read_metrics(description["validations"])
        set_parameters(path, state.model, current)
        state.set_counters(description["counters"])
        state.best_values = {name: best[name] for name in named_parameters(state.model)}
        if state.rng is not None:
            kind, *numbers = description["random_state"]
            state.rng.set_state((kind, tensors["random_state"], *numbers))
        return True

    def _read_metrics(self, n_rows):
        path = self.folder / METRICS
        try:
            with open(path, newline="") as file:
                # There may be more, if a kill came between the metrics and the checkpoint.
                rows = list(csv.DictReader(file))[:n_rows]
            complete = len(rows) == n_rows and all(math.isfinite(float(row["seconds"])) for row in rows)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}: not the metrics of a run ({type(error).__name__}: {error})") from error
        if not complete:
            raise ValueError(f"{path}: {len(rows)} validations: expected {n_rows}, as the checkpoint says")
        return rows

    @property
    def seconds_before(self):
        """Training time up to the checkpoint."""
        return float(self._rows[-1]["seconds"]) if self._rows else 0.0

    def record(self, **row):
        """Note a validation; :meth:`save` writes it."""
        self._rows.append(row)
        if self._event_writer_class is not None:
            if self._events is None:
                # TensorBoard forgets what an interrupted run wrote from this step on.
                self._events = self._event_writer_class(str(self.folder), purge_step=row["iteration"])
            for name in ("cost", "validation_error", "test_error", "patience"):
                if row[name] != "":
                    self._events.add_scalar(name, row[name], row["iteration"])

    def save_if_due(self, state):
        """Save, unless the last time was a moment ago."""
        if time.monotonic() - self._last_save >= _SECONDS_BETWEEN_CHECKPOINTS:
            self.save(state)

    def save(self, state):
        """Write metrics, best model and checkpoint."""
        self.save_results(state)
        names = named_parameters(state.model)
        tensors = {f"current.{name}": param.get_value(borrow=True) for name, param in names.items()}
        tensors.update((f"best.{name}", value) for name, value in state.best_values.items())
        description = {**describe(state.model), "counters": state.counters(), "validations": len(self._rows)}
        if state.rng is not None:
            kind, tensors["random_state"], *numbers = state.rng.get_state()
            description["random_state"] = [kind, *numbers]
        write_tensors(self.folder / CHECKPOINT, tensors, description)
        self._last_save = time.monotonic()

    def save_results(self, state):
        """Write metrics and best model, and leave the checkpoint as it is."""
        text = io.StringIO()
        writer = csv.DictWriter(text, METRICS_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_atomically(self.folder / METRICS, text.getvalue().encode())
        write_tensors(self.folder / BEST_MODEL, state.best_values, describe(state.model))

    def draw(self, state):
        """Write the figures that are not there yet."""
        missing = [name for name in FIGURES if not (self.folder / name).exists()]
        if not missing:
            return
        from theano_tutorials import plotting  # here, since matplotlib would delay every start

        inputs, labels = (np.asarray(split.eval()) for split in self._test_set)
        predictions = _predictions(state.model, inputs, self._config["parameters"]["batch_size"])
        test_errors = [float(row["test_error"] or "nan") for row in self._rows]
        validation_errors = [float(row["validation_error"]) for row in self._rows]
        draw = {
            "learning_curve.png": lambda: plotting.learning_curve(
                [int(row["iteration"]) for row in self._rows], validation_errors, test_errors
            ),
            "filters.png": lambda: plotting.filters(next(iter(state.best_values.values()))),
            "confusion.png": lambda: plotting.confusion(labels, predictions, N_CLASSES),
            "mistakes.png": lambda: plotting.mistakes(inputs, labels, predictions),
        }
        for name in missing:
            write_atomically(self.folder / name, draw[name]())

    def close(self):
        """Let another process have the directory."""
        if self._events is not None:
            self._events.close()
        self._lock.release()
