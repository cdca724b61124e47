"""Classifying digits with a convolutional network, LeNet-5 in a simple form.

    28 x 28 image -> convolution 5 x 5, max-pooling 2 x 2, tanh -> 12 x 12 maps
                  -> convolution 5 x 5, max-pooling 2 x 2, tanh -> 4 x 4 maps
                  -> hidden layer of 500 tanh units -> logistic regression

References
----------
Deep Learning Tutorials, "Convolutional Neural Networks (LeNet)".
Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied
to document recognition", Proceedings of the IEEE 86(11), 1998.
"""

import math
from collections import defaultdict

import numpy as np
import theano
import theano.tensor as T
from theano.tensor.nnet import conv2d
from theano.tensor.signal.pool import pool_2d

from theano_tutorials.checks import require_batch_shape, require_counts, require_ndim, require_parameter, require_shape
from theano_tutorials.datasets import load_data
from theano_tutorials.logreg import LogisticRegression
from theano_tutorials.mlp import HiddenLayer, glorot_uniform
from theano_tutorials.reprs import described
from theano_tutorials.runs import draw_classifier, open_run
from theano_tutorials.training import EarlyStopping, compile_functions, sgd_updates, train

FILTER_SIZE = 5
POOL_SIZE = 2
N_HIDDEN = 500
MNIST_SHAPE = (1, 28, 28)
# The second pool gets a convolution of at least its own size.
LEAST_SIZE = POOL_SIZE * (FILTER_SIZE + POOL_SIZE - 1) + FILTER_SIZE - 1


