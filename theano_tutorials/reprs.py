"""What the repr of a layer or a model says."""

import math

from theano_tutorials.checks import shape_of


def described(layer, **sizes):
    """What the repr of a layer says: its class, its sizes, and its number of parameters."""
    n_parameters = sum(math.prod(shape_of(parameter)) for parameter in layer.params)
    arguments = ", ".join(f"{name}={value}" for name, value in sizes.items())
    return f"<{type(layer).__name__}: {arguments}, {n_parameters:,} parameters>"


def name_of(activation):
    """Name of an activation function, of Theano or of Python."""
    # An Op for arrays has no name of its own, but that for numbers.
    scalar = getattr(activation, "scalar_op", None)
    name = getattr(activation, "__name__", None) or getattr(scalar, "name", None) or str(activation)
    return name.removeprefix("scalar_")
