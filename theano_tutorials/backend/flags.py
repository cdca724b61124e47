"""Flags of Theano: those of the user, and ours, which are set for the time of its import."""

import os
import re
import shlex
import traceback
from contextlib import contextmanager

from theano_tutorials.backend import theanorc
from theano_tutorials.backend.adapting.numpy_view import NUMPY_2

# Set where the user does not. allow_gc asks for fresh memory in every call. Theano 1.0.5 knows cuDNN 5 to 7 only; it
# looks for one on the processor, too, and GpuCorrMM and GpuPool do without.
DEFAULTS = {"floatX": "float32", "allow_gc": "False", "dnn.enabled": "False"}
if NUMPY_2:
    # Theano's name for the folder, and more: what is compiled for NumPy 1 is not for NumPy 2.
    DEFAULTS["compiledir_format"] = (
        "compiledir_%(short_platform)s-%(processor)s-%(python_version)s-%(python_bitwidth)s-numpy2"
    )


def flags_of_the_user():
    """Flags set in the files of THEANORC, or in THEANO_FLAGS, which win: values by name in lower case.

    Raises
    ------
    ImportError
        If a file or THEANO_FLAGS cannot be read; says where.
    """
    return {name: value for name, value, _ in _entries()}


def source_of(name):
    """Where the user has set a flag: the path of a file, ``THEANO_FLAGS``, or None."""
    return {entry: source for entry, _, source in _entries()}.get(name.lower())


def _entries():
    # (name in lower case, value, where it is set); of one name, the last entry counts.
    for path in theanorc.files():
        parser = theanorc.read(path)
        for section in parser.sections():
            prefix = "" if section == "global" else f"{section}."
            yield from ((f"{prefix}{option}".lower(), value, path) for option, value in parser.items(section))
    for entry in _split(os.environ.get("THEANO_FLAGS", "")):
        name, is_pair, value = entry.partition("=")
        if is_pair:
            yield name.strip().lower(), value, "THEANO_FLAGS"


def _split(text):
    splitter = shlex.shlex(text, posix=True)
    splitter.whitespace = ","
    splitter.whitespace_split = True
    try:
        return list(splitter)
    except ValueError as error:
        raise ImportError(f"THEANO_FLAGS is {text!r}: {error}: expected name=value,name=value") from None


def refused(error):
    """The message, in one line, of an error that Theano raised for the value of a flag; None for any other error.

    Parameters
    ----------
    error : Exception
        With the traceback of Theano's import.
    """
    flag = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename.endswith(os.path.join("theano", "configparser.py")):
            flag = getattr(frame.f_locals.get("self"), "fullname", flag)
    source = flag and source_of(flag)
    if not source:
        return None
    reason = " ".join(str(error.args[0]).split())
    return f"{source}: {flag} = {flags_of_the_user()[flag.lower()]}: {reason}: correct this entry or remove it"


def excluding(user_flags, names):
    """Flags that exclude rewrites by name, and those that the user excludes: a dict of values by name."""
    of_the_user = filter(None, user_flags.get("optimizer_excluding", "").split(":"))
    return {"optimizer_excluding": ":".join(sorted({*of_the_user, *names}))} if names else {}


@contextmanager
def for_theano(defaults, required):
    """Set the variables that Theano reads in its import, within the block.

    THEANO_FLAGS gets the user's flags, which win over the defaults, and the required
    ones. THEANORC is what :mod:`theanorc` makes of the user's files. OMP_NUM_THREADS is
    one number, or is not set: OpenMP allows a list, of which the first number is for
    the outermost level; Theano ends with a traceback at anything but a number. Nor does
    it start without a home directory; then HOME is the root directory.

    Parameters
    ----------
    defaults, required : dict of str to str
        Values by name.
    """
    # Of two values for a flag Theano takes the latter.
    of_the_user = os.environ.get("THEANO_FLAGS")
    ours, last = ([f"{name}={shlex.quote(value)}" for name, value in part.items()] for part in (defaults, required))
    n_threads = re.match(r"\s*(\d+)", os.environ.get("OMP_NUM_THREADS", ""))
    with theanorc.in_memory() as path:
        variables = {
            "THEANO_FLAGS": ",".join(ours + ([of_the_user] if of_the_user else []) + last),
            "THEANORC": path,
            "OMP_NUM_THREADS": n_threads[1] if n_threads else None,
        }
        if os.path.expanduser("~") == "~":  # neither HOME nor a user of that number, as in a container
            variables["HOME"] = os.sep
        with environment(variables):
            yield


@contextmanager
def environment(variables):
    """Set environment variables, a dict of values by name, within the block; of value None, they are not set."""
    before = {name: os.environ.get(name) for name in variables}
    _set(variables)
    try:
        yield
    finally:
        _set(before)


def _set(variables):
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
