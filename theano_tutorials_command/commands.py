"""The commands by the words that call them."""

import argparse
import os
import sys
import warnings

import shtab

import theano_tutorials
from theano_tutorials_command import demo, empty_cache, export_onnx, legacy, predict, search, train
from theano_tutorials_command.errors import exit_codes
from theano_tutorials_command.start import PROGRAM, Parser, version


def run(command, arguments):
    """Run a command, and exit.

    Parameters
    ----------
    command : tuple of str
        The words that call it; empty, they are the first arguments.
    arguments : list of str
    """
    warnings.showwarning = _in_one_line
    commands = _commands()
    program = os.path.basename(sys.argv[0])
    if not command:
        command = next((words for words in commands if tuple(arguments[: len(words)]) == words), None)
        if command is None:
            _whole_parser(commands).parse_args(arguments or ["--help"])
            return
        program, arguments = " ".join([PROGRAM, *command]), arguments[len(command) :]
    parser = _filled(Parser(prog=program, **_texts(commands[command])), commands[command])
    with exit_codes():
        # Options may stand between files, but those after a script are its own.
        parse = parser.parse_args if command == (legacy.NAME,) else parser.parse_intermixed_args
        commands[command].run(parse(arguments))


def _commands():
    return {
        **train.commands(),
        **{(module.NAME,): module for module in (predict, search, demo, export_onnx, legacy, empty_cache)},
    }


def _texts(command):
    summary, _, details = command.__doc__.partition("\n\n")
    return {
        "description": summary,
        "epilog": details,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def _filled(parser, command):
    command.add_options(parser)
    return parser


def _whole_parser(commands):
    # For its help and for the completion in a shell; a command that is whole has been run before.
    parser = Parser(prog=PROGRAM, description="Train the models of the Theano Deep Learning Tutorials, and use them.")
    parser.add_argument("--version", action="version", version=version())
    shtab.add_argument_to(parser, "--print-completion", help="print what completes the command in this shell")
    groups = {(): parser.add_subparsers(metavar="COMMAND", required=True)}
    for words, command in commands.items():
        group = words[:-1]
        if group not in groups:
            inner = groups[()].add_parser(group[0], help=f"{group[0]} a model; see {PROGRAM} {group[0]} --help")
            groups[group] = inner.add_subparsers(metavar="MODEL", required=True)
        texts = _texts(command)
        _filled(groups[group].add_parser(words[-1], help=texts["description"], **texts), command)
    return parser


_show_warning = warnings.showwarning


def _in_one_line(message, category, *where, **more):
    if issubclass(category, theano_tutorials.DatasetWarning):
        print(f"warning: {message}", file=sys.stderr, flush=True)
    else:
        _show_warning(message, category, *where, **more)
