"""Flags of Theano: those of the user, and ours, which are set for the time of its import."""

import configparser
import os
import shlex
from contextlib import contextmanager

# Set where the user does not; allow_gc asks for fresh memory in every call.
DEFAULTS = {"floatX": "float32", "allow_gc": "False"}


def flags_of_the_user():
    """Flags set in the files of THEANORC, or in THEANO_FLAGS, which win: values by name in lower case."""
    flags = {}
    files = configparser.RawConfigParser()
    files.read(map(os.path.expanduser, os.environ.get("THEANORC", "~/.theanorc").split(os.pathsep)))
    for section in files.sections():
        prefix = "" if section == "global" else f"{section}."
        flags.update({f"{prefix}{option}": value for option, value in files.items(section)})
    entries = _split(os.environ.get("THEANO_FLAGS", ""))
    pairs = (entry.split("=", 1) for entry in entries if "=" in entry)
    flags.update({name.strip().lower(): value for name, value in pairs})
    return flags


def _split(text):
    splitter = shlex.shlex(text, posix=True)
    splitter.whitespace = ","
    splitter.whitespace_split = True
    return list(splitter)


def excluding(user_flags, names):
    """Flags that exclude rewrites by name, and those that the user excludes: a dict of values by name."""
    of_the_user = filter(None, user_flags.get("optimizer_excluding", "").split(":"))
    return {"optimizer_excluding": ":".join(sorted({*of_the_user, *names}))} if names else {}


def theano_flags(defaults, required):
    """Context in which THEANO_FLAGS has the user's flags, which win over the defaults, and the required ones."""
    # Of two values for a flag Theano takes the latter.
    of_the_user = os.environ.get("THEANO_FLAGS")
    ours, last = ([f"{name}={shlex.quote(value)}" for name, value in part.items()] for part in (defaults, required))
    return environment({"THEANO_FLAGS": ",".join(ours + ([of_the_user] if of_the_user else []) + last)})


@contextmanager
def environment(variables):
    """Set environment variables, a dict of values by name, within the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
