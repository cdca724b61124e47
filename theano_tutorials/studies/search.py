"""The search itself: asks Optuna for trials, sends them to the workers of Dask, and keeps what comes back.

One process asks and tells, so the trials of a seeded sampler do not depend on the order in
which workers end. A trial is in the study before it is sent, and leaves the state RUNNING
when its outcome has arrived: what is in that state when a search goes on is run again.
"""

import contextlib
import itertools
import json
import logging
import os
import queue
import tempfile
import uuid
import warnings
from pathlib import Path

import filelock
import numpy as np

from theano_tutorials.datasets import read_data
from theano_tutorials.runs.directory import LOCK, acquire, require_same
from theano_tutorials.runs.tensors import write_atomically
from theano_tutorials.runs.watching import watched
from theano_tutorials.studies import trials
from theano_tutorials.studies.trials import COMPLETE, FAILED, PRUNED, SETTINGS, Job, Outcome

SAMPLERS = ("random", "tpe", "grid")
PRUNERS = ("none", "median", "hyperband")
_DATABASE = "study.db"
_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_CONNECT = 10
# Dask's workers look at themselves many times a second, which delays the training; see docs/search.md.
_QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "2s",
    "distributed.admin.system-monitor.interval": "5s",
}


def search(
    function,
    space=None,
    n_trials=None,
    n_seeds=None,
    sampler="random",
    pruner="none",
    seed=1234,
    output_dir=None,
    resume=False,
    storage=None,
    scheduler=None,
    n_workers=None,
):
    """Search for the hyper-parameters with the lowest validation error.

    Parameters
    ----------
    function : function
        One of ``train_*`` that stops early, for instance :func:`theano_tutorials.train_mlp`.
    space : dict, optional
        What is searched, and what is fixed, by the name of an argument: ``"0.001..0.1:log"``,
        ``"100..1000"``, a list of values, or one value. See ``docs/search.md``.
    n_trials : int
        Number of trials, those included that fail or are pruned.
    n_seeds : int
        In the place of ``n_trials``: repeat one setting with so many seeds, from the default on.
    sampler : str
        random, tpe (tree-structured Parzen estimator) or grid.
    pruner : str
        none, median or hyperband: stops trials whose validations promise nothing.
    seed : int
        Seed of the sampler. Equal seeds draw equal trials, whatever the number of workers; but
        tpe learns from the trials that have ended.
    output_dir : path
        Folder of the search: the study, and the run directories of the trials.
    resume : bool
        Go on with the search in this folder. Trials that were running are run again, from
        their checkpoints.
    storage : str, optional
        Address of a data base, ``postgresql://user@host/name``, in the place of a file of
        SQLite in the folder.
    scheduler : str, optional
        Address of a Dask scheduler, ``tcp://host:8786``, in the place of processes here.
    n_workers : int, optional
        Number of processes here. As many as there are cores, if it is not given.

    Returns
    -------
    optuna.Study

    Raises
    ------
    ValueError
        If a setting is not valid, or the search in the folder has others.
    OSError
        If the folder, the data base or the scheduler cannot be used.
    ImportError
        If Optuna or Dask are not installed.

    References
    ----------
    J. Bergstra and Y. Bengio, "Random search for hyper-parameter optimization", JMLR 13, 2012.
    """
    _require_installed()
    from distributed.client import CancelledError
    from distributed.comm import CommClosedError

    if output_dir is None:
        raise ValueError("a search needs a folder: give output_dir")
    _require_valid(n_trials, n_seeds, n_workers, sampler, pruner)
    space = dict(space or {})
    if n_seeds is not None:
        space = _with_seeds(function, space, n_seeds)
    plan = _plan(function, space, n_seeds, sampler)
    settings = {
        "function": function.__name__,
        "space": {name: str(setting) for name, setting in space.items()},
        "n_trials": n_trials or n_seeds,
        "n_seeds": n_seeds,
        "sampler": sampler,
        "pruner": pruner,
        "seed": seed,
        "storage": _without_password(storage),
        "data": _checksum(function, plan),
    }
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with acquire(filelock.FileLock(folder / LOCK)):
        name = _begin(folder, settings, resume)
        study = _study(folder, name, storage, pruner)
        with _client(scheduler, n_workers) as client, _data_sent(client, scheduler, plan, name):
            try:
                _Search(client, study, plan, settings, folder, name).run()
            except (CancelledError, CommClosedError):
                raise ConnectionError(
                    "the scheduler is gone: what ran is run again, if the search is resumed"
                ) from None
            except KeyboardInterrupt:
                print(f"Interrupted. To go on: the same again, with resume, in {folder}", flush=True)
                raise
    return study


