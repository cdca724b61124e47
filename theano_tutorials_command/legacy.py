"""Run an old script, as it is: Python 2 and Theano 0.6 to 0.9, beside the original tutorials.

What comes after the script is for the script. See docs/legacy.md.
"""

import argparse
import sys

NAME = "legacy"


def add_options(parser):
    """Add the script and its arguments."""
    parser.add_argument("script", metavar="SCRIPT.py")
    parser.add_argument("arguments", metavar="ARGUMENT", nargs=argparse.REMAINDER)


def run(options):
    """Run this command."""
    from theano_tutorials.legacy.running import run

    sys.exit(run(options.script, options.arguments))
