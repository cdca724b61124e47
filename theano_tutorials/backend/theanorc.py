"""Reads the files of THEANORC as people write them, and hands them to Theano as it reads them.

Theano ends with a traceback at a byte order mark, an option outside of a section, an
option that is there twice, a comment behind a value, and bytes that are not of its
encoding. Here they have their plain meaning: options without a section are those of
``[global]``, the last of two values wins, and a comment begins with a ``#`` or a ``;``
that follows white space.
"""

import codecs
import configparser
import io
import os
from contextlib import contextmanager

_ENCODINGS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8-sig"}
# Options without a section are put below it. It is a line that the user does not count.
_FIRST_LINE = "[global]\n"


def files():
    """Paths of the files that THEANORC names; of two values, that of the latter file wins."""
    return [os.path.expanduser(path) for path in os.environ.get("THEANORC", "~/.theanorc").split(os.pathsep)]


def read(path):
    """Read one file.

    Parameters
    ----------
    path : str

    Returns
    -------
    configparser.RawConfigParser
        Empty if the file cannot be opened, as Theano has it.

    Raises
    ------
    ImportError
        If a line is neither a section nor an option with a value; says which.
    """
    parser = configparser.RawConfigParser(strict=False, inline_comment_prefixes=("#", ";"))
    try:
        with open(path, "rb") as file:
            text = _decoded(file.read())
    except OSError:
        return parser
    try:
        parser.read_string(_FIRST_LINE + text)
    except configparser.ParsingError as error:
        number, _ = error.errors[0]
        line = (_FIRST_LINE + text).split("\n")[number - 1]
        raise ImportError(
            f"{path}, line {number - 1}: {line!r}: expected [section], option = value or a comment: correct the line"
        ) from None
    _move_to_sections(parser)
    return parser


def _decoded(data):
    for mark, encoding in _ENCODINGS.items():
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")  # has a character for each byte


def _move_to_sections(parser):
    """Let ``gcc.cxxflags`` without a section be ``cxxflags`` of the section ``[gcc]``, as in THEANO_FLAGS."""
    for name, value in list(parser.items("global")):
        section, _, option = name.rpartition(".")
        if section and option and not parser.has_option(section, option):
            if not parser.has_section(section):
                parser.add_section(section)
            parser.set(section, option, value)


@contextmanager
def in_memory():
    """Path of one file with what is in the user's files, in a form that Theano reads, within the block."""
    merged = configparser.RawConfigParser()
    for path in files():
        merged.read_dict(read(path))
    text = io.StringIO()
    merged.write(text)
    handle = os.memfd_create("theanorc")
    try:
        os.write(handle, text.getvalue().encode())
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)
