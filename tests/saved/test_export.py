"""ONNX files, run by onnxruntime side by side with Theano."""

import math
import os
import subprocess
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import theano
import theano.tensor as T
from models import TUTORIALS
from onnx.reference import ReferenceEvaluator
from packaging.version import Version
from theano.tensor.nnet import conv2d
from theano.tensor.shared_randomstreams import RandomStreams
from theano.tensor.signal.pool import pool_2d

from theano_tutorials import (
    HiddenLayer,
    LeNet5,
    LogisticRegression,
    export_onnx,
    load_model,
    read_data,
    save_parameters,
)
from theano_tutorials.saved.onnx_graph import onnx_model


@pytest.fixture(scope="module")
def test_images():
    return read_data("mnist")[2][0]


@pytest.fixture(scope="module")
def exported(saved_models, tmp_path_factory):
    """ONNX files by model name."""
    folder = tmp_path_factory.mktemp("onnx")
    for name in TUTORIALS:
        export_onnx(saved_models[name], folder / f"{name}.onnx")
    return {name: folder / f"{name}.onnx" for name in TUTORIALS}


def run_onnx(model, images):
    """Outputs of a file, or of the bytes of one."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
    )
    return session.run(["probabilities", "digit"], {"images": images})


@pytest.mark.parametrize("name", TUTORIALS)
def test_onnxruntime_and_theano_agree_on_all_test_images(name, saved_models, exported, test_images):
    expected = load_model(saved_models[name]).predict(test_images)
    parts = [run_onnx(exported[name], images) for images in np.array_split(test_images, 5)]
    probabilities, digits = (np.concatenate(part) for part in zip(*parts))
    assert (probabilities.dtype, digits.dtype) == (np.float32, np.int64)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(digits, expected.argmax(axis=1))
    assert len(np.unique(digits)) == 10  # not trivial


@pytest.mark.parametrize("image_shape", [(1, 20, 16), (3, 18, 17)])
def test_models_of_other_images_are_exported(image_shape, tmp_path):
    saved = LeNet5(np.random.RandomState(0), T.matrix(), 3, (2, 3), 5, image_shape)
    save_parameters(tmp_path / "model", saved)
    export_onnx(tmp_path / "model", tmp_path / "model.onnx")
    images = np.random.RandomState(1).rand(7, math.prod(image_shape)).astype("float32")
    probabilities, _ = run_onnx(tmp_path / "model.onnx", images)
    np.testing.assert_allclose(probabilities, load_model(tmp_path / "model").predict(images), rtol=0, atol=1e-6)


class Own:
    """A classifier of the user, of features that are no image."""

    example_shape = (30,)

    def __init__(self, W):
        self.input, self.W, self.params = T.matrix("x"), W, [W]
        self.p_y_given_x = T.nnet.softmax(T.dot(T.tanh(self.input), W))

    @classmethod
    def from_parameters(cls, parameters):
        return cls(parameters["W"])


class NoClassifier(Own):
    def __init__(self, W):
        super().__init__(W)
        del self.p_y_given_x


def own(cls):
    W = np.random.RandomState(0).randn(30, 4)
    return cls(theano.shared(W.astype(theano.config.floatX)))


def test_a_class_of_the_user_is_exported(tmp_path):
    save_parameters(tmp_path / "model", own(Own))
    export_onnx(tmp_path / "model", tmp_path / "own.onnx", Own)
    rows = np.random.RandomState(1).randn(7, 30).astype("float32")
    probabilities, _ = run_onnx(tmp_path / "own.onnx", rows)
    np.testing.assert_allclose(probabilities, load_model(tmp_path / "model", Own).predict(rows), rtol=0, atol=1e-6)
    assert [tensor.name for tensor in onnx.load(str(tmp_path / "own.onnx")).graph.initializer] == ["W"]


def test_a_model_that_is_no_classifier_is_refused(tmp_path):
    save_parameters(tmp_path / "model", own(NoClassifier))
    with pytest.raises(ValueError, match="model: NoClassifier has no p_y_given_x: expected a classifier"):
        export_onnx(tmp_path / "model", tmp_path / "own.onnx", NoClassifier)
    assert not (tmp_path / "own.onnx").exists()


@pytest.mark.parametrize("name", TUTORIALS)
def test_reference_evaluator_and_theano_agree(name, saved_models, exported, test_images):
    probabilities, digits = ReferenceEvaluator(str(exported[name])).run(None, {"images": test_images[:5]})
    expected = load_model(saved_models[name]).predict(test_images[:5])
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(digits, expected.argmax(axis=1))


@pytest.mark.parametrize("n", [1, 7])
@pytest.mark.parametrize("name", TUTORIALS)
def test_opencv_and_theano_agree(name, n, saved_models, exported, test_images):
    net = cv2.dnn.readNetFromONNX(str(exported[name]))
    net.setInput(test_images[:n])
    probabilities, digits = net.forward(["probabilities", "digit"])
    expected = load_model(saved_models[name]).predict(test_images[:n])
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(digits.ravel(), expected.argmax(axis=1))


@pytest.mark.parametrize("n", [0, 1, 7])
@pytest.mark.parametrize("name", TUTORIALS)
def test_any_number_of_images(name, n, exported, test_images):
    probabilities, digits = run_onnx(exported[name], test_images[:n])
    assert (probabilities.shape, digits.shape) == ((n, 10), (n,))


@pytest.mark.parametrize("name", TUTORIALS)
def test_file_says_what_it_takes_and_gives(name, exported):
    graph = onnx.load(str(exported[name])).graph

    def signature(values):
        return {
            value.name: (
                value.type.tensor_type.elem_type,
                [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim],
            )
            for value in values
        }

    assert signature(graph.input) == {"images": (onnx.TensorProto.FLOAT, ["N", 784])}
    assert signature(graph.output) == {
        "probabilities": (onnx.TensorProto.FLOAT, ["N", 10]),
        "digit": (onnx.TensorProto.INT64, ["N"]),
    }


def test_equal_models_give_equal_files(saved_models, exported, tmp_path):
    again = tmp_path / "again.onnx"
    export_onnx(saved_models["lenet"], again)
    assert again.read_bytes() == exported["lenet"].read_bytes()


def test_a_model_that_is_not_valid_leaves_the_file_that_is_there(tmp_path):
    damaged, target = tmp_path / "damaged.safetensors", tmp_path / "model.onnx"
    damaged.write_bytes(b"no model")
    target.write_bytes(b"before")
    with pytest.raises(ValueError, match=r"damaged\.safetensors: not a whole safetensors file"):
        export_onnx(damaged, target)
    assert target.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged.safetensors", "model.onnx"]


def test_the_model_itself_is_not_overwritten(saved_models):
    path = saved_models["mlp"]
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"expected a name that ends in \.onnx"):
        export_onnx(path, path)
    assert path.read_bytes() == before


def test_after_an_export_theano_finds_its_rewrites_for_devices(saved_models, tmp_path):
    # A query with the name of a rewrite that is not registered yet makes Theano refuse it later.
    code = "import sys, theano_tutorials; theano_tutorials.export_onnx(*sys.argv[1:]); import theano.gpuarray"
    command = [sys.executable, "-W", "ignore", "-c", code, saved_models["logreg"], tmp_path / "model.onnx"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")


def test_script_exports(run_script, saved_models, exported, tmp_path):
    target = tmp_path / "digits.onnx"
    finished = run_script("export_onnx.py", saved_models["mlp"], target)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
    assert target.read_bytes() == exported["mlp"].read_bytes()


def test_script_says_that_onnx_is_missing(run_script, saved_models, tmp_path):
    # A package of that name that cannot be imported, before the installed one.
    (tmp_path / "onnx.py").write_text("raise ModuleNotFoundError(\"No module named 'onnx'\", name='onnx')\n")
    paths = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    finished = run_script("export_onnx.py", saved_models["mlp"], tmp_path / "x.onnx", PYTHONPATH=paths)
    assert finished.returncode == 1
    assert finished.stderr == (
        "error: onnx cannot be imported (No module named 'onnx'): "
        f'install it with pip install onnx "numpy=={np.__version__}"\n'
    )
    assert not (tmp_path / "x.onnx").exists()


N_IN = 64  # of the graphs of these tests: rows of 8 x 8 images


def parameter(*shape, dtype=None):
    """A shared variable, the same for the same shape."""
    values = np.random.RandomState(sum(shape)).normal(scale=0.3, size=shape)
    return theano.shared(values.astype(dtype or theano.config.floatX))


def images_of(x):
    return x.reshape((-1, 1, 8, 8))


class DeepNetwork:
    """Layers in a list, parameters with no attribute of their own."""

    def __init__(self, x):
        self.layers, output = [], x
        for n_in, n_out in [(N_IN, 20), (20, 15)]:
            self.layers.append(HiddenLayer(np.random.RandomState(n_in), output, n_in, n_out, activation=T.nnet.sigmoid))
            output = self.layers[-1].output
        self.layers.append(LogisticRegression(output, 15, 4, W=parameter(15, 4)))
        self.p_y_given_x = self.layers[-1].p_y_given_x


def autoencoder(x):
    W = parameter(N_IN, 10)
    return T.nnet.sigmoid(parameter(N_IN) + T.dot(T.tanh(T.dot(x, W) + parameter(10)), W.T))


def strided_convolution(x):
    maps = conv2d(images_of(x), parameter(3, 1, 3, 3), border_mode="half", subsample=(2, 1))
    pooled = pool_2d(maps, (2, 2), ignore_border=True, pad=(1, 1), mode="average_inc_pad")
    return T.nnet.softmax((pooled + parameter(3).dimshuffle("x", 0, "x", "x")).flatten(2))


def full_convolution(x):
    maps = conv2d(images_of(x), parameter(2, 1, 4, 2), border_mode="full", filter_flip=False, filter_dilation=(2, 1))
    pooled = pool_2d(maps, (3, 2), ignore_border=True, stride=(2, 1), pad=(1, 0))
    return pooled.max(axis=(2, 3))


def grouped_convolution(x):
    maps = x.reshape((x.shape[0], 4, 4, 4))
    maps = conv2d(maps, parameter(4, 2, 2, 3), border_mode=((1, 2), (0, 3)), filter_dilation=(2, 1), num_groups=2)
    pooled = pool_2d(maps, (2, 3), ignore_border=True, stride=(1, 1), pad=(1, 2), mode="average_exc_pad")
    with pytest.warns(DeprecationWarning, match="Flatten class"):  # old code has it
        return T.Flatten(2)(pooled)


def rectifiers(x):
    return T.dot(T.nnet.relu(x - 0.5), parameter(N_IN, 5)) + T.nnet.relu(T.dot(x - 1, parameter(N_IN, 5)), 0.1)


def elementwise(x):
    terms = T.log(x + 2) + T.sqrt(x) - T.sqr(x) + x**3 + T.maximum(x, 0.5) * T.minimum(0.3, -x) + abs(x - 1) / (x + 1)
    return T.add(terms, T.nnet.softplus(x), T.clip(x, 0.2, 0.7), T.mul(x, T.exp(-x), parameter(N_IN)).astype("float32"))


def normalised(x):
    centred = (x - x.mean(axis=1, keepdims=True)) / T.sqrt(x.var(axis=1, keepdims=True) + 0.01)
    exponentials = T.exp(centred - centred.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1).dimshuffle(0, "x")


def patches(x):
    """Each image as sixteen rows of a matrix, and back."""
    rows = T.tanh(T.dot(x.reshape((x.shape[0] * 16, 4)), parameter(4, 3)))
    maps = rows.reshape((x.shape[0], 16, 3)).dimshuffle(0, 2, 1)
    return maps.sum(axis=2) - maps.max(axis=2) + abs(maps).sum() / (1 + maps.max())


def transposed_images(x):
    columns = images_of(x).dimshuffle(0, 3, 2)
    return T.nnet.softmax(T.dot(columns.reshape((-1, N_IN)), parameter(N_IN, 6)))


def siamese(x):
    """The same parameters in two places, and once transposed."""
    W = parameter(N_IN, N_IN)
    return T.dot(T.tanh(T.dot(x, W)), W) + T.dot(x, W.T)


def bias_of_a_column(x):
    column = theano.shared(parameter(5, 1).get_value(), broadcastable=(False, True))
    return T.dot(x, parameter(N_IN, 5)) + column.dimshuffle("x", 0)


def bias_of_an_example(x):
    """A number for each example beside one for each class."""
    scores = T.dot(x, parameter(N_IN, 5))
    return scores + T.dot(x, parameter(N_IN)).dimshuffle(0, "x") + T.add(scores, parameter(5), parameter(5))


GRAPHS = [
    lambda x: DeepNetwork(x).p_y_given_x,
    autoencoder,
    strided_convolution,
    full_convolution,
    grouped_convolution,
    rectifiers,
    elementwise,
    normalised,
    patches,
    transposed_images,
    siamese,
    bias_of_a_column,
    bias_of_an_example,
]


@pytest.fixture(scope="module")
def images():
    return np.random.RandomState(3).uniform(size=(20, N_IN)).astype(np.float32)


@pytest.mark.parametrize("build", GRAPHS, ids=lambda build: build.__name__.strip("<>"))
def test_onnxruntime_and_theano_agree_on_a_graph_of_the_users_own(build, images):
    x = T.matrix("x")
    graph = build(x)
    compute, model = theano.function([x], graph), onnx_model(x, graph, N_IN, "own").SerializeToString()
    for n in (1, 2, 20):
        expected = compute(images[:n])
        probabilities, digits = run_onnx(model, images[:n])
        np.testing.assert_allclose(probabilities, expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(digits, probabilities.argmax(axis=1))
        assert expected.std() > 1e-3  # not trivial
    if Version(onnxruntime.__version__) >= Version("1.24"):  # 1.23, the last for Python 3.10, fails at some Ops
        probabilities, _ = run_onnx(model, images[:0])
        assert probabilities.shape == (0, expected.shape[1])


def test_float64_becomes_float32(images):
    x = T.dmatrix("x")
    graph = T.nnet.softmax(T.dot(x, parameter(N_IN, 4, dtype="float64")).astype("float32"))
    probabilities, _ = run_onnx(onnx_model(x, graph, N_IN, "double").SerializeToString(), images)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, graph.eval({x: images.astype(np.float64)}), rtol=0, atol=1e-5)


@pytest.mark.parametrize("build", GRAPHS, ids=lambda build: build.__name__.strip("<>"))
def test_equal_graphs_give_equal_models(build):
    first, second = (onnx_model(x, build(x), N_IN, "own") for x in (T.matrix("x"), T.matrix("other")))
    assert first.SerializeToString() == second.SerializeToString()


def test_initializers_have_the_names_of_the_parameters():
    x, W, b = T.matrix("x"), parameter(N_IN, 4), parameter(4)
    graph = T.nnet.softmax(T.dot(T.dot(x, W) + b, W.T + 0) * 2 + b.sum() + W.sum() + (b.sum() - W.sum()))
    model = onnx_model(x, graph, N_IN, "named", {"first.W": W, "first.b": b})
    shapes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    assert shapes == {
        "first.W": [N_IN, 4],
        "first.b": [4],
        "first.W.2": [4, N_IN],
        "constant": [1, 1],
        "first.b.2": [1, 1],
        "first.W.3": [1, 1],
        "constant.2": [1, 1],
    }


def test_an_affine_layer_is_two_nodes_and_a_convolution_says_its_sizes():
    x = T.matrix("x")
    graph = onnx_model(x, strided_convolution(x), N_IN, "convolution").graph
    operators = [node.op_type for node in graph.node]
    assert operators == ["Reshape", "Conv", "AveragePool", "Add", "Reshape", "Softmax", "ArgMax"]
    sizes = {attribute.name: list(attribute.ints) for attribute in graph.node[1].attribute if attribute.ints}
    assert sizes == {"kernel_shape": [3, 3], "strides": [2, 1], "dilations": [1, 1], "pads": [1, 1, 1, 1]}
    graph = onnx_model(x, DeepNetwork(x).p_y_given_x, N_IN, "deep").graph
    linear = ["MatMul", "Add"]
    assert [node.op_type for node in graph.node] == [*linear, "Sigmoid"] * 2 + [*linear, "Softmax", "ArgMax"]


def pooled(x, *arguments, **named):
    return pool_2d(images_of(x), (3, 3), *arguments, **named).flatten(2)


REFUSED = {
    "Op": (lambda x: T.sort(x, axis=1), r"SortOp.*: no translation of SortOp.* to ONNX: expected one of .*Softmax"),
    "elementwise": (T.cosh, r"cosh.*: no translation of Elemwise\{cosh.*expected Elemwise of one of Abs, Add, .*Tanh"),
    "cast to integers": (lambda x: x.astype("int32"), r"Cast\{int32\}.*expected a cast to floats"),
    "place of a maximum": (
        lambda x: x * x.argmax(axis=1, keepdims=True),
        r"no translation of MaxAndArgmax.*expected the first output alone",
    ),
    "border": (lambda x: pooled(x, ignore_border=False), r"no translation of Pool.*expected .*ignore_border=True"),
    "mode": (
        lambda x: pooled(x, ignore_border=True, mode="sum"),
        r"no translation of Pool.*modes max, average_inc_pad",
    ),
    "filters of the input": (
        lambda x: conv2d(images_of(x), images_of(x)).flatten(2),
        r"no translation of AbstractConv2d.*depends on x: expected a constant",
    ),
    "filters of each place": (
        lambda x: T.nnet.abstract_conv.AbstractConv2d(unshared=True)(images_of(x), parameter(2, 6, 6, 1, 3, 3)).flatten(
            2
        ),
        r"no translation of AbstractConv2d.*expected the same filters at each place",
    ),
    "mean of the examples": (
        lambda x: x - x.mean(axis=0),
        r"no translation of Elemwise\{true_div.*depends on the number of examples: expected a constant",
    ),
    "two sizes": (
        lambda x: T.dot(x, x.T).reshape((1, 1, x.shape[0], x.shape[0])).sum(axis=(0, 1)),
        r"no translation of Reshape\{4\}.*expected at most one new size",
    ),
    "a batch of 20": (
        lambda x: T.nnet.softmax(conv2d(x.reshape((20, 1, 8, 8)), parameter(2, 1, 5, 5)).flatten(2)),
        r"Softmax\.0 of shapes \[\(20, 32\), \(20, 32\)\].*expected \(n_examples, n_classes\), for any number",
    ),
    "dropout": (
        lambda x: x * RandomStreams(1).binomial((N_IN,), dtype=x.dtype),
        r"changes with each call, as random numbers do",
    ),
    "another input": (lambda x: x * T.matrix("mask"), r"mask is an input: expected none but x, "),
}


@pytest.mark.parametrize(("build", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_translated_is_named_in_one_line(build, message):
    x = T.matrix("x")
    graph = build(x)
    with pytest.raises(ValueError, match=message) as raised:
        onnx_model(x, graph, N_IN, "refused")
    assert "\n" not in str(raised.value)
