"""Export a saved model to an ONNX file.

Input of the ONNX model: images, (N, number of pixels), each pixel a byte divided by
256. Outputs: probabilities, (N, number of classes), and digit, (N,), the most
probable class.
"""

from command import DEVICE, Parser, exit_codes  # isort: skip  (first: says what is missing)

from theano_tutorials import export_onnx


def main():
    parser = Parser(description=__doc__, parents=[DEVICE])
    parser.add_argument("model", metavar="RUN", help="directory of a run, or its file best_model.safetensors")
    parser.add_argument("file", metavar="FILE.onnx", help="file to write; an old file is replaced")
    arguments = parser.parse_args()
    export_onnx(arguments.model, arguments.file)


if __name__ == "__main__":
    with exit_codes():
        main()
