"""What the Ops of this package have in common."""

import hashlib
from pathlib import Path

from theano.gof.op import Op

FOLDER = Path(__file__).parent


def _digest():
    digest = hashlib.sha256()
    for file in sorted([*FOLDER.glob("*.py"), *FOLDER.glob("*.h")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()


class KernelOp(Op):
    """An Op whose C code calls a template of ``header``, a file of this folder.

    A subclass defines ``header``, ``__props__``, ``make_node`` and ``c_code``,
    and ``perform`` in plain NumPy: what the kernel has to equal, and what runs
    where there is no C++ compiler.
    """

    header = None
    VERSION = (_digest(),)

    def c_headers(self):
        return [f'"{self.header}"']

    def c_header_dirs(self):
        return [str(FOLDER)]

    def c_compile_args(self):
        return ["-fopenmp", "-Wno-psabi"]

    def c_code_cache_version(self):
        return self.VERSION
