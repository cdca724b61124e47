"""A search over hyper-parameters, with real processes, real kills and a real data base."""

import csv
import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import optuna
import pytest
from distributed import Client, LocalCluster
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from sqlalchemy.pool import NullPool

from theano_tutorials import (
    load_data,
    load_model,
    read_data,
    search,
    train_da,
    train_lenet,
    train_logreg,
    train_lstm,
    train_mlp,
)
from theano_tutorials.runs.directory import checksum
from theano_tutorials.studies import trials
from theano_tutorials.studies.report import command_of
from theano_tutorials.studies.sending import SentData
from theano_tutorials.studies.space import read_space
from theano_tutorials.studies.trials import Job, run_job

SCRIPTS = Path(__file__).parents[1] / "scripts"
LOGREG = {"learning_rate": "0.01..0.5:log", "batch_size": "20,40", "n_epochs": "2"}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Path of a part of MNIST."""
    (train_x, train_y), _, (test_x, test_y) = read_data("mnist")
    path = tmp_path_factory.mktemp("data") / "small.npz"
    np.savez(path, x_train=train_x[:1200], y_train=train_y[:1200], x_test=test_x[:400], y_test=test_y[:400])
    return str(path)


def drawn(study):
    return [(trial.number, trial.params, trial.value, trial.state.name) for trial in study.get_trials()]


def search_script(*arguments):
    return subprocess.Popen(
        [sys.executable, SCRIPTS / "search.py", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def study_in(folder):
    name = json.loads((folder / "search.json").read_text())["name"]
    return load_study(name, f"sqlite:///{folder / 'study.db'}")


def load_study(name, url):
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": NullPool})
    return optuna.load_study(study_name=name, storage=storage)


def rows(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


# Space


def test_what_a_space_says():
    settings = {"learning_rate": "1e-3..0.1:log", "n_hidden": "100..1000", "L2_reg": "0,1e-4", "n_epochs": 5}
    space = read_space(train_mlp, {**settings, "dataset": "kmnist"})
    assert space.distributions == {
        "learning_rate": FloatDistribution(1e-3, 0.1, log=True),
        "n_hidden": IntDistribution(100, 1000),
        "L2_reg": CategoricalDistribution((0.0, 1e-4)),
    }
    assert space.arguments({"n_hidden": 7}) == {"n_epochs": 5, "dataset": "kmnist", "n_hidden": 7}
    layers = read_space(train_lenet, {"nkerns": "4x8,20x50"})
    assert layers.arguments({"nkerns": "4x8"}) == {"nkerns": (4, 8)}
    assert read_space(train_lenet, {"nkerns": [(4, 8), (20, 50)]}) == layers
    assert read_space(train_lstm, {"use_dropout": "true,false"}).distributions["use_dropout"].choices == (True, False)


@pytest.mark.parametrize(
    ("function", "setting", "message"),
    [
        (train_mlp, {"learning_rat": "1..2"}, "train_mlp has no learning_rat: expected one of learning_rate, L1_reg"),
        (train_mlp, {"output_dir": "x"}, "train_mlp has no output_dir"),
        (train_mlp, {"n_hidden": "0.5..3"}, "n_hidden=0.5: expected a whole number"),
        (train_mlp, {"n_hidden": "many,few"}, "n_hidden=many: expected a number"),
        (train_mlp, {"learning_rate": "0.1..0.01"}, "learning_rate=0.1..0.01: expected low..high with low < high"),
        (train_mlp, {"learning_rate": "0..1:log"}, "and low > 0 for :log"),
        (train_mlp, {"dataset": "a..b"}, "dataset=a..b: expected values with commas"),
        (train_lstm, {"use_dropout": "yes"}, "use_dropout=yes: expected true or false"),
        (train_da, {"n_hidden": "1..2"}, "train_da has no early stopping"),
    ],
)
def test_a_space_that_is_not_valid(function, setting, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_space(function, setting)


@given(low=st.integers(1, 10**6), width=st.integers(1, 10**6), log=st.booleans())
def test_a_range_is_read_as_it_is_written(low, width, log):
    setting = f"{low}..{low + width}{':log' if log else ''}"
    assert read_space(train_mlp, {"n_hidden": setting}).distributions["n_hidden"] == IntDistribution(
        low, low + width, log=log
    )


# Search


@pytest.mark.slow
def test_equal_seeds_draw_equal_trials_whatever_the_number_of_workers(tmp_path, small, capfd):
    settings = {**LOGREG, "dataset": small}
    one = search(train_logreg, settings, 5, output_dir=tmp_path / "one", n_workers=1)
    two = search(train_logreg, settings, 5, output_dir=tmp_path / "two", n_workers=2)
    assert drawn(one) == drawn(two)
    assert len({trial.params["learning_rate"] for trial in one.get_trials()}) == 5
    # Each is a run of the usual kind.
    model, _ = load_model(tmp_path / "two" / trials.name_of(one.best_trial.number))
    again = train_logreg(
        dataset=small, n_epochs=2, **{name: one.best_params[name] for name in ("learning_rate", "batch_size")}
    )
    assert again.best_validation_loss == one.best_value
    np.testing.assert_array_equal(model.W.get_value(), again.model.W.get_value())
    # The command line trains the best.
    printed = capfd.readouterr().out
    command = re.findall(r"The best again: python (scripts/train_logreg.py .*)", printed)[-1].split()
    trained = subprocess.run(
        [sys.executable, *command], cwd=SCRIPTS.parent, capture_output=True, text=True, check=True, timeout=300
    )
    assert f"Best validation score of {one.best_value * 100:f} %" in trained.stdout
    figures = [f"{name}.{kind}" for name in ("history", "parallel", "importance") for kind in ("png", "html")]
    assert {"study.db", "search.json", "trials.csv", *figures} <= {*os.listdir(tmp_path / "one")}
    with open(tmp_path / "one" / "trials.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [float(row["validation_error"]) for row in table] == [trial.value for trial in one.get_trials()]


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_nothing(tmp_path, small):
    settings = {"learning_rate": "0.001,0.002", "n_hidden": 30, "n_epochs": 60, "dataset": small, "patience": 10**6}
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        found = []
        folder = tmp_path / "killed"
        address = cluster.scheduler_address
        thread = threading.Thread(
            target=lambda: found.append(
                search(train_mlp, settings, 3, sampler="grid", output_dir=folder, scheduler=address)
            )
        )
        thread.start()
        # After a checkpoint, so that there is something to go on from.
        until(lambda: list(folder.glob("trials/*/checkpoint.safetensors")))
        victim = next(iter(folder.glob("trials/*/checkpoint.safetensors"))).parent
        in_use = [
            pid
            for pid in (worker.pid for worker in cluster.workers.values())
            if any(os.path.realpath(fd).startswith(str(victim)) for fd in Path(f"/proc/{pid}/fd").iterdir())
        ]
        os.kill(in_use[0], signal.SIGKILL)
        thread.join(300)
    (study,) = found
    assert [trial.state.name for trial in study.get_trials()] == ["COMPLETE"] * len(study.get_trials())
    # Both values of the grid once, and as if nobody had been killed.
    for trial in study.get_trials():
        arguments = {**settings, "learning_rate": trial.params["learning_rate"]}
        assert train_mlp(**arguments).best_validation_loss == trial.value
        iterations = [int(row["iteration"]) for row in rows(folder / trial.user_attrs["folder"])]
        assert iterations == sorted(set(iterations))
        assert len(iterations) == 60
    assert (victim / "output.txt").read_text().count("Run directory") == 2


@pytest.fixture(scope="module")
def four_trials(tmp_path_factory, small):
    """Options of a search, and the trials that it has if nobody kills it."""
    options = ["mlp", "--trials", 4, "--set=learning_rate=0.001..0.1:log", "--set=n_hidden=20", "--set=n_epochs=20"]
    options += [f"--set=dataset={small}", "--workers", 2]
    folder = tmp_path_factory.mktemp("whole") / "search"
    process = search_script(*options, "--output-dir", folder)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return options, drawn(study_in(folder))


@pytest.mark.one_python
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_search_that_is_killed_goes_on(tmp_path, four_trials, number):
    folder = tmp_path / "search"
    options, expected = four_trials
    process = search_script(*options, "--output-dir", folder)
    until(lambda: len(list(folder.glob("trials/*/metrics.csv"))) >= 3)  # the third trial has begun
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    before = study_in(folder).get_trials()
    assert 3 <= len(before) <= 4
    assert not all(trial.state.is_finished() for trial in before)
    process = search_script(*options, "--output-dir", folder, "--resume")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert drawn(study_in(folder)) == expected
    for trial in study_in(folder).get_trials():
        assert len(rows(folder / trial.user_attrs["folder"])) == 20


@pytest.mark.one_python
@pytest.mark.slow
def test_a_search_is_resumed_with_what_it_began_with(tmp_path, small):
    settings = {**LOGREG, "dataset": small}
    search(train_logreg, settings, 1, output_dir=tmp_path, n_workers=1)
    with pytest.raises(FileExistsError, match="holds another search: resume it"):
        search(train_logreg, settings, 1, output_dir=tmp_path)
    with pytest.raises(ValueError, match="cannot be resumed: seed was 1234, is 5"):
        search(train_logreg, settings, 1, output_dir=tmp_path, seed=5, resume=True)
    with pytest.raises(ValueError, match=r"cannot be resumed: space was .*'n_epochs': '2'.*, is .*'n_epochs': '3'"):
        search(train_logreg, {**settings, "n_epochs": "3"}, 1, output_dir=tmp_path, resume=True)
    with FileLock(tmp_path / ".lock"), pytest.raises(FileExistsError, match="is in use by another process"):
        search(train_logreg, settings, 2, output_dir=tmp_path, resume=True)
    assert len(search(train_logreg, settings, 2, output_dir=tmp_path, resume=True).get_trials()) == 2


@pytest.mark.one_python
@pytest.mark.slow
def test_workers_stop_when_their_search_is_gone(tmp_path, small):
    folder = tmp_path / "search"
    settings = {"n_hidden": 30, "n_epochs": 200, "dataset": small, "patience": 10**6}
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        arguments = ["mlp", "--trials", 2, "--sampler", "grid", "--scheduler", cluster.scheduler_address]
        arguments += [f"--set={name}={value}" for name, value in settings.items()]
        arguments += ["--set=learning_rate=0.001,0.002", "--output-dir", folder]
        process = search_script(*arguments)
        until(lambda: len(list(folder.glob("trials/*/checkpoint.safetensors"))) == 2)
        process.kill()
        process.communicate(timeout=60)
        locks = [FileLock(folder / trials.name_of(number) / ".lock") for number in range(2)]
        for lock in locks:
            lock.acquire(timeout=60)
        assert all(len(rows(folder / trials.name_of(number))) < 200 for number in range(2))

        # A trial whose folder is still in use waits for it.
        output = folder / trials.name_of(0) / "output.txt"
        output.unlink()
        process = search_script(*arguments, "--resume")
        until(output.exists)
        time.sleep(5)
        for lock in locks:
            lock.release()
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    study = study_in(folder)
    assert [trial.state.name for trial in study.get_trials()] == ["COMPLETE"] * 2
    for trial in study.get_trials():
        assert train_mlp(**settings, **trial.params).best_validation_loss == trial.value


@pytest.mark.one_python
@pytest.mark.slow
def test_a_trial_that_diverges_is_one_that_failed(tmp_path, small, capfd):
    settings = {"learning_rate": [0.01, 1e30], "n_hidden": 10, "n_epochs": 2, "dataset": small}
    study = search(train_mlp, settings, 2, sampler="grid", output_dir=tmp_path, n_workers=1)
    states = {trial.params["learning_rate"]: trial.state.name for trial in study.get_trials()}
    assert states == {0.01: "COMPLETE", 1e30: "FAIL"}
    assert re.search(r"trial \d: failed: the cost is .* lower the learning rate", capfd.readouterr().out)


@pytest.mark.one_python
@pytest.mark.slow
def test_tpe_learns_from_the_trials_that_have_ended_and_goes_on(tmp_path, small):
    settings = {"learning_rate": "1e-6..0.5:log", "n_epochs": 1, "batch_size": 20, "dataset": small}
    study = search(train_logreg, settings, 13, sampler="tpe", output_dir=tmp_path / "whole", n_workers=1)
    values = [trial.value for trial in study.get_trials()]
    # Optuna draws the first ten at random.
    assert np.median(values[10:]) < np.median(values[:10])
    search(train_logreg, settings, 11, sampler="tpe", output_dir=tmp_path / "parts", n_workers=1)
    parts = search(train_logreg, settings, 13, sampler="tpe", output_dir=tmp_path / "parts", n_workers=1, resume=True)
    assert drawn(parts) == drawn(study)


@pytest.mark.one_python
@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_a_pruned_trial_keeps_its_curve(tmp_path, small, capfd, pruner):
    # The good ones first, by name, so that the bad ones are below the median.
    settings = {"learning_rate": [0.1, 0.09, 0.08, 0.07, 0.06, 1e-7], "n_epochs": 150, "dataset": small}
    settings.update(batch_size=40, patience=10**6)
    study = search(train_logreg, settings, 12, sampler="random", pruner=pruner, output_dir=tmp_path, n_workers=1)
    pruned = [trial for trial in study.get_trials() if trial.state.name == "PRUNED"]
    assert pruned
    for trial in pruned:
        curve = rows(tmp_path / trial.user_attrs["folder"])
        assert 1 <= len(curve) < 150
        losses = [float(row["validation_error"]) for row in curve]
        assert losses == [trial.intermediate_values[step] for step in range(1, len(curve) + 1)]
    assert "pruned after" in capfd.readouterr().out


@pytest.mark.one_python
@pytest.mark.slow
def test_one_setting_with_many_seeds(tmp_path, small, capfd):
    settings = {"n_hidden": 10, "n_epochs": 2, "dataset": small}
    study = search(train_mlp, settings, n_seeds=3, output_dir=tmp_path, n_workers=2)
    assert [trial.params["seed"] for trial in study.get_trials()] == [1234, 1235, 1236]
    values = np.array([trial.value for trial in study.get_trials()]) * 100
    assert (
        f"Validation error of 3 seeds: mean {values.mean():f} %, standard deviation {values.std(ddof=1):f}, "
        f"best {values.min():f} %, worst {values.max():f} %"
    ) in capfd.readouterr().out
    with pytest.raises(ValueError, match="seeds repeat one setting"):
        search(train_mlp, {"n_hidden": "1..5"}, n_seeds=3, output_dir=tmp_path / "other")


@pytest.mark.one_python
@pytest.mark.slow
def test_workers_without_the_folder_send_models_and_metrics(tmp_path, small):
    # A path that means something in this process alone.
    descriptor = os.open(tmp_path, os.O_RDONLY)
    folder = Path(f"/proc/self/fd/{descriptor}") / "search"
    try:
        finished = search(train_logreg, {**LOGREG, "dataset": small}, 2, output_dir=folder, n_workers=1).get_trials()
    finally:
        os.close(descriptor)
    assert len(finished) == 2
    for trial in finished:
        found = tmp_path / "search" / trial.user_attrs["folder"]
        assert {"best_model.safetensors", "metrics.csv", "config.json", "output.txt"} <= {*os.listdir(found)}
        load_model(found)


@pytest.mark.slow
def test_a_worker_refuses_other_data_and_takes_what_it_does_not_find(small):
    own = checksum(load_data(small))
    arguments = {"dataset": small, "n_epochs": 1, "batch_size": 20}
    job = Job("train_logreg-test", 0, "train_logreg", arguments, own, "/nowhere")
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        refused = client.submit(run_job, job._replace(checksum="0" * 64)).result()
        elsewhere = job._replace(number=1, arguments={**arguments, "dataset": "/nowhere/small.npz"})
        missing = client.submit(run_job, elsewhere).result()
        client.register_plugin(SentData("/nowhere/small.npz", read_data(small)), name=job.search)
        cluster.scale(0)
        until(lambda: not client.nthreads())
        cluster.scale(1)  # a worker that comes later is sent the data too
        sent = client.submit(run_job, elsewhere._replace(number=2)).result()
    assert refused.state == missing.state == "failed"
    assert f"another data set: its checksum is {own[:12]}..., expected 000000000000..." in refused.error
    assert "/nowhere/small.npz" in missing.error
    assert (sent.state, sent.error) == ("complete", "")
    assert json.loads(sent.files["config.json"])["data"]["sha256"] == own


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory):
    """Address of a server that is started for these tests, on loopback."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        pytest.skip("no PostgreSQL here: apt-get install postgresql, as .ci/run does")
    programs = found[-1]
    folder = tmp_path_factory.mktemp("postgresql")
    options = {}
    if os.getuid() == 0:  # which the server refuses
        nobody = pwd.getpwnam("nobody")
        options = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        for parent in (folder, *folder.parents):
            if parent.owner() == "root" and not parent.stat().st_mode & 1:
                parent.chmod(parent.stat().st_mode | 0o011)
        folder.chmod(0o700)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    environment = {**os.environ, "LC_ALL": "C", "HOME": str(folder)}
    run = {"check": True, "capture_output": True, "env": environment, "cwd": "/", "timeout": 120, **options}
    subprocess.run(
        [programs / "initdb", "--pgdata", data, "--auth", "trust", "--encoding", "UTF8", "--username", "tutorials"],
        **run,
    )
    server = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder)]
    control = [programs / "pg_ctl", "--pgdata", data, "--log", folder / "log", "--wait"]
    subprocess.run([*control, "--options", " ".join(server), "start"], **{**run, "capture_output": False})
    yield f"postgresql://tutorials@127.0.0.1:{port}/postgres"
    subprocess.run([*control, "--mode", "immediate", "stop"], **run)


