"""Changes to single modules of Theano, right after they are loaded and before others import them."""

import copy
import pickle
import sys

import numpy as np

from theano_tutorials.backend.adapting import c_code
from theano_tutorials.backend.adapting.numpy_view import NUMPY_2, dtype_of, taking_types


def mend(module):
    """Change a module of Theano that has just been loaded."""
    for changes in _USED:
        if module.__name__ in changes:
            changes[module.__name__](module)


def _c_code_of_files(module):
    # What Theano compiles from files of its own, and the flags of every compilation.
    compiler = module.GCC_compiler
    compile_str, compile_args = compiler.compile_str, compiler.compile_args

    def mended(module_name, src_code, *args, **options):
        return compile_str(module_name, c_code.of_file(module_name, src_code), *args, **options)

    compiler.compile_str = staticmethod(mended)
    compiler.compile_args = staticmethod(lambda *args, **options: [*compile_args(*args, **options), *c_code.FLAGS])


def _c_code_of_ops(*names):
    def change(module):
        for name in names:
            op = getattr(module, name)
            for method in ("c_code", "c_support_code"):
                if method in vars(op):
                    setattr(op, method, _mended(getattr(op, method)))

    return change


def _mended(method, change=c_code.of_op):
    return lambda *args: change(method(*args))


def _products(module):
    gemm, batched = module.GemmRelated, module.BatchedDot
    gemm.encode_strides_in_unit = c_code.of_products(gemm.encode_strides_in_unit)
    batched.c_support_code = _mended(batched.c_support_code, c_code.of_products)
    gemm.build_gemm_version = _mended(gemm.build_gemm_version, _next_version)
    batched.c_code_cache_version = _mended(batched.c_code_cache_version, _next_version)


def _next_version(version):
    # Else Theano would take what it compiled before the change.
    return (*version, 1)


class _Float(float):
    """A Python float that is equal to a number only if all of its digits are."""

    def __eq__(self, other):
        return float(self) == float(other)

    __hash__ = float.__hash__


def _scalars(module):
    _c_code_of_ops("Scalar")(module)
    module.np = taking_types(module.np)
    # NumPy 2 gives a Python number the precision of what it meets. So 0.1 would equal float32(0.1), which Theano would
    # take for the constant then, and float32(1.0) / x would have the digits of float32.
    cast = module.NumpyAutocaster.__call__
    module.NumpyAutocaster.__call__ = lambda self, x: cast(self, _Float(x) if type(x) is float else x)
    module.Inv.impl = lambda self, x: np.float64(1) / x


def _tensors(module):
    _c_code_of_ops("Argmax", "MaxAndArgmax")(module)
    theirs = module.extract_constant

    def extract_constant(*args, **options):
        value = theirs(*args, **options)
        # Theano adds a Python number to it. NumPy 2 does so in int8, which a small constant has.
        return value.astype("int64") if isinstance(value, np.ndarray) and value.dtype.kind == "i" else value

    module.extract_constant = extract_constant


def _increments(module):
    op = module.AdvancedIncSubtensor1
    c_code_of_theano = op.c_code

    def of_these_types(self, node, *names):
        # Theano's adds the bits of two float16.
        if node.inputs[0].dtype in ("bool", "float16"):
            raise NotImplementedError
        return c_code_of_theano(self, node, *names)

    op.c_code, op.c_support_code = of_these_types, lambda self: c_code.INPLACE_INCREMENT


def _headers(module):
    # ConvOp includes one that is gone, and uses nothing of it.
    module.ConvOp.c_headers = lambda self: ["<iostream>", "<sstream>"]


def _asarray(module):
    # A value beyond the dtype wraps in NumPy 1, and Theano finds the dtype of a constant by it.
    theirs = module._asarray

    def _asarray(a, dtype, order=None):
        dtype = dtype_of(dtype)
        try:
            return theirs(a, dtype, order)
        except OverflowError:
            return np.asarray(a, order=order).astype(dtype)

    module._asarray = _asarray


def _random_states(module):
    # copy.copy of a RandomState shares its state from NumPy 2 on.
    module.copy = copy.deepcopy


def _picklers(module):
    # From Python 3.13 on, persistent_id and persistent_load can be set on objects of subclasses only.
    class Pickler(pickle.Pickler):
        pass

    class Unpickler(pickle.Unpickler):
        pass

    of_theano = type(pickle)("pickle")
    vars(of_theano).update(vars(pickle))
    of_theano.Pickler, of_theano.Unpickler = Pickler, Unpickler
    module.pickle = of_theano


def _top_k(module):
    # Theano indexes with a list of slices, which NumPy 1.23 dropped.
    def top_k(op, x, k, axis, idx_dtype):
        n, k = x.shape[axis], int(k)  # k is an array, of int8 perhaps
        if k == 0:
            raise ValueError("topk: kth cannot be zero")
        if abs(k) > n:
            raise ValueError(f"topk: kth cannot be larger than the size of specified axis {axis}")
        if abs(k) == n:
            order = np.broadcast_to(np.expand_dims(np.arange(n), [*range(1, x.ndim)]), np.moveaxis(x, axis, 0).shape)
            indices = np.moveaxis(order, 0, axis)
        elif abs(k) == 1:
            indices = np.expand_dims((np.argmax if k > 0 else np.argmin)(x, axis), axis)
        else:
            indices = np.take(np.argpartition(x, -k, axis), np.arange(n - k, n) if k > 0 else np.arange(-k), axis)
        results = [np.take_along_axis(x, indices, axis)] if op.return_values else []
        results += [indices.astype(idx_dtype)] if op.return_indices else []
        return results[0] if len(results) == 1 else tuple(results)

    module._topk_py_impl = top_k


_ALWAYS = {
    "theano.gof.cmodule": _c_code_of_files,
    "theano.tensor.blas": _products,
    "theano.tensor.sort": _top_k,
    "theano.tensor.subtensor": _increments,
}
_FROM_PYTHON_3_13 = {
    "theano.misc.pkl_utils": _picklers,
}
_FROM_NUMPY_2 = {
    "theano.misc.safe_asarray": _asarray,
    "theano.scalar.basic": _scalars,
    "theano.tensor.basic": _tensors,
    "theano.tensor.extra_ops": _c_code_of_ops("CumOp"),
    "theano.tensor.nnet.conv": _headers,
    "theano.tensor.raw_random": _random_states,
    "theano.tensor.subtensor": _c_code_of_ops("AdvancedSubtensor1"),
}
_USED = [_ALWAYS]
if sys.version_info >= (3, 13):
    _USED.append(_FROM_PYTHON_3_13)
if NUMPY_2:
    _USED.append(_FROM_NUMPY_2)
