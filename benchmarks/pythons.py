"""Starts and epochs of the tutorials on several Pythons, side by side; the table of docs/install.md.

python -m benchmarks.pythons --rounds 3 "3.11=.venv/bin/python" "3.13=/path/to/python"

The first Python is the one that the others are compared with. A command may have several
words, such as those of chroot. They run one after the other in each round.
"""

import argparse
import os
import re
import shlex
import shutil
import statistics
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "pythons"
EPOCHS = {"logreg": 74, "mlp": 3, "lenet": 2}
VERSIONS = "import platform, numpy; print(platform.python_version(), numpy.__version__)"


def train(python, home, tutorial, n_epochs):
    """Train once; return the seconds of the whole process and of an epoch."""
    folder = BUILD / "run"
    shutil.rmtree(folder, ignore_errors=True)
    arguments = [ROOT / "scripts" / f"train_{tutorial}.py", "--n-epochs", n_epochs, "--output-dir", folder]
    began = time.perf_counter()
    run = subprocess.run(
        [*python, *map(str, arguments)],
        env={**os.environ, "HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - began
    return seconds, 1 / float(re.search(r"with (\S+) epochs/sec", run.stdout)[1])


def measure(python, home):
    """Seconds of a cold start, of a warm start, and of an epoch of each tutorial."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    found = {"cold start": train(python, home, "logreg", 1)[0], "warm start": train(python, home, "logreg", 1)[0]}
    for tutorial, n_epochs in EPOCHS.items():
        found[f"{tutorial}, epoch"] = train(python, home, tutorial, n_epochs)[1]
    return found


def main():
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("pythons", nargs="+", metavar="NAME=COMMAND")
    arguments = parser.parse_args()
    pythons = {name: shlex.split(command) for name, _, command in (item.partition("=") for item in arguments.pythons)}
    rounds = []
    for _ in range(arguments.rounds):
        rounds.append({name: measure(python, BUILD / f"home{n}") for n, (name, python) in enumerate(pythons.items())})
    medians = {
        name: {what: statistics.median(found[name][what] for found in rounds) for what in rounds[0][name]}
        for name in pythons
    }
    first = medians[next(iter(pythons))]
    print(f"| | {' | '.join(first)} |\n|{' --- |' * (len(first) + 1)}")
    for name, python in pythons.items():
        versions = subprocess.run([*python, "-c", VERSIONS], capture_output=True, text=True, check=True).stdout.split()
        cells = [f"{value:.3g} ({value / first[what]:.2f})" for what, value in medians[name].items()]
        print(f"| {name}: Python {versions[0]}, NumPy {versions[1]} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
