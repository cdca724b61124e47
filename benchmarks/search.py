"""A search: how its time falls from one process to two, and what the engine costs a trial.

python -m benchmarks.search [--epochs N] [--trials N] [--rounds N]

In each round the same trainings run three times: in a search with one process, in a process of
their own without a search, and in a search with two processes. All of them compute with one
thread, as the workers of a search do. The times of the searches are whole: with the start of the
processes, the table and the figures. A trial is timed from its draw to its end.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from theano_tutorials import search, train_mlp

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # as Dask's workers


def searched(n_epochs, n_trials, n_workers, folder):
    """Seconds of a whole search, and of each of its trials; and the learning rates of the trials."""
    settings = {"learning_rate": "0.005..0.02:log", "n_epochs": n_epochs}
    started = time.perf_counter()
    study = search(train_mlp, settings, n_trials, output_dir=folder, n_workers=n_workers)
    seconds = time.perf_counter() - started
    trials = study.get_trials()
    durations = [(trial.datetime_complete - trial.datetime_start).total_seconds() for trial in trials]
    return seconds, durations, [trial.params["learning_rate"] for trial in trials]


def alone(n_epochs, rates, folder):
    """Seconds of each of the trainings, without a search."""
    durations = []
    for number, rate in enumerate(rates):
        started = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            train_mlp(learning_rate=rate, n_epochs=n_epochs, output_dir=folder / str(number))
        durations.append(time.perf_counter() - started)
    return durations


def measure(n_epochs, n_trials, folder):
    """One round: seconds of the two searches, of the trials of the first, and of the trainings alone."""
    with contextlib.redirect_stdout(io.StringIO()):
        one, trials, rates = searched(n_epochs, n_trials, 1, folder / "one")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        direct = process.submit(alone, n_epochs, rates, folder / "alone").result()
    with contextlib.redirect_stdout(io.StringIO()):
        two, _, _ = searched(n_epochs, n_trials, 2, folder / "two")
    # The first of a process loads libraries that the others find.
    return one, two, trials[1:], direct[1:]


def main():
    """Measure, and print each round and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ.update(_ONE_THREAD)
    rounds = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            one, two, trials, direct = measure(options.epochs, options.trials, Path(folder))
        rounds.append((one, two, one / two, statistics.median(trials), statistics.median(direct)))
        print(
            f"{options.trials} trials: one process {one:.1f} s, two processes {two:.1f} s; a trial in the search "
            f"{', '.join(f'{seconds:.2f}' for seconds in trials)} s, alone "
            f"{', '.join(f'{seconds:.2f}' for seconds in direct)} s",
            flush=True,
        )
    one, two, ratio, trial, direct = map(statistics.median, zip(*rounds))
    cost = statistics.median(trial / direct - 1 for *_, trial, direct in rounds)
    print(f"medians: one process {one:.1f} s, two processes {two:.1f} s: {ratio:.2f} times as fast")
    print(f"a trial in the search {trial:.2f} s, alone {direct:.2f} s: the engine costs {cost:.1%} of a trial")


if __name__ == "__main__":
    main()
