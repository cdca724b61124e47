"""Graphs with every type of variable that Theano has, beside layers for which this library has rewrites."""

import numpy as np
import theano
import theano.sparse
import theano.tensor as T
import theano.typed_list
from theano.gof import Apply, Op
from theano.gof.type import Generic
from theano.ifelse import ifelse
from theano.sandbox.rng_mrg import MRG_RandomStreams
from theano.tensor.raw_random import random_state_type
from theano.tensor.shared_randomstreams import RandomStreams
from theano.tensor.type_other import NoneConst, make_slice

from theano_tutorials import LeNetConvPoolLayer, LogisticRegression


class Boxed(Op):
    """A tensor as an object of Python, and back: what ``generic`` variables are for."""

    __props__ = ("to_tensor",)

    def __init__(self, to_tensor=False):
        self.to_tensor = to_tensor

    def make_node(self, x):
        return Apply(self, [x], [T.matrix() if self.to_tensor else Generic()()])

    def perform(self, node, inputs, outputs):
        outputs[0][0] = inputs[0][0] if self.to_tensor else (inputs[0],)


def _layer(x):
    """A layer of the tutorials, its gradients and its labels: every rewrite of the library has work here."""
    W = theano.shared(np.full((4, 3), 0.1, dtype=theano.config.floatX))
    model = LogisticRegression(T.tanh(T.dot(x, W)), 3, 2)
    cost = model.negative_log_likelihood(T.cast(T.zeros_like(x[:, 0]), "int32")) + (W**2).sum() + abs(W).sum()
    return [cost, *T.grad(cost, [W, *model.params])]


def _images(x):
    rng = np.random.RandomState(0)
    layer = LeNetConvPoolLayer(rng, x.reshape((-1, 1, 6, 6)), (5, 1, 5, 5), (None, 1, 6, 6))
    return [layer.output, *T.grad(layer.output.sum(), layer.params)]


def _random_state(x):
    state = theano.shared(np.random.RandomState(0))
    after, drawn = T.raw_random.uniform(state, size=x.shape, ndim=2)
    assert after.type == random_state_type
    return [*_layer(x * drawn.astype(x.dtype)), after]


def _scan(x):
    steps, updates = theano.scan(lambda row, before: T.tanh(row + before), sequences=x, outputs_info=x[0] * 0)
    assert not updates
    return _layer(steps)


def _typed_list(x):
    pair = theano.typed_list.make_list([x, x + 1])
    return [*_layer(pair[1]), theano.typed_list.length(pair)]


# Of each type, a function of a symbolic matrix (n, 4) to outputs.
GRAPHS = {
    "tensors": _layer,
    "images": lambda x: _images(T.tile(x, (9, 1)).reshape((-1, 36))),
    "random states": _random_state,
    "random streams": lambda x: _layer(x * RandomStreams(1).binomial(x.shape, p=0.5, dtype=x.dtype)),
    "MRG random streams": lambda x: _layer(x * MRG_RandomStreams(1).uniform(x.shape, dtype=x.dtype)),
    "slices": lambda x: [*_layer(x[:, ::-1]), make_slice(x.shape[0], NoneConst, NoneConst)],
    "None": lambda x: [*_layer(T.sort(x, axis=None).reshape(x.shape)), NoneConst],
    "lists": _typed_list,
    "sparse": lambda x: _layer(theano.sparse.dense_from_sparse(theano.sparse.csr_from_dense(x))),
    "sparse products": lambda x: _layer(theano.sparse.dot(theano.sparse.csr_from_dense(x), T.eye(4, dtype=x.dtype))),
    "generic": lambda x: _layer(Boxed(True)(Boxed()(x))),
    "scan": _scan,
    "conditions": lambda x: _layer(ifelse(T.gt(x.sum(), 0), x, -x)),
    "numbers": lambda x: [*_layer(x), T.scalar_from_tensor(x.sum()), T.gt(x, 0)],
}
