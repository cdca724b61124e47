"""The state of a training between two minibatches. A checkpoint keeps it.

The state is whatever the compiled functions update: parameters, random streams, the
chain of a sampler, momentum, a learning rate that decays. It is found in the functions
themselves. The state also contains the parameters that no function updates in this
phase, and some counters.
"""

import inspect
import math

import numpy as np

from theano_tutorials.runs.parameters import describe, named_parameters, require_fit, set_values, values_of

FORMAT = 2  # of checkpoints; version 0.1 wrote none
_CURRENT, _BEST, _UPDATED = "current.", "best.", "updated."


def updated_variables(functions):
    """Shared variables that compiled functions change.

    Parameters
    ----------
    functions : iterable of function
        Results of ``theano.function``, or functions that wrap them with
        ``functools.wraps``.

    Returns
    -------
    list of shared variables
        Each variable once, in the order of the functions and of their updates.

    Raises
    ------
    TypeError
        If a function is not compiled by Theano, because then nobody knows what it
        changes.
    """
    found = {}
    for function in functions:
        maker = getattr(inspect.unwrap(function), "maker", None)
        if maker is None:
            raise TypeError(
                f"{function!r} is not compiled by theano.function: what it updates is not known and cannot be kept "
                "in a run. Wrap compiled functions with functools.wraps, or train without a run"
            )
        found.update((entry.variable, None) for entry in maker.inputs if entry.update is not None)
    return list(found)


class TrainingState:
    """The state of one phase of a training.

    Parameters
    ----------
    model : object with ``params``, a list of shared variables
    functions : iterable of function
        All functions that the loop calls.
    early_stopping : EarlyStopping, optional
        With early stopping, the best parameters are part of the state.

    Attributes
    ----------
    iteration : int
        Number of minibatches so far.
    cost_sum : float, or list of float
        Sum of their costs since the last row of the metrics, or a sum for each of several costs.
    test_loss : float
        Fraction of test errors of the best model, NaN before the first validation.
    parameters : dict of str to shared variable
        The parameters of the model.
    best_values : dict of str to numpy.ndarray, or None
        The parameters of the best validation by name. Before the first validation,
        the initial parameters. None without early stopping.
    """

    _COUNTERS = ("iteration", "cost_sum", "test_loss")
    _OF_EARLY_STOPPING = ("patience", "best_loss", "best_iteration")

    def __init__(self, model, functions, early_stopping=None):
        self.model = model
        self.functions = list(functions)
        self.early_stopping = early_stopping
        self.parameters = named_parameters(model)
        self.iteration = 0
        self.cost_sum = 0.0
        self.test_loss = math.nan
        self.best_values = None
        if early_stopping:
            self.keep_parameters()

    def keep_parameters(self):
        """Keep the current parameters as the best ones."""
        self.best_values = values_of(self.parameters)

    def restore_best_parameters(self):
        """Set the model to the best parameters, if there are any."""
        if self.best_values:
            set_values(self.parameters, self.best_values)

    def results(self):
        """The best parameters, or without early stopping the current ones: a dict of numpy.ndarray."""
        return self.best_values or values_of(self.parameters)

    def others(self):
        """Shared variables that the functions update and that are not parameters of the model."""
        of_the_model = set(self.parameters.values())
        return [variable for variable in updated_variables(self.functions) if variable not in of_the_model]

    def require_keepable(self):
        """Raise TypeError unless a checkpoint can hold all that the functions update."""
        for variable in self.others():
            _in_parts(variable)

    def to_tensors(self):
        """Arrays by name, and a description that JSON can hold."""
        tensors = {_CURRENT + name: value for name, value in values_of(self.parameters).items()}
        if self.early_stopping:
            tensors.update((_BEST + name, value) for name, value in self.best_values.items())
        updated = []
        for i, variable in enumerate(self.others()):
            tensors[f"{_UPDATED}{i}"], random_state = _in_parts(variable)
            updated.append({"name": variable.name, "random_state": random_state})
        return tensors, {**describe(self.model), "format": FORMAT, "counters": self._counters(), "updated": updated}

    def set_from(self, path, tensors, description):
        """Undo :meth:`to_tensors`, or raise ValueError and set nothing; ``path`` is where the arrays come from."""
        if description.get("format") is None:
            description = _as_of_today(description)
        if description["format"] != FORMAT:
            raise ValueError(f"{path} has format {description['format']}: expected {FORMAT}, or that of version 0.1")
        expected = describe(self.model)
        if {name: description.get(name) for name in expected} != expected:
            raise ValueError(
                f"{path} is of {description.get('model')} {description.get('architecture')}: expected {expected}"
            )
        current, best = (_with_prefix(prefix, tensors) for prefix in (_CURRENT, _BEST))
        require_fit(path, self.model, current)
        if self.early_stopping:
            require_fit(path, self.model, best)
        others = self.others()
        updated = [(tensors[f"{_UPDATED}{i}"], entry["random_state"]) for i, entry in enumerate(description["updated"])]
        found, wanted = (list(map(_layout, parts)) for parts in (updated, map(_in_parts, others)))
        if found != wanted:
            raise ValueError(
                f"{path} keeps, besides the parameters, {', '.join(found) or 'nothing'}: expected "
                f"{', '.join(wanted) or 'nothing'}, as the functions update it"
            )
        set_values(self.parameters, current)
        for variable, parts in zip(others, updated):
            variable.set_value(_joined(*parts))
        if self.early_stopping:
            self.best_values = {name: best[name] for name in self.parameters}
        for holder, names in self._holders():
            for name in names:
                setattr(holder, name, description["counters"][name])

    def _holders(self):
        holders = [(self, self._COUNTERS)]
        return [*holders, (self.early_stopping, self._OF_EARLY_STOPPING)] if self.early_stopping else holders

    def _counters(self):
        return {name: getattr(holder, name) for holder, names in self._holders() for name in names}


def _as_of_today(description):
    # Version 0.1 counted best_iteration from zero, and kept the generator that had drawn the weights.
    counters = {**description["counters"], "best_iteration": description["counters"]["best_iteration"] + 1}
    return {**description, "format": FORMAT, "counters": counters, "updated": []}


def _with_prefix(prefix, tensors):
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


# What is not a parameter, in two parts: an array, and what a random state has besides.


def _in_parts(variable):
    value = variable.get_value(borrow=True)
    if isinstance(value, np.ndarray):
        return value, None
    state = value.get_state() if isinstance(value, np.random.RandomState) else None
    if not isinstance(state, tuple):  # but a dictionary, of another generator
        raise TypeError(
            f"the functions update {variable}, of type {variable.type}: expected an array or a RandomState with the "
            "Mersenne Twister, since nothing else can be kept in a run"
        )
    kind, keys, *numbers = state
    return keys, [kind, *numbers]


def _joined(array, random_state):
    if random_state is None:
        return array
    kind, *numbers = random_state
    value = np.random.RandomState()
    value.set_state((kind, array, *numbers))
    return value


def _layout(parts):
    array, random_state = parts
    return f"{'an array' if random_state is None else 'a random state'} {array.dtype} {array.shape}"
