"""A precompiled header for the C++ that Theano writes.

Nearly every module of Theano begins with the same six headers, and reading them
is most of the compiler's work. Here they are read once for each set of compiler
flags, and kept in Theano's compile cache.

A precompiled header is used only where it changes nothing: the source begins
with those headers, the flags are the same, and so is every file that was read.
What is left to check, such as macros, GCC checks; it then reads the headers
themselves.

References
----------
GCC manual, section 3.22, "Using Precompiled Headers".
"""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

HEADERS = """\
#include <Python.h>
#include <iostream>
#include "theano_mod_helper.h"
#include <math.h>
#include <numpy/arrayobject.h>
#include <numpy/arrayscalars.h>
"""
_HEADER = "headers.h"
_STAMPS = "stamps.json"
_ABANDONED = 3600  # seconds
_PREFIX = "tmp_header_"  # Theano, too, removes what begins so and has become old

_usable = {}  # what options() has to know of a folder that this process has found to be valid


def without_debugging(command):
    """A command without the -g that Theano always gives; one of the user comes later, and stays."""
    return [*command[:2], *command[3:]] if command[1:3] == ["-shared", "-g"] else command


def options(command, source):
    """Options that make a command of Theano's use the precompiled header; none where it has to do without.

    Parameters
    ----------
    command : list of str
    source : str
        What it compiles.

    Returns
    -------
    list of str
    """
    if not source.startswith(HEADERS):
        return []
    folder = folder_of(command)
    if folder not in _usable:
        stamps = _valid_stamps(folder)
        if stamps is None:
            return []
        _usable[folder] = {part for file in stamps["files"] for part in Path(file).parts}, stamps["include"]
    names, include = _usable[folder]
    first, last = _include_folders(command)[: -len(include)], _include_folders(command)[-len(include) :]
    if last != include or any(_shadows(directory, names) for directory in first):
        return []
    return ["-include", str(folder / _HEADER)]


def folder_of(command):
    """Folder of the header that a command of Theano's can use."""
    from theano import config

    digest = hashlib.sha256("\0".join([HEADERS, *_flags(command)]).encode()).hexdigest()
    return Path(config.compiledir, f"precompiled_header_{digest}")


def is_made(folder):
    """Whether the header of that folder is there and can be used."""
    return folder in _usable or _valid_stamps(folder) is not None


def make(command):
    """Make the header for a command of Theano's where it is missing, or leave everything as it is.

    Parameters
    ----------
    command : list of str
    """
    from theano.gof.cmodule import std_include_dirs

    include = std_include_dirs()
    folder = folder_of(command)
    if is_made(folder):
        return
    aside = None
    try:
        _remove_abandoned(folder.parent)
        aside = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder.parent))
        header, dependencies = aside / _HEADER, aside / "dependencies"
        header.write_text(HEADERS)
        started = time.time_ns()
        command = [*_flags(command), *(f"-I{directory}" for directory in include)]
        command += ["-x", "c++-header", str(header), "-o", f"{header}.gch", "-MD", "-MF", str(dependencies)]
        made = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if made.returncode != 0:
            return
        files = [shutil.which(command[0]), *_read_dependencies(dependencies, header)]
        stamps = {file: _stamp(file) for file in files}
        if any(changed >= started for _, changed in stamps.values()):
            return  # which of the two contents was read, nobody knows
        (aside / _STAMPS).write_text(json.dumps({"files": stamps, "include": include}))
        if folder.exists() and _valid_stamps(folder) is None:
            os.rename(folder, aside / "old")
        os.rename(aside, folder)
        shutil.rmtree(folder / "old", ignore_errors=True)
    except OSError:
        pass  # a full disk, or another process was faster
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)


def _flags(command):
    """The compiler and what the header depends on: not linking, warnings and places, nor macros, which GCC checks."""
    flags, arguments = [command[0]], iter(without_debugging(command)[1:])
    for argument in arguments:
        if argument == "-o":
            next(arguments)
        elif argument == "--param":
            flags += [argument, next(arguments)]
        elif argument.startswith("-DNPY_") or (
            argument.startswith("-") and argument != "-shared" and argument[:2] not in ("-l", "-L", "-W", "-D", "-I")
        ):
            flags.append(argument)
    return flags


def _include_folders(command):
    return [argument[2:] for argument in command if argument.startswith("-I")]


def _shadows(directory, names):
    # Whether a header that is part of the precompiled one could have been found in there instead.
    try:
        return not names.isdisjoint(os.listdir(directory))
    except OSError:
        return False


def _stamp(file):
    status = os.stat(file)
    return [status.st_size, status.st_mtime_ns]


def _valid_stamps(folder):
    try:
        stamps = json.loads((folder / _STAMPS).read_text())
        return stamps if all(_stamp(file) == stamp for file, stamp in stamps["files"].items()) else None
    except (OSError, ValueError):
        return None


def _read_dependencies(path, header):
    # The rule of a makefile: "target: file file \ file".
    words = shlex.split(path.read_text().replace("\\\n", " "))
    return [os.path.abspath(word) for word in words[1:] if word != str(header)]


def _remove_abandoned(folder):
    # Where the process was killed that wrote it.
    for path in folder.glob(f"{_PREFIX}*"):
        if time.time() - path.stat().st_mtime > _ABANDONED:
            shutil.rmtree(path, ignore_errors=True)
