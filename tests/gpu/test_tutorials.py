"""The three tutorials on an OpenCL device: where the graph runs, and the numbers of the processor."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import theano
import theano.tensor as T
from theano.compile.ops import Shape_i
from theano.gpuarray.basic_ops import GpuFromHost, HostFromGpu
from theano.gpuarray.type import GpuArraySharedVariable, GpuArrayType

from theano_tutorials import MLP, LeNet5, LogisticRegression, compile_functions, load_data, sgd_updates

ROOT = Path(__file__).parents[2]
DEVICE = theano.config.device

# Model of an input and a batch size, batch size, learning rate.
MODELS = {
    "logreg": (lambda x, _: LogisticRegression(x, 784, 10), 600, 0.13),
    "mlp": (lambda x, _: MLP(np.random.RandomState(1234), x, 784, 500, 10), 20, 0.01),
    "lenet": (lambda x, batch_size: LeNet5(np.random.RandomState(23455), x, batch_size), 500, 0.1),
}


@pytest.fixture(scope="module")
def mnist():
    return load_data("mnist")


def functions_of(name, datasets, batch_size=None):
    """Model and functions, as its train_* makes them."""
    build, its_batch_size, learning_rate = MODELS[name]
    batch_size = batch_size or its_batch_size
    x, y = T.matrix(), T.ivector()
    model = build(x, batch_size)
    cost = model.negative_log_likelihood(y) + (0.0001 * model.L2_sqr if name == "mlp" else 0)
    updates = sgd_updates(cost, model.params, learning_rate)
    return model, compile_functions(x, y, cost, model.errors(y), updates, datasets, batch_size)


def process(*command, device=DEVICE):
    """A process of its own device; the mark of the one that is active here would make Theano refuse it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("THEANO_GPU_IS_ALREADY_ACTIVE", None)
    others = [flag for flag in os.environ.get("THEANO_FLAGS", "").split(",") if not flag.startswith("device=")]
    environment["THEANO_FLAGS"] = ",".join(filter(None, [*others, f"device={device}"]))
    finished = subprocess.run(
        [sys.executable, *map(str, command)], env=environment, capture_output=True, text=True, timeout=600, check=False
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


@pytest.mark.parametrize("name", MODELS)
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
        f"import sys, json, theano_tutorials; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import test_tutorials as t\n"
        f"print(json.dumps(t.costs_and_parameters(t.load_data('mnist'), {n_minibatches})))"
    )
    costs_on_cpu, parameters_on_cpu = json.loads(process("-c", code, device="cpu"))
    # Rounding: sums of up to 800 terms of about one in another order.
    np.testing.assert_allclose(costs, costs_on_cpu, rtol=1e-5)
    for found, expected in zip(parameters, parameters_on_cpu):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_logistic_regression_has_the_errors_of_the_processor_and_can_be_resumed(tmp_path):
    lines = script("train_logreg.py", "--n-epochs", 2, "--output-dir", tmp_path)
    assert lines[1:5] == [
        "epoch 1, minibatch 83/83, validation error 12.458333 %",
        "     epoch 1, minibatch 83/83, test error of best model 12.375000 %",
        "epoch 2, minibatch 83/83, validation error 11.010417 %",
        "     epoch 2, minibatch 83/83, test error of best model 10.958333 %",
    ]
    assert {path.name for path in tmp_path.iterdir()} >= {"filters.png", "confusion.png", "mistakes.png"}


def test_first_epoch_of_the_multilayer_perceptron_has_the_errors_of_the_processor(tmp_path):
    lines = script("train_mlp.py", "--n-epochs", 1, "--output-dir", tmp_path)
    assert lines[1:3] == [
        "epoch 1, minibatch 2500/2500, validation error 9.620000 %",
        "     epoch 1, minibatch 2500/2500, test error of best model 10.090000 %",
    ]


# Files


@pytest.fixture(scope="module")
def run_of_both(tmp_path_factory):
    """The folder of a run, begun on the processor and resumed on the device."""
    folder = tmp_path_factory.mktemp("run") / "logreg"
    process(ROOT / "scripts" / "train_logreg.py", "--n-epochs", 1, "--output-dir", folder, device="cpu")
    resumed = script("train_logreg.py", "--n-epochs", 2, "--output-dir", folder, "--resume")
    assert "epoch 2, minibatch 83/83, validation error 11.010417 %" in resumed
    return folder


def test_a_run_goes_from_the_processor_to_the_device(run_of_both):
    rows = (run_of_both / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "1", "2"]


def test_a_model_predicts_on_the_device_as_on_the_processor(run_of_both):
    image = ROOT / "docs" / "images" / "seven.png"
    (there,) = script("predict.py", run_of_both, "--json", image)
    (here,) = process(ROOT / "scripts" / "predict.py", run_of_both, "--json", image, device="cpu").splitlines()
    there, here = json.loads(there), json.loads(here)
    assert there["digit"] == here["digit"]
    np.testing.assert_allclose(there["probabilities"], here["probabilities"], atol=1e-6)
    assert (
        script("predict.py", run_of_both, "--evaluate", "mnist")
        == process(ROOT / "scripts" / "predict.py", run_of_both, "--evaluate", "mnist", device="cpu").splitlines()
    )


def test_a_model_is_exported_on_the_device(run_of_both, tmp_path):
    script("export_onnx.py", run_of_both, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").stat().st_size > 784 * 10 * 4


def test_the_program_of_the_readme_gives_its_numbers_on_the_device():
    readme = (ROOT / "README.md").read_text()
    (program,) = (block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "sgd_updates" in block)
    promised = re.findall(r"^print\(.*\)  # (.*)$", program, re.MULTILINE)
    assert process("-c", program).splitlines() == promised
