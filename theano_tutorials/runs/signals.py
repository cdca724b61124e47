"""SIGINT and SIGTERM as something to ask for, between two minibatches."""

import signal
import threading
from contextlib import contextmanager


@contextmanager
def signals_noted():
    """List that SIGINT and SIGTERM are put into; a second signal acts as it did before."""
    noted = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def note(number, _):
        noted.append(number)
        restore()

    def restore():
        for number, handler in before.items():
            signal.signal(number, handler)

    # What is ignored stays so, as under nohup.
    caught = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in caught}
    try:
        yield noted
    finally:
        restore()
