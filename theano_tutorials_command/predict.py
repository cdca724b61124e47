"""Read digits from image files with a saved model, or count its errors on a data set.

An image may have any size and any colour mode. It is converted to an image like
those of MNIST:

- Colours become grey. Transparent parts become white.
- Uneven light on paper is evened out.
- Dark ink on a bright background is inverted.
- The rectangle around the ink is scaled to fit 20 x 20 pixels. The strongest ink
  becomes white.
- The centre of mass is moved to the centre of 28 x 28 pixels.

The command describes the conversion of each image in its output. The background
should contain nothing but the digit. It should have an even brightness if the ink is
lighter than it.
"""

import json
import sys

from theano_tutorials import load_model
from theano_tutorials.runs.console import evaluation_lines
from theano_tutorials.saved import evaluate_model
from theano_tutorials_command.errors import message_of
from theano_tutorials_command.options import add_file, add_model
from theano_tutorials_command.start import add_device

NAME = "predict"


def add_options(parser):
    """Add the options of this command to its parser."""
    add_model(parser)
    add_file(parser, "images", metavar="IMAGE", nargs="*", help="image of one digit, in a format that Pillow reads")
    add_file(
        parser,
        "--evaluate",
        metavar="DATASET",
        help="print the errors on all examples of the validation and the test set of this data set, instead of "
        "reading images: mnist, fashion-mnist, kmnist, or the path of a folder of IDX files, of an .npz file or of "
        "a .pkl.gz file. Training leaves out the last partial minibatch, so its errors may be a little different",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on each line")
    add_device(parser)
    parser.set_defaults(parser=parser)


def run(options):
    """Run this command with its options."""
    if bool(options.images) == bool(options.evaluate):
        options.parser.error("expected image files or --evaluate DATASET, one of the two")
    _, predict = load_model(options.model)
    if options.evaluate:
        _print_errors(evaluate_model(predict, options.evaluate), options.json)
        return
    n_failed = sum(not _print_digit(predict, path, options.json) for path in options.images)
    sys.exit(1 if n_failed else 0)


def _print_errors(losses, as_json):
    if as_json:
        print(json.dumps(dict(zip(("validation_error", "test_error"), losses))), flush=True)
    else:
        print(evaluation_lines(*losses), flush=True)


def _print_digit(predict, path, as_json):
    # Whether the digit in the image could be read.
    from theano_tutorials.images import read_digit  # here: says what is missing

    try:
        pixels, preparation = read_digit(path)
    except (OSError, ValueError) as error:
        print(f"error: {message_of(error)}", file=sys.stderr)
        return False
    (probabilities,) = predict(pixels[None])
    digit = int(probabilities.argmax())
    if as_json:
        values = [float(f"{p:.6g}") for p in probabilities]
        line = {"file": path, "digit": digit, "probabilities": values, "preparation": preparation}
        print(json.dumps(line), flush=True)
    else:
        table = "  ".join(f"{label}: {p:.4f}" for label, p in enumerate(probabilities))
        print(f"{path}: {digit}\n    {table}\n    {preparation}", flush=True)
    return True