class LeNetConvPoolLayer:
    """Convolution, max-pooling, bias and tanh.

    ``tanh(max_pool(input * W) + b)``. The convolution is valid, and filters are
    flipped. Pools do not overlap. A border that does not fill a pool is left out.

    Parameters
    ----------
    rng : numpy.random.RandomState
        Draws the initial weights, if ``W`` is not given.
    input : symbolic 4-tensor, floatX, of shape ``image_shape``
    filter_shape : (n_filters, n_input_maps, filter_height, filter_width)
    image_shape : (batch_size, n_input_maps, image_height, image_width)
        A batch size of None means any number of images.
    poolsize : (rows, columns)
    W : shared or other symbolic variable, floatX, of shape ``filter_shape``, optional
        Filters to use; by default new ones, uniform within
        ``sqrt(6 / (fan_in + fan_out))``, with
        ``fan_in = n_input_maps * filter_height * filter_width`` and
        ``fan_out = n_filters * filter_height * filter_width // prod(poolsize)``.
    b : shared or other symbolic variable, floatX, (n_filters,), optional
        Biases to use; by default new ones, all zero.

    Attributes
    ----------
    params : list
        ``[W, b]``.
    output : symbolic 4-tensor, floatX, ``output_shape``
    output_shape : tuple of four int, or None and three int
        (batch_size, n_filters, height, width); the batch size is that of ``image_shape``.

    Raises
    ------
    TypeError
        If ``input`` does not have four dimensions, or ``W`` or ``b`` is not a
        symbolic variable.
    ValueError
        If the shapes do not agree, or the image is too small for the filter and
        the pool.

    Examples
    --------
    >>> rng = np.random.RandomState(23455)
    >>> layer = LeNetConvPoolLayer(rng, T.tensor4("x"), (20, 1, 5, 5), (500, 1, 28, 28))
    >>> layer.output_shape
    (500, 20, 12, 12)
    """

    def __init__(self, rng, input, filter_shape, image_shape, poolsize=(2, 2), W=None, b=None):
        require_ndim(4, input=input)
        require_shape(4, filter_shape=filter_shape)
        require_batch_shape(4, image_shape=image_shape)
        require_shape(2, poolsize=poolsize)
        n_filters, n_filter_maps, *filter_size = filter_shape
        batch_size, n_image_maps, *image_size = image_shape
        if n_filter_maps != n_image_maps:
            raise ValueError(
                f"filter_shape {tuple(filter_shape)} takes {n_filter_maps} input maps, "
                f"image_shape {tuple(image_shape)} has {n_image_maps}: expected the same number"
            )
        map_size = [image - filter + 1 for image, filter in zip(image_size, filter_size)]
        if any(size < pool for size, pool in zip(map_size, poolsize)):
            raise ValueError(
                f"image_shape {tuple(image_shape)} is too small for filter_shape {tuple(filter_shape)} and poolsize "
                f"{tuple(poolsize)}: expected images of at least "
                f"{' x '.join(str(f + p - 1) for f, p in zip(filter_size, poolsize))}"
            )
        if W is None:
            fan_in = int(np.prod(filter_shape[1:]))
            fan_out = int(n_filters * np.prod(filter_size) // np.prod(poolsize))
            W = theano.shared(glorot_uniform(rng, fan_in, fan_out, filter_shape), name="W", borrow=True)
        if b is None:
            b = theano.shared(np.zeros(n_filters, dtype=theano.config.floatX), name="b", borrow=True)
        require_parameter("W", W, filter_shape)
        require_parameter("b", b, (n_filters,))

        self.input = input
        self.W = W
        self.b = b
        self.params = [W, b]
        convolved = conv2d(input, W, input_shape=tuple(image_shape), filter_shape=tuple(filter_shape))
        pooled = pool_2d(convolved, ws=tuple(poolsize), ignore_border=True)
        self.output = T.tanh(pooled + b.dimshuffle("x", 0, "x", "x"))
        self.output_shape = (batch_size, n_filters, *(size // pool for size, pool in zip(map_size, poolsize)))
        shapes = {"filter_shape": filter_shape, "image_shape": image_shape, "poolsize": poolsize}
        self._shapes = {name: tuple(shape) for name, shape in shapes.items()}

    def __repr__(self):
        return described(self, "_shapes", activation="tanh")


class LeNet5:
    """Two convolution and pooling layers, a hidden layer and a logistic regression.

    Parameters
    ----------
    rng : numpy.random.RandomState
        Draws the initial weights, layer by layer, beginning at the image.
    input : symbolic matrix, floatX, (batch_size, channels * height * width)
        Each row is an image: channel by channel, and each channel row by row.
    batch_size : int or None
        Number of images in ``input``. The convolution is compiled for it. None means
        any number.
    nkerns : (int, int)
        Number of filters in each of the two convolutions.
    n_out : int
        Number of classes.
    image_shape : (int, int, int)
        Channels, height and width of an image.
    parameters : dict of str to shared variable, optional
        Parameters to use, by name (``"layer0.W"``, ...); by default new ones.

    Attributes
    ----------
    layer0, layer1 : LeNetConvPoolLayer
    layer2 : HiddenLayer
    layer3 : LogisticRegression
    params : list
        The parameters of ``layer3``, ``layer2``, ``layer1`` and ``layer0``, in this
        order.
    architecture : dict
        ``nkerns``, ``n_out`` and ``image_shape``, for :meth:`from_parameters`. The
        ``image_shape`` of MNIST is left out.
    example_shape : tuple of int
        ``image_shape``.
    p_y_given_x, y_pred, negative_log_likelihood, errors
        The same as in ``layer3``.

    Raises
    ------
    TypeError
        If ``input`` is not a matrix.
    ValueError
        If a size is below one, or the images are too small for the filters and pools.
    """

    def __init__(self, rng, input, batch_size, nkerns=(20, 50), n_out=10, image_shape=MNIST_SHAPE, parameters=None):
        require_ndim(2, input=input)
        if batch_size is not None:
            require_counts(batch_size=batch_size)
        require_shape(2, nkerns=nkerns)
        require_shape(3, image_shape=image_shape)
        if min(image_shape[1:]) < LEAST_SIZE:
            raise ValueError(
                f"image_shape (channels, height, width) is {tuple(image_shape)}: expected images of at least "
                f"{LEAST_SIZE} x {LEAST_SIZE} pixels, for two convolutions with pooling"
            )
        given = defaultdict(lambda: None) if parameters is None else parameters
        filter_size = (FILTER_SIZE, FILTER_SIZE)
        pool = (POOL_SIZE, POOL_SIZE)
        n_channels = image_shape[0]
        n_images = -1 if batch_size is None else batch_size

        self.input = input
        self.architecture = {"nkerns": [int(n) for n in nkerns], "n_out": int(n_out)}
        if tuple(image_shape) != MNIST_SHAPE:  # left out there, so that the files of version 0.1 stay as they are
            self.architecture["image_shape"] = [int(n) for n in image_shape]
        self.example_shape = tuple(image_shape)
        self.layer0 = LeNetConvPoolLayer(
            rng,
            input.reshape((n_images, *image_shape)),
            filter_shape=(nkerns[0], n_channels, *filter_size),
            image_shape=(batch_size, *image_shape),
            poolsize=pool,
            W=given["layer0.W"],
            b=given["layer0.b"],
        )
        self.layer1 = LeNetConvPoolLayer(
            rng,
            self.layer0.output,
            filter_shape=(nkerns[1], nkerns[0], *filter_size),
            image_shape=self.layer0.output_shape,
            poolsize=pool,
            W=given["layer1.W"],
            b=given["layer1.b"],
        )
        self.layer2 = HiddenLayer(
            rng,
            self.layer1.output.flatten(2),
            n_in=math.prod(self.layer1.output_shape[1:]),
            n_out=N_HIDDEN,
            W=given["layer2.W"],
            b=given["layer2.b"],
            activation=T.tanh,
        )
        self.layer3 = LogisticRegression(self.layer2.output, N_HIDDEN, n_out, W=given["layer3.W"], b=given["layer3.b"])
        self.params = self.layer3.params + self.layer2.params + self.layer1.params + self.layer0.params
        self.p_y_given_x = self.layer3.p_y_given_x
        self.y_pred = self.layer3.y_pred
        self.negative_log_likelihood = self.layer3.negative_log_likelihood
        self.errors = self.layer3.errors

    def __repr__(self):
        return described(self, "architecture", image_shape=list(self.example_shape), activation="tanh")

    @classmethod
    def from_parameters(cls, parameters, nkerns, n_out, image_shape=MNIST_SHAPE):
        """Build a saved model, for any batch size, from shared variables by name and from its ``architecture``."""
        return cls(None, T.matrix("x"), None, nkerns, n_out, image_shape, parameters)


def train_lenet(
    learning_rate=0.1,
    n_epochs=200,
    dataset="mnist",
    nkerns=(20, 50),
    batch_size=500,
    patience=10000,
    patience_increase=2,
    improvement_threshold=0.995,
    seed=23455,
    output_dir=None,
    resume=False,
    overwrite=False,
    tensorboard=False,
):
    """Train LeNet on MNIST or another data set of images.

    Parameters
    ----------
    learning_rate : float
        Step size of gradient descent.
    n_epochs : int
        Largest number of passes over the training set.
    dataset : str, path or arrays
        mnist, fashion-mnist, kmnist, or the path of a folder of IDX files, of an
        .npz, a .csv or a .pkl.gz file. In Python, arrays too: read_data lists them.
    nkerns : (int, int)
        Number of filters in each of the two convolutions.
    batch_size : int
        Number of examples in a minibatch.
    patience, patience_increase, improvement_threshold
        See :class:`theano_tutorials.EarlyStopping`.
    seed : int
        Seed of the generator that draws the initial weights.
    output_dir, resume, overwrite, tensorboard
        See :func:`theano_tutorials.open_run`.

    Returns
    -------
    theano_tutorials.TrainingResult

    Raises
    ------
    ValueError
        If an argument is out of its range or the data is not valid.
    theano_tutorials.TrainingDiverged
        If the cost becomes NaN or infinite.

    Notes
    -----
    Defaults are those of the tutorial; it published a validation error of
    0.910000 % and a test error of 0.920000 %, at iteration 17,800.
    """
    arguments = dict(locals())
    early_stopping = EarlyStopping(patience, patience_increase, improvement_threshold)
    datasets = load_data(dataset)
    run = open_run(output_dir, "lenet", arguments, datasets, resume, overwrite, tensorboard)
    if datasets.image_shape is None:
        raise ValueError(
            f"data set {datasets.name} has examples of shape {datasets.example_shape}: expected images, "
            "(height, width) or (channels, height, width), or rows that are square images"
        )

    x = T.matrix("x")
    y = T.ivector("y")
    rng = np.random.RandomState(seed)
    classifier = LeNet5(rng, x, batch_size, nkerns, datasets.n_classes, datasets.image_shape)
    cost = classifier.negative_log_likelihood(y)

    updates = sgd_updates(cost, classifier.params, learning_rate)
    functions = compile_functions(x, y, cost, classifier.errors(y), updates, datasets, batch_size)

    result = train(functions, classifier, early_stopping, n_epochs, run)
    draw_classifier(run, classifier, classifier.layer0.W, datasets, batch_size)
    return result
