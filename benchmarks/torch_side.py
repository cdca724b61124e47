"""The three models in PyTorch, eager and compiled."""

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.problem import L2_REG, LEARNING_RATE, Trainer, initial_values

# Ways to write the same step; a way that is a set of words has them all.
KINDS = {
    "torch eager": {
        "logreg": ["", "foreach", "fused"],
        "mlp": ["", "foreach", "fused"],
        "lenet": ["", "bias-last", "channels-last", "channels-last bias-last"],
    },
    "torch compile": {
        "logreg": ["", "autotune", "whole-step", "whole-step autotune"],
        "mlp": ["", "autotune", "whole-step", "whole-step autotune"],
        "lenet": ["", "autotune", "channels-last", "bias-last", "whole-step bias-last"],
    },
}


def _convolve(maps, w, b, bias_last):
    if bias_last:
        return torch.tanh(F.max_pool2d(F.conv2d(maps, w), 2) + b.view(1, -1, 1, 1))
    return torch.tanh(F.max_pool2d(F.conv2d(maps, w, b), 2))


def _scores_function(model, words):
    def scores(params, x):
        if model == "lenet":
            x = x.view(-1, 1, 28, 28)
            if "channels-last" in words:
                x = x.contiguous(memory_format=torch.channels_last)
            for w, b in (params[:2], params[2:4]):
                x = _convolve(x, w, b, "bias-last" in words)
            x = x.flatten(1)
            params = params[4:]
        if model != "logreg":
            x = torch.tanh(torch.addmm(params[1], x, params[0]))
            params = params[2:]
        return torch.addmm(params[1], x, params[0])

    return scores


def _cost_function(model, scores):
    def cost(params, x, y):
        result = F.cross_entropy(scores(params, x), y)
        if model == "mlp":
            result = result + L2_REG * (params[0].square().sum() + params[2].square().sum())
        return result

    return cost


def compiled(function, words=()):
    mode = "max-autotune" if "autotune" in words else None
    return torch.compile(function, mode=mode, dynamic=False, fullgraph=True)


def step_by_autograd(params, cost, rate, words=()):
    for param in params:
        param.requires_grad_(True)
    sgd = torch.optim.SGD(params, lr=rate, fused=True) if "fused" in words else None

    def step(x, y):
        result = cost(params, x, y)
        if sgd:
            sgd.zero_grad(set_to_none=True)
            result.backward()
            sgd.step()
            return result
        gradients = torch.autograd.grad(result, params)
        with torch.no_grad():
            if "foreach" in words:
                torch._foreach_add_(params, gradients, alpha=-rate)
            else:
                for param, gradient in zip(params, gradients):
                    param.add_(gradient, alpha=-rate)
        return result

    return step


def whole_step(params, cost, rate, words=()):
    """One compiled function for cost, gradients and new parameters."""

    def update(params, x, y):
        gradients, result = torch.func.grad_and_value(cost)(params, x, y)
        for param, gradient in zip(params, gradients):
            # PyTorch 2.13 compiles add_(gradient, alpha=-rate) wrongly here; this is in place, too.
            param.copy_(param - rate * gradient)
        return result

    update = compiled(update, words)
    return torch.no_grad()(lambda x, y: update(params, x, y))


def _layout(value, words):
    """A parameter of the tutorials as PyTorch wants it: its convolution does not flip the filters."""
    tensor = torch.from_numpy(value.copy())
    if value.ndim < 4:
        return tensor
    tensor = tensor.flip(2, 3).contiguous()
    return tensor.contiguous(memory_format=torch.channels_last) if "channels-last" in words else tensor


def build(problem, kind, variant, splits, n_threads):
    """Trainer; ``n_threads`` for all of PyTorch's operators."""
    torch.set_num_threads(n_threads)
    words, size, rate = variant.split(), problem.batch_size, LEARNING_RATE[problem.model]
    initial = initial_values(problem)
    params = [_layout(value, words) for value in initial]
    data = [(torch.from_numpy(x), torch.from_numpy(y).long()) for x, y in splits]
    batches = list(zip(*(part[: problem.n_updates * size].split(size) for part in data[0])))
    scores = _scores_function(problem.model, words)
    cost = _cost_function(problem.model, scores)
    if "whole-step" in words:
        step = whole_step(params, cost, rate, words)
    else:
        step = step_by_autograd(params, compiled(cost, words) if kind == "torch compile" else cost, rate, words)

    def reset():
        with torch.no_grad():
            for param, value in zip(params, initial):
                param.copy_(_layout(value, words))

    def run(n_updates=problem.n_updates):
        for x, y in batches[:n_updates]:
            result = step(x, y)
        return float(result.detach())

    @torch.no_grad()
    def n_wrong(split):
        x, y = data[split]
        whole = len(x) // size * size
        chunk = max(size, 500)
        parts = zip(x[:whole].split(chunk), y[:whole].split(chunk))
        return sum(int((scores(params, inputs).argmax(1) != labels).sum()) for inputs, labels in parts)

    def values():
        arrays = [param.detach().contiguous().numpy() for param in params]
        return [array[:, :, ::-1, ::-1] if array.ndim == 4 else array for array in map(np.asarray, arrays)]

    run(1)
    return Trainer(reset, run, n_wrong, values)
