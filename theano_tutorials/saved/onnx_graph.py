"""A Theano graph as an ONNX model: each Op on the way from the input to the probabilities becomes ONNX nodes.

The graph is read as a model builds it, before Theano optimises it. What does not
depend on the values of the input (parameters, constants, sizes) is computed by
Theano and becomes an initializer. Every tensor is float32, but sizes and axes.

References
----------
ONNX, "Open Neural Network Exchange", operator set 13.
"""

import functools
import itertools

import numpy as np
import onnx
import theano
import theano.tensor as T
from onnx import TensorProto, helper
from theano import scalar
from theano.compile.ops import Shape, Shape_i
from theano.compile.sharedvalue import SharedVariable
from theano.gof.graph import inputs as leaves_of
from theano.gof.graph import io_toposort
from theano.tensor.elemwise import DimShuffle, Elemwise, Sum
from theano.tensor.nnet.abstract_conv import AbstractConv2d, border_mode_to_pad
from theano.tensor.nnet.sigm import ScalarSigmoid, ScalarSoftplus
from theano.tensor.signal.pool import Pool

from theano_tutorials.checks import require_counts, require_ndim

# Old ones, so that old programs read the file too.
_OPERATOR_SET = 13
_IR_VERSION = 7

# What differs for these numbers of examples depends on the number of examples.
_N_EXAMPLES = (3, 101)
# Not worth a C compiler or a device: what is evaluated is small, with shapes computed from shapes alone.
_MODE = theano.Mode("py", "fast_compile").including("local_shape_to_shape_i").excluding("gpuarray")


def onnx_model(input, probabilities, n_in, name, parameters=None):
    """Translate the graph of a classifier into an ONNX model.

    =================  =======  ==============  ===================================
    input or output    dtype    shape
    =================  =======  ==============  ===================================
    ``images``         float32  (N, n_in)       what ``input`` takes, for any N
    ``probabilities``  float32  (N, n_classes)  of each class
    ``digit``          int64    (N,)            the most probable class
    =================  =======  ==============  ===================================

    Parameters
    ----------
    input : symbolic matrix, floatX, (n_examples, n_in)
    probabilities : symbolic matrix, floatX, (n_examples, n_classes)
        Computed from ``input``, shared variables and constants alone.
    n_in : int
        Number of input features.
    name : str
        Of the ONNX graph.
    parameters : dict of str to shared variable, optional
        By the names that their initializers get.

    Returns
    -------
    onnx.ModelProto
        Checked. Equal graphs of equal parameters give equal models.

    Raises
    ------
    TypeError
        If ``input`` or ``probabilities`` is not a matrix.
    ValueError
        If an Op has no translation, or the graph has another input, draws random
        numbers or is built for one number of examples.

    Examples
    --------
    >>> x, W = T.matrix("x"), theano.shared(np.zeros((784, 10), dtype=theano.config.floatX))
    >>> model = onnx_model(x, T.nnet.softmax(T.dot(x, W)), n_in=784, name="softmax", parameters={"W": W})
    >>> [node.op_type for node in model.graph.node]
    ['MatMul', 'Softmax', 'ArgMax']
    """
    require_ndim(2, input=input, probabilities=probabilities)
    require_counts(n_in=n_in)
    _require_no_other_input(input, probabilities)
    evaluate = functools.partial(_evaluate, input, n_in)
    parameter_names = {variable: key for key, variable in (parameters or {}).items()}
    nodes, initializers, names = [], {}, {input: "images"}

    def add_initializer(wanted, value):
        for key in itertools.chain([wanted], (f"{wanted}.{i}" for i in itertools.count(2))):
            if np.array_equal(initializers.setdefault(key, value), value, equal_nan=True):
                return key

    def add(expression):
        """Name of the tensor of an expression: a variable, integers, or (operator, expressions, attributes)."""
        if isinstance(expression, tuple):
            operator, operands, attributes = expression
            operands = [add(operand) for operand in operands]
            nodes.append(helper.make_node(operator, operands, [f"{operator}.{len(nodes)}"], **attributes))
            return nodes[-1].output[0]
        if isinstance(expression, list):
            return add_initializer("integers", np.array(expression, dtype=np.int64))
        if expression not in names:
            value = np.asarray(_constant(expression, evaluate), dtype=np.float32, order="C")
            found = [parameter_names[leaf] for leaf in leaves_of([expression]) if leaf in parameter_names]
            names[expression] = add_initializer(found[0] if len(found) == 1 else "constant", value)
        return names[expression]

    order = io_toposort([input], [probabilities])
    dependent = _dependent(input, order)
    used = {variable for node in order for variable in node.inputs}
    for node in order:
        if dependent.isdisjoint(node.outputs):
            continue
        output, *others = node.outputs
        try:
            if type(node.op) not in _TRANSLATIONS:
                raise ValueError(f"expected one of {_known(_TRANSLATIONS)}")
            if not used.isdisjoint(others):
                raise ValueError(f"{others} used: expected the first output alone")
            names[output] = add(_TRANSLATIONS[type(node.op)](node, evaluate))
        except ValueError as error:
            raise ValueError(f"{output}: no translation of {node.op} to ONNX: {error}") from error

    n_classes = _n_classes(probabilities, evaluate)
    nodes[-1].output[0] = "probabilities"
    nodes.append(helper.make_node("ArgMax", ["probabilities"], ["digit"], axis=1, keepdims=0))
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", n_in])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", n_classes]),
            helper.make_tensor_value_info("digit", TensorProto.INT64, ["N"]),
        ],
        [onnx.numpy_helper.from_array(value, key) for key, value in initializers.items()],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", _OPERATOR_SET)],
        ir_version=_IR_VERSION,
        producer_name="theano_tutorials",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _known(table):
    return ", ".join(sorted(kind.__name__ for kind in table))


