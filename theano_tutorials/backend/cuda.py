"""NVIDIA's libraries of today under the names, and with the options, that libgpuarray 0.7.6 knows.

It opens ``libcuda.so``, ``libnvrtc.so`` and ``libcublas.so``: names that only a
toolkit for development has; a driver and NVIDIA's packages on PyPI bring
``libcuda.so.1``, ``libnvrtc.so.12`` and so on. The loader takes a library that
is in the process already for the one that is asked for by the same SONAME, so
for each of the three a library with that SONAME, which needs the real one, is
made and loaded before. See docs/gpu.md.
"""

import ctypes
import importlib.util
import os
import re
import subprocess
import tempfile
from pathlib import Path

_MISSING = {
    "cuda": "no libcuda.so.1: install NVIDIA's driver",
    "nvrtc": "no libnvrtc: pip install nvidia-cuda-nvrtc-cu12, or put that of a CUDA toolkit on LD_LIBRARY_PATH",
    "cublas": "no libcublas: pip install nvidia-cublas-cu12, or put that of a CUDA toolkit on LD_LIBRARY_PATH",
}
_TOOLKIT = "/usr/local/cuda/lib64"

# libgpuarray has room for two digits of a compute capability: of 10.0 and 12.0 it writes compute_10 and compute_12.
# What is compiled for 10.0 and 12.0 runs on the minor versions after it, too.
_NVRTC = """
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

typedef int function(void *, int, const char *const *);

extern "C" int nvrtcCompileProgram(void *program, int n, const char *const *options) {
  function *compile = (function *)dlsym(dlopen(LIBRARY, RTLD_LAZY), "nvrtcCompileProgram");
  const char *changed[64];
  char architecture[] = "compute_1?0";
  for (int i = 0; i < n && i < 64; i++) {
    changed[i] = options[i];
    if (strlen(options[i]) == 10 && strncmp(options[i], "compute_1", 9) == 0) {
      architecture[9] = options[i][9];
      changed[i] = architecture;
    }
  }
  return compile(program, n, changed);
}
"""
_SOURCES = {"cuda": "", "nvrtc": _NVRTC, "cublas": ""}


def load_libraries(cxx):
    """Load the three libraries so that libgpuarray finds them.

    Parameters
    ----------
    cxx : str
        C++ compiler.

    Raises
    ------
    ImportError
        If one is not there, or cannot be loaded; says which.
    """
    for name, source in _SOURCES.items():
        problem = _MISSING[name]
        for path in _candidates(name):
            problem = _load(cxx, name, path, source)
            if problem is None:
                break
        if problem:
            raise ImportError(problem)


def _candidates(name):
    """Paths of a library: those of LD_LIBRARY_PATH, PyPI, the loader's cache and the toolkit, in this order."""
    nvidia = importlib.util.find_spec("nvidia")
    packages = nvidia.submodule_search_locations if nvidia else ()
    wheels = [folder for package in packages for folder in sorted(Path(package).glob("*/lib"))]
    for folder in [*filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)), *wheels]:
        yield from sorted(Path(folder).absolute().glob(f"lib{name}.so*"))[:1]
    yield from _cached_by_the_loader(name)
    yield from sorted(Path(_TOOLKIT).glob(f"lib{name}.so*"))[:1]


def _cached_by_the_loader(name):
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/sbin"}
    try:
        listed = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, env=environment, check=False).stdout
    except OSError:
        return []
    return map(Path, re.findall(rf"^\s*lib{name}\.so\S* .*=> (.*)$", listed, re.MULTILINE))


def _load(cxx, name, path, source):
    """Load a library of SONAME ``lib<name>.so`` that needs the one at ``path``; return what went wrong, or None."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / f"lib{name}.so"
        command = [
            *(cxx, "-shared", "-fPIC", "-x", "c++", "-", "-x", "none"),
            *(f'-DLIBRARY="{path}"', f"-Wl,-soname,{library.name}", f"-Wl,-rpath,{path.parent}"),
            *("-Wl,--no-as-needed", str(path), "-o", str(library)),
        ]
        linked = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
        if linked.returncode != 0:
            return f"{path} cannot be linked: {' '.join(linked.stderr.split())}"
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            return f"{path} cannot be loaded: {error}"
    return None
