"""Compiles several modules of Theano in one run of the compiler.

Most of the compiler's work on a module is reading headers, and the templates in
them: the same for each. Here the sources that begin with the same headers follow
one another, each in a namespace of its own, and the one library that comes of it
has what Python asks for in each module. It stands in the compile cache under the
name of every one of them.

Sources are put together only where that changes nothing for any of them: their
flags are the same, and their headers, but for those of the standard library, which
add nothing outside of namespace std; none includes anything further down; and no
macro that one of them changes is in the text of another. What the compiler does
not take together, it gets one by one.
"""

import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

from theano_tutorials.backend.compiling import process

_DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(\w+)(?:[ \t]+(\w+))?", re.MULTILINE)
_HARMLESS = {"if", "ifdef", "ifndef", "elif", "else", "endif", "define", "undef"}
_STANDARD = re.compile(r"#include <\w+>")
_OF_ALL_MODULES = {
    "#include <Python.h>",
    '#include "theano_mod_helper.h"',
    "#include <math.h>",
    "#include <numpy/arrayobject.h>",
    "#include <numpy/arrayscalars.h>",
}


def divide(commands, n_at_once):
    """Commands that one run of the compiler can do together, in lists; what takes the longest first.

    Parameters
    ----------
    commands : list of list of str
        By which Theano compiles its modules.
    n_at_once : int
        How many runs there can be at a time. What could go together is cut into
        as many batches as make up its share of all the sources.

    Returns
    -------
    list of list of list of str
    """
    modules = [_Module(command, process.source_of(command).read_text()) for command in commands]
    total = _length(modules)
    cut = [part for group in _groups(modules) for part in _cut(group, round(n_at_once * _length(group) / total))]
    # Headers of an Op's own are templates, which take longer than the text says.
    cut.sort(key=lambda batch: (bool(_own_headers(batch[0].text)), _length(batch)), reverse=True)
    return [[module.command for module in batch] for batch in cut]


class _Module(NamedTuple):
    command: list
    text: str


def _length(modules):
    return sum(len(module.text) for module in modules)


def _groups(modules):
    groups = []
    for module in modules:
        for group in groups:
            if all(_go_together(module, other) for other in group):
                group.append(module)
                break
        else:
            groups.append([module])
    return groups


def _cut(group, n_parts):
    parts = [[] for _ in range(min(max(n_parts, 1), len(group)))]
    for module in sorted(group, key=lambda module: len(module.text), reverse=True):
        min(parts, key=_length).append(module)
    return parts


def compile_libraries(commands):
    """Compile a batch.

    Returns
    -------
    list of (str, (bytes, bytes, int))
        As of :func:`process.compile_library`, for each command.
    """
    if len(commands) > 1:
        try:
            libraries = _compile_together(commands)
        except OSError:  # a full disk
            libraries = None
        if libraries:
            return [(library, (b"", b"", 0)) for library in libraries]
    return [process.compile_library(command) for command in commands]


def _compile_together(commands):
    # Paths of the libraries; None where the compiler finds something wrong.
    folder = Path(process.library_of(commands[0])).parent
    source, together = folder / "together.cpp", folder / "together.so"
    text = _joined([process.source_of(command).read_text() for command in commands])
    source.write_text(text)
    linked = dict.fromkeys(flag for command in commands for flag in command if flag[:2] in ("-L", "-l"))
    command = [*_shared_flags(commands[0]), str(source), "-o", str(together), *linked]
    _, _, status = process.run_shorter(command, text)
    if status != 0:
        return None
    libraries = [process.library_of(command) for command in commands]
    for library in libraries:
        try:
            os.link(together, library)  # one file under many names is loaded once
        except OSError:  # no links on this file system
            shutil.copy(together, library)
    return libraries


def _joined(texts):
    headers, bodies = zip(*map(_split, texts))
    lines = dict.fromkeys(line for part in headers for line in part.splitlines())
    modules = [f"namespace module_{i} {{\n{body}\n}}\n" for i, body in enumerate(bodies)]
    return "".join(f"{line}\n" for line in lines) + "".join(modules)


def _split(text):
    # The headers with which a source begins, and the rest.
    lines = text.splitlines(keepends=True)
    n = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("#include")), len(lines))
    return "".join(lines[:n]), "".join(lines[n:])


def _go_together(one, other):
    return (
        _shared_flags(one.command) == _shared_flags(other.command)
        and _own_headers(one.text) == _own_headers(other.text)
        and _leaves_alone(one.text, other.text)
        and _leaves_alone(other.text, one.text)
    )


def _shared_flags(command):
    # All but the libraries: what changes how a source is read and translated.
    return [flag for flag in process.without_places(command) if flag[:2] not in ("-L", "-l")]


def _own_headers(text):
    headers, _ = _split(text)
    return {line for line in headers.split("\n") if line and not _STANDARD.fullmatch(line)} - _OF_ALL_MODULES


def _leaves_alone(text, other_text):
    # Whether no directive of a source would change another one that stands below it, or would not work there.
    _, body = _split(text)
    changed, defined = set(), set()
    for directive, name in _DIRECTIVE.findall(body):
        if directive not in _HARMLESS:
            return False
        if directive == "define":
            defined.add(name)
            changed.add(name)
        elif directive == "undef":
            (changed.discard if name in defined else changed.add)(name)
    return not changed or not re.search(rf"\b({'|'.join(changed)})\b", other_text)