def _require_valid(n_trials, n_seeds, n_workers, sampler, pruner):
    if (n_trials is None) == (n_seeds is None):
        raise ValueError("expected a number of trials, or a number of seeds, one of the two")
    for name, count in (("n_trials", n_trials), ("n_seeds", n_seeds), ("n_workers", n_workers)):
        if count is not None and count < 1:
            raise ValueError(f"{name} is {count}: expected at least 1")
    for name, value, known in (("sampler", sampler, SAMPLERS), ("pruner", pruner, PRUNERS)):
        if value not in known:
            raise ValueError(f"{name} is {value!r}: expected {', '.join(known)}")


def _plan(function, space, n_seeds, sampler):
    from theano_tutorials.studies.space import read_space

    plan = read_space(function, space)
    if n_seeds is not None and {*plan.distributions} - {"seed"}:
        raise ValueError("seeds repeat one setting: give each hyper-parameter one value")
    if n_seeds is None and not plan.distributions:
        raise ValueError("nothing is searched: give a range or several values for a hyper-parameter")
    ranges = [name for name, distribution in plan.distributions.items() if hasattr(distribution, "low")]
    if sampler == "grid" and ranges:
        raise ValueError(f"a grid needs values with commas: {', '.join(ranges)} has a range")
    return plan


