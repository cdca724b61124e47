"""Gradient descent, the patience loop, and what they leave behind."""

import dataclasses
import math
import os
import signal
import threading

import numpy as np
import pytest
import theano
import theano.tensor as T
from hypothesis import given, settings
from hypothesis import strategies as st

from theano_tutorials import (
    EarlyStopping,
    Functions,
    LeNet5,
    LogisticRegression,
    TrainingDiverged,
    TrainingInterrupted,
    TrainingResult,
    compile_functions,
    evaluate,
    minibatch_function,
    open_run,
    pretrain,
    sgd_updates,
    shared_dataset,
    train,
    train_lenet,
    train_logreg,
    train_mlp,
)
from theano_tutorials.runs.directory import NO_RUN

LEARNING_RATE = 0.5


# Early stopping


def patience_loop(losses, n_epochs, n_train_batches, patience, patience_increase, improvement_threshold):
    """The loop of docs/design.md on given validation losses.

    Returns the trace (iteration, patience, best loss) of every minibatch, and
    the number of updates at the best loss.
    """
    losses = iter(losses)
    validation_frequency = min(n_train_batches, patience // 2)
    best, best_iteration = math.inf, 0
    trace = []
    epoch, done = 0, False
    while epoch < n_epochs and not done:
        epoch += 1
        for minibatch_index in range(n_train_batches):
            iteration = (epoch - 1) * n_train_batches + minibatch_index
            if (iteration + 1) % validation_frequency == 0:
                loss = next(losses)
                if loss < best:
                    if loss < best * improvement_threshold:
                        patience = max(patience, iteration * patience_increase)
                    best = loss
                    best_iteration = iteration + 1
            trace.append((iteration, patience, best))
            if patience <= iteration:
                done = True
                break
    return trace, best_iteration


class Recorder:
    """Stands in the place of the compiled functions: costs nothing, notes its calls."""

    def __init__(self, losses, early_stopping):
        self.losses = iter(losses)
        self.early_stopping = early_stopping
        self.iterations = 0
        self.states = []

    def train(self, _):
        self.note()
        self.iterations += 1
        return 0.0

    def note(self):
        """Record the state at the end of the iteration before."""
        if self.iterations:
            self.states.append((self.iterations - 1, self.early_stopping.patience, self.early_stopping.best_loss))

    def validate(self, _):
        return next(self.losses)

    def test(self, _):
        return 0.0


class NoParameters:
    params = ()


NO_PARAMETERS = NoParameters()


@pytest.mark.slow
@settings(max_examples=3000)
@given(
    data=st.data(),
    n_epochs=st.integers(1, 8),
    n_train_batches=st.integers(1, 12),
    patience=st.integers(2, 60),
    patience_increase=st.sampled_from([1, 1.5, 2, 3]),
    improvement_threshold=st.sampled_from([0.5, 0.9, 0.995, 1.0]),
)
def test_training_follows_the_patience_loop_iteration_for_iteration(
    data, n_epochs, n_train_batches, patience, patience_increase, improvement_threshold
):
    n_losses = n_epochs * n_train_batches
    losses = data.draw(st.lists(st.floats(0, 1), min_size=n_losses, max_size=n_losses))
    expected, best_iteration = patience_loop(
        losses, n_epochs, n_train_batches, patience, patience_increase, improvement_threshold
    )

    early_stopping = EarlyStopping(patience, patience_increase, improvement_threshold)
    recorder = Recorder(losses, early_stopping)
    functions = Functions(recorder.train, recorder.validate, recorder.test, n_train_batches, 1, 1)
    result = train(functions, NO_PARAMETERS, early_stopping, n_epochs)
    recorder.note()

    assert recorder.states == expected
    assert early_stopping.best_iteration == result.best_iteration == best_iteration
    assert result.best_validation_loss == expected[-1][2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patience": 1}, "patience is 1: expected at least 2"),
        ({"patience": float("nan")}, "patience is nan"),
        ({"patience": 10, "patience_increase": 0.5}, "patience_increase is 0.5: expected a number of at least 1"),
        ({"patience": 10, "patience_increase": float("inf")}, "patience_increase is inf"),
        ({"patience": 10, "improvement_threshold": 0}, r"improvement_threshold is 0: expected a number in \(0, 1\]"),
        ({"patience": 10, "improvement_threshold": float("nan")}, "improvement_threshold is nan"),
    ],
)
def test_early_stopping_refuses_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        EarlyStopping(**arguments)


