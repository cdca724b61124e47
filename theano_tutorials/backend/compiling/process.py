"""Stands in for ``theano.misc.windows``, through which Theano calls its compiler.

Theano lets the linker write a library in the place from which other processes
load it; what a killed linker leaves there crashes every later one. Here a
library appears under its name when it is whole. It is compiled with a
precompiled header where that is possible, or has been compiled ahead, beside
others (:mod:`ahead`). The names are those that the rest of Theano uses.
"""

import json
import os
import re
import shutil
import subprocess
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

from theano_tutorials.backend.compiling import header

subprocess_Popen = subprocess.Popen
_thread = threading.local()
_OF_ONE_CORE = re.compile(r"(processor|cpu MHz|bogomips|(initial )?apicid|core id|physical id)\s*:", re.IGNORECASE)


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
    if "-o" not in command:
        return run(command, **params)
    if getattr(_thread, "noted", None) is not None:
        _thread.noted.append(command)
        return b"", b"", 0
    ahead = getattr(_thread, "ahead", {}).pop(fingerprint(command), None)
    place = command.index("-o") + 1
    library, command[place] = command[place], f"{command[place]}.{os.getpid()}"
    made, output = ahead() if ahead else compile_library(command, **params)
    if output[2] == 0:
        os.replace(made, library)
    return output


def run(command, **params):
    """Run a command, and return its output, its errors and its exit code."""
    finished = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, **params)
    return finished.stdout, finished.stderr, finished.returncode


def compile_library(command, **params):
    """Run a command of the compiler, the shorter way where that leads to the same library.

    Returns
    -------
    (str, (bytes, bytes, int))
        Path of the library; output, errors and exit code.
    """
    source = source_of(command)
    output = run_shorter(command, source.read_text()) if source else None
    if output is None or output[2] != 0:
        output = run(command, **params)
    return library_of(command), output


def run_shorter(command, text):
    """Run a command that compiles ``text`` without debugging information, and with the precompiled header."""
    shorter = header.without_debugging(command)
    shorter[1:1] = header.options(command, text)
    return run(shorter)


def library_of(command):
    """Path of what a command writes."""
    return command[command.index("-o") + 1]


def source_of(command):
    """Path of the source of a module; None if the command is for something else."""
    return next((Path(argument) for argument in command if argument.endswith(f"{os.sep}mod.cpp")), None)


def without_places(command):
    """A command without the paths of the source and of the library."""
    places = {str(source_of(command)), "-o", library_of(command)}
    return [argument for argument in command if argument not in places]


def fingerprint(command):
    """What commands have in common that give the same library."""
    source = source_of(command)
    return (*without_places(command), source.read_text() if source else None)


@contextmanager
def noted_commands():
    """List of the compiler's commands of this thread, none of which is run."""
    _thread.noted = []
    try:
        yield _thread.noted
    finally:
        _thread.noted = None


@contextmanager
def libraries_ahead(made):
    """Let this thread take its libraries, by fingerprint, from functions that do what :func:`compile_library` does."""
    before = getattr(_thread, "ahead", {})
    _thread.ahead = made
    try:
        yield
    finally:
        _thread.ahead = before


def remember_march_flags():
    """Ask the compiler for this processor's flags when the compile cache is new, not in every start.

    Theano runs it four times for the answer.
    """
    from theano import config
    from theano.gof.cmodule import GCC_compiler

    if "g++" not in config.cxx:
        return
    file = Path(config.compiledir, "march.json")
    try:
        machine = _machine(config)
    except OSError:
        return
    try:
        remembered, flags = json.loads(file.read_text())
    except (OSError, ValueError):
        remembered = None
    if remembered == machine:
        GCC_compiler.march_flags = flags
        return
    GCC_compiler.compile_args()
    aside = file.with_name(f"{file.name}.{os.getpid()}")
    with suppress(OSError):  # a full disk
        aside.write_text(json.dumps([machine, GCC_compiler.march_flags]))
        os.replace(aside, file)


def _machine(config):
    # What the flags depend on: the processor, the compiler, and the flags of the user.
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    compiler = os.stat(shutil.which(config.cxx) or config.cxx)
    return [
        sorted({line for line in lines if not _OF_ONE_CORE.match(line)}),
        [config.cxx, compiler.st_size, compiler.st_mtime_ns, config.gcc.cxxflags],
    ]
