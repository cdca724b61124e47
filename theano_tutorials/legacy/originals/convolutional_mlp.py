"""``convolutional_mlp.py`` of the course."""

from theano.tensor.nnet import conv, conv2d
from theano.tensor.signal import pool
from theano.tensor.signal.pool import pool_2d

from theano_tutorials import HiddenLayer, LeNetConvPoolLayer, LogisticRegression, train_lenet
from theano_tutorials.legacy import theano_names
from theano_tutorials.legacy.course import IMPORTED, SUMMARY, load_data, printing, ran
from theano_tutorials.runs.console import best_line

globals().update(IMPORTED)
downsample = theano_names.make()["theano.tensor.signal.downsample"]


def evaluate_lenet5(learning_rate=0.1, n_epochs=200, dataset="mnist.pkl.gz", nkerns=(20, 50), batch_size=500):
    """Train LeNet; see :func:`theano_tutorials.train_lenet`."""
    datasets = load_data(dataset)
    print("... building the model")
    print("... training")
    with printing(*SUMMARY):
        result = train_lenet(learning_rate, n_epochs, datasets, nkerns, batch_size)
    print("Optimization complete.")
    print(best_line(result))
    ran("convolutional_mlp.py", result.seconds)


def experiment(state, channel):
    """Train with the attributes ``learning_rate`` and ``dataset`` of a job of jobman."""
    evaluate_lenet5(state.learning_rate, dataset=state.dataset)


if __name__ == "__main__":
    evaluate_lenet5()
