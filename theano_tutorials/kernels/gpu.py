"""What Theano lacks to keep the whole of a tutorial's graph on a CUDA or OpenCL device.

Each rewrite stands in Theano's database of GPU rewrites under the name of its
function: ``THEANO_FLAGS=optimizer_excluding=NAME`` leaves it out, and the node
that it would have moved then runs on the host. Importing this module registers
them, and needs pygpu and an active device. See docs/gpu.md.
"""

import functools

from pygpu import gpuarray
from theano.gof import Apply, Op, local_optimizer
from theano.gpuarray.basic_ops import as_gpuarray_variable, infer_context_name
from theano.gpuarray.elemwise import GpuCAReduceCPY
from theano.gpuarray.opt import op_lifter, register_opt, register_opt2
from theano.gpuarray.reduction import GpuMaxAndArgmax
from theano.gpuarray.type import GpuArrayType, get_context
from theano.scalar import Add
from theano.tensor import Argmax
from theano.tensor.nnet import CrossentropySoftmaxArgmax1HotWithBias


class RowwiseCrossentropySoftmax(Op):
    """Softmax of each row, its cross-entropy with a label, and its most probable class.

    A work-item computes a row, in the dialect of C that libgpuarray has for both
    CUDA and OpenCL. For ``z = x[i] + b``, its largest value ``m`` at the first
    place ``k``, and ``s = sum(exp(z - m))``::

        nll[i] = log(s) + m - z[y[i]]      sm[i] = exp(z - m) / s      am[i] = k

    Inputs ``x``, floating-point (rows, columns), ``b`` of the same dtype
    (columns,), and ``y``, integers (rows,), all on a device; outputs ``nll``
    (rows,), ``sm`` (rows, columns) and ``am`` (rows,), of the dtypes of ``x``,
    ``x`` and ``y``. ``nll`` is NaN for a label outside of [0, columns). Raises
    ValueError for shapes that do not fit each other.

    It takes the place of Theano's GpuCrossentropySoftmaxArgmax1HotWithBias,
    which OpenCL cannot compile.
    """

    __props__ = ()

    def make_node(self, x, b, y):
        context_name = infer_context_name(x, b, y)
        x, b, y = (as_gpuarray_variable(variable, context_name) for variable in (x, b, y))
        nll = GpuArrayType(x.dtype, y.broadcastable, context_name=context_name)()
        return Apply(self, [x, b, y], [nll, x.type(), y.type()])

    def infer_shape(self, node, shapes):
        x, _, y = shapes
        return [y, x, y]

    def perform(self, node, inputs, outputs):
        x, b, y = map(gpuarray.ascontiguousarray, inputs)
        rows, columns = x.shape
        if b.shape != (columns,) or y.shape != (rows,):
            raise ValueError(
                f"x has shape {x.shape}, b {b.shape}, y {y.shape}: expected (rows, columns), (columns,), (rows,)"
            )
        results = [
            gpuarray.empty(shape, dtype, context=x.context)
            for shape, dtype in ((y.shape, x.dtype), (x.shape, x.dtype), (y.shape, y.dtype))
        ]
        _run("crossentropy_softmax", rows, (rows, columns), (x, b, y, *results), REAL=x.dtype, LABEL=y.dtype)
        for storage, result in zip(outputs, results):
            storage[0] = result


class ColumnSum(Op):
    """Sum of each column of a matrix ``x``, floating-point (rows, columns), on a device; of its dtype, (columns,).

    A work-item adds up a column. Theano's GpuCAReduceCPY gives each column a
    work-group of hundreds of items, which wait for each other: on a processor,
    fifty milliseconds for the biases of the hidden layer, and here one tenth of
    a millisecond.
    """

    __props__ = ()

    def make_node(self, x):
        x = as_gpuarray_variable(x, infer_context_name(x))
        return Apply(self, [x], [GpuArrayType(x.dtype, x.broadcastable[1:], context_name=x.type.context_name)()])

    def infer_shape(self, node, shapes):
        return [shapes[0][1:]]

    def perform(self, node, inputs, outputs):
        x = gpuarray.ascontiguousarray(inputs[0])
        rows, columns = x.shape
        sums = gpuarray.empty((columns,), x.dtype, context=x.context)
        _run("column_sum", columns, (rows, columns), (x, sums), REAL=x.dtype)
        outputs[0][0] = sums


