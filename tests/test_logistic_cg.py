"""Logistic regression by conjugate gradient beside another minimiser, on a cost in NumPy."""

import numpy as np
import pytest
import theano
import theano.tensor as T
from scipy.optimize import minimize

from theano_tutorials import FlatLogisticRegression, LogisticRegression, evaluate, train_logistic_cg

N_IN, N_OUT = 6, 3


def points(n, seed):
    rng = np.random.RandomState(seed)
    labels = rng.randint(N_OUT, size=n)
    # Classes that overlap: the cost has a minimum.
    centres = np.random.RandomState(0).randn(N_OUT, N_IN)
    return (centres[labels] + rng.randn(n, N_IN)).astype("float32"), labels


SPLITS = (points(300, 1), points(100, 2), points(100, 3))


def cost_and_gradient(theta, x, y):
    W, b = theta[: N_IN * N_OUT].reshape(N_IN, N_OUT), theta[N_IN * N_OUT :]
    scores = x @ W + b
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    of_scores = (p - np.eye(N_OUT)[y]) / len(x)
    gradient = np.concatenate([(x.T @ of_scores).ravel(), of_scores.sum(axis=0)])
    return -np.mean(np.log(p[np.arange(len(y)), y])), gradient


def test_cost_and_gradient_are_those_of_numpy():
    x, y = T.matrix(), T.ivector()
    model = FlatLogisticRegression(x, N_IN, N_OUT)
    theta = np.random.RandomState(4).randn(N_IN * N_OUT + N_OUT)
    model.theta.set_value(theta.astype(theano.config.floatX))
    cost = model.negative_log_likelihood(y)
    data, labels = SPLITS[0]
    found = evaluate([cost, T.grad(cost, model.theta)], {x: data, y: labels})
    for one, expected in zip(found, cost_and_gradient(theta, data, labels)):
        np.testing.assert_allclose(one, expected, rtol=1e-5, atol=1e-6)


def test_theta_holds_the_weights_and_then_the_biases():
    x, y = T.matrix(), T.ivector()
    flat = FlatLogisticRegression(x, N_IN, N_OUT)
    theta = np.random.RandomState(4).randn(N_IN * N_OUT + N_OUT).astype(theano.config.floatX)
    flat.theta.set_value(theta)
    W, b = theta[:-N_OUT].reshape(N_IN, N_OUT), theta[-N_OUT:]
    other = LogisticRegression(x, N_IN, N_OUT, theano.shared(W), theano.shared(b))
    data, labels = SPLITS[1]
    for of_flat, of_other in ((flat.p_y_given_x, other.p_y_given_x), (flat.errors(y), other.errors(y))):
        np.testing.assert_allclose(*(evaluate(value, {x: data, y: labels}) for value in (of_flat, of_other)), rtol=1e-6)


def test_it_comes_to_the_minimum_that_another_method_finds():
    result = train_logistic_cg(dataset=SPLITS, batch_size=100, n_epochs=100)
    data, labels = SPLITS[0]
    best = minimize(cost_and_gradient, np.zeros(N_IN * N_OUT + N_OUT), (data, labels), jac=True, method="L-BFGS-B")
    # The last row is of the end, whichever validation was the best.
    assert best.fun <= result.history["cost"][-1] + 1e-6
    assert result.history["cost"][-1] == pytest.approx(best.fun, rel=1e-4)
    assert np.all(np.diff(result.history["cost"]) < 1e-6)


def test_it_reports_the_best_validation():
    result = train_logistic_cg(dataset=SPLITS, batch_size=100, n_epochs=30)
    errors = result.history["validation_error"]
    assert result.best_validation_loss == errors.min()
    assert result.best_iteration == 1 + errors.argmin()
    data, labels = SPLITS[1]
    predicted = evaluate(result.model.y_pred, {result.model.input: data})
    assert np.mean(predicted != labels) == pytest.approx(errors.min())


@pytest.mark.parametrize("n_before", [1, 4, 7])
def test_resumed_it_goes_on_as_if_it_had_not_stopped(n_before, tmp_path):
    arguments = {"dataset": SPLITS, "batch_size": 100}
    whole = train_logistic_cg(**arguments, n_epochs=7, output_dir=tmp_path / "whole")
    train_logistic_cg(**arguments, n_epochs=n_before, output_dir=tmp_path / "run")
    resumed = train_logistic_cg(**arguments, n_epochs=7, output_dir=tmp_path / "run", resume=True)
    np.testing.assert_array_equal(resumed.model.theta.get_value(), whole.model.theta.get_value())
    for name in ("best_model.safetensors", "checkpoint.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
