"""What is changed in Theano's Ops, so that fewer modules are compiled."""

import functools
import hashlib


class _NoProperties(tuple):
    """An empty tuple that is true: an empty ``__props__`` makes Theano think that an Op has no version."""

    __slots__ = ()

    def __bool__(self):
        return True


NO_PROPERTIES = _NoProperties()


def keep_compiled_modules():
    """Give every Op of Theano a lasting version, without which each start compiles it anew."""
    from theano.gof.op import COp, Op

    COp.c_code_cache_version = _code_version
    for op in _subclasses(Op):
        if vars(op).get("__props__") == ():
            op.__props__ = NO_PROPERTIES


def _code_version(op):
    # Theano's own is a hash of text, which is another one in each process.
    digest = hashlib.sha256("\0".join(op.func_codes).encode()).hexdigest()
    return (digest, op.params_type.c_code_cache_version()) if hasattr(op, "params_type") else (digest,)


def _subclasses(cls):
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def fold_constants_in_python():
    """Let Ops that only move numbers, or add or multiply two, do so in Python where their inputs are constant.

    Such nodes are computed once, when a function is optimized; Theano would
    compile a module for each.
    """
    from theano.compile import debugmode
    from theano.gof import Constant
    from theano.gof.op import Op
    from theano.scalar import Add, Mul, Sub
    from theano.tensor import DimShuffle, Elemwise, Rebroadcast, ScalarFromTensor, Subtensor
    from theano.tensor.opt import MakeVector

    movers = (DimShuffle, MakeVector, Rebroadcast, ScalarFromTensor, Subtensor)

    def has_the_same_bits_in_python(node):
        # Not isinstance: Ops of a GPU are subclasses of these, and have no such Python.
        if type(node.op) is not Elemwise:
            return type(node.op) in movers
        types = {variable.type.dtype for variable in (*node.inputs, *node.outputs)}
        return isinstance(node.op.scalar_op, (Add, Mul, Sub)) and len(node.inputs) == 2 and len(types) == 1

    make_thunk = Op.make_thunk

    @functools.wraps(make_thunk)
    def wrapper(self, node, storage_map, compute_map, no_recycling, impl=None):
        constant = all(isinstance(variable, Constant) for variable in node.inputs)
        if impl is None and node.inputs and constant and has_the_same_bits_in_python(node):
            impl = "py"
        return make_thunk(self, node, storage_map, compute_map, no_recycling, impl)

    Op.make_thunk = wrapper
    # DebugMode compares C and Python of an Op unless the Op makes its thunks in a way of its own.
    debugmode.default_make_thunk.append(wrapper)
