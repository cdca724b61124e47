"""The command line: ``theano-tutorials``, ``python -m theano_tutorials``, and the scripts.

It stands beside the library, not in it: importing the library imports Theano, and
before that an option says on which device Theano computes.
"""

from theano_tutorials_command.start import main

__all__ = ["main"]
