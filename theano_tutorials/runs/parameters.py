"""Parameters of a model by name, and their file.

A name is the way to the parameter through the attributes of the model: ``W``,
``layer0.W``, ``sigmoid_layers.0.W``. A model is any object with ``params``, a
list of shared variables; what among its attributes has ``params`` too is a layer.
"""

from theano.compile import SharedVariable

from theano_tutorials.checks import shape_of
from theano_tutorials.runs.tensors import read_tensors, write_tensors


def named_parameters(model):
    """Parameters of a model by name.

    Parameters
    ----------
    model : object with ``params``
        The parameters are attributes of it or of its layers; layers may be in
        lists, tuples and dictionaries, and hold layers.

    Returns
    -------
    dict of str to shared variable
        In the order of ``params``, each variable once. A variable that several
        attributes hold (tied weights) has the name of the first.

    Raises
    ------
    TypeError
        If no attribute holds one of ``params``, or ``params`` has nothing of a
        layer: its parameters would be lost. The message lists them.
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
    """Write the parameters of a model to a safetensors file, by name, with its architecture.

    Parameters
    ----------
    path : path
    model : object with ``params``
        Its attribute ``architecture``, if there is one, is written too: what its
        class is built from, in types of JSON.

    Raises
    ------
    OSError
        If the file cannot be written.
    TypeError
        If the parameters have no names; see :func:`named_parameters`.
    """
    write_tensors(path, values_of(named_parameters(model)), describe(model))


def load_parameters(path, model):
    """Set the parameters of a model from a file of :func:`save_parameters`.

    Parameters
    ----------
    path : path
    model : object with ``params``
        With the same names and shapes as the one that was saved.

    Raises
    ------
    OSError
        If the file cannot be read.
    TypeError
        If the parameters have no names; see :func:`named_parameters`.
    ValueError
        If it is not a safetensors file, or its names, shapes or dtypes are not
        those of the model; nothing is set then.
    """
    values, _ = read_tensors(path)
    require_fit(path, model, values)
    set_values(named_parameters(model), values)


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
