"""``rbm.py`` of the course."""

import os
import shutil

from theano_tutorials import RBM, train_rbm
from theano_tutorials.legacy.course import IMPORTED, load_data, printing, ran
from theano_tutorials.legacy.originals.utils import tile_raster_images

globals().update(IMPORTED)


def test_rbm(
    learning_rate=0.1,
    training_epochs=15,
    dataset="mnist.pkl.gz",
    batch_size=20,
    n_chains=20,
    n_samples=10,
    output_folder="rbm_plots",
    n_hidden=500,
):
    """Train an RBM by PCD-15 and sample from it; see :func:`theano_tutorials.train_rbm`.

    Its filters after each epoch and the samples are written into ``output_folder``.
    """
    datasets = load_data(dataset)
    run = os.path.join(output_folder, "run")
    with printing(
        (r"epoch (\d+), pseudo-likelihood (.*)", lambda m: f"Training epoch {int(m[1]) - 1}, cost is  {m[2]}")
    ):
        result = train_rbm(
            learning_rate,
            training_epochs,
            datasets,
            batch_size,
            n_hidden,
            n_chains=n_chains,
            n_samples=n_samples,
            output_dir=run,
            overwrite=True,
        )
    ran("rbm.py", result.seconds, "training ")
    for epoch in range(training_epochs):
        shutil.copy(
            os.path.join(run, f"filters_epoch_{epoch + 1:02}.png"),
            os.path.join(output_folder, f"filters_at_epoch_{epoch}.png"),
        )
    shutil.copy(os.path.join(run, "samples.png"), output_folder)


if __name__ == "__main__":
    test_rbm()
