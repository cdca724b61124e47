"""Graph rewrites that make the tutorials fast, and the Ops that they insert.

Each rewrite is registered in Theano's own optimizer database under a name and
under the tag ``tutorials_kernels``: ``THEANO_FLAGS=optimizer_excluding=NAME``
leaves one out, ``optimizer_excluding=tutorials_kernels`` all of them, and the
graph is then Theano's own. See docs/performance.md. Those of :mod:`gpu` are
for a CUDA or OpenCL device, and have no such tag; see docs/gpu.md.
"""

import theano

from theano_tutorials.kernels import bernoulli, conv_pool, dense, minibatch, softmax  # noqa: F401

if theano.config.device != "cpu":
    from theano_tutorials.kernels import gpu  # noqa: F401
