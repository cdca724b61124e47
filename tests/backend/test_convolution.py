"""Convolution and pooling in Python against SciPy, brute force and Theano's C."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import theano
import theano.tensor as T
from safetensors.numpy import load_file
from theano.tensor.nnet.corr import CorrMM_gradInputs, CorrMM_gradWeights
from theano.tensor.signal.conv import conv2d as signal_conv2d
from theano.tensor.signal.pool import pool_2d, pool_3d

from theano_tutorials.backend.convolution import convolve, excluded_rewrites

# The Ops as a graph is built, and those that FAST_COMPILE puts in their place.
PYTHON = [theano.Mode("py", None), theano.Mode("py", "fast_compile")]
TOLERANCE = {"rtol": 1e-5, "atol": 1e-4}  # float32, of sums of up to some hundred products


def floats(seed, *shape):
    return np.random.RandomState(seed).standard_normal(shape).astype("float32")


def values(mode, inputs, outputs, arrays):
    return theano.function(inputs, outputs, mode=mode)(*arrays)


@pytest.mark.parametrize("mode", ["valid", "full"])
@pytest.mark.parametrize("filter_size", [(1, 1), (3, 2), (6, 7), (7, 6)])
def test_convolution_is_that_of_scipy(mode, filter_size):
    images, filters = floats(0, 2, 3, 7, 8), floats(1, 4, 3, *filter_size)
    expected = [
        [sum(scipy.signal.convolve2d(*pair, mode) for pair in zip(image, of_channels)) for of_channels in filters]
        for image in images
    ]
    np.testing.assert_allclose(convolve(images, filters, mode), expected, **TOLERANCE)


def test_channels_that_do_not_fit_are_an_error():
    with pytest.raises(ValueError, match=r"images of shape \(2, 3, 7, 8\), filters of shape \(4, 2, 3, 3\), 1 groups"):
        convolve(floats(0, 2, 3, 7, 8), floats(1, 4, 2, 3, 3))


@pytest.mark.parametrize("python", PYTHON)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"filter_flip": False},
        {"border_mode": "full"},
        {"border_mode": "half", "subsample": (2, 1)},
        {"border_mode": (1, 2), "subsample": (2, 3), "filter_dilation": (2, 1)},
        {"border_mode": ((0, 1), (2, 0)), "filter_dilation": (1, 2)},
        {"num_groups": 2, "subsample": (1, 2)},
    ],
)
def test_convolution_and_its_gradients_are_those_of_theanos_c(python, options):
    x, W, g = T.tensor4("x"), T.tensor4("W"), T.tensor4("g")
    arrays = [floats(0, 3, 4, 9, 8), floats(1, 6, 4 // options.get("num_groups", 1), 3, 2)]
    convolved = T.nnet.conv2d(x, W, **options)
    arrays.append(floats(2, *values(None, [x, W], convolved, arrays).shape))
    outputs = [convolved, *T.grad(None, [x, W], known_grads={convolved: g})]
    expected = values(None, [x, W, g], outputs, arrays)
    for found, value in zip(values(python, [x, W, g], outputs, arrays), expected):
        np.testing.assert_allclose(found, value, **TOLERANCE)


def test_gradients_find_the_size_that_is_not_given():
    x, g, W = T.tensor4("x"), T.tensor4("g"), T.tensor4("W")
    arrays = [floats(0, 2, 3, 9, 8), floats(1, 2, 4, 7, 7), floats(2, 4, 3, 3, 2)]
    outputs = [CorrMM_gradWeights()(x, g), CorrMM_gradInputs()(W, g)]
    expected = values(None, [x, g, W], outputs, arrays)
    for found, value in zip(values(PYTHON[0], [x, g, W], outputs, arrays), expected):
        np.testing.assert_allclose(found, value, **TOLERANCE)


def test_older_convolutions_and_those_of_volumes_work_in_python():
    image, kernel = T.matrix("image"), T.matrix("kernel")
    arrays = [floats(0, 7, 8), floats(1, 3, 2)]
    (found,) = values(PYTHON[0], [image, kernel], [signal_conv2d(image, kernel)], arrays)
    np.testing.assert_allclose(found, scipy.signal.convolve2d(*arrays, "valid"), **TOLERANCE)
    x, W = T.tensor5("x"), T.tensor5("W")
    arrays = [floats(0, 1, 1, 5, 6, 7), floats(1, 1, 1, 2, 3, 2)]
    (found,) = values(PYTHON[0], [x, W], [T.nnet.conv3d(x, W)], arrays)
    np.testing.assert_allclose(found[0, 0], scipy.signal.convolve(*(a[0, 0] for a in arrays), "valid"), **TOLERANCE)


POOLS = [
    {"ws": (2, 2)},
    {"ws": (2, 3), "stride": (1, 2)},
    {"ws": (3, 2), "stride": (2, 3), "pad": (1, 1)},
    {"ws": (2, 3), "ignore_border": False},
]


@pytest.mark.parametrize("kind", ["max", "sum", "average_inc_pad", "average_exc_pad"])
@pytest.mark.parametrize("options", POOLS)
def test_pools_and_their_gradients_are_those_of_theanos_c(kind, options):
    x, g = T.tensor4("x"), T.tensor4("g")
    pooled = pool_2d(x, mode=kind, **{"ignore_border": True, **options})
    # Whole numbers, some of which are equal: then each maximum gets the gradient.
    image = np.rint(2 * floats(0, 2, 3, 7, 8))
    gradient = floats(1, *values(None, [x], pooled, [image]).shape)
    outputs = [pooled]
    if not (kind == "average_exc_pad" and "pad" in options):  # Theano has no gradient of it
        outputs += [T.grad(None, x, known_grads={pooled: g})]
    expected = theano.function([x, g], outputs, on_unused_input="ignore")(image, gradient)
    for python in PYTHON:
        found = theano.function([x, g], outputs, mode=python, on_unused_input="ignore")(image, gradient)
        for one, other in zip(found, expected):
            np.testing.assert_allclose(one, other, **TOLERANCE)


def test_pools_of_volumes_are_the_maxima_of_their_blocks():
    x = T.tensor5("x")
    volume = floats(0, 1, 2, 4, 6, 5)
    (found,) = values(PYTHON[0], [x], [pool_3d(x, (2, 3, 2), ignore_border=True)], [volume])
    for place in itertools.product(range(2), range(2), range(2), range(2)):
        channel, i, j, k = place
        block = volume[0, channel, 2 * i : 2 * i + 2, 3 * j : 3 * j + 3, 2 * k : 2 * k + 2]
        assert found[(0, *place)] == block.max()


def test_only_without_a_compiler_are_rewrites_left_out():
    assert excluded_rewrites({}) == excluded_rewrites({"cxx": "g++"}) == set()
    assert "elemwise_fusion" in excluded_rewrites({"cxx": ""})


EPOCH = """
import sys, theano_tutorials as tt
folder = sys.argv[1]
for train, arguments in ((tt.train_logreg, {}), (tt.train_mlp, {"n_hidden": 9}), (tt.train_lenet, {"nkerns": (3, 4)})):
    result = train(dataset=folder + "/data.npz", n_epochs=1, batch_size=20, **arguments)
    tt.save_parameters(folder + "/" + train.__name__ + ".safetensors", result.model)