_SOURCES = {
    "crossentropy_softmax": """
KERNEL void crossentropy_softmax(
    const ga_size rows, const ga_size columns,
    GLOBAL_MEM const REAL *x, const ga_size x_offset, GLOBAL_MEM const REAL *b, const ga_size b_offset,
    GLOBAL_MEM const LABEL *y, const ga_size y_offset, GLOBAL_MEM REAL *nll, const ga_size nll_offset,
    GLOBAL_MEM REAL *sm, const ga_size sm_offset, GLOBAL_MEM LABEL *am, const ga_size am_offset)
{
  b = (GLOBAL_MEM const REAL *)((GLOBAL_MEM const char *)b + b_offset);
  y = (GLOBAL_MEM const LABEL *)((GLOBAL_MEM const char *)y + y_offset);
  nll = (GLOBAL_MEM REAL *)((GLOBAL_MEM char *)nll + nll_offset);
  am = (GLOBAL_MEM LABEL *)((GLOBAL_MEM char *)am + am_offset);
  for (ga_size row = GID_0 * LDIM_0 + LID_0; row < rows; row += GDIM_0 * LDIM_0) {
    GLOBAL_MEM const REAL *input = (GLOBAL_MEM const REAL *)((GLOBAL_MEM const char *)x + x_offset) + row * columns;
    GLOBAL_MEM REAL *output = (GLOBAL_MEM REAL *)((GLOBAL_MEM char *)sm + sm_offset) + row * columns;
    REAL largest = input[0] + b[0];
    LABEL place = 0;
    for (ga_size j = 1; j < columns; j++) {
      const REAL z = input[j] + b[j];
      if (z > largest) {
        largest = z;
        place = j;
      }
    }
    REAL sum = 0;
    for (ga_size j = 0; j < columns; j++) {
      const REAL power = exp(input[j] + b[j] - largest);
      output[j] = power;
      sum += power;
    }
    for (ga_size j = 0; j < columns; j++) output[j] /= sum;
    am[row] = place;
    const LABEL label = y[row];
    /* NaN rather than what lies beyond the row: the training loop stops at it. */
    nll[row] = label >= 0 && (ga_size)label < columns ? log(sum) + largest - input[label] - b[label] : NAN;
  }
}
""",
    "column_sum": """
KERNEL void column_sum(
    const ga_size rows, const ga_size columns,
    GLOBAL_MEM const REAL *x, const ga_size x_offset, GLOBAL_MEM REAL *sums, const ga_size sums_offset)
{
  x = (GLOBAL_MEM const REAL *)((GLOBAL_MEM const char *)x + x_offset);
  sums = (GLOBAL_MEM REAL *)((GLOBAL_MEM char *)sums + sums_offset);
  for (ga_size column = GID_0 * LDIM_0 + LID_0; column < columns; column += GDIM_0 * LDIM_0) {
    REAL sum = 0;
    for (ga_size row = 0; row < rows; row++) sum += x[row * columns + column];
    sums[column] = sum;
  }
}
""",
}


def _run(name, n, sizes, arrays, **dtypes):
    """Run a kernel of ``_SOURCES`` with at least ``n`` work-items; ``dtypes`` are those of its types."""
    if n:
        kernel = _kernel(arrays[0].context, name, len(arrays), tuple(dtypes.items()))
        kernel(*sizes, *(argument for array in arrays for argument in (array, array.offset)), n=n)


@functools.cache
def _kernel(context, name, n_arrays, dtypes):
    types = "".join(f"#define {c_name} {gpuarray.dtype_to_ctype(dtype)}\n" for c_name, dtype in dtypes)
    source = f'#include "cluda.h"\n{types}{_SOURCES[name]}'
    return gpuarray.GpuKernel(
        source,
        name,
        [gpuarray.SIZE, gpuarray.SIZE, *n_arrays * [gpuarray.GpuArray, gpuarray.SIZE]],
        context,
        have_double=any(dtype.itemsize == 8 and dtype.kind == "f" for _, dtype in dtypes),
        have_small=any(dtype.itemsize < 4 for _, dtype in dtypes),
    )


def _register(op_class):
    """Register a function of (op, context_name, inputs, outputs) to move nodes of ``op_class`` to the device."""

    def register(rewrite):
        register_opt("fast_compile")(op_lifter([op_class])(rewrite))
        return register_opt2([op_class], "fast_compile")(rewrite)

    return register


@_register(Argmax)
def local_tutorials_gpu_argmax(op, context_name, inputs, outputs):
    """Theano makes Argmax of MaxAndArgmax where only the place is used, and then moves only the latter."""
    return [GpuMaxAndArgmax(op.axis)(*inputs)[1]]


@_register(CrossentropySoftmaxArgmax1HotWithBias)
def local_tutorials_opencl_crossentropy_softmax(op, context_name, inputs, outputs):
    """On CUDA Theano's own kernel works."""
    if get_context(context_name).kind == b"opencl":
        return RowwiseCrossentropySoftmax()


@register_opt("fast_compile")
@local_optimizer([GpuCAReduceCPY])
def local_tutorials_opencl_column_sum(node):
    """Theano makes GpuCAReduceCPY of a sum on OpenCL only."""
    (x,) = node.inputs
    op = node.op
    is_sum = isinstance(op.scalar_op, Add) and op.axis == (0,) and x.ndim == 2
    if is_sum and x.dtype == node.outputs[0].dtype == op.acc_dtype and x.dtype in ("float32", "float64"):
        return [ColumnSum()(x)]
