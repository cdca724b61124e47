"""Makes Theano 1.0.5 work, and work well, on a computer of today.

Importing this package imports Theano. It checks what Theano needs, puts back
what NumPy has dropped, brings a BLAS, and sets flags; whatever the user has set
in ``THEANO_FLAGS`` or ``.theanorc`` wins over every default here. The README.md
of this folder lists all that is changed, and how to switch it off.
"""

from contextlib import contextmanager

from theano_tutorials.backend import compiling, convolution, devices, machine
from theano_tutorials.backend.blas import blas_flags, blas_folder, require_working, set_blas_threads
from theano_tutorials.backend.compiling import cache
from theano_tutorials.backend.flags import DEFAULTS, excluding, flags_of_the_user, refused, source_of
from theano_tutorials.backend.importing import import_theano, require_not_imported, require_version
from theano_tutorials.backend.ops import NO_PROPERTIES, fold_constants_in_python, keep_compiled_modules

__all__ = ["NO_PROPERTIES", "blas_flags", "blas_folder", "flags_of_the_user", "serial_blas"]


def check_machine(needs_compiler):
    """Raise ImportError where Theano cannot work; the message says what to install."""
    problem = machine.python_problem() or (needs_compiler and machine.compiler_problem())
    if problem:
        raise ImportError(problem)


@contextmanager
def _one_line_for_a_refused_flag():
    try:
        yield
    except Exception as error:
        message = refused(error)
        if message is None:
            raise
        raise ImportError(message) from None


def set_up():
    """Import Theano, made to work here; see the module's docstring.

    Returns
    -------
    bool
        Whether BLAS is PyPI's OpenBLAS, on one thread.

    Raises
    ------
    ImportError
        If Python, NumPy, the compiler, the Python headers, the device or a flag of
        the user do not allow it, or Theano is imported already; says what to do.
    """
    user_flags = flags_of_the_user()
    check_machine(needs_compiler="cxx" not in user_flags)
    require_not_imported()
    require_version()
    device = devices.prepare(user_flags)

    defaults = {**DEFAULTS, **devices.default_flags(device)}
    defaults = {name: value for name, value in defaults.items() if name.lower() not in user_flags}
    serial_blas = False
    if "blas.ldflags" not in user_flags:
        defaults["blas.ldflags"] = blas_flags()
        serial_blas = set_blas_threads()
    elif user_flags["blas.ldflags"].strip() and user_flags.get("cxx") != "":
        require_working(user_flags["blas.ldflags"], user_flags.get("cxx", "g++"), source_of("blas.ldflags"))

    excluded = devices.excluded_rewrites(device) | convolution.excluded_rewrites(user_flags)
    compiling.replace_modules()
    cache.remove_damaged(cache.folders(user_flags))
    with devices.failures_raised(user_flags), _one_line_for_a_refused_flag():
        required = excluding(user_flags, excluded)
        if device != user_flags.get("device", device):  # an old name of it
            required["device"] = device
        import_theano(defaults, required)
    keep_compiled_modules()
    fold_constants_in_python()
    convolution.install()
    compiling.install()
    devices.require_working(device)
    return serial_blas


serial_blas = set_up()
