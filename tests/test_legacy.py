"""Old code, as researchers have it, in a fresh process."""

import subprocess
import sys

OLD_CODE = """
import theano_tutorials.legacy
import numpy, theano, theano.tensor as T
from logistic_sgd import LogisticRegression, load_data
from mlp import HiddenLayer, MLP
from convolutional_mlp import LeNetConvPoolLayer

datasets = load_data('mnist.pkl.gz')
train_set_x, train_set_y = datasets[0]
n_train_batches = train_set_x.get_value(borrow=True).shape[0] // 600
index = T.lscalar()
x = T.matrix('x')
y = T.ivector('y')
classifier = LogisticRegression(input=x, n_in=28 * 28, n_out=10)
cost = classifier.negative_log_likelihood(y)
g_W, g_b = T.grad(cost=cost, wrt=classifier.W), T.grad(cost=cost, wrt=classifier.b)
updates = [(classifier.W, classifier.W - 0.13 * g_W), (classifier.b, classifier.b - 0.13 * g_b)]
train_model = theano.function(
    inputs=[index], outputs=cost, updates=updates,
    givens={x: train_set_x[index * 600:(index + 1) * 600], y: train_set_y[index * 600:(index + 1) * 600]})
print(n_train_batches, '%.4f' % train_model(0), '%.4f' % train_model(1))

rng = numpy.random.RandomState(1234)
print(MLP(rng=rng, input=x, n_in=28 * 28, n_hidden=5, n_out=10).params)
layer0 = LeNetConvPoolLayer(rng, input=x.reshape((5, 1, 28, 28)), image_shape=(5, 1, 28, 28),
                            filter_shape=(2, 1, 5, 5), poolsize=(2, 2))
layer2 = HiddenLayer(rng, input=layer0.output.flatten(2), n_in=2 * 12 * 12, n_out=3, activation=T.tanh)
print(theano.function([x], layer2.output)(train_set_x.get_value()[:5]).shape)

from logistic_sgd import sgd_optimization_mnist
sgd_optimization_mnist(learning_rate=0.13, n_epochs=1, dataset='mnist.pkl.gz', batch_size=600)
"""


def test_old_code_runs(tmp_path):
    finished = subprocess.run(
        [sys.executable, "-c", OLD_CODE], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    lines = finished.stdout.splitlines()
    # log 10 for classes that are all as probable.
    assert lines[0].startswith("83 2.3026 ")
    assert lines[1:5] == [
        "[W, b, W, b]",
        "(5, 3)",
        "epoch 1, minibatch 83/83, validation error 12.458333 %",
        "     epoch 1, minibatch 83/83, test error of best model 12.375000 %",
    ]


def test_a_module_of_that_name_is_left_alone(tmp_path):
    (tmp_path / "mlp.py").write_text("HiddenLayer = 'mine'\n")
    code = "import mlp, theano_tutorials.legacy, logistic_sgd; from mlp import HiddenLayer; print(HiddenLayer)"
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert (finished.stdout, finished.stderr) == ("mine\n", "")
