"""The three tutorials on an OpenCL device: where the graph runs, and the numbers of the processor."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import theano
import theano.tensor as T
from theano.gpuarray.basic_ops import GpuFromHost, HostFromGpu
from theano.gpuarray.type import GpuArraySharedVariable, GpuArrayType

from theano_tutorials import MLP, LeNet5, LogisticRegression, compile_functions, evaluate, load_data, sgd_updates
from theano_tutorials.training import number_of_examples

ROOT = Path(__file__).parents[2]
DEVICE = theano.config.device

# Model, batch size, learning rate.
MODELS = {
    "logreg": (lambda x: LogisticRegression(x, 784, 10), 600, 0.13),
    "mlp": (lambda x: MLP(np.random.RandomState(1234), x, 784, 500, 10), 20, 0.01),
    "lenet": (lambda x: LeNet5(np.random.RandomState(23455), x, 500), 500, 0.1),
}
"""A tutorial as its train_* builds it, for some minibatches."""


@pytest.fixture(scope="module")
def mnist():
    return load_data("mnist")


def functions_of(name, datasets):
    build, batch_size, learning_rate = MODELS[name]
    x, y = T.matrix(), T.ivector()
    model = build(x)
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


def test_counting_examples_moves_no_data(mnist, monkeypatch):
    monkeypatch.setattr(GpuArrayType, "__doc__", "")
    moved = []
    original = theano.gpuarray.type.pygpu.gpuarray.GpuArray
    assert number_of_examples(mnist[0][0]) == 50000
    assert not moved
    assert original


# Graphs


def transfers(function, kind):
    return [node for node in function.maker.fgraph.toposort() if isinstance(node.op, kind)]


def depends_on_device(variable):
    """Whether a value of the device, rather than a shape or the index, is needed to compute it."""
    return any(isinstance(node.op, HostFromGpu) for node in theano.gof.graph.io_toposort([], [variable]))


@pytest.mark.parametrize("name", MODELS)
def test_the_graphs_move_nothing_but_their_result_and_numbers_made_of_the_index(mnist, name):
    _, functions = functions_of(name, mnist)
    for function in (functions.train, functions.validate):
        fgraph = function.maker.fgraph
        (to_host,) = transfers(function, HostFromGpu)
        assert to_host.outputs[0] is fgraph.outputs[0]
        assert to_host.outputs[0].ndim == 0
        for node in transfers(function, GpuFromHost):
            assert node.inputs[0].ndim == 0
            assert not depends_on_device(node.inputs[0])
        on_host = [
            node for node in fgraph.toposort()
            if not any(isinstance(v.type, GpuArrayType) for v in [*node.inputs, *node.outputs])
        ]
        assert all(v.ndim <= 1 and "int" in v.dtype for node in on_host for v in node.outputs)
