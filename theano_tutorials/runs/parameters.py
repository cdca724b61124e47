"""Names of the parameters of a model, and their file.

A name is the path to the parameter through the attributes of the model: ``W``,
``layer0.W``, ``sigmoid_layers.0.W``. A model is any object with ``params``, a
list of shared variables. An attribute that has ``params`` too is a layer.
"""

import theano
from theano.compile import SharedVariable

from theano_tutorials.checks import shape_of
from theano_tutorials.runs.tensors import read_tensors, write_tensors


def named_parameters(model):
    """Parameters of a model by name.

    Parameters
    ----------
    model : object with ``params``
        The parameters are attributes of the model or of its layers. Layers may be
        in lists, tuples, dictionaries and other layers.

    Returns
    -------
    dict of str to shared variable
        In the order of ``params``, each variable once. If several attributes hold
        the same variable (tied weights), it has the name of the first one.

    Raises
    ------
    TypeError
        If an element of ``params`` is in no attribute, or ``params`` has no
        parameter of a layer: these parameters would be lost. The message lists
        them.
    """
    held = list(_held_by(model, "", set()))
    names = {variable: path for path, variable in reversed(held) if isinstance(variable, SharedVariable)}
    nameless = [str(param) for param in model.params if param not in names]
    # One in common is enough: a layer over tied weights, as a stack's autoencoders are, may have others of its own.
    forgotten = [
        f"{path}.params"
        for path, layer in held
        if not isinstance(layer, SharedVariable) and layer.params and not set(layer.params) & set(model.params)
    ]
    if nameless or forgotten:
        found = [f"{', '.join(nameless)} of params in no attribute"] if nameless else []
        found += [f"{', '.join(forgotten)} not in params"] if forgotten else []
        raise TypeError(
            f"{type(model).__name__}.params and the attributes do not agree: {'; '.join(found)} (attributes: "
            f"{', '.join(sorted(names.values())) or 'none'}). Keep each parameter in an attribute of the model or "
            "of a layer in it, and put those of every layer into params"
        )
    return {names[param]: param for param in model.params}


def _held_by(container, prefix, seen):
    # Path and value of each shared variable and layer in a layer, a list or a dictionary, however deep.
    if id(container) in seen:
        return
    seen.add(id(container))
    for name, value in _items(container):
        if isinstance(value, SharedVariable) or _is_layer(value):
            yield f"{prefix}{name}", value
        yield from _held_by(value, f"{prefix}{name}.", seen)


def _items(container):
    if isinstance(container, (list, tuple)):
        return list(enumerate(container))
    if isinstance(container, dict):
        return list(container.items())
    if _is_layer(container):
        return [(name, value) for name, value in vars(container).items() if name != "params"]
    return []


def _is_layer(value):
    return hasattr(value, "params") and hasattr(value, "__dict__") and not isinstance(value, type)


def values_of(parameters):
    """Copies of the values of shared variables by name: a dict of str to numpy.ndarray."""
    return {name: param.get_value() for name, param in parameters.items()}


def describe(model):
    """Class and architecture of a model, as metadata."""
    return {"model": type(model).__name__, "architecture": getattr(model, "architecture", {})}


def save_parameters(path, model):
    """Save the parameters of a model, by name, to a safetensors file.

    Parameters
    ----------
    path : path
    model : object with ``params``
        If it has an attribute ``architecture``, a dict of JSON types, this is
        saved too. :func:`theano_tutorials.load_model` needs it.

    Raises
    ------
    OSError
        If the file cannot be written.
    TypeError
        If the parameters have no names; see
        :func:`theano_tutorials.runs.parameters.named_parameters`.
    """
    write_tensors(path, values_of(named_parameters(model)), describe(model))


def load_parameters(path, model):
    """Set the parameters of a model from a file of :func:`save_parameters`.

    Parameters
    ----------
    path : path
    model : object with ``params``
        Names and shapes must be those of the saved model. The file may be of another
        floatX.

    Raises
    ------
    OSError
        If the file cannot be read.
    TypeError
        If the parameters have no names; see
        :func:`theano_tutorials.runs.parameters.named_parameters`.
    ValueError
        If it is not a safetensors file, or its names, shapes or dtypes are not
        those of the model. Then nothing is set.
    """
    tensors, _ = read_tensors(path)
    values = {name: in_floatX(value) for name, value in tensors.items()}
    require_fit(path, model, values)
    set_values(named_parameters(model), values)


def in_floatX(value):
    """An array of floats in floatX; another array as it is."""
    return value.astype(theano.config.floatX) if value.dtype.kind == "f" else value


def set_values(parameters, values):
    """Set shared variables from arrays, both by name."""
    for name, param in parameters.items():
        param.set_value(values[name])


def require_fit(path, model, values):
    """Raise ValueError unless arrays by name, read from ``path``, are parameters of the model."""
    expected = {name: (shape_of(param), param.dtype) for name, param in named_parameters(model).items()}
    found = {name: (value.shape, str(value.dtype)) for name, value in values.items()}
    differences = [
        f"{name}: {found.get(name, 'missing')}, expected {expected.get(name, 'none')}"
        for name in sorted({*found, *expected})
        if found.get(name) != expected.get(name)
    ]
    if differences:
        raise ValueError(f"{path} does not fit {type(model).__name__}: {'; '.join(differences)}")
