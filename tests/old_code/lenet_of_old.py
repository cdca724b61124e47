"""A LeNet of the time: downsample, conv.conv2d, layers of the course and one that inherits."""
import numpy, theano
import theano.tensor as T
from theano.tensor.signal import downsample
from theano.tensor.nnet import conv

from logistic_sgd import LogisticRegression, load_data
from mlp import HiddenLayer


class PoolLayer(object):
    def __init__(self, rng, input, filter_shape, image_shape, poolsize=(2, 2)):
        fan_in = numpy.prod(filter_shape[1:])
        fan_out = filter_shape[0] * numpy.prod(filter_shape[2:]) / numpy.prod(poolsize)
        bound = numpy.sqrt(6. / (fan_in + fan_out))
        self.W = theano.shared(numpy.asarray(rng.uniform(-bound, bound, filter_shape), dtype=theano.config.floatX))
        self.b = theano.shared(numpy.zeros((filter_shape[0],), dtype=theano.config.floatX))
        out = conv.conv2d(input=input, filters=self.W, filter_shape=filter_shape, image_shape=image_shape)
        out = downsample.max_pool_2d(input=out, ds=poolsize, ignore_border=True)
        self.output = T.tanh(out + self.b.dimshuffle('x', 0, 'x', 'x'))
        self.params = [self.W, self.b]


class Rectifier(HiddenLayer):
    def __init__(self, rng, input, n_in, n_out):
        HiddenLayer.__init__(self, rng=rng, input=input, n_in=n_in, n_out=n_out, activation=None)
        self.output = T.maximum(0, self.output)


class Classifier(LogisticRegression):
    """Never calls the constructor of its base."""
    def __init__(self, input, W, b):
        self.W, self.b = W, b
        self.p_y_given_x = T.nnet.softmax(T.dot(input, W) + b)
        self.y_pred = T.argmax(self.p_y_given_x, axis=1)
        self.params = [self.W, self.b]


rng = numpy.random.RandomState(23455)
datasets = load_data('mnist.pkl.gz')
train_x, train_y = datasets[0]
batch_size, side = 20, 28
x = T.matrix('x')
y = T.ivector('y')
layer0 = PoolLayer(rng, x.reshape((batch_size, 1, side, side)), (4, 1, 5, 5), (batch_size, 1, side, side))
side = (side - 5 + 1) / 2
hidden = Rectifier(rng, layer0.output.flatten(2), 4 * side * side, 30)
W = theano.shared(numpy.asarray(rng.uniform(-.1, .1, (30, 10)), dtype=theano.config.floatX))
b = theano.shared(numpy.zeros((10,), dtype=theano.config.floatX))
top = Classifier(hidden.output, W, b)
half = HiddenLayer(rng, layer0.output.flatten(2), 4 * side * side, 30, W=0.5 * hidden.W, b=hidden.b)
cost = top.negative_log_likelihood(y) + 1e-4 * (half.output ** 2).sum()

params = layer0.params + hidden.params + top.params
updates = []
for param, grad in zip(params, T.grad(cost, params)):
    updates.append((param, param - 0.1 * grad))
index = T.lscalar()
train = theano.function([index], [cost, top.errors(y)], updates=updates, givens={
    x: train_x[index * batch_size: (index + 1) * batch_size],
    y: train_y[index * batch_size: (index + 1) * batch_size]})
results = map(train, range(60))
print "first and last:", ["%.4f" % float(cost) for cost, _ in results[::59]]
print "errors of the last ten minibatches: %.3f" % numpy.mean([error for _, error in results[-10:]])
print len(params), "parameters;", "side", side, "and", `side / 5`

z = T.tensor4('z')
images = numpy.arange(25, dtype=theano.config.floatX).reshape(1, 1, 5, 5)
print theano.function([z], downsample.max_pool_2d(z, (2, 2)))(images).shape,
print theano.function([z], downsample.max_pool_2d(z, (2, 2), ignore_border=True))(images).shape,
print theano.function([z], downsample.max_pool_2d(z, ds=(3, 3), st=(1, 1), ignore_border=True))(images).ravel()
