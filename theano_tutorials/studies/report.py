"""What a search prints and leaves: a line of progress, a table, figures, the command that trains the best."""

import csv
import io
import statistics
import sys
import time
import warnings
from datetime import timedelta

from theano_tutorials.runs.tensors import write_atomically

TABLE = "trials.csv"
_SHOWN = 10  # trials in the printed table
_SECONDS_BETWEEN_UPDATES = 1.0


class Progress:
    """One line on a terminal, and a line for each trial that has ended."""

    def __init__(self, study, n_trials):
        self.study, self.n_trials = study, n_trials
        self.shows = sys.stderr.isatty()
        self.updated = 0.0

    def __enter__(self):
        self.started = time.monotonic()
        self.done_before = len(_finished(self.study))
        return self

    def __exit__(self, *_):
        self._clear()

    def say(self, number):
        """Print how a trial has ended."""
        self._clear()
        print(line_of(self.study.get_trials(deepcopy=False)[number]), flush=True)
        self.updated = 0.0

    def update(self, n_running):
        """Draw the line anew, at most once a second."""
        if self.shows and time.monotonic() - self.updated >= _SECONDS_BETWEEN_UPDATES:
            self.updated = time.monotonic()
            self._clear()
            print(self._line(n_running), end="", file=sys.stderr, flush=True)

    def _clear(self):
        if self.shows:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _line(self, n_running):
        done = _finished(self.study)
        parts = [f"{len(done)}/{self.n_trials} trials", f"{n_running} running"]
        parts += [f"{count} {state}" for state in ("pruned", "failed") if (count := sum(_is(t, state) for t in done))]
        best = min((trial for trial in done if _is(trial, "complete")), key=lambda trial: trial.value, default=None)
        if best is not None:
            parts.append(f"best {best.value * 100:f} % (trial {best.number})")
        n_now = len(done) - self.done_before
        if n_now:
            left = (time.monotonic() - self.started) / n_now * (self.n_trials - len(done))
            parts.append(f"{timedelta(seconds=round(left))} left")
        return ", ".join(parts)


def _finished(study):
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]


def _is(trial, state):
    return trial.state.name == {"pruned": "PRUNED", "failed": "FAIL", "complete": "COMPLETE"}[state]


def line_of(trial):
    """How a trial has ended, and what was drawn for it."""
    drawn = ", ".join(f"{name}={_short(value)}" for name, value in trial.params.items())
    error = trial.user_attrs.get("error", "")
    if _is(trial, "complete"):
        how = f"validation error {trial.value * 100:f} %, test error {trial.user_attrs['test_loss'] * 100:f} %"
    elif _is(trial, "pruned"):
        how = f"pruned after {len(trial.intermediate_values)} validations"
    else:
        how = f"failed: {error}"
    return f"trial {trial.number}: {how} ({drawn})"


def _short(value):
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def write_report(study, plan, settings, folder):
    """Write the table and the figures of a search, and print what it has found; ValueError if it has found nothing."""
    done = _finished(study)
    complete = sorted((trial for trial in done if _is(trial, "complete")), key=lambda trial: trial.value)
    write_atomically(folder / TABLE, _table(done).encode())
    if not complete:
        raise ValueError(f"no trial came to its end, see {folder / TABLE}: {line_of(done[0])}")
    for trial in complete[:_SHOWN]:
        print(line_of(trial))
    if settings["n_seeds"] is not None:
        print(f"Validation error of {_spread([trial.value for trial in complete])}")
        print(f"Test error of {_spread([trial.user_attrs['test_loss'] for trial in complete])}")
    names = _draw(study, folder) if len(complete) > 1 and len(complete[0].distributions) > 0 else []
    print(f"The best again: {command_of(settings['function'], plan.arguments(complete[0].params))}")
    print(f"Results in {folder}: {', '.join([TABLE, *names])}, trials", flush=True)


def _spread(losses):
    values = [loss * 100 for loss in losses]
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return (
        f"{len(values)} seeds: mean {statistics.mean(values):f} %, standard deviation {deviation:f}, "
        f"best {min(values):f} %, worst {max(values):f} %"
    )


def _table(done):
    names = sorted({name for trial in done for name in trial.params})
    attributes = ("test_loss", "best_iteration", "n_epochs", "seconds", "folder", "error")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "validation_error", *attributes, *names])
    for trial in done:
        value = trial.value if _is(trial, "complete") else ""
        found = [trial.user_attrs.get(name, "") for name in attributes]
        writer.writerow([trial.number, trial.state.name.lower(), value, *found, *map(trial.params.get, names)])
    return text.getvalue()


def command_of(function, arguments):
    """The command line that trains with these arguments, a dict by name; ``function`` is the name of a ``train_*``."""
    words = ["python", f"scripts/{function}.py"]
    for name, value in arguments.items():
        option = "--" + name.replace("_", "-").lower()
        if isinstance(value, bool):
            words.append(option if value else option.replace("--", "--no-", 1))
        else:
            words += [option, *map(str, value if isinstance(value, tuple) else [value])]
    return " ".join(words)


def _draw(study, folder):
    # By Optuna's own plotting: PNG by matplotlib, HTML by plotly.
    import matplotlib.pyplot as plt
    from optuna import visualization
    from optuna.importance import PedAnovaImportanceEvaluator

    from theano_tutorials.runs.plots import drawing, png

    names = []
    with warnings.catch_warnings(), plt.rc_context({"savefig.bbox": "tight", "savefig.dpi": 120}):
        warnings.simplefilter("ignore")  # what is experimental there
        for name, draw, options in (
            ("history", "plot_optimization_history", {"target_name": "validation error"}),
            ("parallel", "plot_parallel_coordinate", {"target_name": "validation error"}),
            ("importance", "plot_param_importances", {"evaluator": PedAnovaImportanceEvaluator()}),
        ):
            with drawing(name):
                figure = getattr(visualization.matplotlib, draw)(study, **options).figure
                write_atomically(folder / f"{name}.png", png(figure))
                plt.close(figure)
                page = getattr(visualization, draw)(study, **options)
                page.write_html(folder / f"{name}.html", include_plotlyjs="directory")
                names += [f"{name}.png", f"{name}.html"]
    return names
