"""The command line of the scripts: that of theano_tutorials_command, or one line where it is not installed."""

import sys

try:
    from theano_tutorials_command import main
except ModuleNotFoundError:
    sys.exit(f"error: theano_tutorials is not installed in {sys.executable}: run make setup, then use .venv/bin/python")

__all__ = ["main"]
