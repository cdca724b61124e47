"""``SdA.py`` of the course."""

from theano_tutorials import HiddenLayer, LogisticRegression, SdA, dA, train_sda
from theano_tutorials.legacy.course import IMPORTED, load_data, ran, train_in_layers

globals().update(IMPORTED)


def test_SdA(
    finetune_lr=0.1,
    pretraining_epochs=15,
    pretrain_lr=0.001,
    training_epochs=1000,
    dataset="mnist.pkl.gz",
    batch_size=1,
):
    """Train a stacked denoising autoencoder; see :func:`theano_tutorials.train_sda`."""
    datasets = load_data(dataset)
    result = train_in_layers(
        train_sda, finetune_lr, pretraining_epochs, pretrain_lr, training_epochs, datasets, batch_size
    )
    print(
        f"Optimization complete with best validation score of {result.best_validation_loss * 100:f} %, "
        f"on iteration {result.best_iteration}, with test performance {result.test_loss * 100:f} %"
    )
    ran("SdA.py", result.seconds, "training ")


if __name__ == "__main__":
    test_SdA()
