"""Read digits from image files with a saved model, or count its errors on a data set.

An image may be of any size and mode. It is made into what MNIST's images are:
grey, transparent parts white; inverted, if the border is bright and the ink
dark; the rectangle around the ink scaled to fit 20 x 20 pixels, the strongest
ink white; its centre of mass in the centre of 28 x 28 pixels. What was done is
printed with each image. The background should be of an even brightness, and
hold nothing but the digit.
"""

from command import DEVICE, Parser, exit_codes  # isort: skip  (first: says what is missing)

import argparse
import json
import sys

from theano_tutorials import load_model
from theano_tutorials.runs.console import evaluation_lines
from theano_tutorials.saved import evaluate_model


def main():
    arguments = _arguments()
    _, predict = load_model(arguments.model)
    if arguments.evaluate:
        print_errors(evaluate_model(predict, arguments.evaluate), arguments.json)
        return
    n_failed = sum(not print_digit(predict, path, arguments.json) for path in arguments.images)
    sys.exit(1 if n_failed else 0)


def _arguments():
    summary, details = __doc__.split("\n\n", 1)
    parser = Parser(
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[DEVICE],
    )
    parser.add_argument("model", metavar="RUN", help="folder of a run, or its best_model.safetensors")
    parser.add_argument("images", metavar="IMAGE", nargs="*", help="file of one digit, of a format that Pillow reads")
    parser.add_argument(
        "--evaluate",
        metavar="DATASET",
        help="instead of images: print the errors over all examples of the validation and the test set of mnist, "
        "fashion-mnist, kmnist, a folder of IDX files, an .npz or a .pkl.gz. Training leaves out the last "
        "partial minibatch, so that its errors may differ by a little",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object a line")
    arguments = parser.parse_intermixed_args()  # options may stand between the files
    if bool(arguments.images) == bool(arguments.evaluate):
        parser.error("expected image files or --evaluate DATASET, one of the two")
    return arguments


def print_errors(losses, as_json):
    if as_json:
        print(json.dumps(dict(zip(("validation_error", "test_error"), losses))), flush=True)
    else:
        print(evaluation_lines(*losses), flush=True)


def print_digit(predict, path, as_json):
    """Print the digit in an image; return whether it could be read."""
    from theano_tutorials.saved.images import read_digit  # here: says what is missing

    try:
        pixels, preparation = read_digit(path)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
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


if __name__ == "__main__":
    with exit_codes():
        main()
