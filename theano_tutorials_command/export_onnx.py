"""Export a saved model to an ONNX file.

Input of the ONNX model: images, (N, number of pixels), each pixel a byte divided by
256. Outputs: probabilities, (N, number of classes), and digit, (N,), the most
probable class.
"""

import theano_tutorials
from theano_tutorials_command.options import add_file, add_model
from theano_tutorials_command.start import add_device

NAME = "export-onnx"


def add_options(parser):
    """Add the options of this command to its parser."""
    add_model(parser)
    add_file(parser, "file", metavar="FILE.onnx", help="file to write; an old file is replaced")
    add_device(parser)


def run(options):
    """Run this command with its options."""
    theano_tutorials.export_onnx(options.model, options.file)
