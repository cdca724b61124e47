"""``cA.py`` of the course."""

import os

from theano_tutorials import cA, train_ca
from theano_tutorials.legacy.course import IMPORTED, load_data, printing, ran, save_filters
from theano_tutorials.legacy.originals.utils import tile_raster_images

globals().update(IMPORTED)


def test_cA(
    learning_rate=0.01,
    training_epochs=20,
    dataset="mnist.pkl.gz",
    batch_size=10,
    output_folder="cA_plots",
    contraction_level=0.1,
):
    """Train a contractive autoencoder; see :func:`theano_tutorials.train_ca`.

    The means are those of :func:`theano_tutorials.train_ca`, not the original's: see docs/results.md.
    """
    datasets = load_data(dataset)
    os.makedirs(output_folder, exist_ok=True)
    epoch = (
        r"epoch (\d+), reconstruction cost (\S+), jacobian norm (.*)",
        lambda m: f"Training epoch {int(m[1]) - 1}, reconstruction cost  {m[2]}  jacobian norm  {m[3]}",
    )
    with printing(epoch):
        result = train_ca(learning_rate, training_epochs, datasets, batch_size, contraction_level=contraction_level)
    ran("cA.py", result.seconds)
    save_filters(os.path.join(output_folder, "cae_filters.png"), result.model.W, datasets.image_shape[1:], (10, 10))


if __name__ == "__main__":
    test_cA()
