"""Bernoulli draws of a random stream, which corrupt inputs and sample the units of an RBM.

The rewrite ``tutorials_bernoulli`` puts :class:`Bernoulli` in the place of
``RandomStreams.binomial`` with one trial and a float32 result; anything else is left to
Theano. The draws are the same, and so is the state of the stream after them.
"""

import copy
import ctypes
import sys

import numpy as np
import theano.tensor as T
from theano.gof import Apply, Constant, local_optimizer
from theano.gof.type import Generic
from theano.tensor.raw_random import RandomFunction, RandomStateType

from theano_tutorials.kernels.op import KernelOp, is_float32, register

_TWISTER = "MT19937"
_N_KEYS = 624
_N_BYTES = 4 * (_N_KEYS + 1)  # of the keys and of the position among them

# Theano has random states in Python only: in C they are objects as any other, and all of one type.
for _name in ("c_declare", "c_init", "c_extract", "c_cleanup", "c_sync", "c_code_cache_version"):
    setattr(RandomStateType, _name, getattr(Generic, _name))
RandomStateType.__eq__ = lambda self, other: type(self) is type(other)
RandomStateType.__hash__ = lambda self: hash(type(self))


def _address(random_state):
    return random_state._bit_generator.ctypes.state_address


def _twister_is_known():
    """Whether the memory of NumPy's Mersenne Twister is what the kernel takes it for."""
    try:
        random_state = np.random.RandomState(3)
        random_state.random_sample(5)
        name, keys, position = random_state.get_state()[:3]
        memory = np.frombuffer(ctypes.string_at(_address(random_state), _N_BYTES), "uint32")
        return name == _TWISTER and np.array_equal(memory, [*keys, position])
    except (AttributeError, TypeError):
        return False


_TWISTER_IS_KNOWN = _twister_is_known()
_pool = []  # of random states: a new one costs as much as thousands of draws


def _references(index):
    return sys.getrefcount(_pool[index])


_pool.append(np.random.RandomState(0))
_OF_THE_POOL_ALONE = _references(0)


def copy_of(random_state):
    """A RandomState with the same state, which is no other's: numpy.random.RandomState."""
    is_ours = any(random_state is other for other in _pool)
    if not is_ours:
        name, _, _, has_gauss, _ = random_state.get_state()
        if not _TWISTER_IS_KNOWN or name != _TWISTER or has_gauss:
            return copy.deepcopy(random_state)
    for index in range(len(_pool)):
        if _references(index) == _OF_THE_POOL_ALONE:
            break
    else:
        index = len(_pool)
        _pool.append(np.random.RandomState(0))
    ctypes.memmove(_address(_pool[index]), _address(random_state), _N_BYTES)
    return _pool[index]


class Bernoulli(KernelOp):
    """1 with the probability p, else 0, as ``RandomState.binomial(1, p, size)``.

    Inputs are a random state; the size, a vector of int64; and p, float32, a scalar or
    of that size. Outputs are the random state after the draws and the result, float32.
    Raises ValueError for a probability that is NaN or not in [0, 1].
    """

    header = "bernoulli.h"
    __props__ = ("n_dimensions", "inplace")

    def __init__(self, n_dimensions, inplace=False):
        self.n_dimensions, self.inplace = n_dimensions, inplace
        if inplace:
            self.destroy_map = {0: [0]}

    def make_node(self, random_state, size, p):
        result = T.TensorType("float32", (False,) * self.n_dimensions)
        return Apply(self, [random_state, size, p], [random_state.type(), result()])

    def infer_shape(self, node, shapes):
        return [None, [node.inputs[1][i] for i in range(self.n_dimensions)]]

    def perform(self, node, inputs, outputs):
        random_state, size, p = inputs
        if not self.inplace:
            random_state = copy.deepcopy(random_state)
        outputs[0][0] = random_state
        outputs[1][0] = np.asarray(random_state.binomial(1, p, tuple(size)), dtype="float32")

    def c_code(self, node, name, inputs, outputs, sub):
        flags = ", ".join(str(bool(flag)).lower() for flag in (_TWISTER_IS_KNOWN, self.inplace))
        return self.call(f"bernoulli<{flags}>", [*inputs, *outputs], sub)

    def c_code_cache_version(self):
        return (*self.VERSION, _TWISTER_IS_KNOWN)


@local_optimizer([RandomFunction])
def tutorials_bernoulli(node):
    """RandomFunction of binomial with one trial to Bernoulli."""
    if not isinstance(node.op, RandomFunction) or node.op._props()[0] != "binomial" or len(node.inputs) != 4:
        return None
    random_state, size, n, p = node.inputs
    result = node.outputs[1]
    fits = is_float32(p, result) and size.type.dtype == "int64" and p.ndim in (0, result.ndim) and result.ndim > 0
    is_one = isinstance(n, Constant) and n.data.ndim == 0 and n.data == 1
    if not (fits and is_one) or any(p.broadcastable) or node.op.ndim_added or any(result.broadcastable):
        return None
    return Bernoulli(result.ndim)(random_state, size, p, return_list=True)


@local_optimizer([Bernoulli])
def tutorials_bernoulli_inplace(node):
    """Bernoulli to the one that changes its random state."""
    if not isinstance(node.op, Bernoulli) or node.op.inplace:
        return None
    return Bernoulli(node.op.n_dimensions, inplace=True)(*node.inputs, return_list=True)


register(tutorials_bernoulli, 48.5)  # where those of dense.py are
register(tutorials_bernoulli_inplace, 99)  # where Theano has its own of this kind
