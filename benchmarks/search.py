"""A search: how its time falls from one process to two, and what the engine costs a trial.

python -m benchmarks.search [--epochs N] [--trials N]

The same trainings run three times: one after the other without a search, in a search with one
process, and in a search with two. The times of the searches are whole: with the start of the
processes, the table and the figures. A trial is timed from its draw to its end.
"""

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from pathlib import Path

from theano_tutorials import search, train_mlp


def settings(n_epochs):
    """Fixed, and a learning rate that all trials draw."""
    return {"learning_rate": "0.005..0.02:log", "n_epochs": n_epochs, "n_hidden": 500}


def searched(n_epochs, n_trials, n_workers, folder):
    """Seconds of a whole search, and of each of its trials."""
    started = time.perf_counter()
    study = search(train_mlp, settings(n_epochs), n_trials, output_dir=folder, n_workers=n_workers)
    seconds = time.perf_counter() - started
    durations = [(trial.datetime_complete - trial.datetime_start).total_seconds() for trial in study.get_trials()]
    return seconds, durations, [trial.params["learning_rate"] for trial in study.get_trials()]


def main():
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--trials", type=int, default=6)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
        folder = Path(name)
        one, trials, rates = searched(options.epochs, options.trials, 1, folder / "one")
        two, _, _ = searched(options.epochs, options.trials, 2, folder / "two")
        direct = []
        for number, rate in enumerate(rates):
            started = time.perf_counter()
            train_mlp(learning_rate=rate, n_epochs=options.epochs, output_dir=folder / "direct" / str(number))
            direct.append(time.perf_counter() - started)
    # The first trial of a process loads libraries that the others find.
    engine = statistics.median(trials[1:]) / statistics.median(direct[1:]) - 1
    print(f"{options.trials} trials of {statistics.median(direct):.1f} s")
    print(f"one process {one:.1f} s, two processes {two:.1f} s: {one / two:.2f} times as fast")
    print(f"a trial in the search {statistics.median(trials[1:]):.2f} s, alone {statistics.median(direct[1:]):.2f} s: ")
    print(f"the engine costs {engine:.1%} of a trial")


if __name__ == "__main__":
    main()
