"""The three models as the tutorials have them."""

import theano_tutorials as tutorials  # isort: skip  (it makes Theano importable)

import math

import numpy as np
import theano.tensor as T

from benchmarks.problem import L2_REG, LEARNING_RATE, N_CLASSES, N_PIXELS, SEED, Trainer

KINDS = {"theano": {"logreg": [""], "mlp": [""], "lenet": [""]}}


def _model_and_cost(problem, x, y):
    rng = np.random.RandomState(SEED.get(problem.model))
    if problem.model == "logreg":
        model = tutorials.LogisticRegression(x, N_PIXELS, N_CLASSES)
        return model, model.params, model.negative_log_likelihood(y)
    if problem.model == "mlp":
        model = tutorials.MLP(rng, x, N_PIXELS, problem.n_hidden, N_CLASSES)
        return model, model.params, model.negative_log_likelihood(y) + L2_REG * model.L2_sqr
    model = tutorials.LeNet5(rng, x, problem.batch_size)
    layers = (model.layer0, model.layer1, model.layer2, model.layer3)
    return model, [param for layer in layers for param in layer.params], model.negative_log_likelihood(y)


def epochs(params, initial, train, n_updates):
    """What sets the initial parameters, and what makes updates as ``train`` does and returns the last cost."""

    def reset():
        for param, value in zip(params, initial):
            param.set_value(value)

    def run(n_updates=n_updates):
        for i in range(n_updates):
            result = float(train(i))
            if not math.isfinite(result):
                raise tutorials.TrainingDiverged(f"the cost is {result} at update {i + 1}", None)
        return result

    return reset, run


def build(problem, kind, variant, splits, n_threads):
    """Trainer; OMP_NUM_THREADS sets the threads."""
    x, y = T.matrix("x"), T.ivector("y")
    model, params, cost = _model_and_cost(problem, x, y)
    datasets = [tutorials.shared_dataset(split) for split in splits]
    updates = tutorials.sgd_updates(cost, model.params, LEARNING_RATE[problem.model])
    functions = tutorials.compile_functions(x, y, cost, model.errors(y), updates, datasets, problem.batch_size)
    reset, run = epochs(params, [param.get_value() for param in params], functions.train, problem.n_updates)

    def n_wrong(split):
        function, n_batches = [
            (functions.validate, functions.n_valid_batches),
            (functions.test, functions.n_test_batches),
        ][split - 1]
        return round(sum(float(function(i)) for i in range(n_batches)) * problem.batch_size)

    run(1)
    return Trainer(reset, run, n_wrong, lambda: [param.get_value() for param in params])
