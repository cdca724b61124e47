"""A device that cannot be had: one message, exit code 1, and never the processor in its place.

What needs pygpu is in tests/gpu.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from theano_tutorials.backend import devices
from theano_tutorials.backend.flags import excluding

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SCRIPTS = {
    "train_logreg.py": [],
    "train_mlp.py": [],
    "train_lenet.py": [],
    "predict.py": ["run", "image"],
    "export_onnx.py": ["run", "model.onnx"],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory, in which nothing may be left."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def python(*arguments, **environment):
    merged = {**os.environ, "PYTHONPATH": str(ROOT), "THEANO_FLAGS": "", **environment}
    return subprocess.run(
        [sys.executable, *map(str, arguments)], env=merged, capture_output=True, text=True, timeout=600, check=False
    )


def script(name, *arguments, **environment):
    return python(ROOT / "scripts" / name, *SCRIPTS[name], *arguments, **environment)


def assert_one_error(finished, message):
    assert (finished.returncode, finished.stdout) == (1, "")
    assert re.fullmatch(rf"error: {message}.*\n", finished.stderr)


def pygpu_that_raises(folder, statement):
    """A folder for PYTHONPATH whose pygpu cannot be imported, whether there is another one or not."""
    package = folder / "path" / "pygpu"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(statement)
    return f"{ROOT}{os.pathsep}{package.parent}"


# Names


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_name_of_no_device_ends_every_script(folder, name):
    assert_one_error(
        script(name, "--device", "nonsense"), "device is 'nonsense' in THEANO_FLAGS: expected cpu, cuda, cuda0"
    )
    assert not list(folder.iterdir())


@pytest.mark.parametrize("device", ["gpu0", "CPU", "cuda:0", "cudax", "opencl", "opencl0", "opencl0:", "openclx:y"])
def test_a_name_of_another_form_is_refused(device):
    with pytest.raises(ImportError, match=f"device is '{device}': expected cpu, cuda, cuda0"):
        devices.require_valid_name(device)


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda0", "cuda12", "opencl0:0", "opencl10:2"])
def test_names_that_theano_takes_are_valid(device):
    devices.require_valid_name(device)


@pytest.mark.parametrize("device", ["cpu,floatX=float64", "'", "cpu cpu", ""])
def test_the_option_sets_the_device_and_no_other_flag(folder, device):
    assert_one_error(script("train_logreg.py", f"--device={device}"), "argument --device: ")


def test_the_option_needs_a_value(folder):
    assert_one_error(script("predict.py", "--device"), "argument --device: expected one argument")


@pytest.mark.parametrize("option", [["--device", "nonsense"], ["--device=nonsense"], ["--dev", "nonsense"]])
def test_the_option_wins_over_theano_flags_however_it_is_written(folder, option):
    finished = script("train_logreg.py", *option, THEANO_FLAGS="floatX=float32,device=cpu")
    assert_one_error(finished, "device is 'nonsense'")


def test_the_processor_can_be_named(folder):
    finished = script("predict.py", "--device", "cpu", THEANO_FLAGS="device=nonsense")
    assert_one_error(finished, "run does not exist: expected the directory of a run")


# Python


def test_python_raises_the_text_of_the_scripts():
    finished = python("-c", "import theano_tutorials", THEANO_FLAGS="device=nonsense")
    assert finished.returncode == 1
    assert re.search(
        r"^ImportError: device is 'nonsense' in THEANO_FLAGS: expected cpu, cuda, cuda0", finished.stderr, re.MULTILINE
    )


def test_theanorc_names_a_device(tmp_path):
    (tmp_path / "rc").write_text("[global]\ndevice = nonsense\n")
    finished = python("-c", "import theano_tutorials", THEANORC=str(tmp_path / "rc"))
    assert "ImportError: device is 'nonsense'" in finished.stderr


def test_a_device_cannot_be_set_up_after_theano():
    code = "import sys, types; sys.modules['theano'] = types.ModuleType('theano'); import theano_tutorials"
    finished = python("-c", code, THEANO_FLAGS="device=opencl0:0")
    assert (
        "ImportError: theano is imported already, and Theano must be set up before its import: start a new process"
        in (finished.stderr)
    )


# pygpu


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("raise ModuleNotFoundError(\"No module named 'pygpu'\")", "No module named 'pygpu'"),
        ("import ctypes_of_another_time", "No module named 'ctypes_of_another_time'"),
        ("raise ImportError('libgpuarray.so.3: cannot open shared object file')", "libgpuarray.so.3: cannot open"),
    ],
)
@pytest.mark.parametrize("device", ["opencl0:0", "cuda"])
def test_without_pygpu_a_device_ends_the_script(folder, device, statement, reason):
    path = pygpu_that_raises(folder, statement)
    finished = script("train_logreg.py", "--device", device, PYTHONPATH=path)
    assert_one_error(
        finished, f"device {device} needs pygpu, which cannot be imported by .*{re.escape(reason)}.*gpu.md"
    )
    assert [entry.name for entry in folder.iterdir()] == ["path"]


# Flags


def test_the_processor_needs_no_flags():
    assert devices.default_flags("cpu") == {}
    assert devices.excluded_rewrites("cpu") == set()
    assert excluding({"optimizer_excluding": "some"}, set()) == {}


@pytest.mark.parametrize(("device", "is_opencl"), [("cuda", False), ("cuda1", False), ("opencl0:0", True)])
def test_what_a_device_excludes_is_added_to_what_the_user_excludes(device, is_opencl):
    flag = excluding({"optimizer_excluding": "mine:tutorials_kernels:"}, devices.excluded_rewrites(device))[
        "optimizer_excluding"
    ]
    assert set(flag.split(":")) == {"mine", "tutorials_kernels", *(devices.NOT_ON_OPENCL if is_opencl else ())}
