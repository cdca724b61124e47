"""Module and function names of old code.

After ``import theano_tutorials.legacy``, code written for the original
tutorials finds their modules: ``from logistic_sgd import LogisticRegression,
load_data``, ``from mlp import HiddenLayer`` and ``from convolutional_mlp import
LeNetConvPoolLayer`` work, and so do ``sgd_optimization_mnist``, ``test_mlp``
and ``evaluate_lenet5`` with their arguments. A module that is already imported
under such a name is left alone.

Each tutorial says itself, in ``ORIGINAL_NAMES``, what the original called its parts.
"""

import sys
from types import ModuleType

import theano_tutorials

for _name in theano_tutorials.__all__:
    _tutorial = sys.modules[getattr(theano_tutorials, _name).__module__]
    for _module, _names in getattr(_tutorial, "ORIGINAL_NAMES", {}).items():
        if _module not in sys.modules:
            sys.modules[_module] = ModuleType(_module, f"Names of the tutorials' {_module}.py.")
            vars(sys.modules[_module]).update(_names)
