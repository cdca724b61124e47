"""The mathematics of the layers, against NumPy, SciPy and finite differences."""

import numpy as np
import pytest
import theano
import theano.tensor as T
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import correlate
from scipy.special import log_softmax, softmax
from theano.gradient import verify_grad

from theano_tutorials import MLP, HiddenLayer, LeNet5, LeNetConvPoolLayer, LogisticRegression

FLOAT32_EPS = np.finfo(np.float32).eps


def float32(*shape, seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, shape).astype("float32")


def set_values(layer, seed=1):
    """Give a layer weights and biases other than zero, and return them in float64."""
    W = float32(*layer.W.get_value().shape, seed=seed)
    b = float32(*layer.b.get_value().shape, seed=seed + 1)
    layer.W.set_value(W)
    layer.b.set_value(b)
    return W.astype("float64"), b.astype("float64")


def assert_equal_but_for_rounding(actual, expected, n_terms):
    """Equal up to the bound on the rounding of a float32 sum of that many terms, each at most one."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=(n_terms + 4) * n_terms * FLOAT32_EPS)


# Logistic regression


def test_logistic_regression_starts_at_zero():
    classifier = LogisticRegression(T.matrix(), 4, 3)
    np.testing.assert_array_equal(classifier.W.get_value(), np.zeros((4, 3), "float32"))
    np.testing.assert_array_equal(classifier.b.get_value(), np.zeros(3, "float32"))
    assert classifier.params == [classifier.W, classifier.b]


def test_logistic_regression_is_softmax_of_an_affine_map():
    x, y = T.matrix(), T.ivector()
    classifier = LogisticRegression(x, 6, 4)
    W, b = set_values(classifier)
    inputs, labels = float32(9, 6), np.arange(9, dtype="int32") % 4
    scores = inputs.astype("float64") @ W + b

    p, prediction, cost, errors = theano.function(
        [x, y],
        [classifier.p_y_given_x, classifier.y_pred, classifier.negative_log_likelihood(y), classifier.errors(y)],
    )(inputs, labels)

    assert_equal_but_for_rounding(p, softmax(scores, axis=1), n_terms=6)
    np.testing.assert_array_equal(prediction, scores.argmax(axis=1))
    assert_equal_but_for_rounding(cost, -log_softmax(scores, axis=1)[np.arange(9), labels].mean(), n_terms=6)
    assert errors == np.mean(scores.argmax(axis=1) != labels)


def test_negative_log_likelihood_is_finite_where_the_probability_underflows():
    x, y = T.matrix(), T.ivector()
    classifier = LogisticRegression(x, 2, 2)
    classifier.W.set_value(np.eye(2, dtype="float32"))
    cost = theano.function([x, y], classifier.negative_log_likelihood(y))
    assert cost(np.float32([[1000, 0]]), np.int32([1])) == 1000


# Hidden layer


@pytest.mark.parametrize(
    ("activation", "reference"),
    [(T.tanh, np.tanh), (T.nnet.sigmoid, lambda a: 1 / (1 + np.exp(-a))), (None, lambda a: a)],
)
def test_hidden_layer_is_activation_of_an_affine_map(activation, reference):
    x = T.matrix()
    layer = HiddenLayer(np.random.RandomState(0), x, 7, 5, activation=activation)
    W, b = set_values(layer)
    inputs = float32(8, 7)
    output = theano.function([x], layer.output)(inputs)
    assert_equal_but_for_rounding(output, reference(inputs.astype("float64") @ W + b), n_terms=7)


@pytest.mark.parametrize("activation", ["relu", 3])
def test_an_activation_that_is_no_function_is_named(activation):
    with pytest.raises(TypeError, match=f"activation is {activation!r}: expected a function, such as T.tanh"):
        HiddenLayer(np.random.RandomState(0), T.matrix(), 7, 5, activation=activation)


@pytest.mark.parametrize("n_hidden", [100.5, 0, -3, "100", True])
def test_a_number_of_hidden_units_is_named_as_the_user_knows_it(n_hidden):
    with pytest.raises(ValueError, match=f"^n_hidden is {n_hidden!r}: expected an integer of at least 1"):
        MLP(np.random.RandomState(0), T.matrix(), 7, n_hidden, 5)


@pytest.mark.parametrize(("activation", "scale"), [(T.tanh, 1), (None, 1), (T.nnet.sigmoid, 4)])
def test_hidden_layer_draws_glorot_weights_from_the_generator(activation, scale):
    layer = HiddenLayer(np.random.RandomState(1234), T.matrix(), 30, 20, activation=activation)
    bound = scale * np.sqrt(6 / (30 + 20))
    expected = np.random.RandomState(1234).uniform(-bound, bound, (30, 20)).astype("float32")
    np.testing.assert_array_equal(layer.W.get_value(), expected)
    np.testing.assert_array_equal(layer.b.get_value(), np.zeros(20, "float32"))


# Multilayer perceptron


def test_mlp_penalties_are_sums_over_the_weights_only():
    mlp = MLP(np.random.RandomState(0), T.matrix(), 5, 4, 3)
    W1, _ = set_values(mlp.hiddenLayer)
    W2, _ = set_values(mlp.logRegressionLayer, seed=3)
    L1, L2_sqr = theano.function([], [mlp.L1, mlp.L2_sqr])()
    assert_equal_but_for_rounding(L1, np.abs(W1).sum() + np.abs(W2).sum(), n_terms=32)
    assert_equal_but_for_rounding(L2_sqr, (W1**2).sum() + (W2**2).sum(), n_terms=32)


def test_mlp_joins_its_layers():
    x, y = T.matrix(), T.ivector()
    mlp = MLP(np.random.RandomState(0), x, 5, 4, 3)
    assert mlp.params == [
        mlp.hiddenLayer.W,
        mlp.hiddenLayer.b,
        mlp.logRegressionLayer.W,
        mlp.logRegressionLayer.b,
    ]
    W1, b1 = set_values(mlp.hiddenLayer)
    W2, b2 = set_values(mlp.logRegressionLayer, seed=3)
    inputs, labels = float32(6, 5), np.int32([0, 1, 2, 0, 1, 2])
    scores = np.tanh(inputs.astype("float64") @ W1 + b1) @ W2 + b2
    cost = theano.function([x, y], mlp.negative_log_likelihood(y))(inputs, labels)
    assert_equal_but_for_rounding(cost, -log_softmax(scores, axis=1)[np.arange(6), labels].mean(), n_terms=9)


# Convolution and pooling


def convolve_and_pool(images, W, b, poolsize):
    """The layer in float64, one map at a time, from scipy.signal.correlate."""
    outputs = []
    for image in images:
        for filters, bias in zip(W, b):
            # A convolution is a correlation with the flipped filter.
            full = sum(
                correlate(plane, f[::-1, ::-1], mode="valid", method="direct") for plane, f in zip(image, filters)
            )
            rows, columns = full.shape[0] // poolsize[0], full.shape[1] // poolsize[1]
            cut = full[: rows * poolsize[0], : columns * poolsize[1]]
            pools = cut.reshape(rows, poolsize[0], columns, poolsize[1])
            outputs.append(np.tanh(pools.max(axis=(1, 3)) + bias))
    return np.reshape(outputs, (len(images), len(W), rows, columns))


@pytest.mark.parametrize(
    ("filter_shape", "image_shape", "poolsize"),
    [
        ((4, 1, 5, 5), (3, 1, 28, 28), (2, 2)),
        ((3, 4, 5, 5), (2, 4, 12, 12), (2, 2)),
        ((2, 3, 2, 3), (1, 3, 9, 8), (2, 2)),  # odd maps: the border is left out
        ((2, 2, 3, 3), (2, 2, 11, 8), (3, 2)),
        ((2, 2, 1, 1), (2, 2, 3, 3), (1, 1)),
        ((1, 1, 4, 4), (2, 1, 4, 4), (1, 1)),  # the filter covers the image
    ],
)
def test_convolution_layer_against_scipy(filter_shape, image_shape, poolsize):
    x = T.tensor4()
    layer = LeNetConvPoolLayer(np.random.RandomState(0), x, filter_shape, image_shape, poolsize)
    W, b = set_values(layer)
    images = float32(*image_shape)
    output = theano.function([x], layer.output)(images)
    expected = convolve_and_pool(images.astype("float64"), W, b, poolsize)
    assert output.shape == layer.output_shape == expected.shape
    assert_equal_but_for_rounding(output, expected, n_terms=int(np.prod(filter_shape[1:])))


def test_convolution_layer_draws_weights_by_fan_in_and_fan_out():
    layer = LeNetConvPoolLayer(np.random.RandomState(23455), T.tensor4(), (20, 3, 5, 5), (2, 3, 28, 28))
    bound = np.sqrt(6 / (3 * 5 * 5 + 20 * 5 * 5 // 4))
    expected = np.random.RandomState(23455).uniform(-bound, bound, (20, 3, 5, 5)).astype("float32")
    np.testing.assert_array_equal(layer.W.get_value(), expected)


def test_lenet_shapes_and_order_of_draws():
    lenet = LeNet5(np.random.RandomState(23455), T.matrix(), batch_size=3)
    assert lenet.layer0.output_shape == (3, 20, 12, 12)
    assert lenet.layer1.output_shape == (3, 50, 4, 4)
    assert [param.get_value().shape for param in lenet.params] == [
        (500, 10),
        (10,),
        (800, 500),
        (500,),
        (50, 20, 5, 5),
        (50,),
        (20, 1, 5, 5),
        (20,),
    ]
    rng = np.random.RandomState(23455)
    for layer, fans in ((lenet.layer0, 25 + 125), (lenet.layer1, 500 + 312), (lenet.layer2, 800 + 500)):
        bound = np.sqrt(6 / fans)
        expected = rng.uniform(-bound, bound, layer.W.get_value().shape).astype("float32")
        np.testing.assert_array_equal(layer.W.get_value(), expected)


def test_lenet_reads_images_row_by_row():
    x = T.matrix()
    lenet = LeNet5(np.random.RandomState(0), x, batch_size=2, nkerns=(2, 3))
    images = float32(2, 784)
    output = theano.function([x], lenet.layer0.output)(images)
    W, b = (param.get_value().astype("float64") for param in lenet.layer0.params)
    expected = convolve_and_pool(images.reshape(2, 1, 28, 28).astype("float64"), W, b, (2, 2))
    assert_equal_but_for_rounding(output, expected, n_terms=25)


# Parameters of another graph


def test_given_parameters_are_used_by_two_graphs_of_different_batch_size():
    rng = np.random.RandomState(0)
    three, one = T.tensor4(), T.tensor4()
    first = LeNetConvPoolLayer(rng, three, (2, 1, 3, 3), (3, 1, 8, 8))
    second = LeNetConvPoolLayer(rng, one, (2, 1, 3, 3), (1, 1, 8, 8), W=first.W, b=first.b)
    images = float32(3, 1, 8, 8)
    all_at_once = theano.function([three], first.output)(images)
    one_by_one = theano.function([one], second.output)
    for image, expected in zip(images, all_at_once):
        np.testing.assert_array_equal(one_by_one(image[None])[0], expected)
    first.W.set_value(np.zeros((2, 1, 3, 3), "float32"))
    np.testing.assert_array_equal(one_by_one(images[:1]), np.zeros((1, 2, 3, 3), "float32"))


def test_layers_draw_nothing_for_given_weights():
    rng = np.random.RandomState(5)
    W = theano.shared(np.zeros((3, 2), "float32"))
    HiddenLayer(rng, T.matrix(), 3, 2, W=W)
    assert rng.randint(1 << 30) == np.random.RandomState(5).randint(1 << 30)


# Gradients


def gradient_against_finite_differences(build, model_params, *inputs):
    """T.grad of a cost by each parameter against finite differences, in float64."""

    def cost_of(*values):
        return theano.clone(build(), replace=dict(zip(model_params, values)))

    verify_grad(cost_of, [param.get_value() for param in model_params], rng=np.random.RandomState(7), n_tests=1)


@pytest.fixture
def float64():
    with theano.configparser.change_flags(floatX="float64"):
        yield


@pytest.mark.usefixtures("float64")
def test_gradient_of_logistic_regression():
    classifier = LogisticRegression(T.constant(float32(5, 4).astype("float64")), 4, 3)
    classifier.W.set_value(float32(4, 3, seed=1).astype("float64"))
    y = T.constant(np.int32([0, 1, 2, 0, 1]))
    gradient_against_finite_differences(lambda: classifier.negative_log_likelihood(y), classifier.params)


@pytest.mark.usefixtures("float64")
def test_gradient_of_mlp_with_both_penalties():
    mlp = MLP(np.random.RandomState(0), T.constant(float32(5, 4).astype("float64")), 4, 3, 3)
    mlp.logRegressionLayer.W.set_value(float32(3, 3, seed=1).astype("float64"))
    y = T.constant(np.int32([0, 1, 2, 0, 1]))
    gradient_against_finite_differences(
        lambda: mlp.negative_log_likelihood(y) + 0.01 * mlp.L1 + 0.02 * mlp.L2_sqr, mlp.params
    )


@pytest.mark.usefixtures("float64")
def test_gradient_of_lenet():
    lenet = LeNet5(np.random.RandomState(0), T.constant(float32(2, 784).astype("float64")), 2, nkerns=(2, 2))
    lenet.layer3.W.set_value(float32(500, 10, seed=1).astype("float64"))
    y = T.constant(np.int32([3, 7]))
    gradient_against_finite_differences(lambda: lenet.negative_log_likelihood(y), lenet.params)


# Refusals

RNG = np.random.RandomState(0)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: LogisticRegression(T.vector(), 4, 3), TypeError, "has ndim 1: expected a variable with ndim 2"),
        (lambda: LogisticRegression(np.zeros((2, 4)), 4, 3), TypeError, "type ndarray: expected a symbolic variable"),
        (lambda: LogisticRegression(T.matrix(), 0, 3), ValueError, "n_in is 0: expected an integer of at least 1"),
        (lambda: LogisticRegression(T.matrix(), 4, 2.5), ValueError, "n_out is 2.5"),
        (lambda: LogisticRegression(T.matrix(), 4, 3, W=np.zeros((4, 3))), TypeError, "expected a theano.shared"),
        (
            lambda: LogisticRegression(T.matrix(), 4, 3, W=theano.shared(np.zeros((3, 4), "float32"))),
            ValueError,
            r"W has shape \(3, 4\): expected \(4, 3\)",
        ),
        (lambda: HiddenLayer(RNG, T.vector(), 4, 3), TypeError, "ndim 1: expected a variable with ndim 2 or 3"),
        (lambda: HiddenLayer(RNG, T.matrix(), 4, -1), ValueError, "n_out is -1"),
        (
            lambda: HiddenLayer(RNG, T.matrix(), 4, 3, b=theano.shared(np.zeros(4, "float32"))),
            ValueError,
            r"b has shape \(4,\): expected \(3,\)",
        ),
        (lambda: MLP(RNG, T.matrix(), 4, 0, 3), ValueError, "is 0: expected an integer of at least 1"),
        (lambda: LeNetConvPoolLayer(RNG, T.matrix(), (2, 1, 5, 5), (3, 1, 28, 28)), TypeError, "ndim 2"),
        (
            lambda: LeNetConvPoolLayer(RNG, T.tensor4(), (2, 3, 5, 5), (3, 1, 28, 28)),
            ValueError,
            "takes 3 input maps, image_shape .* has 1",
        ),
        (
            lambda: LeNetConvPoolLayer(RNG, T.tensor4(), (2, 1, 5, 5), (3, 1, 4, 28)),
            ValueError,
            "too small for filter_shape .* expected images of at least 6 x 6",
        ),
        (
            lambda: LeNetConvPoolLayer(RNG, T.tensor4(), (2, 1, 5, 5), (3, 1, 5, 5)),
            ValueError,
            "expected images of at least 6 x 6",
        ),
        (
            lambda: LeNetConvPoolLayer(RNG, T.tensor4(), (2, 1, 5), (3, 1, 28, 28)),
            ValueError,
            r"filter_shape is \(2, 1, 5\): expected 4 integers of at least 1",
        ),
        (
            lambda: LeNetConvPoolLayer(RNG, T.tensor4(), (0, 1, 5, 5), (3, 1, 28, 28)),
            ValueError,
            "filter_shape .* expected 4 integers of at least 1",
        ),
        (
            lambda: LeNetConvPoolLayer(RNG, T.tensor4(), (2, 1, 5, 5), (3, 1, 28, 28), poolsize=2),
            ValueError,
            "poolsize is 2: expected 2 integers of at least 1",
        ),
        (lambda: LeNet5(RNG, T.matrix(), 0), ValueError, "batch_size is 0"),
        (lambda: LeNet5(RNG, T.matrix(), 2, nkerns=(20,)), ValueError, r"nkerns is \(20,\): expected 2 integers"),
        (lambda: LeNet5(RNG, T.tensor4(), 2), TypeError, "ndim 4"),
    ],
)
def test_wrong_input_is_refused_when_the_graph_is_built(build, error, message):
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize("method", ["negative_log_likelihood", "errors"])
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (T.imatrix("y"), "has ndim 2: expected a variable with ndim 1"),
        (T.fvector("y"), "dtype float32: expected an integer dtype"),
    ],
)
def test_wrong_labels_are_refused_when_the_graph_is_built(method, y, message):
    classifier = LogisticRegression(T.matrix(), 4, 3)
    with pytest.raises(TypeError, match=message):
        getattr(classifier, method)(y)


@given(
    filter_shape=st.tuples(*[st.integers(0, 6)] * 4),
    image_shape=st.tuples(*[st.integers(0, 9)] * 4),
    poolsize=st.tuples(*[st.integers(0, 3)] * 2),
)
def test_convolution_layer_is_refused_or_has_an_output_of_positive_size(filter_shape, image_shape, poolsize):
    try:
        layer = LeNetConvPoolLayer(np.random.RandomState(0), T.tensor4(), filter_shape, image_shape, poolsize)
    except ValueError:
        return
    height, width = (
        (image - filter + 1) // pool for image, filter, pool in zip(image_shape[2:], filter_shape[2:], poolsize)
    )
    assert layer.output_shape == (image_shape[0], filter_shape[0], height, width)
    assert min(layer.output_shape) >= 1


# A batch of any size


@pytest.mark.parametrize("batch_size", [1, 3])
def test_convolution_layer_of_any_batch_size_equals_one_of_a_fixed_size(batch_size):
    x = T.tensor4()
    sizes = ((4, 2, 5, 5), (batch_size, 2, 12, 13))
    fixed = LeNetConvPoolLayer(np.random.RandomState(0), x, *sizes)
    of_any = LeNetConvPoolLayer(None, x, sizes[0], (None, *sizes[1][1:]), W=fixed.W, b=fixed.b)
    assert of_any.output_shape == (None, *fixed.output_shape[1:])
    gradients = [T.grad(layer.output.sum(), fixed.W) for layer in (fixed, of_any)]
    results = theano.function([x], [fixed.output, of_any.output, *gradients])(float32(*sizes[1]))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[2], results[3])


@pytest.mark.parametrize("image_shape", [(None, None, 28, 28), (None, 1, 28), (1, None, 28, 28), (0, 1, 28, 28), None])
def test_only_the_batch_size_may_be_none(image_shape):
    with pytest.raises(
        ValueError, match=r"image_shape is .*: expected 4 integers of at least 1, or None for the first"
    ):
        LeNetConvPoolLayer(np.random.RandomState(0), T.tensor4(), (2, 1, 5, 5), image_shape)


def test_filter_shape_has_no_none():
    with pytest.raises(ValueError, match=r"filter_shape is \(None, 1, 5, 5\): expected 4 integers of at least 1"):
        LeNetConvPoolLayer(np.random.RandomState(0), T.tensor4(), (None, 1, 5, 5), (1, 1, 28, 28))


# What a cell of a notebook says of them


@pytest.mark.parametrize(
    ("activation", "name"),
    [(T.tanh, "tanh"), (T.nnet.sigmoid, "sigmoid"), (T.nnet.relu, "relu"), (None, "None")],
)
def test_a_hidden_layer_says_its_sizes_and_its_activation(activation, name):
    layer = HiddenLayer(np.random.RandomState(0), T.matrix(), 4, 3, activation=activation)
    assert repr(layer) == f"<HiddenLayer: n_in=4, n_out=3, activation={name}, 15 parameters>"


def test_models_say_their_sizes():
    rng = np.random.RandomState(0)
    assert repr(LogisticRegression(T.matrix(), 784, 10)) == "<LogisticRegression: n_in=784, n_out=10, 7,850 parameters>"
    assert repr(MLP(rng, T.matrix(), 784, 500, 10)) == (
        "<MLP: n_in=784, n_hidden=500, n_out=10, activation=tanh, 397,510 parameters>"
    )
    network = LeNet5(rng, T.matrix(), None)
    assert repr(network) == (
        "<LeNet5: nkerns=[20, 50], n_out=10, image_shape=[1, 28, 28], activation=tanh, 431,080 parameters>"
    )
    assert repr(network.layer0) == (
        "<LeNetConvPoolLayer: filter_shape=(20, 1, 5, 5), image_shape=(None, 1, 28, 28), poolsize=(2, 2), "
        "activation=tanh, 520 parameters>"
    )
