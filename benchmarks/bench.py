"""Measures all sides and writes the raw numbers; see docs/performance.md for the method.

python -m benchmarks.bench [--peers PYTHON] [--parts PART ...]
"""

import argparse
import contextlib
import json
import os
import platform
import re
import select
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import course_problem, report
from benchmarks.problem import MODELS, dense_flops, make_problem

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "benchmarks"
CACHES = BUILD / "caches"
THREADS = (1, 2)
OURS = "theano"
KINDS = (OURS, "torch eager", "torch compile", "jax step", "jax scan", "numpy")
REWRITES = (
    "tutorials_conv_pool_tanh",
    "tutorials_winograd",
    "tutorials_threaded_products",
    "tutorials_sum_of_squares",
    "tutorials_column_sums",
    "tutorials_vector_tanh",
    "tutorials_vector_sigmoid",
    "tutorials_vector_softmax",
    "tutorials_minibatch",
)
ALL_REWRITES = "tutorials_kernels"
COMPILING = (OURS, "torch compile", "jax step")

# Updates in a trial of one way to write a step; seconds after which a trial, or an epoch, is given up.
TRIAL_UPDATES = {"logreg": 83, "mlp": 500, "lenet": 5}
TRIAL_LIMIT, EPOCH_LIMIT, START_LIMIT = 60, 150, 300
# Rounds, and those for a kind slower than SLOW times the best peer; beyond VERY_SLOW it has one.
ROUNDS = {"logreg": 20, "mlp": 9, "lenet": 5}
ROUNDS_SLOW, SLOW, VERY_SLOW = 2, 1.5, 3
START_ROUNDS, TRAIN_ROUNDS = 3, 3
ABLATION_ROUNDS = {"logreg": 10, "mlp": 3, "lenet": 1}
# An epoch longer than this counts, although it is the first.
NEEDS_NO_WARMING = 5
# Threads that spin after the end of an epoch have stopped by then: OpenBLAS's do for 0.1 s.
PAUSE = 0.2

# How cost grows: in parts of an epoch of at most so many examples and updates.
GROWTH_EXAMPLES = {"logreg": 20_000, "mlp": 20_000, "lenet": 5_000}
GROWTH_UPDATES = 500
GROWTH_SECONDS, GROWTH_RUNS = 2, 3
BATCH_SIZES = (1, 10, 100, 1000, 10_000)
HIDDEN_UNITS = (10, 100, 500, 1000, 4000)
DATA_SIZES = (1000, 10_000, 50_000, 200_000)

# The rest of the course: models and batch sizes, the updates that are measured, and how often.
COURSE = (("da", 20), ("ca", 10), ("rbm", 20), ("finetune", 1), ("finetune", 10))
COURSE_UPDATES, COURSE_ROUNDS = 200, 7
# Relative difference of what the parameters are worth: with random numbers of its own, each library ends elsewhere.
COURSE_TOLERANCE = {"da": 0.01, "ca": 1e-6, "rbm": 0.15, "finetune": 1e-3}

# How many more or fewer images may be misclassified than by us; see docs/performance.md.
TOLERANCE = {"logreg": 1, "mlp": 3, "lenet": 10}
TRAIN_TOLERANCE = 5

_FOREIGN = re.compile("(OMP|GOMP|KMP|OPENBLAS|GOTO|MKL|DNNL|ONEDNN|THEANO|XLA|JAX|TORCH).*")


class TimeLimit(Exception):
    """A worker took too long."""


def environment(kind, n_threads, caches=CACHES, excluded=""):
    """Environment variables of a side: its threads, its compile cache, nothing else of the user's that counts.

    Ours may leave out a graph rewrite.
    """
    of_the_user = {name: value for name, value in os.environ.items() if not _FOREIGN.fullmatch(name)}
    own = {
        "theano": {
            "OMP_NUM_THREADS": n_threads,
            "THEANORC": os.devnull,
            "THEANO_FLAGS": f"base_compiledir={shlex.quote(str(caches / 'theano'))},optimizer_excluding={excluded}",
        },
        "torch": {"OMP_NUM_THREADS": n_threads, "TORCHINDUCTOR_CACHE_DIR": caches / "inductor"},
        "jax": {
            "JAX_COMPILATION_CACHE_DIR": caches / "jax",
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": 0,
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": -1,
        },
        "numpy": {"OPENBLAS_NUM_THREADS": n_threads},
    }[kind.split()[0]]
    return {**of_the_user, "PYTHONPATH": str(ROOT), **{name: str(value) for name, value in own.items()}}


