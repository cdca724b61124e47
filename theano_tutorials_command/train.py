"""The commands that train and sample: a command line out of a function's signature and docstring."""

import argparse
import inspect
import os
import pydoc
import re
import sys
import time

import shtab

import theano_tutorials
from theano_tutorials.runs import console
from theano_tutorials.runs.directory import BEST_MODEL
from theano_tutorials_command.errors import fail, interruptible
from theano_tutorials_command.start import INTERRUPTED, add_device

_VERBS = ("train", "sample")  # the first word of a function's name, and of the command
_ONE_A_LAYER = ("hidden_layers_sizes", "corruption_levels")  # of any number of layers
_NAMED = 6  # figures at most
_OF_THE_RUN = ("dataset", "output_dir", "resume", "overwrite", "tensorboard")
_COMPLETED = {"dataset": shtab.FILE, "output_dir": shtab.DIRECTORY}
_OF_THE_TRAINING = re.compile(r".*(learning_rate|_lr|epochs|batch_size|patience|patience_increase|threshold|seed|_reg)")


class _Command:
    def __init__(self, function):
        self.__doc__ = inspect.getdoc(function).splitlines()[0]
        self.function = function

    def add_options(self, parser):
        groups = {title: parser.add_argument_group(title) for title in ("model", "training", "run")}
        descriptions = _descriptions(self.function)
        for name, parameter in inspect.signature(self.function).parameters.items():
            shown = _new_folder(self.function, "<date-time>") if name == "output_dir" else parameter.default
            option = groups[_group(name)].add_argument(
                "--" + name.replace("_", "-").lower(),
                dest=name,
                default=parameter.default,
                **_kind(name, parameter.default),
            )
            # Set after: BooleanOptionalAction of Python 3.9 to 3.12 adds the default to a help text given to it.
            option.help = f"{descriptions[name]} (default: {shown})".replace("%", "%%")
            if name in _COMPLETED:
                option.complete = _COMPLETED[name]
        add_device(groups["run"])

    def run(self, options):
        options = {name: getattr(options, name) for name in inspect.signature(self.function).parameters}
        if options["output_dir"] is None:
            if options["resume"] or options["overwrite"]:
                raise ValueError("--resume and --overwrite need the directory of a run: give --output-dir")
            options["output_dir"] = _new_folder(self.function, time.strftime("%Y-%m-%dT%H-%M-%S"))
        _train(self.function, options)
        print(_results(options["output_dir"]), flush=True)


def commands():
    """The functions of the library that train or sample a model, each as a command."""
    return {
        (verb, name[len(verb) + 1 :]): _Command(getattr(theano_tutorials, name))
        for verb in _VERBS
        for name in theano_tutorials.__all__
        if name.startswith(f"{verb}_")
    }


def _group(name):
    if name in _OF_THE_RUN:
        return "run"
    return "training" if _OF_THE_TRAINING.fullmatch(name) else "model"


def _number(text):
    try:
        return int(text)
    except ValueError:
        return float(text)


_number.__name__ = "number"  # argparse names it in its message


def _kind(name, default):
    if isinstance(default, tuple):
        return {"metavar": "N", "type": _number, "nargs": "+" if name in _ONE_A_LAYER else len(default)}
    if isinstance(default, bool):
        return {"action": argparse.BooleanOptionalAction if default else "store_true"}
    if isinstance(default, (int, float)):
        return {"metavar": "N", "type": _number}
    return {"metavar": "TEXT"}


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


def _new_folder(function, name):
    return os.path.join("runs", function.__name__.split("_", 1)[1], name)


def _train(function, options):
    try:
        with interruptible():
            function(**options)
    except theano_tutorials.TrainingInterrupted as interrupt:
        print(f"Interrupted in epoch {interrupt.result.n_epochs}. {console.best_line(interrupt.result)}", flush=True)
        sys.exit(128 + interrupt.signal)
    except KeyboardInterrupt:
        print("Interrupted before the training began", flush=True)
        sys.exit(INTERRUPTED)
    except theano_tutorials.TrainingDiverged as error:
        print(console.best_line(error.result), flush=True)
        fail(error)


def _results(folder):
    names = sorted(os.listdir(folder))
    metrics = [name for name in names if name.endswith(".csv")]
    figures = [name for name in names if name.endswith(".png")]
    if len(figures) > _NAMED:
        figures = [f"{len(figures)} figures"]
    return f"Results in {folder}: {', '.join([BEST_MODEL, *metrics, *figures])}"