# A small problem


def digits(n, seed=0):
    """Points of two features and three classes that a linear classifier can nearly separate."""
    rng = np.random.RandomState(seed)
    labels = rng.randint(3, size=n)
    centres = np.array([[0, 1], [1, -1], [-1, -1]])
    return (centres[labels] + 0.4 * rng.randn(n, 2)).astype("float32"), labels


SPLITS = [digits(60, 1), digits(24, 2), digits(24, 3)]


def problem(batch_size, learning_rate=LEARNING_RATE, splits=SPLITS):
    """Classifier and compiled functions of the small problem."""
    x, y = T.matrix("x"), T.ivector("y")
    classifier = LogisticRegression(x, 2, 3)
    cost = classifier.negative_log_likelihood(y)
    updates = sgd_updates(cost, classifier.params, learning_rate)
    datasets = [shared_dataset(split) for split in splits]
    return classifier, compile_functions(x, y, cost, classifier.errors(y), updates, datasets, batch_size)


def gradient_descent_in_numpy(inputs, labels, batch_size, n_epochs):
    """The same in float64, with the gradient of the softmax written out."""
    W, b = np.zeros((2, 3)), np.zeros(3)
    for _ in range(n_epochs):
        for start in range(0, len(inputs) // batch_size * batch_size, batch_size):
            x, y = inputs[start : start + batch_size], labels[start : start + batch_size]
            scores = np.exp(x @ W + b)
            difference = scores / scores.sum(axis=1, keepdims=True) - np.eye(3)[y]
            W -= LEARNING_RATE * x.T @ difference / batch_size
            b -= LEARNING_RATE * difference.mean(axis=0)
    return W, b


@pytest.mark.parametrize(
    ("kind", "batch_size"), [("stochastic", 1), ("minibatch", 7), ("minibatch", 20), ("full batch", 24)]
)
def test_gradient_descent_of_every_kind_is_the_same_code(kind, batch_size):
    splits = [SPLITS[1]] * 3 if kind == "full batch" else SPLITS
    classifier, functions = problem(batch_size, splits=splits)
    n_epochs = 3
    assert functions.n_train_batches == (1 if kind == "full batch" else 60 // batch_size)
    for _ in range(n_epochs):
        for index in range(functions.n_train_batches):
            functions.train(index)
    W, b = gradient_descent_in_numpy(*splits[0], batch_size, n_epochs)
    # Each update rounds values of order one once; the errors add up.
    tolerance = 4 * n_epochs * functions.n_train_batches * np.finfo("float32").eps
    np.testing.assert_allclose(classifier.W.get_value(), W, rtol=0, atol=tolerance)
    np.testing.assert_allclose(classifier.b.get_value(), b, rtol=0, atol=tolerance)


def test_the_last_partial_minibatch_is_left_out():
    _, functions = problem(batch_size=7)
    assert (functions.n_train_batches, functions.n_valid_batches, functions.n_test_batches) == (8, 3, 3)


def test_train_returns_the_cost_before_the_update():
    _, functions = problem(batch_size=20)
    assert functions.train(0) == pytest.approx(math.log(3), rel=1e-6)
    assert functions.train(0) < math.log(3)


@pytest.mark.parametrize("rate", [0, -0.1, math.nan, math.inf, True, "fast", None])
def test_learning_rate_must_be_positive_and_finite(rate):
    classifier = LogisticRegression(T.matrix(), 2, 3)
    with pytest.raises(ValueError, match=r"learning_rate is .*: expected a positive, finite number"):
        sgd_updates(classifier.negative_log_likelihood(T.ivector()), classifier.params, rate)


@pytest.mark.parametrize(
    ("batch_size", "message"),
    [
        (0, "batch_size is 0: expected an integer of at least 1"),
        (2.0, "batch_size is 2.0: expected an integer"),
        (True, "batch_size is True: expected an integer"),
        (25, "batch_size is 25: expected at most 24, the size of the smallest split .* 60, 24, 24"),
    ],
)
def test_batch_size_must_fit_the_smallest_split(batch_size, message):
    with pytest.raises(ValueError, match=message):
        problem(batch_size)


@pytest.mark.parametrize("n_epochs", [0, -1, 1.5])
def test_number_of_epochs_must_be_a_count(n_epochs):
    classifier, functions = problem(20)
    with pytest.raises(ValueError, match=r"n_epochs is .*: expected an integer of at least 1"):
        train(functions, classifier, EarlyStopping(100), n_epochs)


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (train_logreg, {"learning_rate": -1}, "learning_rate is -1"),
        (train_mlp, {"L1_reg": -1}, "L1_reg is -1: expected a finite number of at least 0"),
        (train_mlp, {"L2_reg": math.nan}, "L2_reg is nan"),
        (train_mlp, {"n_hidden": 0}, "is 0: expected an integer of at least 1"),
        (train_mlp, {"batch_size": 10001}, "batch_size is 10001: expected at most 10000"),
        (train_lenet, {"nkerns": (20, 0)}, r"nkerns is \(20, 0\): expected 2 integers of at least 1"),
        (train_lenet, {"patience": math.inf}, "patience is inf"),
        (train_lenet, {"patience": 0}, "patience is 0"),
    ],
)
def test_train_functions_refuse_wrong_options(function, options, message):
    with pytest.raises(ValueError, match=message):
        function(**options)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((30,), r"has examples of shape \(30,\): expected images"),
        ((8, 8), r"image_shape .* is \(1, 8, 8\): expected images of at least 16 x 16 pixels"),
        ((28, 15), r"image_shape .* is \(1, 28, 15\): expected images of at least 16 x 16 pixels"),
    ],
)
def test_lenet_refuses_what_is_no_image_or_too_small(shape, message, tmp_path):
    images, labels = np.zeros((12, *shape), "uint8"), np.arange(12) % 2
    np.savez(tmp_path / "small.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    with pytest.raises(ValueError, match=message):
        train_lenet(dataset=tmp_path / "small.npz", batch_size=2, output_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_lenet_takes_the_smallest_images_that_it_says():
    assert LeNet5(np.random.RandomState(0), T.matrix(), 2, (2, 3), 10, (1, 16, 16)).layer1.output_shape == (2, 3, 1, 1)


# Variations of gradient descent


def test_a_learning_rate_may_decay():
    x, y = T.matrix("x"), T.ivector("y")
    classifier = LogisticRegression(x, 2, 3)
    cost = classifier.negative_log_likelihood(y)
    rate = theano.shared(0.5, name="rate")  # float64, as Python's numbers are
    updates = [*sgd_updates(cost, classifier.params, rate), (rate, 0.5 * rate)]
    train_x, train_y = shared_dataset(SPLITS[0])
    step = minibatch_function([x, y], cost, [train_x, train_y], 20, updates)
    reference, functions = problem(batch_size=20, learning_rate=0.5)
    step(0)
    functions.train(0)
    np.testing.assert_array_equal(classifier.W.get_value(), reference.W.get_value())
    assert rate.get_value() == 0.25
    step(1)
    once = classifier.W.get_value() - reference.W.get_value()
    functions.train(1)
    twice = reference.W.get_value() - classifier.W.get_value() + once
    # Each difference rounds values of order one.
    np.testing.assert_allclose(twice, 2 * once, rtol=0, atol=8 * np.finfo("float32").eps)
    assert np.abs(once).max() > 0.01


def test_a_symbolic_learning_rate_is_a_scalar():
    classifier = LogisticRegression(T.matrix(), 2, 3)
    with pytest.raises(TypeError, match=r"learning_rate .* has ndim 1: expected a variable with ndim 0"):
        sgd_updates(classifier.negative_log_likelihood(T.ivector()), classifier.params, T.vector())


def test_contrastive_divergence_does_not_follow_the_end_of_the_chain():
    rng = np.random.RandomState(0)
    W_value, visible = rng.randn(4, 3).astype("float32"), rng.randint(2, size=(5, 4)).astype("float32")
    W, v = theano.shared(W_value), T.matrix("v")
    chain_end = T.nnet.sigmoid(T.dot(T.nnet.sigmoid(T.dot(v, W)), W.T))

    def free_energy(rows):
        return -T.nnet.softplus(T.dot(rows, W)).sum(axis=1)

    cost = T.mean(free_energy(v) - free_energy(chain_end))
    theano.function([v], cost, updates=sgd_updates(cost, [W], 0.1, consider_constant=[chain_end]))(visible)

    def sigmoid(values):
        return 1 / (1 + np.exp(-values))

    end = sigmoid(sigmoid(visible @ W_value) @ W_value.T)
    expected = W_value + 0.1 * (visible.T @ sigmoid(visible @ W_value) - end.T @ sigmoid(end @ W_value)) / 5
    np.testing.assert_allclose(W.get_value(), expected, rtol=0, atol=16 * np.finfo("float32").eps)


def test_as_many_data_as_inputs():
    x, y = T.matrix(), T.ivector()
    with pytest.raises(ValueError, match="2 inputs, 1 data: expected as many"):
        minibatch_function([x, y], x.sum(), [theano.shared(SPLITS[0][0])], 20)


# The loop


def test_training_ends_with_the_best_parameters_in_the_model():
    classifier, functions = problem(batch_size=20, learning_rate=3.0)
    result = train(functions, classifier, EarlyStopping(60), n_epochs=20)
    assert result.model is classifier
    assert result.best_iteration < result.n_epochs * functions.n_train_batches
    errors = [functions.validate(i) for i in range(functions.n_valid_batches)]
    assert np.mean(errors) == result.best_validation_loss
    assert np.mean([functions.test(i) for i in range(functions.n_test_batches)]) == result.test_loss


def test_training_twice_gives_the_same_bits():
    first, second = (problem(batch_size=7) for _ in range(2))
    for classifier, functions in (first, second):
        train(functions, classifier, EarlyStopping(100), n_epochs=10)
    for a, b in zip(first[0].params, second[0].params):
        np.testing.assert_array_equal(a.get_value(), b.get_value())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_cost_that_is_not_finite_stops_and_keeps_the_best(value):
    inputs, labels = SPLITS[0]
    # The poison is in the last minibatch of three.
    poisoned = inputs.copy()
    poisoned[-1] = value
    classifier, functions = problem(batch_size=20, splits=[(poisoned, labels), SPLITS[1], SPLITS[2]])
    # Patience 2: validation after every minibatch.
    early_stopping = EarlyStopping(2, patience_increase=100)
    with pytest.raises(
        TrainingDiverged, match=r"the cost is .* at iteration 3 \(epoch 1\): lower the learning rate"
    ) as caught:
        train(functions, classifier, early_stopping, n_epochs=5)
    result = caught.value.result
    assert result.best_iteration in (1, 2)
    assert np.isfinite(classifier.W.get_value()).all()
    assert np.mean([functions.validate(i) for i in range(functions.n_valid_batches)]) == result.best_validation_loss


def test_ctrl_c_stops_and_keeps_the_best():
    classifier, functions = problem(batch_size=20)
    calls = []

    def interrupted_train(index):
        calls.append(index)
        if len(calls) == 50:
            os.kill(os.getpid(), signal.SIGINT)
        return functions.train(index)

    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(TrainingInterrupted) as caught:
        train(functions._replace(train=interrupted_train), classifier, EarlyStopping(10**6), n_epochs=10**6)
    result = caught.value.result
    assert result.n_epochs == 17
    assert 0 < result.best_iteration <= 50
    assert np.mean([functions.validate(i) for i in range(functions.n_valid_batches)]) == result.best_validation_loss


# Without labels, for a number of epochs


class Centre:
    """The mean of rows: one parameter, of which the optimum is known."""

    def __init__(self):
        self.input = T.matrix("x")
        self.centre = theano.shared(np.zeros(2, dtype=theano.config.floatX), name="centre")
        self.params = [self.centre]
        self.cost = T.mean(T.sum((self.input - self.centre) ** 2, axis=1))

    def step(self, batch_size=20):
        data = theano.shared(SPLITS[0][0], borrow=True)
        updates = sgd_updates(self.cost, self.params, 0.1)
        return minibatch_function([self.input], self.cost, [data], batch_size, updates)


def test_pretraining_descends_for_the_epochs_that_are_asked_for(capsys):
    model = Centre()
    result = pretrain(model.step(), model, n_batches=3, n_epochs=2, monitored="squared distance")
    centre, means = np.zeros(2), []
    for _ in range(2):
        costs = []
        for start in (0, 20, 40):
            rows = SPLITS[0][0][start : start + 20]
            costs.append(((rows - centre) ** 2).sum(axis=1).mean())
            centre -= 0.1 * 2 * (centre - rows).mean(axis=0)
        means.append(np.mean(costs))
    np.testing.assert_allclose(model.centre.get_value(), centre, rtol=1e-5)
    assert capsys.readouterr().out == "".join(
        f"pretraining, epoch {epoch}, squared distance {mean:.6f}\n" for epoch, mean in enumerate(means, 1)
    )
    assert result.model is model
    assert (result.n_epochs, result.best_iteration, result.best_validation_loss) == (2, 0, math.inf)
    assert math.isnan(result.test_loss)


@pytest.mark.parametrize("counts", [{"n_batches": 0}, {"n_epochs": 0}, {"n_epochs": 1.5}])
def test_pretraining_takes_counts(counts):
    model = Centre()
    with pytest.raises(ValueError, match=f"{next(iter(counts))} is .*: expected an integer of at least 1"):
        pretrain(model.step(), model, **{"n_batches": 3, "n_epochs": 2, **counts})


def test_pretraining_that_diverges_says_so():
    model = Centre()
    model.centre.set_value(np.array([np.inf, 0], dtype=theano.config.floatX))
    with pytest.raises(TrainingDiverged, match=r"the cost is inf at iteration 1 \(epoch 1\)"):
        pretrain(model.step(), model, n_batches=3, n_epochs=2)


# Data that is no pair of inputs and labels of fixed length


def sequences(n, seed):
    """Sequences of 1 to 6 words out of five, one after the other, where each begins, and whether it has a word 0."""
    rng = np.random.RandomState(seed)
    words = [rng.randint(5, size=rng.randint(1, 7)) for _ in range(n)]
    starts = np.cumsum([0, *map(len, words)])
    return np.concatenate(words), starts, np.array([0 in sequence for sequence in words])


class WordClassifier:
    """Logistic regression on the sum of the words' vectors."""

    def __init__(self, words, n_words):
        self.input = words
        self.vectors = theano.shared(np.eye(n_words, dtype=theano.config.floatX), name="vectors")
        self.top = LogisticRegression(self.vectors[words].sum(axis=0, keepdims=True), n_words, 2)
        self.params = [self.vectors, *self.top.params]


def train_on_sequences(n_epochs, output_dir=None, resume=False):
    splits = [sequences(n, seed) for seed, n in enumerate((30, 10, 10))]
    words, y, index = T.lvector(), T.ivector(), T.lscalar()
    model = WordClassifier(words, n_words=5)
    cost = model.top.negative_log_likelihood(y)

    def of_one_sequence(output, split, updates=None):
        data, starts, labels = (theano.shared(part.astype("int64")) for part in split)
        givens = {
            words: data[starts[index] : starts[index + 1]],
            y: T.cast(labels[index : index + 1], "int32"),
        }
        return theano.function([index], output, updates=updates, givens=givens)

    functions = Functions(
        of_one_sequence(cost, splits[0], sgd_updates(cost, model.params, 0.1)),
        *(of_one_sequence(model.top.errors(y), split) for split in splits[1:]),
        *(len(labels) for _, _, labels in splits),
    )
    run = open_run(output_dir, "sequences", {"n_epochs": n_epochs}, splits, resume)
    return train(functions, model, EarlyStopping(10**4), n_epochs, run)


def test_sequences_need_no_change_in_training_or_run(tmp_path):
    whole = train_on_sequences(3, tmp_path / "whole")
    assert whole.test_loss == 0
    train_on_sequences(1, tmp_path / "in parts")
    in_parts = train_on_sequences(3, tmp_path / "in parts", resume=True)
    assert dataclasses.replace(in_parts, seconds=0, model=None) == dataclasses.replace(whole, seconds=0, model=None)
    for name in ("best_model.safetensors", "checkpoint.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "in parts" / name).read_bytes()


# Values of expressions


def test_evaluate_gives_an_expression_over_any_part_of_the_data():
    x = T.matrix("x")
    classifier = LogisticRegression(x, 2, 3)
    classifier.W.set_value(np.float32([[0, 1, -1], [1, -1, -1]]))
    test_x, _ = shared_dataset(SPLITS[2])
    expected = (SPLITS[2][0] @ classifier.W.get_value()).argmax(axis=1)
    np.testing.assert_array_equal(evaluate(classifier.y_pred, {x: test_x}), expected)
    np.testing.assert_array_equal(evaluate(classifier.y_pred, {x: test_x[5:9]}), expected[5:9])
    prediction, probabilities = evaluate([classifier.y_pred, classifier.p_y_given_x], {x: SPLITS[2][0][:4]})
    np.testing.assert_array_equal(prediction, expected[:4])
    np.testing.assert_array_equal(probabilities.argmax(axis=1), expected[:4])


def test_evaluate_takes_what_predict_takes():
    x, y = T.matrix("x"), T.ivector("y")
    images = np.random.RandomState(0).randint(0, 256, (5, 4), dtype="uint8")
    labels = np.array([0, 2, 1, 0, 2])
    classifier = LogisticRegression(x, 4, 3)
    classifier.W.set_value(np.random.RandomState(1).rand(4, 3).astype("float32"))
    outputs = [classifier.p_y_given_x, classifier.errors(y)]
    pixels = (images / 256).astype("float32")
    expected = evaluate(outputs, {x: pixels, y: labels.astype("int32")})
    for same in (images, images / 256, (images / 256).tolist()):
        for same_labels in (labels, labels.astype("uint8"), labels.astype("float64"), labels.tolist()):
            for found, value in zip(evaluate(outputs, {x: same, y: same_labels}), expected):
                np.testing.assert_array_equal(found, value)


def test_evaluate_takes_integers_as_they_are():
    x = T.matrix("x")
    np.testing.assert_array_equal(evaluate(2 * x, {x: [[1, 300], [-4, 0]]}), [[2, 600], [-8, 0]])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"x": np.zeros((2, 3, 4))},
            r"float64 and shape \(2, 3, 4\) for x: expected numbers in 2 dimensions",
        ),
        ({"x": [["a"]]}, "data of dtype <U1 and shape"),
        ({"y": [0.5]}, "data from 0.5 to 0.5 of dtype float64 for y: expected whole numbers that int32 holds"),
        ({"y": [2**40]}, "expected whole numbers that int32 holds"),
    ],
)
def test_evaluate_names_data_that_does_not_fit(data, message):
    variables = {"x": T.matrix("x"), "y": T.ivector("y")}
    with pytest.raises(ValueError, match=message):
        evaluate(sum(variables[name].sum() for name in data), {variables[name]: value for name, value in data.items()})