"""
# The C linker makes one large module of a graph; -O0 halves the time.
FLAGS = [
    "",
    "mode=FAST_COMPILE",
    "mode=DebugMode,DebugMode.patience=2",  # of ten times that it optimizes each graph
    "mode=NanGuardMode",
    "optimizer=None",
    "optimizer=fast_compile",
    "optimizer=o1",
    "linker=py",
    "linker=c,gcc.cxxflags=-O0",
    "linker=c|py",
    "linker=vm",
    "optimizer=None,linker=py",
    "cxx=",
    "blas.ldflags=",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Trains the three tutorials with flags of Theano; returns the process, and parameters by the tutorial's name."""
    folder = tmp_path_factory.mktemp("modes")
    arrays = {"x_train": floats(0, 120, 28, 28), "y_train": np.arange(120) % 10}
    arrays.update(x_test=arrays["x_train"][:40], y_test=arrays["y_train"][:40])
    np.savez(folder / "data.npz", **arrays)

    def train(flags):
        run = subprocess.run(
            [sys.executable, "-c", EPOCH, str(folder)],
            env={**os.environ, "THEANO_FLAGS": f"on_opt_error=raise,{flags}"},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        return run, {path.stem: load_file(path) for path in sorted(folder.glob("*.safetensors"))}

    return train


@pytest.fixture(scope="module")
def as_usual(trained):
    return trained("")[1]


@pytest.mark.one_python
@pytest.mark.slow
@pytest.mark.parametrize("flags", FLAGS[1:])
def test_the_tutorials_work_in_every_mode_of_theano(trained, as_usual, flags):
    run, models = trained(flags)
    # Theano says that BLAS is NumPy's.
    assert [line for line in run.stderr.splitlines() if "(theano.tensor.blas)" not in line] == []
    assert sorted(models) == ["train_lenet", "train_logreg", "train_mlp"]
    for name, parameters in models.items():
        for key, value in parameters.items():
            np.testing.assert_allclose(value, as_usual[name][key], rtol=1e-3, atol=1e-4, err_msg=f"{name} {key}")
