"""What Theano lacks to keep the whole of a tutorial's graph on a CUDA or OpenCL device.

Each rewrite stands in Theano's database of GPU rewrites under the name of its
function: ``THEANO_FLAGS=optimizer_excluding=NAME`` leaves it out, and the node
that it would have moved then runs on the host. Importing this module registers
them, and needs pygpu and an active device. See docs/gpu.md.
"""

import functools

from pygpu import gpuarray
from theano.gof import Apply, Op
from theano.gpuarray.basic_ops import as_gpuarray_variable, infer_context_name
from theano.gpuarray.opt import op_lifter, register_opt, register_opt2
from theano.gpuarray.reduction import GpuMaxAndArgmax
from theano.gpuarray.type import GpuArrayType, get_context
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
        if rows:
            arrays = [argument for array in (x, b, y, *results) for argument in (array, array.offset)]
            _kernel(x.context, x.dtype, y.dtype)(rows, columns, *arrays, n=rows)
        for storage, result in zip(outputs, results):
            storage[0] = result


_SOURCE = """
#include "cluda.h"

#define REAL {real}
#define LABEL {label}

KERNEL void crossentropy_softmax(
    const ga_size rows, const ga_size columns,
    GLOBAL_MEM const REAL *x, const ga_size x_offset, GLOBAL_MEM const REAL *b, const ga_size b_offset,
    GLOBAL_MEM const LABEL *y, const ga_size y_offset, GLOBAL_MEM REAL *nll, const ga_size nll_offset,
    GLOBAL_MEM REAL *sm, const ga_size sm_offset, GLOBAL_MEM LABEL *am, const ga_size am_offset)
{{
  b = (GLOBAL_MEM const REAL *)((GLOBAL_MEM const char *)b + b_offset);
  y = (GLOBAL_MEM const LABEL *)((GLOBAL_MEM const char *)y + y_offset);
  nll = (GLOBAL_MEM REAL *)((GLOBAL_MEM char *)nll + nll_offset);
  am = (GLOBAL_MEM LABEL *)((GLOBAL_MEM char *)am + am_offset);
  for (ga_size row = GID_0 * LDIM_0 + LID_0; row < rows; row += GDIM_0 * LDIM_0) {{
    GLOBAL_MEM const REAL *input = (GLOBAL_MEM const REAL *)((GLOBAL_MEM const char *)x + x_offset) + row * columns;
    GLOBAL_MEM REAL *output = (GLOBAL_MEM REAL *)((GLOBAL_MEM char *)sm + sm_offset) + row * columns;
    REAL largest = input[0] + b[0];
    LABEL place = 0;
    for (ga_size j = 1; j < columns; j++) {{
      const REAL z = input[j] + b[j];
      if (z > largest) {{
        largest = z;
        place = j;
      }}
    }}
    REAL sum = 0;
    for (ga_size j = 0; j < columns; j++) {{
      const REAL power = exp(input[j] + b[j] - largest);
      output[j] = power;
      sum += power;
    }}
    for (ga_size j = 0; j < columns; j++) output[j] /= sum;
    am[row] = place;
    const LABEL label = y[row];
    /* NaN rather than what lies beyond the row: the training loop stops at it. */
    nll[row] = label >= 0 && (ga_size)label < columns ? log(sum) + largest - input[label] - b[label] : NAN;
  }}
}}
"""


@functools.cache
def _kernel(context, real, label):
    source = _SOURCE.format(real=gpuarray.dtype_to_ctype(real), label=gpuarray.dtype_to_ctype(label))
    types = [gpuarray.SIZE, gpuarray.SIZE, *6 * [gpuarray.GpuArray, gpuarray.SIZE]]
    return gpuarray.GpuKernel(
        source, "crossentropy_softmax", types, context, have_double=real.itemsize == 8, have_small=label.itemsize < 4
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
