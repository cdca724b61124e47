"""The rest of the course in PyTorch, eager and compiled."""

import torch
import torch.nn.functional as F

from benchmarks.course_problem import (
    CONTRACTION_LEVEL,
    CORRUPTION_LEVEL,
    LEARNING_RATE,
    MODELS,
    N_GIBBS_STEPS,
    SEED,
    initial_values,
    quality,
)
from benchmarks.problem import N_PIXELS, Trainer
from benchmarks.torch_side import compiled, step_by_autograd, whole_step

KINDS = {
    "torch eager": {model: [""] for model in MODELS},
    "torch compile": {model: ["whole-step"] for model in MODELS},
}


def _reconstruction_cost(x, hidden, params):
    scores = torch.addmm(params[2], hidden, params[0].T)
    return F.binary_cross_entropy_with_logits(scores, x, reduction="sum") / len(x)


def _da_cost(params, x, y):
    kept = torch.empty_like(x).bernoulli_(1 - CORRUPTION_LEVEL)
    return _reconstruction_cost(x, torch.sigmoid(torch.addmm(params[1], x * kept, params[0])), params)


def _ca_cost(params, x, y):
    hidden = torch.sigmoid(torch.addmm(params[1], x, params[0]))
    slopes = (hidden * (1 - hidden)).square().sum(0)
    contraction = slopes @ params[0].square().sum(0) / len(x)
    return _reconstruction_cost(x, hidden, params) + CONTRACTION_LEVEL * contraction


def _finetune_cost(params, x, y):
    for w, b in zip(params[:-2:2], params[1:-2:2]):
        x = torch.sigmoid(torch.addmm(b, x, w))
    return F.cross_entropy(torch.addmm(params[-1], x, params[-2]), y)


COSTS = {"da": _da_cost, "ca": _ca_cost, "finetune": _finetune_cost}


def _rbm_update(params, chain, bit, x, rate):
    """One update of PCD, with the gradients of the free energy by hand; the pseudo-likelihood of one bit."""
    w, hidden_biases, visible_biases = params

    def free_energy(v):
        return -(v @ visible_biases) - F.softplus(torch.addmm(hidden_biases, v, w)).sum(1)

    h = chain
    for _ in range(N_GIBBS_STEPS):
        v = torch.sigmoid(torch.addmm(visible_biases, h, w.T)).bernoulli()
        h_mean = torch.sigmoid(torch.addmm(hidden_biases, v, w))
        h = h_mean.bernoulli()
    bits = x.round()
    # The bit is an array, so that the compiled code is the same for all of them.
    flipped = torch.where(bit, 1 - bits, bits)
    cost = N_PIXELS * F.logsigmoid(free_energy(flipped) - free_energy(bits)).mean()
    x_mean = torch.sigmoid(torch.addmm(hidden_biases, x, w))
    step = rate / len(x)
    w.addmm_(x.T, x_mean, alpha=step).addmm_(v.T, h_mean, alpha=-step)
    hidden_biases.add_(x_mean.sum(0) - h_mean.sum(0), alpha=step)
    visible_biases.add_(x.sum(0) - v.sum(0), alpha=step)
    chain.copy_(h)
    return cost


def _rbm_step(params, problem, kind):
    update = compiled(_rbm_update) if kind == "torch compile" else _rbm_update
    chain = torch.zeros(problem.batch_size, problem.n_hidden)
    bits = torch.eye(N_PIXELS, dtype=torch.bool)
    i_update = 0

    @torch.no_grad()
    def step(x, y):
        nonlocal i_update
        i_update += 1
        return update(params, chain, bits[i_update % N_PIXELS], x, LEARNING_RATE["rbm"])

    return step


def build(problem, kind, variant, splits, n_threads):
    """Trainer; ``n_threads`` for all of PyTorch's operators."""
    torch.set_num_threads(n_threads)
    torch.manual_seed(SEED)
    size, rate = problem.batch_size, LEARNING_RATE[problem.model]
    initial = [torch.from_numpy(value) for value in initial_values(problem)]
    params = [value.clone() for value in initial]
    x, y = (torch.from_numpy(part[: problem.n_updates * size]) for part in splits[0])
    batches = list(zip(x.split(size), y.long().split(size)))
    if problem.model == "rbm":
        step = _rbm_step(params, problem, kind)
    elif kind == "torch compile":
        step = whole_step(params, COSTS[problem.model], rate)
    else:
        step = step_by_autograd(params, COSTS[problem.model], rate)

    def reset():
        with torch.no_grad():
            for param, value in zip(params, initial):
                param.copy_(value)

    def run(n_updates=problem.n_updates):
        for inputs, labels in batches[:n_updates]:
            result = step(inputs, labels)
        return float(result.detach())

    def values():
        return [param.detach().numpy() for param in params]

    run(1)
    return Trainer(reset, run, lambda split: quality(problem, values(), *splits[split]), values)
