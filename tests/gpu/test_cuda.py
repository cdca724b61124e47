"""The way to a CUDA device as far as it goes without one: graph, kernels, and their compilation by NVRTC.

A stand-in for the driver and cuBLAS (stand_in_driver.c) takes what libgpuarray
launches and computes nothing; NVRTC is NVIDIA's. So the graphs and the PTX of
all kernels are those that a device would get, and numbers are not tested.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

GRAPHS = """
import sys
sys.path[:0] = sys.argv[1:]
import theano_tutorials, test_tutorials as tests
datasets = theano_tutorials.load_data("mnist")
for name in tests.TUTORIALS:
    tests.test_an_iteration_moves_only_its_result_and_numbers_made_of_the_index(datasets, name)
    _, functions = tests.functions_of(name, datasets)
    functions.train(0)
    print(*sorted({type(node.op).__name__ for node in tests.nodes(functions.train)}))
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """Folder with libcuda.so.1 and libcublas.so.12, which stand for NVIDIA's."""
    folder = tmp_path_factory.mktemp("driver")
    source = Path(__file__).parent / "stand_in_driver.c"
    for name in ("libcuda.so.1", "libcublas.so.12"):
        command = ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", folder / name, source]
        subprocess.run(command, check=True)
    return folder


def python(*arguments, **environment):
    merged = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    merged.pop("THEANO_GPU_IS_ALREADY_ACTIVE", None)
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=merged, capture_output=True, text=True, timeout=600, check=False)


def flags(device):
    others = [flag for flag in os.environ.get("THEANO_FLAGS", "").split(",") if not flag.startswith("device=")]
    return ",".join(filter(None, [*others, f"device={device}"]))


# Volta, Turing, Ampere, Hopper, Blackwell; the last of each pair is what NVRTC has to be asked for.
@pytest.mark.parametrize(
    ("capability", "target"),
    [("7.0", "sm_70"), ("7.5", "sm_75"), ("8.6", "sm_86"), ("9.0", "sm_90"), ("10.0", "sm_100"), ("12.0", "sm_120")],
)
def test_a_kernel_is_compiled_for_every_capability(driver, tmp_path, capability, target):
    code = """
import theano_tutorials, theano, numpy as np
theano.function([], theano.shared(np.ones(3, "float32")) * 2)()
"""
    finished = python(
        *("-c", code),
        LD_LIBRARY_PATH=str(driver),
        THEANO_FLAGS=flags("cuda"),
        STAND_IN_CAPABILITY=capability,
        STAND_IN_PTX=str(tmp_path),
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    targets = {re.search(r"^\.target (\w+)", path.read_text(), re.MULTILINE)[1] for path in tmp_path.glob("*.ptx")}
    assert targets == {target}


def test_the_graphs_of_the_tutorials_stay_on_the_device_and_all_their_kernels_compile(driver, tmp_path):
    finished = python(
        *("-c", GRAPHS, Path(__file__).parent, ROOT / "tests"),
        LD_LIBRARY_PATH=str(driver),
        THEANO_FLAGS=flags("cuda0"),
        STAND_IN_CAPABILITY="9.0",
        STAND_IN_PTX=str(tmp_path),
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    of_logreg, of_mlp, of_lenet = map(str.split, finished.stdout.splitlines())
    for of_model in (of_logreg, of_mlp, of_lenet):
        assert {"GpuCrossentropySoftmaxArgmax1HotWithBias", "GpuCAReduceCuda", "GpuGemm"} <= set(of_model)
        assert not any("Dnn" in name for name in of_model)
    assert {"GpuCorrMM_gradWeights", "GpuPool", "GpuMaxPoolGrad"} <= set(of_lenet)
    assert len(list(tmp_path.glob("*.ptx"))) > 30


# What is missing


@pytest.mark.parametrize(
    ("device", "devices", "message"),
    [("cuda", "0", "no CUDA-capable device is detected"), ("cuda99", "1", "invalid device ordinal")],
)
def test_a_device_that_the_driver_does_not_have(driver, tmp_path, device, devices, message):
    finished = python(
        *(ROOT / "scripts" / "train_logreg.py", "--device", device, "--output-dir", tmp_path / "run"),
        LD_LIBRARY_PATH=str(driver),
        STAND_IN_DEVICES=devices,
    )
    assert finished.returncode == 1
    assert finished.stdout == ""
    assert finished.stderr.startswith(f"error: device {device} cannot be used: ")
    assert finished.stderr.count("\n") == 1
    assert message in finished.stderr
    assert not (tmp_path / "run").exists()


def test_a_driver_that_is_no_library(tmp_path):
    (tmp_path / "libcuda.so.1").write_text("broken")
    finished = python(
        ROOT / "scripts" / "predict.py", "run", "image", "--device", "cuda", LD_LIBRARY_PATH=str(tmp_path)
    )
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.startswith("error: device cuda cannot be used: ")
    assert finished.stderr.count("\n") == 1
    assert "libcuda.so.1 cannot be linked" in finished.stderr
