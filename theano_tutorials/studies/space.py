"""What a search changes: ranges and lists of values, checked against the signature of a training."""

import inspect
import re
from typing import NamedTuple

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from theano_tutorials.studies.trials import stops_early

_OF_THE_RUN = ("output_dir", "resume", "overwrite", "tensorboard")
_RANGE = re.compile(r"(.+?)\.\.(.+?)(:log)?")
_BOOLEANS = {"true": True, "false": False}


class Space(NamedTuple):
    """What a search draws, and what all trials have in common."""

    distributions: dict
    fixed: dict
    defaults: dict

    def arguments(self, drawn):
        """Arguments of the training for the values of a trial: a dict by name."""
        return {**self.fixed, **{name: _as_argument(value, self.defaults[name]) for name, value in drawn.items()}}


def read_space(function, settings):
    """Read settings such as ``{"learning_rate": "0.001..0.1:log", "L2_reg": [0, 0.0001]}``.

    Parameters
    ----------
    function : function
        One of ``train_*`` that stops early.
    settings : dict of str to str, number, or list of them
        By the name of an argument: ``low..high`` is a range, of whole numbers if the default is one;
        ``:log`` after it draws its logarithm. A list, or a text with commas, is one of these
        values. A single value is the same in all trials. Values of a tuple are joined by an x: 20x50.

    Returns
    -------
    Space

    Raises
    ------
    ValueError
        If the training does not stop early, or a name, a type or a range is not valid.
    """
    if not stops_early(function):
        raise ValueError(f"{function.__name__} has no early stopping, so its trials cannot be compared")
    defaults = {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}
    distributions, fixed = {}, {}
    for name, setting in settings.items():
        if name not in defaults or name in _OF_THE_RUN:
            known = ", ".join(known for known in defaults if known not in _OF_THE_RUN)
            raise ValueError(f"{function.__name__} has no {name}: expected one of {known}")
        found = _distribution(name, setting, defaults[name])
        if isinstance(found, CategoricalDistribution) and len(found.choices) == 1:
            fixed[name] = _as_argument(found.choices[0], defaults[name])
        else:
            distributions[name] = found
    return Space(distributions, fixed, defaults)


def _distribution(name, setting, default):
    bounds = _RANGE.fullmatch(setting) if isinstance(setting, str) else None
    if bounds is None:
        values = setting.split(",") if isinstance(setting, str) else setting
        values = values if isinstance(values, list) else [values]
        return CategoricalDistribution([_choice(name, value, default) for value in values])
    if isinstance(default, (bool, str, tuple)):
        raise ValueError(f"{name}={setting}: expected values with commas, since it is no number")
    low, high = (_number(name, text, default) for text in bounds.groups()[:2])
    log = bounds[3] is not None
    if not low < high or (log and low <= 0):
        raise ValueError(
            f"{name}={setting}: expected low..high with low < high{', and low > 0 for :log' if log else ''}"
        )
    return (IntDistribution if isinstance(default, int) else FloatDistribution)(low, high, log=log)


def _choice(name, value, default):
    # What a data base holds: a number or a text.
    if isinstance(default, bool):
        known = _BOOLEANS.get(str(value).lower())
        if known is None:
            raise ValueError(f"{name}={value}: expected true or false")
        return known
    if isinstance(default, tuple):
        text = value if isinstance(value, str) else "x".join(map(str, value))
        for part in text.split("x"):
            _number(name, part, default[0])
        return text
    return str(value) if isinstance(default, str) else _number(name, value, default)


def _number(name, value, default):
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}={value}: expected a number") from None
    if not isinstance(default, int):
        return number
    if not number.is_integer():
        raise ValueError(f"{name}={value}: expected a whole number")
    return int(number)


def _as_argument(value, default):
    if isinstance(default, tuple) and isinstance(value, str):
        return tuple(_number("", part, default[0]) for part in value.split("x"))
    return value
