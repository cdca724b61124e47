#!/usr/bin/env python
# -*- coding: utf-8 -*-
# Opens the pickle itself, and asks for a GPU.
import os
os.environ['THEANO_FLAGS'] = "device=gpu,floatX=float32"
import cPickle, gzip, time, sys

import numpy
import theano
import theano.tensor as T

start = time.clock()
f = gzip.open('/data/lisa/data/mnist.pkl.gz', 'rb')
train_set, valid_set, test_set = cPickle.load(f)
f.close()
print 'examples:', train_set[0].shape[0], valid_set[0].shape[0], test_set[0].shape[0]

batch_size = 600
n_batches = train_set[0].shape[0] / batch_size
print "%d minibatches" % n_batches, "of", batch_size

x = T.matrix('x'); y = T.ivector('y'); index = T.lscalar()
rng = numpy.random.RandomState(7)
W = theano.shared(numpy.asarray(rng.uniform(-0.05, 0.05, (784, 10)), dtype=theano.config.floatX), name='W')
b = theano.shared(numpy.zeros((10,), dtype=theano.config.floatX), name='b')
train_x = theano.shared(numpy.asarray(train_set[0], dtype=theano.config.floatX))
train_y = T.cast(theano.shared(numpy.asarray(train_set[1], dtype=theano.config.floatX)), 'int32')

p = T.nnet.softmax(T.dot(x, W) + b)
cost = -T.mean(T.log(p)[T.arange(y.shape[0]), y])
g_W, g_b = T.grad(cost, [W, b])
updates = {W: W - 0.13 * g_W, b: b - 0.13 * g_b}
train = theano.function([index], cost, updates=updates, givens={
    x: train_x[index * batch_size:(index + 1) * batch_size],
    y: train_y[index * batch_size:(index + 1) * batch_size]})
wrong = theano.function([x, y], T.mean(T.neq(T.argmax(p, axis=1), y)))

costs = []
for epoch in xrange(2):
	for i in xrange(n_batches):
	    costs.append(train(i))
        print 'epoch %i, cost %.4f' % (epoch + 1, numpy.mean(costs[-n_batches:])),
	print 'wrong', wrong(valid_set[0], valid_set[1].astype('int32'))
print >>sys.stderr, 'took %.1fs' % (time.clock() - start)
print theano.config.floatX, costs[0].dtype, 7 / 2, 7 / 2., -7 / 2, 2 ** 3 / 3
best = min(costs)
try:
    assert best > 10, 'the best cost is small'
except AssertionError, e:
    print e.message
print type(e).__name__