class Worker:
    """A process of one side, ready once it has made one update; ends with the ``with`` block."""

    def __init__(self, peers, kind, variant, n_threads, problem=(), caches=CACHES, limit=START_LIMIT):
        python, excluded = (sys.executable, variant) if kind == OURS else (peers, "")
        self.started = time.perf_counter()
        with open(BUILD / "workers.log", "a") as log:
            print(f"--- {kind} {variant!r} {n_threads} threads {problem}", file=log, flush=True)
            self.process = subprocess.Popen(
                [python, "-m", "benchmarks.worker", kind, variant, str(n_threads), *map(str, problem)],
                env=environment(kind, n_threads, caches, excluded),
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            self.first = self._answer(limit)
        except BaseException:
            self.kill()
            raise
        self.seconds_to_start = time.perf_counter() - self.started

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        """End it, also in the middle of something."""
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):  # what it was asked and has not read
            self.process.stdin.close()
        self.process.stdout.close()

    def _answer(self, limit):
        if not select.select([self.process.stdout], [], [], limit)[0]:
            raise TimeLimit(f"over {limit} s: {self.process.args}")
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker ended early: {self.process.args}; see {BUILD / 'workers.log'}")
        return json.loads(line)

    def ask(self, line, limit=EPOCH_LIMIT):
        """Send one line and return the answer."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._answer(limit)

    def finish(self):
        """Let it end by itself; return the seconds from start to end."""
        self.process.stdin.close()
        self.process.wait()
        return time.perf_counter() - self.started


def say(text):
    """Progress, on standard error."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def _peer_output(peers, arguments, n_threads):
    shown = subprocess.run(
        [peers, *arguments], env=environment("numpy", n_threads), cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    return json.loads(shown.stdout)


def variants_of(peers):
    """Ways to write the same step, by kind and model; from the peers' own modules."""
    code = (
        "import json; from benchmarks import jax_side, numpy_side, torch_side; "
        "print(json.dumps({**torch_side.KINDS, **jax_side.KINDS, **numpy_side.KINDS}))"
    )
    return {OURS: {model: [""] for model in MODELS}, **_peer_output(peers, ["-c", code], 1)}


def _sgemm_flops(peers):
    return {n: _peer_output(peers, ["-m", "benchmarks.sgemm", str(n)], n) for n in THREADS}


def measure_machine(peers, _):
    """Processor, versions and sgemm's peak."""
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return {
        "processor": cpu[1] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "sgemm_flops": _sgemm_flops(peers),
        "dense_flops": {model: dense_flops(make_problem(model)) for model in MODELS},
    }


def measure_trials(peers, _):
    """Seconds of an epoch for each way to write the step, with two threads, estimated from a part of it."""
    trials = {}
    variants = variants_of(peers)
    for model in MODELS:
        problem = make_problem(model, n_updates=TRIAL_UPDATES[model])
        scale = make_problem(model).n_updates / problem.n_updates
        for kind in KINDS:
            for variant in variants[kind][model] if len(variants[kind][model]) > 1 else ():
                try:
                    with Worker(peers, kind, variant, 2, problem, limit=TRIAL_LIMIT) as worker:
                        runs = [worker.ask("epoch", TRIAL_LIMIT)["seconds"] for _ in range(3)]
                    seconds = min(runs) * scale
                except TimeLimit:
                    seconds = None
                trials.setdefault(model, {}).setdefault(kind, {})[variant] = seconds
                say(f"trial {model}, {kind} {variant!r}: {seconds and round(seconds, 3)} s")
    return trials


def best_variant(results, model, kind):
    """The fastest way in the trials; the first one where none ended in time, or there was only one."""
    trials = results["trials"][model].get(kind, {"": 0.0})
    ended = {variant: seconds for variant, seconds in trials.items() if seconds is not None}
    return min(ended, key=ended.get) if ended else next(iter(trials))


def measure_starts(peers, results):
    """Seconds from the start of the process to the first update, with empty and with filled caches."""
    starts = {}
    fresh = BUILD / "fresh_caches"
    for model in MODELS:
        of_model = starts.setdefault(model, {})
        for _ in range(START_ROUNDS):
            for kind in KINDS:
                if kind == "jax scan":  # has no first update of its own
                    continue
                variant = best_variant(results, model, kind)
                shutil.rmtree(fresh, ignore_errors=True)
                for cache in ("cold", "warm") if kind in COMPILING else ("warm",):
                    with Worker(peers, kind, variant, 2, make_problem(model), fresh) as worker:
                        seconds = worker.seconds_to_start
                    of_model.setdefault(kind, {}).setdefault(cache, []).append(seconds)
                    say(f"start {model}, {kind}, {cache}: {seconds:.2f} s")
    shutil.rmtree(fresh, ignore_errors=True)
    return starts


def _rounds(model, seconds, best_peer):
    if seconds > VERY_SLOW * best_peer:
        return 1
    return min(ROUNDS[model], ROUNDS_SLOW) if seconds > SLOW * best_peer else ROUNDS[model]


def _epochs(peers, results, model, n_threads):
    variants = {kind: best_variant(results, model, kind) for kind in KINDS}
    measured = {kind: {"variant": variants[kind], "seconds": []} for kind in KINDS}
    workers = {}
    try:
        for kind in KINDS:
            try:
                workers[kind] = Worker(peers, kind, variants[kind], n_threads, make_problem(model), limit=START_LIMIT)
                first = workers[kind].ask("epoch")
            except TimeLimit:
                measured[kind]["limit"] = EPOCH_LIMIT
                if kind in workers:
                    workers.pop(kind).kill()
                continue
            # Before the timed ones: errors and the peak of memory are those after the first epoch.
            of_kind = measured[kind]
            of_kind["first"], of_kind["cost"] = first["seconds"], first["cost"]
            if first["seconds"] > NEEDS_NO_WARMING:
                of_kind["seconds"].append(first["seconds"])
            of_kind["peak_mib"] = workers[kind].ask("peak")["peak_mib"]
            of_kind["wrong"] = workers[kind].ask("errors")["validation"]
            of_kind["versions"] = workers[kind].first["versions"]
            say(f"first epoch {model}, {n_threads} threads, {kind}: {first['seconds']:.3f} s, {of_kind['wrong']} wrong")
        best_peer = min(measured[kind]["first"] for kind in workers if kind != OURS)
        for turn in range(ROUNDS[model]):
            in_turn = list(workers)
            for kind in in_turn[turn % len(in_turn) :] + in_turn[: turn % len(in_turn)]:
                if len(measured[kind]["seconds"]) >= _rounds(model, measured[kind]["first"], best_peer):
                    continue
                time.sleep(PAUSE)
                try:
                    measured[kind]["seconds"].append(workers[kind].ask("epoch")["seconds"])
                except TimeLimit:
                    measured[kind]["limit"] = EPOCH_LIMIT
                    workers.pop(kind).kill()
    finally:
        for worker in workers.values():
            worker.kill()
    for kind, of_kind in measured.items():
        if of_kind["seconds"]:
            say(f"epoch {model}, {n_threads} threads, {kind}: {statistics.median(of_kind['seconds']):.4f} s")
    wrong = {kind: of_kind["wrong"] for kind, of_kind in measured.items() if "wrong" in of_kind}
    _check_wrong(model, wrong, TOLERANCE[model])
    return measured


def _check_wrong(model, wrong, tolerance):
    for kind, count in wrong.items():
        if abs(count - wrong[OURS]) > tolerance:
            raise RuntimeError(
                f"{model}: {kind} has {count} images wrong, we have {wrong[OURS]}: "
                f"expected a difference of at most {tolerance}, so it is not the same work"
            )


def measure_epochs(peers, results):
    """Seconds of an epoch, in turn; errors after the first, and the peak of memory after it."""
    return {
        model: {str(n_threads): _epochs(peers, results, model, n_threads) for n_threads in THREADS} for model in MODELS
    }


def measure_ablation(peers, _):
    """Seconds of an epoch of ours without each of the graph rewrites, with two threads, in turn."""
    ablation = {}
    for model in MODELS:
        workers = {}
        try:
            for excluded in ("", *REWRITES, ALL_REWRITES):
                workers[excluded] = Worker(peers, OURS, excluded, 2, make_problem(model))
                workers[excluded].ask("epoch")
            for _ in range(ABLATION_ROUNDS[model]):
                for excluded, worker in workers.items():
                    time.sleep(PAUSE)
                    seconds = worker.ask("epoch")["seconds"]
                    ablation.setdefault(model, {}).setdefault(excluded, []).append(seconds)
        finally:
            for worker in workers.values():
                worker.kill()
        medians = {excluded: round(statistics.median(seconds), 4) for excluded, seconds in ablation[model].items()}
        say(f"ablation {model}: {medians}")
    return ablation


def measure_train(peers, results):
    """Seconds of the whole ``train_logreg``, from the start of the process to its end."""
    seconds, wrong = {}, {}
    for _ in range(TRAIN_ROUNDS):
        for kind in KINDS:
            if kind == OURS:
                with Worker(peers, kind, "", 2, ("train_logreg",)) as worker:
                    wrong[kind] = worker.first["validation"]
                    taken = worker.finish()
            else:
                with Worker(peers, kind, best_variant(results, "logreg", kind), 2, make_problem("logreg")) as worker:
                    wrong[kind] = worker.ask("train", START_LIMIT)["validation"]
                    taken = worker.finish()
            seconds.setdefault(kind, []).append(taken)
            say(f"train_logreg, {kind}: {taken:.2f} s, {wrong[kind]} wrong")
    _check_wrong("train_logreg", wrong, TRAIN_TOLERANCE)
    return {"seconds": seconds, "wrong": wrong}


def _save(results):
    report.RAW.write_text(json.dumps(results, indent=1) + "\n")


def _growth_problem(model, **sizes):
    whole = make_problem(model, **sizes)
    if whole.n_train != make_problem(model).n_train:
        return whole, 1
    n_updates = min(max(GROWTH_EXAMPLES[model] // whole.batch_size, 1), GROWTH_UPDATES, whole.n_updates)
    return whole._replace(n_updates=n_updates), whole.n_updates / n_updates


def _fastest_of_libraries(results, model):
    """The fastest kind of each library, with two threads."""
    medians = {
        kind: statistics.median(of_kind["seconds"])
        for kind, of_kind in results["epochs"][model]["2"].items()
        if of_kind["seconds"]
    }
    libraries = {kind.split()[0] for kind in medians}
    return [
        min((kind for kind in medians if kind.startswith(library)), key=medians.get) for library in sorted(libraries)
    ]


def measure_growth(peers, results):
    """Seconds of an epoch over batch size, hidden units and data size, with two threads."""
    series = [
        ("logreg", "batch_size", BATCH_SIZES),
        ("mlp", "batch_size", BATCH_SIZES),
        ("mlp", "n_hidden", HIDDEN_UNITS),
        ("mlp", "n_train", DATA_SIZES),
        ("logreg", "n_train", DATA_SIZES),
        ("lenet", "batch_size", BATCH_SIZES),
    ]
    growth = []
    for model, name, values in series:
        lines = {}
        for value in values:
            problem, scale = _growth_problem(model, **{name: value})
            for kind in _fastest_of_libraries(results, model):
                runs = []
                try:
                    with Worker(
                        peers, kind, best_variant(results, model, kind), 2, problem, limit=TRIAL_LIMIT
                    ) as worker:
                        worker.ask("epoch", TRIAL_LIMIT)
                        while len(runs) < GROWTH_RUNS and sum(runs) < GROWTH_SECONDS:
                            runs.append(worker.ask("epoch", TRIAL_LIMIT)["seconds"])
                except TimeLimit:
                    say(f"growth {model}, {name} {value}, {kind}: over the limit")
                    continue
                seconds = statistics.median(runs) * scale
                lines.setdefault(kind, []).append([value, seconds])
                say(f"growth {model}, {name} {value}, {kind}: {seconds:.3f} s an epoch")
        growth.append({"model": model, "over": name, "seconds": lines})
        _save({**results, "growth": growth})  # it is the longest part, and may be stopped
    return growth


def _course_in_turn(peers, ways, problem, n_threads):
    """For each way, seconds of an update in each round, and what the parameters are worth after a run."""
    seconds, qualities = {way: [] for way in ways}, {}
    with contextlib.ExitStack() as stack:
        workers = {way: stack.enter_context(Worker(peers, *way, n_threads, problem)) for way in ways}
        for way, worker in workers.items():
            worker.ask("epoch")
            qualities[way] = worker.ask("errors")["validation"]
        for _ in range(COURSE_ROUNDS):
            for way, worker in workers.items():
                time.sleep(PAUSE)
                seconds[way].append(worker.ask("epoch")["seconds"] / COURSE_UPDATES)
    return seconds, qualities


def measure_course(peers, _):
    """Seconds of an update of the rest of the course, in turn, in each way; and what the parameters are worth then."""
    code = (
        "import json; from benchmarks import course_jax, course_torch; "
        "print(json.dumps({**course_torch.KINDS, **course_jax.KINDS}))"
    )
    variants = _peer_output(peers, ["-c", code], 1)
    course = []
    for model, batch_size in COURSE:
        problem = course_problem.course_problem(model, batch_size, COURSE_UPDATES)
        ways = [(OURS, ""), *((kind, variant) for kind in variants for variant in variants[kind][model])]
        for n_threads in THREADS:
            seconds, qualities = _course_in_turn(peers, ways, problem, n_threads)
            ours = qualities[OURS, ""]
            for (kind, variant), quality in qualities.items():
                if abs(quality - ours) > COURSE_TOLERANCE[model] * ours:
                    raise RuntimeError(
                        f"{model}: {kind} {variant} reached {quality}, we reached {ours}: not the same work"
                    )
                of_way = {"kind": kind, "variant": variant, "seconds": seconds[kind, variant], "quality": quality}
                course.append({"model": model, "batch_size": batch_size, "threads": n_threads, **of_way})
                median = statistics.median(of_way["seconds"])
                say(f"update {model} {batch_size}, {n_threads} threads, {kind} {variant}: {1000 * median:.3f} ms")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "sgemm_flops": _sgemm_flops(peers),
        "updates": course,
    }


PARTS = {
    "machine": measure_machine,
    "trials": measure_trials,
    "starts": measure_starts,
    "epochs": measure_epochs,
    "train": measure_train,
    "course": measure_course,
    "ablation": measure_ablation,
    "growth": measure_growth,
}


def main():
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description="Measure the tutorials beside PyTorch, JAX and NumPy.")
    parser.add_argument("--peers", default=str(ROOT / ".venv-bench" / "bin" / "python"), help="Python with the peers")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="others keep their last numbers")
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    results = json.loads(report.RAW.read_text()) if report.RAW.exists() else {"load": {}}
    for part in options.parts:
        results["load"][part] = os.getloadavg()[0]
        say(f"{part}: load average {results['load'][part]:.2f}")
        # Through JSON, so that it is the same as what is read from the file.
        results[part] = json.loads(json.dumps(PARTS[part](options.peers, results)))
        _save(results)
    report.write(results)


if __name__ == "__main__":
    main()
