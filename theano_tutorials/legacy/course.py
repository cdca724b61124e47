"""What the modules of the original course have in common: what they imported, their data, their lines."""

import gzip
import os
import pickle
import re
import sys
import time
import timeit
from contextlib import redirect_stdout

import numpy
import theano
import theano.tensor as T
from theano.tensor.shared_randomstreams import RandomStreams

import theano_tutorials
from theano_tutorials import shared_dataset
from theano_tutorials.legacy.files import is_missing_mnist

# Others took these from the modules of the course, by "import *" or by name.
IMPORTED = {
    "cPickle": pickle,
    "gzip": gzip,
    "numpy": numpy,
    "os": os,
    "pickle": pickle,
    "sys": sys,
    "theano": theano,
    "time": time,
    "timeit": timeit,
    "RandomStreams": RandomStreams,
    "T": T,
    "shared_dataset": shared_dataset,
}


def load_data(dataset="mnist.pkl.gz"):
    """:func:`theano_tutorials.load_data`; the MNIST of this library where there is no file ``mnist.pkl.gz``.

    A name without a folder is looked for in ``../data``, too, as in the original.
    """
    if isinstance(dataset, (str, os.PathLike)):
        if not os.path.exists(dataset) and not os.path.dirname(dataset):
            beside = os.path.join("..", "data", dataset)
            dataset = beside if os.path.exists(beside) else dataset
        if is_missing_mnist(dataset):
            dataset = "mnist"
        print("... loading data")
    return theano_tutorials.load_data(dataset)


# Rules for printing().
PRETRAINING = (
    r"pretraining-layer-(\d+), epoch (\d+), cost (.*)",
    lambda match: f"Pre-training layer {match[1]}, epoch {int(match[2]) - 1}, cost  {match[3]}",
)
SUMMARY = [(r"Optimization complete\..*|The code ran for .*", None)]


def printing(*rules):
    """Print lines of the library as those of the original, within a ``with`` block.

    Parameters
    ----------
    rules : (str, function or None)
        A pattern of a whole line, and what makes the line of the original from the match; None for none.
    """
    return redirect_stdout(_Lines(sys.stdout, rules))


class _Lines:
    def __init__(self, file, rules):
        self.file, self.rules, self.begun = file, rules, ""

    def write(self, text):
        *whole, self.begun = (self.begun + text).split("\n")
        for line in whole:
            for pattern, changed in self.rules:
                match = re.fullmatch(pattern, line)
                if match:
                    line = changed and changed(match)
                    break
            if line is not None:
                self.file.write(line + "\n")

    def flush(self):
        self.file.flush()

    def isatty(self):
        return False


def train_in_layers(train, *arguments):
    """Call the ``train_*`` of a network with pretraining, and print the original's lines."""
    print("... building the model")
    print("... getting the pretraining functions")
    print("... pre-training the model")
    with printing(PRETRAINING, *SUMMARY):
        return train(*arguments)


def ran(file, seconds, part=""):
    """The original's last line, on standard error."""
    print(f"The {part}code for file {file} ran for {seconds / 60:.2f}m", file=sys.stderr, flush=True)


def save_filters(path, weights, image_shape, tile_shape):
    """Write the columns of a matrix of weights as a picture."""
    from PIL import Image

    from theano_tutorials.legacy.originals.utils import tile_raster_images

    picture = tile_raster_images(
        weights.get_value(borrow=True).T, img_shape=image_shape, tile_shape=tile_shape, tile_spacing=(1, 1)
    )
    Image.fromarray(picture).save(path)
