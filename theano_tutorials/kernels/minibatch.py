"""A minibatch of the data as one Op.

``data[index * n : (index + 1) * n]`` is six nodes in Theano's graph, and where
its length is asked for, an expression of forty comparisons: seven modules to
compile. Here it is a view of the data, whose length is looked up.

    tutorials_minibatch    the slice above -> Minibatch(n)
                           a slice of cast(data) -> Minibatch(n, dtype)

It matches an int64 scalar index, a constant positive ``n``, and data that is an
input of the graph (as shared variables are) or its cast.
"""

import theano.tensor as T
from theano.compile import optdb
from theano.gof import Apply, Constant, Op, local_optimizer
from theano.scalar import Cast, int64
from theano.tensor.basic import ScalarFromTensor
from theano.tensor.elemwise import Elemwise
from theano.tensor.opt import Shape_i, in2out
from theano.tensor.subtensor import Subtensor

from theano_tutorials.kernels.op import TAG

_SLICE = (slice(int64, int64, None),)
_BEFORE_SHAPES = 0.05  # in the order of optdb: ShapeOpt, at 0.1, would write the length out


def _int64(number):
    return (number + 2**63) % 2**64 - 2**63


class Minibatch(Op):
    """Rows ``index * n`` up to ``(index + 1) * n`` of the data, as NumPy slices them.

    Parameters
    ----------
    n : int
        Rows of a minibatch, positive.
    dtype : str, optional
        Cast a vector to this type; without it, the output is a view.
    """

    __props__ = ("n", "dtype")

    def __init__(self, n, dtype=None):
        self.n = n
        self.dtype = dtype
        if dtype is None:
            self.view_map = {0: [0]}

    def make_node(self, data, index):
        dtype = self.dtype or data.dtype
        return Apply(self, [data, index], [T.TensorType(dtype, (False, *data.broadcastable[1:]))()])

    def infer_shape(self, node, shapes):
        return [(Shape_i(0)(node.outputs[0]), *shapes[0][1:])]

    def perform(self, node, inputs, outputs):
        data, index = inputs
        rows = data[_int64(int(index) * self.n) : _int64((int(index) + 1) * self.n)]
        outputs[0][0] = rows if self.dtype is None else rows.astype(self.dtype)

    def c_code_cache_version(self):
        return (1,)

    def c_code(self, node, name, inputs, outputs, sub):
        (data, index), (out,), fail = inputs, outputs, sub["fail"]
        return f"""
        {{
            const npy_intp rows = PyArray_DIM({data}, 0);
            // Unsigned, so that it may wrap around, as in NumPy.
            const npy_uint64 i = *(npy_int64*)PyArray_DATA({index});
            npy_int64 from = i * {self.n}ULL, to = (i + 1) * {self.n}ULL;
            if (from < 0) from += rows;
            if (to < 0) to += rows;
            from = from < 0 ? 0 : from > rows ? rows : from;
            to = to < from ? from : to > rows ? rows : to;
            {self._copy(node, data, out, fail) if self.dtype else self._view(data, out, fail)}
        }}
        """

    @staticmethod
    def _view(data, out, fail):
        return f"""
            npy_intp shape[NPY_MAXDIMS];
            for (int k = 0; k < PyArray_NDIM({data}); ++k) shape[k] = k ? PyArray_DIM({data}, k) : to - from;
            Py_XDECREF({out});
            Py_INCREF(PyArray_DESCR({data}));
            {out} = (PyArrayObject*)PyArray_NewFromDescr(
                &PyArray_Type, PyArray_DESCR({data}), PyArray_NDIM({data}), shape, PyArray_STRIDES({data}),
                PyArray_BYTES({data}) + from * PyArray_STRIDE({data}, 0),
                PyArray_FLAGS({data}) & (NPY_ARRAY_ALIGNED | NPY_ARRAY_WRITEABLE), NULL);
            if (!{out}) {{ {fail} }}
            Py_INCREF({data});
            if (PyArray_SetBaseObject({out}, (PyObject*){data})) {{ {fail} }}
            PyArray_UpdateFlags({out}, NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_F_CONTIGUOUS);
        """

    @staticmethod
    def _copy(node, data, out, fail):
        in_type, out_type = node.inputs[0].type.dtype_specs()[1], node.outputs[0].type.dtype_specs()[1]
        number = node.outputs[0].type.dtype_specs()[2]
        return f"""
            npy_intp n = to - from;
            if (!{out} || PyArray_DIM({out}, 0) != n || !PyArray_IS_C_CONTIGUOUS({out})) {{
                Py_XDECREF({out});
                {out} = (PyArrayObject*)PyArray_SimpleNew(1, &n, {number});
                if (!{out}) {{ {fail} }}
            }}
            const char* row = PyArray_BYTES({data}) + from * PyArray_STRIDE({data}, 0);
            for (npy_intp k = 0; k < n; ++k, row += PyArray_STRIDE({data}, 0))
                (({out_type}*)PyArray_DATA({out}))[k] = ({out_type})*({in_type}*)row;
        """


def _constant(variable):
    # A positive integer constant, or None.
    if isinstance(variable, Constant) and variable.ndim == 0 and variable.dtype in T.integer_dtypes:
        return int(variable.data) if variable.data > 0 else None
    return None


def _variable_and_constant(variable, operation):
    # (x, n) where the variable is "x operation n", of int64; (None, None) where it is anything else.
    if variable.owner and variable.owner.op == operation and variable.dtype == "int64":
        for x, n in (variable.owner.inputs, variable.owner.inputs[::-1]):
            if _constant(n) is not None:
                return x, _constant(n)
    return None, None


def _is_vector_cast(variable):
    op = variable.owner and variable.owner.op
    return variable.ndim == 1 and isinstance(op, Elemwise) and isinstance(op.scalar_op, Cast)


@local_optimizer([Subtensor])
def tutorials_minibatch(node):
    """Replace the slice of a minibatch; see the module's docstring."""
    if not isinstance(node.op, Subtensor) or node.op.idx_list != _SLICE:
        return None
    data, *ends = node.inputs
    if not all(end.owner and isinstance(end.owner.op, ScalarFromTensor) for end in ends):
        return None
    (index, n), (after, n_of_stop) = (_variable_and_constant(end.owner.inputs[0], T.mul) for end in ends)
    if n is None or n != n_of_stop or _variable_and_constant(after, T.add) != (index, 1) or index.dtype != "int64":
        return None
    dtype = None
    if data.owner and _is_vector_cast(data) and data.owner.inputs[0].dtype in T.continuous_dtypes + T.integer_dtypes:
        (data,), dtype = data.owner.inputs, data.dtype
    if data.owner or not isinstance(data.type, T.TensorType):
        return None
    minibatch = Minibatch(n, dtype)(data, index)
    return [minibatch] if minibatch.type == node.outputs[0].type else None


optdb.register("tutorials_minibatch", in2out(tutorials_minibatch), _BEFORE_SHAPES, "fast_run", TAG)
