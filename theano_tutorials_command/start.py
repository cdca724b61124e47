"""What comes before the slow imports: Ctrl-C, the device, and one line where they cannot work."""

import os
import signal

PROGRAM = "theano-tutorials"
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

# In the midst of an import, KeyboardInterrupt may be swallowed or taken for a broken module.
INTERRUPTIBLE = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not so under nohup
if INTERRUPTIBLE:
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))

import argparse
import re
import sys
import tempfile
from importlib import metadata


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


def add_device(parser):
    """Add the option that Theano has to know when it is imported."""
    parser.add_argument(
        "--device",
        metavar="NAME",
        type=_device,
        help="device to compute on: cpu, cuda, cuda0, opencl0:0 "
        "(default: the one in THEANO_FLAGS or .theanorc, or cpu)",
    )


def main(*command):
    """Run a command with the arguments of this process, and exit.

    The exit code is 0, 1 for an error, which is one line on standard error, or 128 and
    the number of the signal that ended the command.

    Parameters
    ----------
    *command : str
        Words that come before the arguments: ``main("train", "mlp")`` for a script that
        trains. Without, they are the first arguments.
    """
    arguments = sys.argv[1:]
    if not command and arguments[:1] == ["--version"]:
        print(version())
        return
    if [*command, *arguments][:1] == ["empty-cache"]:
        commands = _import_without_cache()
    else:
        commands = _import(device=_device_in(arguments))
    commands.run(command, arguments)


def version():
    """What ``--version`` prints, on a machine without a compiler, too."""
    return f"{PROGRAM} {metadata.version('theano_tutorials')}"


def _device_in(arguments):
    parser = Parser(add_help=False)
    add_device(parser)
    return parser.parse_known_args(arguments)[0].device


def _import_without_cache():
    # Nothing in the cache is loaded: it may be what does not work.
    of_the_user = os.environ.get("THEANO_FLAGS")
    with tempfile.TemporaryDirectory() as unused:
        commands = _import(cxx="", device="cpu", compiledir=unused)
    if of_the_user is None:
        del os.environ["THEANO_FLAGS"]
    else:
        os.environ["THEANO_FLAGS"] = of_the_user
    return commands


def _import(**flags):
    # The last of two values for a flag wins.
    ours = [f"{name}={value}" for name, value in flags.items() if value is not None]
    if ours:
        os.environ["THEANO_FLAGS"] = ",".join(filter(None, [os.environ.get("THEANO_FLAGS"), *ours]))
    try:
        from theano_tutorials_command import commands
    except ModuleNotFoundError as error:
        sys.exit(f"error: {error.name} is not installed in {sys.executable}: install theano_tutorials there with pip")
    except ImportError as error:
        sys.exit(f"error: {error}")
    return commands
