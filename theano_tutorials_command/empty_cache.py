"""Empty Theano's compile cache: remove all that it has compiled.

The next start compiles again what it needs. The folder is the one that
THEANO_FLAGS or .theanorc name, or ~/.theano. Do not run it while something trains.
"""

from theano_tutorials.backend import flags_of_the_user
from theano_tutorials.backend.compiling import cache

NAME = "empty-cache"


def add_options(parser):
    """Add no option: there is none."""


def run(options):
    """Run this command; what it does before Theano is imported is in :mod:`start`."""
    for folder, n_modules in cache.empty(flags_of_the_user()):
        print(f"{folder}: {n_modules} modules removed")
