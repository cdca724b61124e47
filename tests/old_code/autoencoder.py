# Takes only load_data of the course, and pickles what it has trained, into a text file.
import argparse, pickle, os
import numpy as np, theano, theano.tensor as T
from theano.tensor.shared_randomstreams import RandomStreams
from logistic_sgd import load_data

parser = argparse.ArgumentParser(description='a denoising autoencoder')
parser.add_argument('--hidden', type=int, default=30)
parser.add_argument('--corruption', type=float, default=0.3)
parser.add_argument('output')
args = parser.parse_args()


class AutoEncoder(object):
    def __init__(self, n_visible, n_hidden, rng):
        r = 4 * np.sqrt(6. / (n_visible + n_hidden))
        self.W = theano.shared(np.asarray(rng.uniform(-r, r, size=(n_visible, n_hidden)), dtype=theano.config.floatX))
        self.b = theano.shared(np.zeros(n_hidden, dtype=theano.config.floatX))
        self.c = theano.shared(np.zeros(n_visible, dtype=theano.config.floatX))
        self.params = [self.W, self.b, self.c]

    def hidden(self, x):
        return T.nnet.sigmoid(T.dot(x, self.W) + self.b)

    def cost(self, x, corrupted):
        z = T.nnet.sigmoid(T.dot(self.hidden(corrupted), self.W.T) + self.c)
        return T.mean(T.nnet.binary_crossentropy(z, x).sum(axis=1))


x_set = load_data(dataset='mnist.pkl.gz')[0][0]
model = AutoEncoder(x_set.get_value(borrow=True).shape[1], args.hidden, np.random.RandomState(123))
streams = RandomStreams(2 ** 30 / 3)
x, i = T.matrix('x'), T.lscalar('i')
corrupted = streams.binomial(size=x.shape, n=1, p=1 - args.corruption, dtype=theano.config.floatX) * x
cost = model.cost(x, corrupted)
updates = dict((p, p - 0.1 * g) for p, g in zip(model.params, T.grad(cost, model.params)))
train = theano.function([i], cost, updates=updates, givens={x: x_set[i * 100:(i + 1) * 100]})
costs = [train(j) for j in range(50)]
print 'cost %.3f ... %.3f' % (costs[0], costs[-1])

with open(args.output, 'w') as f:
    pickle.dump(model, f)
with open(args.output) as f:
    again = pickle.load(f)
print again.__class__.__name__, again.hidden.im_func is model.hidden.im_func, len(again.params),
print np.allclose(again.W.get_value(), model.W.get_value())
os.remove(args.output)
