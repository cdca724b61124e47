"""The last layer: softmax, negative log-likelihood and argmax in one vectorised pass.

The rewrite ``tutorials_vector_softmax`` puts :class:`SoftmaxNLL` in the place of
Theano's Op for float32 scores and int32 labels; anything else is left to Theano.
"""

import numpy as np
from theano.gof import Apply, local_optimizer
from theano.tensor.nnet.nnet import CrossentropySoftmaxArgmax1HotWithBias

from theano_tutorials.kernels.op import KernelOp, is_float32, register


class SoftmaxNLL(KernelOp):
    """``-log softmax(x + b)[y]``, ``softmax(x + b)`` and its argmax, of each row.

    Inputs are x, float32 (n_examples, n_classes); b, float32 (n_classes,); y,
    int32 (n_examples,). Outputs are the negative log-likelihoods, float32
    (n_examples,), the probabilities, float32 as x, and the most probable
    classes, int32 (n_examples,). Raises ValueError if the shapes do not fit or
    a label is not a class.
    """

    header = "dense_op.h"

    def make_node(self, x, b, y):
        nll = b.type.clone(broadcastable=y.broadcastable)
        return Apply(self, [x, b, y], [nll(), x.type(), y.type()])

    def infer_shape(self, node, shapes):
        return [shapes[2], shapes[0], shapes[2]]

    def perform(self, node, inputs, outputs):
        x, b, y = inputs
        scores = x + b - (x + b).max(axis=1, keepdims=True)
        total = np.exp(scores).sum(axis=1, keepdims=True)
        outputs[0][0] = np.log(total[:, 0]) - scores[np.arange(len(y)), y]
        outputs[1][0] = np.exp(scores) / total
        outputs[2][0] = scores.argmax(axis=1).astype("int32")

    def c_code(self, node, name, inputs, outputs, sub):
        return self.call("softmax", [*inputs, *outputs], sub)


@local_optimizer([CrossentropySoftmaxArgmax1HotWithBias])
def tutorials_vector_softmax(node):
    """CrossentropySoftmaxArgmax1HotWithBias to SoftmaxNLL."""
    if not isinstance(node.op, CrossentropySoftmaxArgmax1HotWithBias):
        return None
    x, b, y = node.inputs
    return SoftmaxNLL()(x, b, y, return_list=True) if is_float32(x, b) and y.dtype == "int32" else None


register(tutorials_vector_softmax, 48.5)  # where those of dense.py are