def _require_installed():
    try:
        import distributed  # noqa: F401
        import optuna
    except ImportError as error:
        raise ImportError(f"{error.name} is not installed: pip install 'theano_tutorials[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def _with_seeds(function, space, n_seeds):
    from theano_tutorials.studies.space import read_space

    defaults = read_space(function, {}).defaults
    if "seed" not in defaults:
        raise ValueError(f"{function.__name__} draws nothing, so it has no seed")
    first = int(space.get("seed", defaults["seed"]))
    return {**space, "seed": list(range(first, first + n_seeds))}


class _Checked(Exception):
    pass


class _Probe:
    # Ends a training where its arguments and its data have been checked.
    def run_begins(self, run):
        self.checksum = run.checksum
        raise _Checked


def _checksum(function, plan):
    # That of the data set. On the way, both ends of what is searched are checked.
    ends = {name: getattr(d, "choices", None) or (d.low, d.high) for name, d in plan.distributions.items()}
    probe = _Probe()
    for end in (0, -1):
        arguments = plan.arguments({name: values[end] for name, values in ends.items()})
        with tempfile.TemporaryDirectory() as unused, contextlib.suppress(_Checked), watched(probe):
            function(**arguments, output_dir=Path(unused) / "run")
    return probe.checksum


def _without_password(storage):
    if storage is None:
        return None
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(storage).render_as_string(hide_password=True)
    except ArgumentError:
        raise ValueError(f"storage is {storage!r}: expected postgresql://user@host/name") from None


def _begin(folder, settings, resume):
    # The name of the study: of all searches.
    path = folder / SETTINGS
    if not path.exists():
        if resume:
            raise FileNotFoundError(f"{folder} holds no search: there is nothing to resume")
        name = f"{settings['function']}-{uuid.uuid4().hex[:12]}"
    elif not resume:
        raise FileExistsError(f"{folder} holds another search: resume it, or choose another folder")
    else:
        try:
            before = json.loads(path.read_text())
            name = before.pop("name")
        except (ValueError, KeyError) as error:
            raise ValueError(f"{path}: not the settings of a search ({type(error).__name__}: {error})") from error
        require_same(folder, *({**kept, "n_trials": None} for kept in (before, settings)))
    write_atomically(path, (json.dumps({"name": name, **settings}, indent=2) + "\n").encode())
    return name


def _study(folder, name, storage, pruner):
    import optuna
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    url = storage or f"sqlite:///{(folder / _DATABASE).absolute()}"
    url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    pruners = {
        "none": optuna.pruners.NopPruner,
        "median": optuna.pruners.MedianPruner,
        "hyperband": optuna.pruners.HyperbandPruner,
    }
    try:
        # A connection is open while it is used, and no longer.
        engine = optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": NullPool})
        return optuna.create_study(
            storage=engine, study_name=name, direction="minimize", pruner=pruners[pruner](), load_if_exists=True
        )
    except (SQLAlchemyError, ModuleNotFoundError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise OSError(f"{_without_password(storage) or folder / _DATABASE} cannot be used: {reason}") from error


@contextlib.contextmanager
def _client(scheduler, n_workers):
    import dask
    import distributed

    logging.getLogger("distributed").setLevel(logging.ERROR)
    with contextlib.ExitStack() as stack:
        if scheduler is None:
            stack.enter_context(dask.config.set(_QUIET))
            cluster = distributed.LocalCluster(
                n_workers=n_workers or len(os.sched_getaffinity(0)),
                threads_per_worker=1,
                processes=True,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
            stack.enter_context(cluster)
        try:
            client = distributed.Client(scheduler or cluster, timeout=_SECONDS_TO_CONNECT)
        except (OSError, ValueError) as error:
            raise OSError(f"scheduler {scheduler} cannot be used: {str(error).splitlines()[0]}") from error
        yield stack.enter_context(client)


@contextlib.contextmanager
def _data_sent(client, scheduler, plan, name):
    from theano_tutorials.studies.sending import SentData

    dataset = plan.fixed.get("dataset", plan.defaults["dataset"])
    # Those of a known name are found everywhere.
    if scheduler is None or plan.defaults["dataset"] != "mnist" or not os.path.exists(dataset):
        yield
        return
    client.register_plugin(SentData(os.path.abspath(dataset), read_data(dataset)), name=name)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # with its scheduler, which may be gone
            client.unregister_worker_plugin(name)


class _Search:
    """The loop: as many trials at a time as there are workers."""

    def __init__(self, client, study, plan, settings, folder, name):
        self.client, self.study, self.plan = client, study, plan
        self.settings, self.folder, self.name = settings, folder, name
        self.reports = queue.Queue()
        self.running = {}  # a trial by the future of its outcome
        self.pruned = set()
        self.steps = {}  # of each trial, those that the study has
        is_a_grid = settings["sampler"] == "grid" or settings["n_seeds"] is not None
        self.grid = _grid(plan.distributions) if is_a_grid else None

    def run(self):
        import distributed

        from theano_tutorials.studies.report import Progress, write_report

        self.client.subscribe_topic(self.name, lambda event: self.reports.put(event[1]))
        waiting = [trial for trial in self.study.get_trials(deepcopy=False) if not trial.state.is_finished()]
        with Progress(self.study, self.settings["n_trials"]) as progress:
            while True:
                while len(self.running) < max(1, len(self.client.nthreads())):
                    trial = self._again(waiting.pop(0)) if waiting else self._next()
                    if trial is None:
                        break
                    self._submit(trial)
                if not self.running:
                    break
                with contextlib.suppress(distributed.TimeoutError, TimeoutError):
                    distributed.wait(list(self.running), _SECONDS_BETWEEN_LOOKS, "FIRST_COMPLETED")
                self._prune()
                for future in [future for future in self.running if future.done()]:
                    trial = self.running.pop(future)
                    progress.say(self._keep(trial, future))
                progress.update(len(self.running))
        write_report(self.study, self.plan, self.settings, self.folder)

    def _next(self):
        number = len(self.study.get_trials(deepcopy=False))
        if number >= min(self.settings["n_trials"], len(self.grid or range(self.settings["n_trials"]))):
            return None
        self.study.sampler = self._sampler(number)
        return self.study.ask(self.plan.distributions)

    def _sampler(self, number):
        from optuna import samplers

        # Anew for each trial: then what is drawn depends on its number alone, also where a search goes on.
        seed = int(np.random.SeedSequence([self.settings["seed"], number]).generate_state(1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is experimental there
            if self.grid is not None:
                return samplers.PartialFixedSampler(self.grid[number], samplers.RandomSampler(seed))
            if self.settings["sampler"] == "tpe":
                return samplers.TPESampler(seed=seed, constant_liar=True)
            return samplers.RandomSampler(seed)

    def _again(self, frozen):
        import optuna

        # What was drawn is kept. A kill may have come before the rest: that is what it would have been.
        sampler = self._sampler(frozen.number)
        drawn = {**optuna.create_study(sampler=sampler).ask(self.plan.distributions).params, **frozen.params}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is experimental there
            self.study.sampler = optuna.samplers.PartialFixedSampler(drawn, sampler)
        trial = optuna.trial.Trial(self.study, frozen._trial_id)
        for name, d in self.plan.distributions.items():
            if hasattr(d, "choices"):
                trial.suggest_categorical(name, d.choices)
            else:
                suggest = trial.suggest_int if isinstance(d.low, int) else trial.suggest_float
                suggest(name, d.low, d.high, log=d.log)
        return trial

    def _submit(self, trial):
        trial.set_user_attr("folder", trials.name_of(trial.number))
        self.steps[trial.number] = {*self.study.get_trials(deepcopy=False)[trial.number].intermediate_values}
        arguments = self.plan.arguments(trial.params)
        dataset = arguments.setdefault("dataset", self.plan.defaults["dataset"])
        if os.path.exists(dataset):  # workers are elsewhere
            arguments["dataset"] = os.path.abspath(dataset)
        job = Job(
            self.name,
            trial.number,
            self.settings["function"],
            arguments,
            self.settings["data"],
            str(self.folder.absolute()),
        )
        key = f"{self.name}-{trial.number}-{uuid.uuid4().hex[:8]}"
        self.running[self.client.submit(trials.run_job, job, key=key, pure=False)] = trial

    def _prune(self):
        import distributed

        by_number = {trial.number: trial for trial in self.running.values()}
        while not self.reports.empty():
            number, step, loss = self.reports.get()
            trial = by_number.get(number)
            if trial is None:
                continue
            self._report(trial, step, loss)
            if number not in self.pruned and trial.should_prune():
                self.pruned.add(number)
                distributed.Event(trials.event_of(self.name, number), client=self.client).set()

    def _report(self, trial, step, loss):
        # Each once, though it was trained again after the death of a worker: to write one takes milliseconds.
        if step not in self.steps[trial.number]:
            self.steps[trial.number].add(step)
            trial.report(loss, step)

    def _keep(self, trial, future):
        import optuna
        from distributed.client import CancelledError

        try:
            outcome = future.result()
        except CancelledError:  # with its scheduler, and to be run again
            raise
        except Exception as error:  # a worker that died too often, or whatever it could not send
            outcome = Outcome(FAILED, np.nan, np.nan, 0, 0, 0.0, [], f"{type(error).__name__}: {error}", {})
        for name, content in outcome.files.items():
            path = self.folder / trials.name_of(trial.number) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
        for step, loss in enumerate(outcome.losses, start=1):
            self._report(trial, step, loss)
        for name in ("test_loss", "best_iteration", "n_epochs", "seconds", "error"):
            value = getattr(outcome, name)
            if value == value and value != "":
                trial.set_user_attr(name, value)
        if outcome.state == COMPLETE:
            self.study.tell(trial, outcome.value)
        else:
            states = {PRUNED: optuna.trial.TrialState.PRUNED, FAILED: optuna.trial.TrialState.FAIL}
            self.study.tell(trial, state=states[outcome.state])
        return trial.number


def _grid(distributions):
    # All combinations, in the order of the settings.
    values = [distribution.choices for distribution in distributions.values()]
    return [dict(zip(distributions, combination)) for combination in itertools.product(*values)]
