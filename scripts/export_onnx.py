"""Write a saved model as an ONNX file: input images (N, 784) of byte / 256, outputs probabilities and digit."""

from command import DEVICE, Parser, exit_codes  # isort: skip  (first: says what is missing)

from theano_tutorials import export_onnx


def main():
    parser = Parser(description=__doc__, parents=[DEVICE])
    parser.add_argument("model", metavar="RUN", help="folder of a run, or its best_model.safetensors")
    parser.add_argument("file", metavar="FILE.onnx", help="file to write; replaced if it is there")
    arguments = parser.parse_args()
    export_onnx(arguments.model, arguments.file)


if __name__ == "__main__":
    with exit_codes():
        main()
