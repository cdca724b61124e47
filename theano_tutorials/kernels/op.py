"""What the Ops of this package have in common."""

import hashlib
from pathlib import Path

import theano
from theano.compile import optdb
from theano.gof.op import Op
from theano.tensor import blas
from theano.tensor.opt import in2out

from theano_tutorials.backend import NO_PROPERTIES

TAG = "tutorials_kernels"
FOLDER = Path(__file__).parent


def _digest():
    digest = hashlib.sha256()
    for file in sorted([*FOLDER.glob("*.py"), *FOLDER.glob("*.h")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def c_kernels_wanted():
    """Whether there is a C++ compiler; without one Theano runs its own Ops in Python."""
    return bool(theano.config.cxx)


def register(rewrite, position):
    """Put a rewrite of nodes into Theano's database under its own name; see there for positions."""
    if c_kernels_wanted():
        optdb.register(rewrite.__name__, in2out(rewrite), position, "fast_run", TAG)


def is_float32(*variables):
    """Whether the kernels, which know no other type, are for all of these symbolic variables."""
    # Not every type has a dtype: random states, slices and None have none.
    return all(getattr(variable.type, "dtype", None) == "float32" for variable in variables)


class KernelOp(Op):
    """An Op whose C code calls a template of ``header``, a file of this folder.

    A subclass defines ``header``, ``__props__`` if it has any, ``make_node`` and ``c_code``,
    and ``perform`` in plain NumPy: what the kernel has to equal, and what runs
    where there is no C++ compiler.
    """

    header = None
    __props__ = NO_PROPERTIES
    VERSION = (_digest(),)

    def c_headers(self):
        return [f'"{self.header}"']

    def c_header_dirs(self):
        return [str(FOLDER)]

    # The same for all, with BLAS or without, so that the compiler can take their modules together.
    def c_compile_args(self):
        return ["-Wno-psabi", *blas.ldflags(libs=False, flags=True)]

    def c_libraries(self):
        # By name: with -pthread, a flag of the compiler, they could not share Theano's precompiled header.
        return ["pthread", *blas.ldflags()]

    def c_lib_dirs(self):
        return blas.ldflags(libs=False, libs_dir=True)

    def c_code_cache_version(self):
        return self.VERSION

    @staticmethod
    def call(function, arguments, sub):
        """C code that calls a function of the header, which returns false with a Python error set where it fails."""
        return f"if (!kernels::{function}({', '.join(arguments)})) {sub['fail']}"
