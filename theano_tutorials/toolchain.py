"""Stands in for ``theano.misc.windows``, through which Theano calls its compiler.

Theano lets the linker write a library in the place from which other processes
load it; what a killed linker leaves there crashes every later one. Here a
library appears under its name when it is whole. The names are those that the
rest of Theano uses.
"""

import os
import subprocess

subprocess_Popen = subprocess.Popen


def call_subprocess_Popen(command, **params):
    """Run a command without its output, and return its exit code."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        **params,
    ).returncode


def output_subprocess_Popen(command, **params):
    """Run a command, and return its output, its errors and its exit code."""
    command = list(command)
    target = None
    if "-o" in command:
        place = command.index("-o") + 1
        target, command[place] = command[place], f"{command[place]}.{os.getpid()}"
    finished = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, **params)
    if target and finished.returncode == 0:
        os.replace(command[place], target)
    return finished.stdout, finished.stderr, finished.returncode