# Shared variables


def test_updates_change_the_shared_values_and_only_they():
    classifier, functions = problem(batch_size=20)
    before = classifier.W.get_value()
    for index in range(functions.n_valid_batches):
        functions.validate(index)
        functions.test(index)
    np.testing.assert_array_equal(classifier.W.get_value(), before)
    functions.train(0)
    assert not np.array_equal(classifier.W.get_value(), before)


def test_updates_do_not_touch_the_data():
    x, y = T.matrix(), T.ivector()
    classifier = LogisticRegression(x, 2, 3)
    cost = classifier.negative_log_likelihood(y)
    datasets = [shared_dataset(split) for split in SPLITS]
    functions = compile_functions(
        x, y, cost, classifier.errors(y), sgd_updates(cost, classifier.params, 0.5), datasets, 20
    )
    functions.train(0)
    for (data_x, data_y), (inputs, labels) in zip(datasets, SPLITS):
        np.testing.assert_array_equal(data_x.get_value(), inputs)
        np.testing.assert_array_equal(data_y.eval(), labels)


def test_givens_equal_inputs_to_the_last_bit():
    def fresh():
        x, y = T.matrix(), T.ivector()
        classifier = LogisticRegression(x, 2, 3)
        cost = classifier.negative_log_likelihood(y)
        return x, y, classifier, cost, sgd_updates(cost, classifier.params, 0.5)

    x, y, by_inputs, cost, updates = fresh()
    train_by_inputs = theano.function([x, y], cost, updates=updates)
    x, y, by_givens, cost, updates = fresh()
    functions = compile_functions(
        x, y, cost, by_givens.errors(y), updates, [shared_dataset(split) for split in SPLITS], batch_size=20
    )
    inputs, labels = SPLITS[0]
    for index in [0, 1, 2, 0, 1, 2]:
        rows = slice(20 * index, 20 * (index + 1))
        assert train_by_inputs(inputs[rows], labels[rows].astype("int32")) == functions.train(index)
    for a, b in zip(by_inputs.params, by_givens.params):
        np.testing.assert_array_equal(a.get_value(), b.get_value())


