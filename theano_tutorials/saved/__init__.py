"""A saved model put to use: predictions, other programs."""

from theano_tutorials.saved.export import export_onnx
from theano_tutorials.saved.models import LoadedModel, evaluate_model, load_model, read_model

__all__ = ["LoadedModel", "evaluate_model", "export_onnx", "load_model", "read_model"]
