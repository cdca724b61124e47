"""Export a saved model to an ONNX file.

Input of the ONNX model: images, (N, number of pixels), each pixel a byte divided by
256. Outputs: probabilities, (N, number of classes), and digit, (N,), the most
probable class.
"""

import shtab

import theano_tutorials
from theano_tutorials_command.start import add_device

NAME = "export-onnx"


def add_options(parser):
    """Add the options of this command to its parser."""
    parser.add_argument(
        "model", metavar="RUN", help="directory of a run, or its file best_model.safetensors"
    ).complete = shtab.FILE
    parser.add_argument(
        "file", metavar="FILE.onnx", help="file to write; an old file is replaced"
    ).complete = shtab.FILE
    add_device(parser)


def run(options):
    """Run this command with its options."""
    theano_tutorials.export_onnx(options.model, options.file)