# What a result says


def test_the_history_is_that_of_the_metrics_with_a_run_or_without(tmp_path):
    def trained(n_epochs, **options):
        classifier, functions = problem(batch_size=20)
        with open_run(tmp_path / "run", "any", {}, SPLITS, **options) if options else NO_RUN as run:
            return train(functions, classifier, EarlyStopping(10**6), n_epochs, run).history

    without = trained(6)
    trained(4, overwrite=True)
    resumed = trained(6, resume=True)
    metrics = np.genfromtxt(tmp_path / "run" / "metrics.csv", delimiter=",", names=True)
    assert tuple(resumed) == metrics.dtype.names
    for name in resumed:
        np.testing.assert_array_equal(resumed[name], metrics[name])
        if name != "seconds":
            np.testing.assert_array_equal(resumed[name], without[name])
    assert list(without["epoch"]) == [1, 2, 3, 4, 5, 6]


def test_a_result_without_validation_has_no_plot():
    classifier, functions = problem(batch_size=20)
    result = pretrain(functions.train, classifier, functions.n_train_batches, n_epochs=2)
    assert list(result.history) == ["epoch", "iteration", "cost", "seconds"]
    with pytest.raises(ValueError, match="the history has epoch, iteration, cost, seconds: expected validation_error"):
        result.plot()


def test_an_interrupt_says_how_to_go_on():
    result = TrainingResult(0.25, 0.5, 40, 3, 1.0)
    for resumable, how in [(True, "resume=True"), (False, "only a training with output_dir")]:
        message = str(TrainingInterrupted(signal.SIGINT, result, resumable))
        assert message.startswith("interrupted in epoch 3. Best validation score of 25.000000 % ")
        assert how in message


def test_early_stopping_says_its_numbers():
    assert repr(EarlyStopping(10)) == (
        "EarlyStopping(patience=10, patience_increase=2, improvement_threshold=0.995, best_loss=inf, best_iteration=0)"
    )
