"""Stands in for ``theano.gof.compilelock``: a lock that dies with its process.

Theano's own lock is a directory: a process killed at the wrong moment leaves it
behind, and the next one waits for minutes. Here the operating system holds the
lock and lets go of it when the process ends, however it ends. The names are
those that the rest of Theano uses.
"""

import functools
import logging
import os
from contextlib import contextmanager

import filelock

_SILENT_WAIT = 20  # seconds; a module takes one or two
_logger = logging.getLogger(__name__)


@functools.cache
def lock_in(folder):
    """The ``filelock.FileLock`` of the compile cache in a folder, a string."""
    os.makedirs(folder, exist_ok=True)
    return filelock.FileLock(os.path.join(folder, "compile.lock"))


def _lock():
    from theano import config

    return lock_in(config.compiledir)


def get_lock(lock_dir=None, **_):
    """Take the lock; each call wants a :func:`release_lock` of the same thread."""
    lock = _lock()
    try:
        lock.acquire(timeout=_SILENT_WAIT)
    except filelock.Timeout:
        _logger.warning("waiting for another process that compiles (lock: %s)", lock.lock_file)
        lock.acquire()


def release_lock():
    """Undo one :func:`get_lock`."""
    _lock().release()


@contextmanager
def lock_ctx(lock_dir=None, keep_lock=False, **_):
    """Hold the lock."""
    get_lock()
    try:
        yield
    finally:
        if not keep_lock:
            release_lock()


def holding(function):
    """A function that does the same while it holds the lock."""

    # Theano reads the index of its cache without the lock, and deletes what is half written.
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        with lock_ctx():
            return function(*args, **kwargs)

    return wrapper


def force_unlock():
    """Do nothing: no lock outlives its process."""
