"""What a machine must have before anything can be installed or compiled.

Run as a script by the Makefile, with whatever Python is there: the standard
library only, and syntax of any Python 3.
"""

import os
import shutil
import sys
import sysconfig

OLDEST = (3, 9)
NEWEST = (3, 14)


def python_problem():
    """What is wrong with this Python, or None."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return None
    return (
        "{} is Python {}.{}: this library needs Python {}.{} to {}.{}. Install one of them (Debian, Ubuntu: "
        "python3, python3-dev and python3-venv); with make, name it by PYTHON=/path/to/python3"
    ).format(*((sys.executable,) + sys.version_info[:2] + OLDEST + NEWEST))


def compiler_problem():
    """What is missing to compile C++ against this Python, or None."""
    if shutil.which("g++") is None:
        return "no C++ compiler on the PATH: install g++ (Debian, Ubuntu: apt-get install g++)"
    header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
    if not os.path.exists(header):
        package = "python{}.{}-dev".format(*sys.version_info[:2])
        return "no Python headers ({} is not there): install {} (Debian, Ubuntu: apt-get install {})".format(
            header, package, package
        )
    return None


def venv_problem():
    """What is missing to make a virtual environment, or None."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        package = "python{}.{}-venv".format(*sys.version_info[:2])
        return "no module venv with pip: install {} (Debian, Ubuntu: apt-get install {})".format(package, package)
    return None


if __name__ == "__main__":
    problems = [problem for problem in (python_problem(), compiler_problem(), venv_problem()) if problem]
    if problems:
        sys.exit("error: " + problems[0])
