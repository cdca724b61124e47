"""``DBN.py`` of the course."""

from theano_tutorials import DBN, RBM, HiddenLayer, LogisticRegression, train_dbn
from theano_tutorials.legacy.course import IMPORTED, load_data, ran, train_in_layers

globals().update(IMPORTED)


def test_DBN(
    finetune_lr=0.1,
    pretraining_epochs=100,
    pretrain_lr=0.01,
    k=1,
    training_epochs=1000,
    dataset="mnist.pkl.gz",
    batch_size=10,
):
    """Train a deep belief network; see :func:`theano_tutorials.train_dbn`."""
    datasets = load_data(dataset)
    result = train_in_layers(
        train_dbn, finetune_lr, pretraining_epochs, pretrain_lr, k, training_epochs, datasets, batch_size
    )
    print(
        f"Optimization complete with best validation score of {result.best_validation_loss * 100:f} %, "
        f"obtained at iteration {result.best_iteration}, with test performance {result.test_loss * 100:f} %"
    )
    ran("DBN.py", result.seconds, "fine tuning ")


if __name__ == "__main__":
    test_DBN()
