"""The rest of the course as the tutorials have it."""

import theano_tutorials as tutorials  # isort: skip  (it makes Theano importable)

import numpy as np
import theano
import theano.tensor as T
from theano.tensor.shared_randomstreams import RandomStreams

from benchmarks.course_problem import (
    CONTRACTION_LEVEL,
    CORRUPTION_LEVEL,
    LEARNING_RATE,
    MODELS,
    N_GIBBS_STEPS,
    N_LAYERS,
    SEED,
    initial_values,
    quality,
)
from benchmarks.problem import N_CLASSES, N_PIXELS, Trainer
from benchmarks.theano_side import epochs
from theano_tutorials.training import minibatch_function

KINDS = {"theano": {model: [""] for model in MODELS}}


def _params_and_train(problem, datasets):
    rng, streams, rate = np.random.RandomState(SEED), RandomStreams(SEED), LEARNING_RATE[problem.model]
    sizes = {"n_visible": N_PIXELS, "n_hidden": problem.n_hidden}
    x = T.matrix("x")
    if problem.model == "finetune":
        network = tutorials.SdA(rng, streams, N_PIXELS, [problem.n_hidden] * N_LAYERS, N_CLASSES)
        return network.params, network.finetune_functions(datasets, problem.batch_size, rate).train
    if problem.model == "da":
        model = tutorials.dA(rng, streams, x, **sizes)
        params = [model.W, model.b, model.b_prime]
        outputs, updates = model.get_cost_updates(CORRUPTION_LEVEL, rate)
    elif problem.model == "ca":
        model = tutorials.cA(rng, x, **sizes, n_batchsize=problem.batch_size)
        params = [model.W, model.b, model.b_prime]
        _, updates = model.get_cost_updates(CONTRACTION_LEVEL, rate)
        outputs = [T.mean(model.L_rec), T.sqrt(model.L_jacob)]
    else:
        model = tutorials.RBM(x, **sizes, numpy_rng=rng, theano_rng=streams)
        params = [model.W, model.hbias, model.vbias]
        chain = theano.shared(np.zeros((problem.batch_size, problem.n_hidden), np.float32))
        outputs, updates = model.get_cost_updates(rate, chain, N_GIBBS_STEPS)
    function = minibatch_function([x], outputs, [datasets[0][0]], problem.batch_size, updates)
    return params, (lambda i: function(i)[0]) if problem.model == "ca" else function


def build(problem, kind, variant, splits, n_threads):
    """Trainer; OMP_NUM_THREADS sets the threads."""
    datasets = [tutorials.shared_dataset(split) for split in splits]
    params, train = _params_and_train(problem, datasets)
    reset, run = epochs(params, initial_values(problem), train, problem.n_updates)

    def values():
        return [param.get_value() for param in params]

    run(1)
    return Trainer(reset, run, lambda split: quality(problem, values(), *splits[split]), values)
