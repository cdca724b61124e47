"""Module and function names of old code.

After ``import theano_tutorials.legacy``, code written for the original
tutorials finds their modules: ``from logistic_sgd import LogisticRegression,
load_data``, ``from mlp import HiddenLayer`` and ``from convolutional_mlp import
LeNetConvPoolLayer`` work, and so do ``sgd_optimization_mnist``, ``test_mlp``
and ``evaluate_lenet5`` with their arguments. A module that is already imported
under such a name is left alone.
"""

import sys
from types import ModuleType

from theano_tutorials import datasets, lenet, logreg, mlp

_OLD_NAMES = {
    "logistic_sgd": {
        "LogisticRegression": logreg.LogisticRegression,
        "load_data": datasets.load_data,
        "shared_dataset": datasets.shared_dataset,
        "sgd_optimization_mnist": logreg.train_logreg,
    },
    "mlp": {
        "HiddenLayer": mlp.HiddenLayer,
        "MLP": mlp.MLP,
        "test_mlp": mlp.train_mlp,
    },
    "convolutional_mlp": {
        "LeNetConvPoolLayer": lenet.LeNetConvPoolLayer,
        "evaluate_lenet5": lenet.train_lenet,
    },
}

for _module, _names in _OLD_NAMES.items():
    if _module not in sys.modules:
        sys.modules[_module] = ModuleType(_module, f"Names of the tutorials' {_module}.py.")
        vars(sys.modules[_module]).update(_names)
