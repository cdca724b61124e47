"""An OpenCL device of which a part is missing: one message, exit code 1, and nothing left behind."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def flags(*more):
    others = [flag for flag in os.environ.get("THEANO_FLAGS", "").split(",") if not flag.startswith("device=")]
    return ",".join([*filter(None, others), *more])


def train(folder, device, **environment):
    merged = {**os.environ, "THEANO_FLAGS": flags(), **environment}
    merged.pop("THEANO_GPU_IS_ALREADY_ACTIVE", None)
    command = [sys.executable, SCRIPTS / "train_logreg.py", "--device", device, "--output-dir", folder / "run"]
    return subprocess.run(command, env=merged, capture_output=True, text=True, timeout=600, check=False)


def assert_one_error(finished, folder, message):
    assert (finished.returncode, finished.stdout) == (1, "")
    assert re.fullmatch(rf"error: {message}.* \(see docs/gpu\.md\)\n", finished.stderr)
    assert not (folder / "run").exists()


@pytest.fixture
def folder_with(tmp_path):
    """Makes a folder with a file in the place of a library."""

    def make(name):
        (tmp_path / "lib").mkdir()
        (tmp_path / "lib" / name).write_text("broken")
        return str(tmp_path / "lib")

    return make


@pytest.mark.parametrize(
    ("device", "reason"), [("opencl7:0", "Platform ID out of range"), ("opencl0:7", "Device ID out of range")]
)
def test_a_device_that_is_not_there(tmp_path, device, reason):
    assert_one_error(train(tmp_path, device), tmp_path, f"device {device} cannot be used: {reason}")


def test_no_driver_of_opencl(tmp_path):
    finished = train(tmp_path, "opencl0:0", OCL_ICD_VENDORS=str(tmp_path))
    assert_one_error(finished, tmp_path, "device opencl0:0 cannot be used: clGetPlatformIDs")


def test_a_broken_loader_of_opencl(tmp_path, folder_with):
    finished = train(tmp_path, "opencl0:0", LD_LIBRARY_PATH=folder_with("libOpenCL.so"))
    assert_one_error(finished, tmp_path, 'device opencl0:0 cannot be used: Could not load "libOpenCL.so"')


def test_no_clblast(tmp_path, folder_with):
    finished = train(tmp_path, "opencl0:0", LD_LIBRARY_PATH=folder_with("libclblast.so"))
    assert_one_error(
        finished, tmp_path, "device opencl0:0 cannot be used: no matrix product, which libclblast-dev brings"
    )


def test_no_headers_of_libgpuarray(tmp_path):
    finished = train(tmp_path, "opencl0:0", THEANO_FLAGS=flags("gcc.cxxflags=-nostdinc"))
    assert_one_error(finished, tmp_path, r"device opencl0:0 cannot be used: .* finds no gpuarray/array\.h")
