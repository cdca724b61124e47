"""The compile lock: one process at a time compiles, and one that is killed holds up nobody."""

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import pytest
import theano

from theano_tutorials.backend.compiling import lock

pytestmark = [pytest.mark.one_python, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
A_WHILE = 600  # seconds; only a hang takes as long

DOT = """
import theano_tutorials, numpy as np, theano, theano.tensor as T
x, y = T.matrix(), T.matrix()
product = theano.function([x, y], T.dot(x, y))
a = np.random.RandomState(0).uniform(-1, 1, (40, 300))
b = np.random.RandomState(1).uniform(-1, 1, (300, 20))
dtype = theano.config.floatX
error = abs(product(a.astype(dtype), b.astype(dtype)) - a @ b).max()
assert error < 300 * np.finfo(dtype).eps, error
"""


def environment(**changes):
    """This environment without what sets up Theano, with changes."""
    kept = {name: value for name, value in os.environ.items() if name not in ("THEANO_FLAGS", "THEANORC")}
    return {**kept, "PYTHONPATH": str(ROOT), **changes}


# In one process and in two


class Holder:
    """Another process that takes the lock of a compile cache, and keeps it until it is told."""

    CODE = """
import sys, theano_tutorials
from theano_tutorials.backend.compiling import lock
with lock.lock_ctx():
    print('held', flush=True)
    sys.stdin.readline()
print('released', flush=True)
"""

    def __init__(self, folder=theano.config.compiledir):
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(THEANO_FLAGS=f"compiledir={shlex.quote(str(folder))}"),
        )
        assert self.process.stdout.readline() == "held\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def own_lock(monkeypatch, tmp_path):
    """The lock of an empty compile cache, for this process and its threads."""
    own = filelock.FileLock(tmp_path / "compile.lock")
    monkeypatch.setattr(lock, "_lock", lambda: own)
    return own


def test_theano_uses_the_lock():
    from theano.gof import cmodule

    assert sys.modules["theano.gof.compilelock"] is lock
    assert cmodule.compilelock is lock


def test_lock_is_reentrant(own_lock):
    with lock.lock_ctx():
        with lock.lock_ctx():
            lock.get_lock()
            lock.release_lock()
        assert own_lock.is_locked
    assert not own_lock.is_locked


def test_lock_is_released_after_an_error(own_lock):
    with pytest.raises(ZeroDivisionError), lock.lock_ctx():
        raise ZeroDivisionError
    assert not own_lock.is_locked


def test_lock_is_kept_on_demand(own_lock):
    with lock.lock_ctx(keep_lock=True):
        pass
    assert own_lock.is_locked
    lock.release_lock()
    assert not own_lock.is_locked


def test_threads_exclude_each_other():
    inside, overlaps = [], []

    def hold(number):
        for _ in range(5):
            with lock.lock_ctx():
                overlaps.extend(inside)
                inside.append(number)
                time.sleep(0.005)
                inside.remove(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(hold, range(4)))
    assert overlaps == []


def waiting_process(folder=theano.config.compiledir, silent_wait=lock._SILENT_WAIT):
    code = "import theano_tutorials; from theano_tutorials.backend.compiling import lock\n"
    code += f"lock._SILENT_WAIT = {silent_wait}\n"
    code += "print('started', flush=True)\nwith lock.lock_ctx(): print('held', flush=True)"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(THEANO_FLAGS=f"compiledir={shlex.quote(str(folder))}"),
    )


def test_processes_exclude_each_other():
    with Holder() as holder:
        waiting = waiting_process()
        assert waiting.stdout.readline() == "started\n"
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(1)
        holder.process.communicate("release\n")
        assert waiting.communicate(timeout=A_WHILE) == ("held\n", "")


def test_a_long_wait_is_explained(tmp_path):
    # Its own cache: another test would have to wait for this one as long.
    with Holder(tmp_path) as holder:
        waiting = waiting_process(tmp_path, silent_wait=1)
        assert waiting.stdout.readline() == "started\n"
        explanation = waiting.stderr.readline()
        holder.process.communicate("release\n")
        assert waiting.communicate(timeout=A_WHILE) == ("held\n", "")
    assert explanation.startswith("waiting for another process that compiles")
    assert str(tmp_path / "compile.lock") in explanation


def test_sigkill_releases_the_lock():
    with Holder() as holder:
        holder.process.kill()
        holder.process.wait()
        start = time.monotonic()
        with lock.lock_ctx():
            assert time.monotonic() - start < 60  # the lock of Theano itself waits for 120


# One empty cache, several processes


def start_on(home):
    return subprocess.Popen(
        [sys.executable, "-W", "always", "-c", DOT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment(HOME=str(home)),
    )


def assert_succeeds(process):
    out, err = process.communicate(timeout=A_WHILE)
    # A wait for the other process may be explained; nothing else is said.
    said = [line for line in err.splitlines() if not line.startswith("waiting for another process that compiles")]
    assert (process.returncode, out, said) == (0, "", [])


def test_two_first_starts_at_once(tmp_path):
    for process in [start_on(tmp_path), start_on(tmp_path)]:
        assert_succeeds(process)


@pytest.mark.parametrize("seed", range(2))
def test_a_process_killed_while_it_compiles_delays_nobody(tmp_path, seed):
    killed, other = start_on(tmp_path), start_on(tmp_path)
    while not list(tmp_path.glob(".theano/*/*/mod.cpp")):
        assert killed.poll() is None or other.poll() is None
        time.sleep(0.01)
    time.sleep(random.Random(seed).uniform(0, 3))
    # Its g++ too: as when the machine runs out of memory.
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert_succeeds(other)
    assert_succeeds(start_on(tmp_path))
