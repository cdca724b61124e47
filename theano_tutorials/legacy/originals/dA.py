"""``dA.py`` of the course."""

import os

from theano_tutorials import dA, train_da
from theano_tutorials.legacy.course import IMPORTED, load_data, printing, ran, save_filters
from theano_tutorials.legacy.originals.utils import tile_raster_images

globals().update(IMPORTED)


def test_dA(learning_rate=0.1, training_epochs=15, dataset="mnist.pkl.gz", batch_size=20, output_folder="dA_plots"):
    """Train denoising autoencoders without corruption and with 30 %; see :func:`theano_tutorials.train_da`.

    Their filters are written into ``output_folder``.
    """
    datasets = load_data(dataset)
    os.makedirs(output_folder, exist_ok=True)
    for percent, part in ((0, "no corruption "), (30, "30% corruption ")):
        with printing((r"epoch (\d+), cost (.*)", lambda m: f"Training epoch {int(m[1]) - 1}, cost  {m[2]}")):
            result = train_da(learning_rate, training_epochs, datasets, batch_size, corruption_level=percent / 100)
        ran("dA.py", result.seconds, part)
        path = os.path.join(output_folder, f"filters_corruption_{percent}.png")
        save_filters(path, result.model.W, datasets.image_shape[1:], (10, 10))


if __name__ == "__main__":
    test_dA()
