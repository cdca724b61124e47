"""A process of one side: prepares a problem, then does what the lines on its standard input say.

    python -m benchmarks.worker KIND VARIANT N_THREADS MODEL BATCH_SIZE N_HIDDEN N_TRAIN N_UPDATES

It answers with one line of JSON for each: at first when one update is done,
then for ``epoch`` (from the initial parameters), ``errors``, ``train`` (the
tutorial's whole training) and ``peak``.
"""

import importlib
import json
import math
import os
import re
import sys
import time
from pathlib import Path

from benchmarks import course_problem
from benchmarks.problem import Problem, read_mnist, with_n_train

SIDES = {
    "theano": "theano_side",
    "torch eager": "torch_side",
    "torch compile": "torch_side",
    "jax step": "jax_side",
    "jax scan": "jax_side",
    "numpy": "numpy_side",
}
COURSE_SIDES = {kind: f"course_{side.removesuffix('_side')}" for kind, side in SIDES.items()}
# Where the tutorial's patience ends the training of logistic regression.
N_EPOCHS_LOGREG = 74


def pin(n_threads):
    """Keep this process on so many cores: XLA takes its number of threads from them."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n_threads])


def peak_mib():
    """Most memory that this process has had resident, in MiB; unlike ru_maxrss without that of its parent."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def _epoch(trainer):
    trainer.reset()
    start = time.perf_counter()
    cost = trainer.run()
    return {"seconds": time.perf_counter() - start, "cost": cost}


def _train(trainer):
    """Epochs with validation, and a test of each new best, as the tutorial's loop."""
    trainer.reset()
    best, test = math.inf, None
    for _ in range(N_EPOCHS_LOGREG):
        trainer.run()
        wrong = trainer.n_wrong(1)
        if wrong < best:
            best, test = wrong, trainer.n_wrong(2)
    return {"validation": best, "test": test}


def _train_theano():
    from theano_tutorials import train_logreg

    result = train_logreg()
    n_examples = 9600  # in whole minibatches of 600
    return {
        "validation": round(result.best_validation_loss * n_examples),
        "test": round(result.test_loss * n_examples),
    }


def _versions():
    names = ("theano", "torch", "jax", "numpy")
    return {name: sys.modules[name].__version__ for name in names if name in sys.modules}


def main(kind, variant, n_threads, model, *sizes):
    """See the module's docstring."""
    # Answers go where standard output was, and what the sides print does not.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(content):
        answers.write(json.dumps(content) + "\n")

    pin(int(n_threads))
    if model == "train_logreg":
        answer(_train_theano())
        return
    problem = Problem(model, *map(int, sizes))
    sides = COURSE_SIDES if model in course_problem.MODELS else SIDES
    side = importlib.import_module(f"benchmarks.{sides[kind]}")
    splits = side.tutorials.read_data("mnist") if kind == "theano" else read_mnist()
    trainer = side.build(problem, kind, variant, with_n_train(splits, problem.n_train), int(n_threads))
    answer({"versions": _versions()})
    actions = {
        "epoch": lambda: _epoch(trainer),
        "errors": lambda: {"validation": trainer.n_wrong(1)},
        "train": lambda: _train(trainer),
        "peak": lambda: {"peak_mib": peak_mib()},
    }
    for line in sys.stdin:
        answer(actions[line.strip()]())


if __name__ == "__main__":
    main(*sys.argv[1:])
