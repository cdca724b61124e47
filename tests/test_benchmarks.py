import json
import sys

import numpy as np
import pytest
import theano.tensor as T
from scipy.special import expit

from benchmarks import bench, course_problem, course_theano, numpy_side, report, theano_side
from benchmarks.problem import dense_flops, initial_values, make_problem, read_mnist, with_n_train
from theano_tutorials import MLP, LeNet5, read_data

pytestmark = [pytest.mark.one_python, pytest.mark.slow]

# The peers are not installed here: NumPy, which is one of them, stands for the others.
PROBLEMS = [
    make_problem("logreg", n_train=3000),
    make_problem("mlp", n_hidden=50, n_train=1000),
    make_problem("lenet", batch_size=20, n_train=100),
]


@pytest.fixture(scope="module")
def mnist():
    return read_mnist()


@pytest.fixture(scope="module", autouse=True)
def build_folder(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setattr(bench, "BUILD", tmp_path_factory.mktemp("build"))
    yield
    patch.undo()


def test_data_is_that_of_the_tutorials(mnist):
    for (x, y), (expected_x, expected_y) in zip(mnist, read_data("mnist")):
        np.testing.assert_array_equal(x, expected_x)
        np.testing.assert_array_equal(y, expected_y)
        assert x.dtype == np.float32
        assert x.ctypes.data % 64 == 0  # or JAX would copy it


def test_more_data_than_there_is_starts_again(mnist):
    (x, y), *_ = with_n_train(mnist, 50_003)
    np.testing.assert_array_equal(x[50_000:], mnist[0][0][:3])
    np.testing.assert_array_equal(y[50_000:], mnist[0][1][:3])


def test_initial_parameters_are_those_of_the_tutorials():
    mlp = MLP(np.random.RandomState(1234), T.matrix(), 784, 500, 10)
    lenet = LeNet5(np.random.RandomState(23455), T.matrix(), 500)
    layers = (lenet.layer0, lenet.layer1, lenet.layer2, lenet.layer3)
    expected = {"mlp": mlp.params, "lenet": [param for layer in layers for param in layer.params]}
    for model, params in expected.items():
        values = initial_values(make_problem(model))
        assert len(values) == len(params)
        for value, param in zip(values, params):
            assert value.dtype == np.float32
            np.testing.assert_array_equal(value, param.get_value())


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.model)
def test_numpy_trains_as_theano_does(problem, mnist):
    (x, y), *others = with_n_train(mnist, problem.n_train)
    if problem.model == "lenet":
        # Noise, since in an empty part of an image rounding decides which maximum of a pool gets the gradient.
        x = np.random.RandomState(0).rand(*x.shape).astype(np.float32)
    splits = [(x, y), *others]
    ours = theano_side.build(problem, "theano", "", splits, 1)
    numpys = numpy_side.build(problem, "numpy", "", splits, 1)
    costs = []
    for trainer in (ours, numpys):
        trainer.reset()
        costs.append(trainer.run())
    # Sums in another order: 1e-6 in one step of float32, and some steps.
    assert costs[0] == pytest.approx(costs[1], rel=1e-5)
    for initial, value, expected in zip(initial_values(problem), numpys.values(), ours.values()):
        change = np.abs(expected - initial).max()
        assert change > 0
        # Each update rounds each weight, on both sides.
        rounding = problem.n_updates * np.spacing(np.abs(expected).max())
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-4 * change + rounding)
    assert abs(numpys.n_wrong(1) - ours.n_wrong(1)) <= bench.TOLERANCE[problem.model]


@pytest.mark.parametrize("model", course_problem.MODELS)
def test_the_rest_of_the_course_trains_from_the_same_start(model, mnist):
    problem = course_problem.course_problem(model, 10, 60)._replace(n_hidden=30)
    splits = with_n_train(mnist, 1000)
    trainer = course_theano.build(problem, "theano", "", splits, 1)
    trainer.reset()
    initial = course_problem.initial_values(problem)
    for value, expected in zip(trainer.values(), initial):
        np.testing.assert_array_equal(value, expected)
    before = trainer.n_wrong(1)
    trainer.run()
    assert trainer.n_wrong(1) < 0.96 * before


def test_what_parameters_are_worth(mnist):
    x, y = (part[:50] for part in mnist[1])
    problem = course_problem.course_problem("da", 10, 1)._replace(n_hidden=30)
    w, b, b_prime = values = course_problem.initial_values(problem)
    z = expit(expit(x.astype("float64") @ w + b) @ w.T + b_prime)
    expected = -(np.log(np.where(z > 0, z, 1)) * x + np.log(np.where(z < 1, 1 - z, 1)) * (1 - x)).sum(axis=1).mean()
    assert course_problem.quality(problem, values, x, y) == pytest.approx(expected, rel=1e-10)
    problem = course_problem.course_problem("finetune", 10, 1)._replace(n_hidden=30)
    *hidden, w, b = course_problem.initial_values(problem)
    # All classes are equal at first, and argmax takes class 0.
    assert course_problem.quality(problem, [*hidden, w, b], x, y) == np.count_nonzero(y)


@pytest.mark.parametrize("kind", [bench.OURS, "numpy"])
def test_worker_makes_epochs_from_the_same_start(kind):
    with bench.Worker(sys.executable, kind, "", 1, PROBLEMS[0]) as worker:
        first, second = (worker.ask("epoch") for _ in range(2))
        assert first["cost"] == second["cost"]
        assert min(first["seconds"], second["seconds"]) > 0
        assert worker.ask("errors")["validation"] < 9600 / 2
        # At least the three data sets, of 70,000 images of 784 floats.
        assert worker.ask("peak")["peak_mib"] > 70_000 * 784 * 4 / 2**20
        assert worker.finish() > worker.seconds_to_start


def test_worker_that_takes_too_long_is_ended():
    with bench.Worker(sys.executable, "numpy", "", 1, make_problem("lenet")) as worker:
        with pytest.raises(bench.TimeLimit):
            worker.ask("epoch", limit=0.1)
        worker.kill()
        assert worker.process.poll() is not None


def test_worker_that_fails_is_an_error():
    with pytest.raises(RuntimeError, match="ended early"):
        bench.Worker(sys.executable, "numpy", "", 1, make_problem("logreg")._replace(model="none"))


def test_another_result_is_an_error():
    bench._check_wrong("logreg", {"theano": 1196, "numpy": 1197}, tolerance=1)
    with pytest.raises(RuntimeError, match="numpy has 1190 images wrong, we have 1196"):
        bench._check_wrong("logreg", {"theano": 1196, "numpy": 1190}, tolerance=5)


def test_foreign_variables_are_not_passed_on(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "MKL_NUM_THREADS", "XLA_FLAGS", "THEANO_FLAGS", "OPENBLAS_CORETYPE"):
        monkeypatch.setenv(name, "foreign")
    for kind in bench.KINDS:
        assert "foreign" not in bench.environment(kind, 1).values()


@pytest.mark.parametrize(("model", "products"), [("logreg", 2 * 7840), ("mlp", 2 * 392_000 + 3 * 5000)])
def test_dense_flops(model, products):
    problem = make_problem(model)
    assert dense_flops(problem) == 2 * products * problem.batch_size * problem.n_updates


def test_page_shows_the_raw_numbers():
    shown = report.PAGE.read_text().partition(report.BEGIN)[2].partition(report.END)[0]
    raw = json.loads(report.RAW.read_text()) if report.RAW.exists() else None
    assert shown.strip() == (report.text(raw).strip() if raw else "")