def _require_no_other_input(input, probabilities):
    for leaf in leaves_of([probabilities], blockers=[input]):
        if getattr(leaf, "default_update", None) is not None:
            raise ValueError(f"{leaf} changes with each call, as random numbers do: expected a graph without it")
        if leaf is not input and not isinstance(leaf, (T.Constant, SharedVariable)):
            raise ValueError(f"{leaf} is an input: expected none but {input}, shared variables and constants")


# What Theano computes: parameters, constants and sizes.


def _dependent(input, order):
    """Variables that depend on the values of the input, not on its shape alone."""
    found = {input}
    for node in order:
        if not isinstance(node.op, (Shape, Shape_i)) and not found.isdisjoint(node.inputs):
            found.update(node.outputs)
    return found


def _evaluate(input, n_in, variable):
    """Values of a variable for _N_EXAMPLES: of any values, since it must not depend on them."""
    if variable in _dependent(input, io_toposort([input], [variable])):
        raise ValueError(f"{variable} depends on {input}: expected a constant")
    function = theano.function([input], variable, mode=_MODE, on_unused_input="ignore")
    return [function(np.zeros((n, n_in), dtype=input.dtype)) for n in _N_EXAMPLES]


def _constant(variable, evaluate):
    value, again = evaluate(variable)
    if not np.array_equal(value, again, equal_nan=True):
        raise ValueError(f"{variable} depends on the number of examples: expected a constant")
    return value


def _n_classes(probabilities, evaluate):
    shapes = [tuple(map(int, shape)) for shape in evaluate(probabilities.shape)]
    n_classes = shapes[0][1]
    if shapes != [(n, n_classes) for n in _N_EXAMPLES]:
        raise ValueError(
            f"{probabilities} of shapes {shapes} for {_N_EXAMPLES} examples: "
            "expected (n_examples, n_classes), for any number of examples"
        )
    return n_classes


# Translations: functions of a node and of the function that evaluates variables, to an expression.


def _chain(operator, operands):
    # Theano's sums and products have any number of terms, ONNX's two.
    return functools.reduce(lambda left, right: (operator, [left, right], {}), operands)


def _elemwise(node, evaluate):
    kind = type(node.op.scalar_op)
    if kind not in _ELEMWISE:
        raise ValueError(f"expected Elemwise of one of {_known(_ELEMWISE)}")
    operator = _ELEMWISE[kind]
    if callable(operator):
        return operator(node)
    return _chain(operator, node.inputs) if len(node.inputs) > 1 else (operator, node.inputs, {})


def _add(node):
    # A vector as it is, for OpenCV 4.5 and 4.6: a row is for one example there, and Gemm has no bias.
    for product, row in itertools.permutations(node.inputs, 2) if len(node.inputs) == 2 else ():
        if product.owner and isinstance(product.owner.op, T.Dot) and row.owner and _is_row_of_vector(row.owner):
            return "Add", [product, *row.owner.inputs], {}
    return _chain("Add", node.inputs)


def _is_row_of_vector(node):
    return isinstance(node.op, DimShuffle) and node.op.new_order == ("x", 0) and node.inputs[0].ndim == 1


