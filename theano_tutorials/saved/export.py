"""A saved model as an ONNX file, which other programs run without Theano.

References
----------
ONNX, "Open Neural Network Exchange", operator set 13.
"""

from pathlib import Path

import numpy as np

from theano_tutorials.runs.tensors import write_atomically

IMAGE_SIZE = 28
POOL_SIZE = 2
from theano_tutorials.saved.models import read_model

# Old ones, so that old programs read the file too.
_OPERATOR_SET = 13
_IR_VERSION = 7


def export_onnx(model_path, onnx_path):
    """Write a saved model as an ONNX file, atomically.

    =================  =======  ==============  ===================================
    input or output    dtype    shape
    =================  =======  ==============  ===================================
    ``images``         float32  (N, n_in)       byte / 256, for any N
    ``probabilities``  float32  (N, n_classes)  of each class
    ``digit``          int64    (N,)            the most probable class
    =================  =======  ==============  ===================================

    Parameters
    ----------
    model_path : path
        Folder of a run, or a file, as :func:`theano_tutorials.load_model` takes it.
    onnx_path : path
        File to write, whose name ends in ``.onnx``; replaced if it is there.

    Raises
    ------
    ImportError
        If the package onnx is not installed.
    OSError
        If a file cannot be read or written.
    ValueError
        If the model is not valid, or the name does not end in ``.onnx``.
    """
    try:
        import onnx
    except ImportError as error:
        # onnx alone would bring a NumPy that Theano cannot use.
        raise ImportError(f'onnx cannot be imported ({error}): install it with pip install onnx "numpy<2"') from error
    onnx_path = Path(onnx_path)
    if onnx_path.suffix != ".onnx":
        raise ValueError(f"{onnx_path}: expected a name that ends in .onnx")
    saved = read_model(model_path)
    model = _onnx_model(onnx, saved)
    onnx.checker.check_model(model, full_check=True)
    write_atomically(onnx_path, model.SerializeToString())


def _onnx_model(onnx, saved):
    helper, types = onnx.helper, onnx.TensorProto
    n_in = saved.architecture.get("n_in", IMAGE_SIZE**2)
    n_out = saved.architecture["n_out"]
    graph = helper.make_graph(
        [
            helper.make_node(operator, inputs, [output], **attributes)
            for operator, inputs, output, attributes in (*_SCORES[saved.name], *_OUTPUTS)
        ],
        saved.name,
        [helper.make_tensor_value_info("images", types.FLOAT, ["N", n_in])],
        [
            helper.make_tensor_value_info("probabilities", types.FLOAT, ["N", n_out]),
            helper.make_tensor_value_info("digit", types.INT64, ["N"]),
        ],
        [onnx.numpy_helper.from_array(value, name) for name, value in _constants(saved).items()],
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", _OPERATOR_SET)],
        ir_version=_IR_VERSION,
        producer_name="theano_tutorials",
    )


def _constants(saved):
    # Sorted, so that equal models give equal files.
    values = {name: np.asarray(saved.tensors[name], dtype=np.float32, order="C") for name in sorted(saved.tensors)}
    if saved.name == "LeNet5":
        for name in ("layer0.W", "layer1.W"):
            # ONNX does not flip the filters of its convolution, Theano does.
            values[name] = np.ascontiguousarray(values[name][:, :, ::-1, ::-1])
        values["image_shape"] = np.int64([0, 1, IMAGE_SIZE, IMAGE_SIZE])  # 0: as many as there are
    return values


# Operator, inputs, output, attributes.

_POOL = {"kernel_shape": [POOL_SIZE, POOL_SIZE], "strides": [POOL_SIZE, POOL_SIZE]}
_SCORES = {
    "LogisticRegression": [("Gemm", ["images", "W", "b"], "scores", {})],
    "MLP": [
        ("Gemm", ["images", "hiddenLayer.W", "hiddenLayer.b"], "linear", {}),
        ("Tanh", ["linear"], "hidden", {}),
        ("Gemm", ["hidden", "logRegressionLayer.W", "logRegressionLayer.b"], "scores", {}),
    ],
    "LeNet5": [
        ("Reshape", ["images", "image_shape"], "maps", {}),
        # The bias before the pool: it is one number a map, so that the maximum is the same.
        ("Conv", ["maps", "layer0.W", "layer0.b"], "convolved0", {}),
        ("MaxPool", ["convolved0"], "pooled0", _POOL),
        ("Tanh", ["pooled0"], "maps0", {}),
        ("Conv", ["maps0", "layer1.W", "layer1.b"], "convolved1", {}),
        ("MaxPool", ["convolved1"], "pooled1", _POOL),
        ("Tanh", ["pooled1"], "maps1", {}),
        ("Flatten", ["maps1"], "features", {}),
        ("Gemm", ["features", "layer2.W", "layer2.b"], "linear", {}),
        ("Tanh", ["linear"], "hidden", {}),
        ("Gemm", ["hidden", "layer3.W", "layer3.b"], "scores", {}),
    ],
}
_OUTPUTS = [
    ("Softmax", ["scores"], "probabilities", {"axis": 1}),
    ("ArgMax", ["probabilities"], "digit", {"axis": 1, "keepdims": 0}),
]