@pytest.mark.slow
def test_the_same_study_in_a_file_and_in_postgresql(tmp_path, small, postgresql):
    settings = {**LOGREG, "dataset": small}
    in_a_file = search(train_logreg, settings, 3, output_dir=tmp_path / "file", n_workers=2)
    in_a_server = search(train_logreg, settings, 3, output_dir=tmp_path / "server", storage=postgresql, n_workers=2)
    assert drawn(in_a_file) == drawn(in_a_server)
    assert not (tmp_path / "server" / "study.db").exists()
    # From the server, as another machine would read it.
    loaded = load_study(in_a_server.study_name, postgresql.replace("postgresql:", "postgresql+psycopg:"))
    assert drawn(loaded) == drawn(in_a_file)


@pytest.mark.one_python
@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mlp", "--trials", "3"], "nothing is searched"),
        (["mlp"], "expected --trials N or --seeds N"),
        (["mlp", "--trials", "3", "--set", "n_hidden"], "--set n_hidden: expected NAME=VALUES"),
        (["mlp", "--trials", "3", "--set", "n_hiden=3"], "train_mlp has no n_hiden"),
        (["mlp", "--trials", "3", "--set", "n_hidden=5..9", "--set", "batch_size=0"], "batch_size is 0"),
        (["logreg", "--trials", "3", "--set", "batch_size=600..20000"], "batch_size is 20000: expected at most 10000"),
        (["mlp", "--trials", "3", "--set", "n_hidden=5..9", "--scheduler", "tcp://127.0.0.1:1"], "scheduler tcp"),
        (
            ["mlp", "--trials", "3", "--set", "n_hidden=5..9", "--storage", "postgresql://127.0.0.1:1/x"],
            "cannot be used",
        ),
        (["mlp", "--trials", "3", "--set", "n_hidden=5..9", "--sampler", "grid"], "n_hidden has a range"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, arguments, message):
    process = search_script(*arguments, "--output-dir", tmp_path / "search")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert message in errors
    assert errors.count("\n") == 1, errors


