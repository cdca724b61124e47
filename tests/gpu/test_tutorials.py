"""The three tutorials on an OpenCL device: where the graph runs, and the numbers of the processor."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import theano
import theano.tensor as T
from models import TUTORIALS
from theano.compile.ops import Shape_i
from theano.gpuarray.basic_ops import GpuFromHost, HostFromGpu
from theano.gpuarray.type import GpuArraySharedVariable, GpuArrayType

from theano_tutorials import compile_functions, load_data, sgd_updates

ROOT = Path(__file__).parents[2]
DEVICE = theano.config.device


@pytest.fixture(scope="module")
def mnist():
    return load_data("mnist")


def functions_of(name, datasets, batch_size=None):
    """Model and functions, as its train_* makes them."""
    tutorial = TUTORIALS[name]
    batch_size = batch_size or tutorial.batch_size
    x, y = T.matrix(), T.ivector()
    model = tutorial.build(x, batch_size)
    cost = model.negative_log_likelihood(y) + (0.0001 * model.L2_sqr if name == "mlp" else 0)
    updates = sgd_updates(cost, model.params, tutorial.learning_rate)
    return model, compile_functions(x, y, cost, model.errors(y), updates, datasets, batch_size)


def environment(device):
    """For a process of its own device; the mark of the one that is active here would make Theano refuse it."""
    variables = {name: value for name, value in os.environ.items() if name != "THEANO_GPU_IS_ALREADY_ACTIVE"}
    others = [flag for flag in variables.get("THEANO_FLAGS", "").split(",") if flag and not flag.startswith("device=")]
    return {**variables, "PYTHONPATH": str(ROOT), "THEANO_FLAGS": ",".join([*others, f"device={device}"])}


def process(*command, device=DEVICE):
    command = [sys.executable, *map(str, command)]
    finished = subprocess.run(
        command, env=environment(device), capture_output=True, text=True, timeout=600, check=False
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout


def script(name, *arguments):
    """A script with --device, in an environment that names none."""
    return process(ROOT / "scripts" / name, "--device", DEVICE, *arguments, device="cpu").splitlines()


# Data


def test_data_and_labels_lie_on_the_device(mnist):
    for inputs, labels in mnist:
        assert isinstance(inputs, GpuArraySharedVariable)
        assert labels.dtype == "int32"
        (shared,) = theano.gof.graph.inputs([labels])
        assert isinstance(shared, GpuArraySharedVariable)
        assert inputs.dtype == shared.dtype == theano.config.floatX


# Graphs


def nodes(function, kind=object):
    return [node for node in function.maker.fgraph.toposort() if isinstance(node.op, kind)]


def is_on_device(variable):
    return isinstance(variable.type, GpuArrayType)


@pytest.mark.parametrize("name", TUTORIALS)
def test_an_iteration_moves_only_its_result_and_numbers_made_of_the_index(mnist, name):
    _, functions = functions_of(name, mnist)
    for function in (functions.train, functions.validate):
        (result,) = nodes(function, HostFromGpu)
        assert result.outputs[0] is function.maker.fgraph.outputs[0]
        assert result.outputs[0].ndim == 0
        for node in nodes(function, GpuFromHost):
            assert node.inputs[0].ndim == 0
            assert "int" in node.inputs[0].dtype
        # What the host computes are sizes and places: integers, and nothing that was on the device.
        for node in nodes(function):
            if not any(map(is_on_device, node.outputs)) and not isinstance(node.op, HostFromGpu):
                assert all("int" in output.dtype for output in node.outputs)
                assert not any(map(is_on_device, node.inputs)) or isinstance(node.op, Shape_i)


# Numbers


def costs_and_parameters(datasets, n_minibatches):
    """Of LeNet on small minibatches: an epoch takes minutes on PoCL."""
    model, functions = functions_of("lenet", datasets, batch_size=50)
    costs = [float(functions.train(index)) for index in range(n_minibatches)]
    return costs, [param.get_value().ravel().tolist() for param in model.params]


def test_lenet_takes_the_steps_that_it_takes_on_the_processor(mnist):
    n_minibatches = 5
    costs, parameters = costs_and_parameters(mnist, n_minibatches)
    code = (
        "import sys, json, theano_tutorials\n"
        f"sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(ROOT / 'tests')!r}]\n"
        "import test_tutorials as t\n"
        f"print(json.dumps(t.costs_and_parameters(t.load_data('mnist'), {n_minibatches})))"
    )
    costs_on_cpu, parameters_on_cpu = json.loads(process("-c", code, device="cpu"))
    # Rounding: sums of up to 800 terms of about one in another order.
    np.testing.assert_allclose(costs, costs_on_cpu, rtol=1e-5)
    for found, expected in zip(parameters, parameters_on_cpu):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["logreg", "mlp"])
def test_first_epochs_have_the_errors_of_the_processor(name, tmp_path):
    tutorial = TUTORIALS[name]
    n_epochs = len(tutorial.lines) // 2
    lines = script(f"train_{name}.py", "--n-epochs", n_epochs, "--output-dir", tmp_path)
    assert lines[1 : 1 + len(tutorial.lines)] == tutorial.lines
    assert {path.name for path in tmp_path.iterdir()} >= {"filters.png", "confusion.png", "mistakes.png"}


# Files


THREE_EPOCHS = ["train_logreg.py", "--n-epochs", "3", "--output-dir"]


@pytest.fixture(scope="module")
def interrupted_run(tmp_path_factory):
    """The folder of a run of three epochs, interrupted on the device after the first."""
    folder = tmp_path_factory.mktemp("run") / "logreg"
    script_path, *options = THREE_EPOCHS
    command = [sys.executable, ROOT / "scripts" / script_path, *options, folder]
    with subprocess.Popen(command, env=environment(DEVICE), stdout=subprocess.PIPE, text=True) as training:
        while not training.stdout.readline().startswith("     epoch 1,"):
            assert training.poll() is None
        training.terminate()
        assert training.stdout.read().startswith("Interrupted in epoch ")
    return folder


@pytest.fixture(scope="module")
def finished_run(interrupted_run, tmp_path_factory):
    """That run, resumed on the device to its end."""
    folder = tmp_path_factory.mktemp("run") / "logreg"
    shutil.copytree(interrupted_run, folder)
    assert "epoch 3, minibatch 83/83, validation error 10.312500 %" in script(*THREE_EPOCHS, folder, "--resume")
    return folder


def test_a_run_is_resumed_on_the_device(finished_run):
    rows = (finished_run / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "1", "2", "3"]


def test_a_run_goes_from_the_device_to_the_processor(interrupted_run):
    script_path, *options = THREE_EPOCHS
    output = process(ROOT / "scripts" / script_path, *options, interrupted_run, "--resume", device="cpu")
    assert "epoch 3, minibatch 83/83, validation error 10.312500 %" in output.splitlines()


def test_a_model_predicts_on_the_device_as_on_the_processor(finished_run):
    image = ROOT / "docs" / "images" / "seven.png"
    (there,) = script("predict.py", finished_run, "--json", image)
    (here,) = process(ROOT / "scripts" / "predict.py", finished_run, "--json", image, device="cpu").splitlines()
    there, here = json.loads(there), json.loads(here)
    assert there["digit"] == here["digit"]
    np.testing.assert_allclose(there["probabilities"], here["probabilities"], atol=1e-6)
    assert (
        script("predict.py", finished_run, "--evaluate", "mnist")
        == process(ROOT / "scripts" / "predict.py", finished_run, "--evaluate", "mnist", device="cpu").splitlines()
    )


def test_a_model_is_exported_on_the_device(finished_run, tmp_path):
    script("export_onnx.py", finished_run, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").stat().st_size > 784 * 10 * 4


def test_the_program_of_the_readme_gives_its_numbers_on_the_device():
    readme = (ROOT / "README.md").read_text()
    (program,) = (block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "sgd_updates" in block)
    promised = re.findall(r"^print\(.*\)  # (.*)$", program, re.MULTILINE)
    assert process("-c", program).splitlines() == promised
