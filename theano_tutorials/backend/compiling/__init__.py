"""How Theano's C++ is compiled: with fewer and shorter runs, several at a time, and safe against killed processes.

==============  ===============================================================
``cache``       removes what is damaged; stands in for a folder that is read-only
``lock``        lets one process at a time into the compile cache
``process``     runs the compiler; a library is whole or not there
``header``      the precompiled header of all modules
``batches``     several modules in one run
``ahead``       all modules that a function lacks, on every core
==============  ===============================================================

What a library is, and under which key the cache keeps it, is left to Theano.
"""

import sys

from theano_tutorials.backend.compiling import ahead, lock, process


def replace_modules():
    """Before Theano's import: put :mod:`lock` and :mod:`process` in the place of two of its modules."""
    sys.modules["theano.gof.compilelock"] = lock
    sys.modules["theano.misc.windows"] = process


def install():
    """After Theano's import: change how it compiles and reads its cache."""
    from theano.gof.cmodule import ModuleCache

    ModuleCache.refresh = lock.holding(ModuleCache.refresh)
    process.remember_march_flags()
    ahead.install()
