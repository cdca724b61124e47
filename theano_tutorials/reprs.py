"""What the repr of a layer or a model says."""

import math

from theano_tutorials.checks import shape_of


def described(layer, attribute=None, **sizes):
    """What the repr of a layer says: its class, its sizes, and its number of parameters.

    Parameters
    ----------
    layer : object
    attribute : str, optional
        Name of a dictionary of sizes. A subclass may not have it, nor ``params``.
    sizes
        Others.
    """
    sizes = {**getattr(layer, attribute or "", {}), **sizes}
    shared = [parameter for parameter in getattr(layer, "params", []) if hasattr(parameter, "get_value")]
    n_parameters = f"{sum(math.prod(shape_of(parameter)) for parameter in shared):,} parameters"
    return (
        f"<{type(layer).__name__}: {', '.join([*(f'{name}={value}' for name, value in sizes.items()), n_parameters])}>"
    )


def name_of(activation):
    """Name of an activation function, of Theano or of Python."""
    # An Op for arrays has no name of its own, but that for numbers.
    scalar = getattr(activation, "scalar_op", None)
    name = getattr(activation, "__name__", None) or getattr(scalar, "name", None) or str(activation)
    return name.removeprefix("scalar_")