@pytest.mark.one_python
@pytest.mark.slow
def test_a_scheduler_that_goes_loses_nothing(tmp_path, small):
    settings = {"learning_rate": "0.001,0.002", "n_hidden": 30, "n_epochs": 100, "dataset": small, "patience": 10**6}
    found = []

    def run(address):  # in a thread, whose errors nobody sees
        try:
            search(train_mlp, settings, 2, output_dir=tmp_path / "search", scheduler=address)
        except OSError as error:
            found.append(str(error))

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        thread = threading.Thread(target=run, args=[cluster.scheduler_address])
        thread.start()
        until(lambda: list((tmp_path / "search").glob("trials/*/metrics.csv")))
    thread.join(120)
    assert found == ["the scheduler is gone: what ran is run again, if the search is resumed"]
    assert [trial.state.name for trial in study_in(tmp_path / "search").get_trials()] == ["RUNNING"]


@pytest.mark.one_python
@pytest.mark.slow
def test_without_optuna_one_line_says_what_to_install(tmp_path):
    source = "import sys; sys.modules['optuna'] = None; import theano_tutorials as t; t.search(t.train_mlp, {}, 1)"
    finished = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path
    )
    assert finished.stderr.splitlines()[-1] == (
        "ImportError: optuna is not installed: pip install 'theano_tutorials[search]'"
    )


def test_the_command_of_a_trial():
    space = read_space(train_lenet, {"nkerns": "4x8,20x50", "n_epochs": "3"})
    command = command_of("train_lenet", space.arguments({"nkerns": "20x50"}))
    assert command == "python scripts/train_lenet.py --n-epochs 3 --nkerns 20 50"


@pytest.mark.one_python
@pytest.mark.slow
def test_a_kill_while_a_trial_is_drawn_changes_nothing(tmp_path, small):
    settings = {**LOGREG, "dataset": small}
    whole = search(train_logreg, settings, 3, output_dir=tmp_path / "whole", n_workers=1)
    search(train_logreg, settings, 1, output_dir=tmp_path / "cut", n_workers=1)
    # As a kill leaves it: one trial without any value, and one with the first.
    study = study_in(tmp_path / "cut")
    study.ask()
    second = whole.get_trials()[2]
    study.sampler = optuna.samplers.RandomSampler()
    study.enqueue_trial({"learning_rate": second.params["learning_rate"]})
    study.ask({"learning_rate": second.distributions["learning_rate"]})
    resumed = search(train_logreg, settings, 3, output_dir=tmp_path / "cut", n_workers=1, resume=True)
    assert drawn(resumed) == drawn(whole)
