"""What the scripts share: a command line out of a function's signature, and exit codes."""

import os
import signal

INTERRUPTED = 130  # 128 + SIGINT, as shells have it

# Before the slow imports: in the midst of one, KeyboardInterrupt may be swallowed or taken for a broken module.
_INTERRUPTIBLE = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not so under nohup
if _INTERRUPTIBLE:
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))

import argparse
import inspect
import pydoc
import re
import sys
import time
import warnings
from contextlib import contextmanager


class Parser(argparse.ArgumentParser):
    """Whose errors are one line, with exit code 1."""

    def exit(self, status=0, message=None):
        sys.stdout.flush()  # the help; at exit it would be too late to handle an error
        super().exit(status, message)

    def error(self, message):
        sys.exit(f"error: {message} (see {self.prog} --help)")


def _device(text):
    if not re.fullmatch(r"[\w:]+", text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected cpu, cuda, cuda0, opencl0:0 or the like")
    return text


# An option of every script, which Theano has to know when it is imported.
DEVICE = Parser(add_help=False)
DEVICE.add_argument(
    "--device",
    metavar="NAME",
    type=_device,
    help="device to compute on: cpu, cuda, cuda0, opencl0:0 (default: the one in THEANO_FLAGS or .theanorc, or cpu)",
)


def _set_device(arguments):
    device = DEVICE.parse_known_args(arguments)[0].device
    if device is not None:
        # The last of two values wins.
        os.environ["THEANO_FLAGS"] = ",".join(filter(None, [os.environ.get("THEANO_FLAGS"), f"device={device}"]))


_set_device(sys.argv[1:])
try:
    import theano_tutorials
    from theano_tutorials.runs import console
except ModuleNotFoundError as error:
    sys.exit(f"error: {error.name} is not installed in {sys.executable}: run make setup, then use .venv/bin/python")
except ImportError as error:
    sys.exit(f"error: {error}")


_show_warning = warnings.showwarning


def _in_one_line(message, category, *where, **more):
    if issubclass(category, theano_tutorials.DatasetWarning):
        print(f"warning: {message}", file=sys.stderr, flush=True)
    else:
        _show_warning(message, category, *where, **more)


warnings.showwarning = _in_one_line


def _number(text):
    try:
        return int(text)
    except ValueError:
        return float(text)


_number.__name__ = "number"  # argparse names it in its message


def _descriptions(documented):
    """Parameter name -> its text in a NumPy-style docstring, without markup.

    A text that is only "See :func:`x`." means the text in the docstring of x.
    """
    section = re.search(r"Parameters\n-+\n(.*?)(\n\n|$)", inspect.getdoc(documented), re.DOTALL)[1]
    entries = re.findall(r"^(\S[^:\n]*?)(?: :.*)?\n((?:[ ]+.*\n?)+)", section, re.MULTILINE)
    markup = re.compile(r":\w+:`~?(?:[\w.]*\.)?(\w+)`|``(.*?)``")
    descriptions = {}
    for names, text in entries:
        elsewhere = re.fullmatch(r"See :\w+:`([\w.]+)`\.", text.strip())
        plain = markup.sub(lambda match: match[1] or match[2], " ".join(text.split()).rstrip("."))
        found = _descriptions(pydoc.locate(elsewhere[1])) if elsewhere else {}
        descriptions.update((name, found.get(name, plain)) for name in names.split(", "))
    return descriptions


def _parser(function):
    parser = Parser(description=inspect.getdoc(function).splitlines()[0], parents=[DEVICE])
    descriptions = _descriptions(function)
    for name, parameter in inspect.signature(function).parameters.items():
        default = parameter.default
        kind = {"metavar": "TEXT"}
        if isinstance(default, tuple):
            kind = {"metavar": "N", "type": _number, "nargs": len(default)}
        elif isinstance(default, bool):
            kind = {"action": "store_true"}
        elif isinstance(default, (int, float)):
            kind = {"metavar": "N", "type": _number}
        shown = _new_folder(function, "<date-time>") if name == "output_dir" else default
        parser.add_argument(
            "--" + name.replace("_", "-").lower(),
            dest=name,
            default=default,
            help=f"{descriptions[name]} (default: {shown})".replace("%", "%%"),
            **kind,
        )
    return parser


def _new_folder(function, name):
    return os.path.join("runs", function.__name__[len("train_") :], name)


def _options(function):
    options = vars(_parser(function).parse_args())
    del options["device"]  # set before the import above
    if options["output_dir"] is None:
        if options["resume"] or options["overwrite"]:
            raise ValueError("--resume and --overwrite need the directory of a run: give --output-dir")
        options["output_dir"] = _new_folder(function, time.strftime("%Y-%m-%dT%H-%M-%S"))
    return options


def run(function):
    """Call ``function`` with the options of the command line, and exit.

    Without an output directory a new one is made.
    The exit code is 0, 1 for an error, which is one line on standard error, or
    128 and the number of the signal that ended the training.
    """
    with _errors():
        _train(function, _options(function))


@contextmanager
def exit_codes():
    """Exit with 1 for an error, which is one line on standard error, or 130 for Ctrl-C."""
    with _errors():
        try:
            with _interruptible():
                yield
        except KeyboardInterrupt:
            print("Interrupted", file=sys.stderr)
            sys.exit(INTERRUPTED)


@contextmanager
def _errors():
    try:
        yield
    except BrokenPipeError:
        _fail("standard output was closed")
    except (OSError, ValueError, MemoryError, ImportError) as error:
        _fail(message_of(error))


def message_of(error):
    """The text of an error in one line, without the number of the operating system."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if str(error).startswith("Cannot compute test value"):
        return "compute_test_value: the variables of the tutorials have no test values: set it to off, ignore or warn"
    return str(error) or type(error).__name__


@contextmanager
def _interruptible():
    try:
        if _INTERRUPTIBLE:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C adds nothing but a traceback


def _train(function, options):
    try:
        with _interruptible():
            function(**options)
    except theano_tutorials.TrainingInterrupted as interrupt:
        print(f"Interrupted in epoch {interrupt.result.n_epochs}. {console.best_line(interrupt.result)}", flush=True)
        sys.exit(128 + interrupt.signal)
    except KeyboardInterrupt:
        print("Interrupted before the training began", flush=True)
        sys.exit(INTERRUPTED)
    except theano_tutorials.TrainingDiverged as error:
        print(console.best_line(error.result), flush=True)
        _fail(error)


def _fail(message):
    try:
        sys.stdout.flush()
    except OSError:
        # Nobody reads on, or the disk is full: without this Python complains when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(f"error: {message}")