def _cast(node):
    if not node.outputs[0].dtype.startswith("float"):
        raise ValueError("expected a cast to floats")
    return node.inputs[0]


def _clip(node):
    value, low, high = node.inputs
    return "Min", [("Max", [value, low], {}), high], {}


def _dimshuffle(node, evaluate):
    op, expression = node.op, node.inputs[0]
    if op.drop:
        expression = "Squeeze", [expression, list(op.drop)], {}
    order = [sorted(op.shuffle).index(axis) for axis in op.shuffle]
    if order != sorted(order):
        expression = "Transpose", [expression], {"perm": order}
    if op.augment:
        expression = "Unsqueeze", [expression, list(op.augment)], {}
    return expression


def _reshape(node, evaluate):
    before, after = (list(zip(*evaluate(variable.shape))) for variable in (node.inputs[0], node.outputs[0]))
    # 0: as in the input, -1: what remains.
    shape = [
        int(size) if size == again else 0 if before[axis : axis + 1] == [(size, again)] else -1
        for axis, (size, again) in enumerate(after)
    ]
    if shape.count(-1) > 1:
        raise ValueError("expected at most one new size that depends on the number of examples")
    return "Reshape", [node.inputs[0], shape], {}


def _conv(node, evaluate):
    op, (maps, filters) = node.op, node.inputs
    if op.unshared:
        raise ValueError("expected the same filters at each place")
    kernel_shape = _constant(filters, evaluate).shape[2:]
    dilated = [(size - 1) * step + 1 for size, step in zip(kernel_shape, op.filter_dilation)]
    attributes = {
        "kernel_shape": kernel_shape,
        "strides": op.subsample,
        "dilations": op.filter_dilation,
        "pads": np.transpose(border_mode_to_pad(op.border_mode, 2, dilated)).ravel().tolist(),
        "group": op.num_groups,
    }
    # ONNX does not flip the filters.
    return "Conv", [maps, filters[:, :, ::-1, ::-1] if op.filter_flip else filters], attributes


def _pool(node, evaluate):
    op, (maps, *arguments) = node.op, node.inputs
    if op.mode not in _POOLS or not op.ignore_border or (op.ndim, maps.ndim) != (2, 4):
        raise ValueError(f"expected a 4-tensor, ignore_border=True, ndim=2 and one of the modes {', '.join(_POOLS)}")
    kernel_shape, strides, pad = (_constant(argument, evaluate).tolist() for argument in arguments)
    operator, attributes = _POOLS[op.mode]
    return operator, [maps], {"kernel_shape": kernel_shape, "strides": strides, "pads": pad * 2, **attributes}


def _axes(node):
    axes = node.op.axis
    return list(range(node.inputs[0].ndim)) if axes is None else [int(axis) for axis in axes]


_POOLS = {
    "max": ("MaxPool", {}),
    "average_inc_pad": ("AveragePool", {"count_include_pad": 1}),
    "average_exc_pad": ("AveragePool", {}),
}
_ELEMWISE = {
    scalar.Abs: "Abs",
    scalar.Add: _add,
    scalar.Cast: _cast,
    scalar.Clip: _clip,
    scalar.Exp: "Exp",
    scalar.Log: "Log",
    scalar.Maximum: "Max",
    scalar.Minimum: "Min",
    scalar.Mul: "Mul",
    scalar.Neg: "Neg",
    scalar.Pow: "Pow",
    ScalarSigmoid: "Sigmoid",
    ScalarSoftplus: "Softplus",
    scalar.Sqr: lambda node: _chain("Mul", node.inputs * 2),
    scalar.Sqrt: "Sqrt",
    scalar.Sub: "Sub",
    scalar.Tanh: "Tanh",
    scalar.TrueDiv: "Div",
}
_TRANSLATIONS = {
    AbstractConv2d: _conv,
    DimShuffle: _dimshuffle,
    Elemwise: _elemwise,
    Pool: _pool,
    Sum: lambda node, evaluate: ("ReduceSum", [node.inputs[0], _axes(node)], {"keepdims": 0}),
    T.Dot: lambda node, evaluate: ("MatMul", node.inputs, {}),
    T.Flatten: _reshape,
    T.MaxAndArgmax: lambda node, evaluate: ("ReduceMax", node.inputs, {"axes": _axes(node), "keepdims": 0}),
    T.Reshape: _reshape,
    T.nnet.Softmax: lambda node, evaluate: ("Softmax", node.inputs, {"axis": 1}),
}
