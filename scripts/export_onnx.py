"""Export a saved model to an ONNX file."""

from command import main

if __name__ == "__main__":
    main("export-onnx")
