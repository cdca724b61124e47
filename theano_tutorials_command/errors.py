"""One line for an error, and the exit code."""

import os
import signal
import sys
from contextlib import contextmanager

from theano_tutorials_command.start import INTERRUPTED, INTERRUPTIBLE


@contextmanager
def exit_codes():
    """Exit with 1 for an error, which is one line on standard error, or 130 for Ctrl-C."""
    try:
        with interruptible():
            yield
    except KeyboardInterrupt:
        print("Interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        fail("standard output was closed")
    except (OSError, ValueError, MemoryError, ImportError) as error:
        fail(message_of(error))


@contextmanager
def interruptible():
    """Let Ctrl-C raise KeyboardInterrupt within the block, and never again after it."""
    try:
        if INTERRUPTIBLE:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C adds nothing but a traceback


def message_of(error):
    """The text of an error in one line, without the number of the operating system."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if str(error).startswith("Cannot compute test value"):
        return "compute_test_value: the variables of the tutorials have no test values: set it to off, ignore or warn"
    return str(error) or type(error).__name__


def fail(message):
    """Exit with 1 and a line on standard error."""
    try:
        sys.stdout.flush()
    except OSError:
        # Nobody reads on, or the disk is full: without this Python complains when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(f"error: {message}")
