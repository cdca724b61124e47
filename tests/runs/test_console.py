"""What is said on a terminal while something takes its time."""

import os
import pty
import sys
import time

from theano_tutorials.runs import console


def on_a_terminal(monkeypatch, seconds):
    """What a terminal shows of something that takes some seconds."""
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        with console.said_if_slow("Compiling"):
            time.sleep(seconds)
        terminal.write("end")
        terminal.flush()
        shown = ""
        while not shown.endswith("end"):
            shown += os.read(leader, 1000).decode()
    os.close(leader)
    return shown


def test_what_is_slow_is_said_on_a_terminal(monkeypatch):
    assert on_a_terminal(monkeypatch, 1.5) == "Compiling ...\r\nend"


def test_what_is_quick_is_not_said(monkeypatch):
    assert on_a_terminal(monkeypatch, 0) == "end"


def test_a_pipe_gets_nothing(capfd):
    with console.said_if_slow("Compiling"):
        time.sleep(1.5)
    assert capfd.readouterr() == ("", "")
