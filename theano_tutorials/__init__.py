"""The Theano Deep Learning Tutorials on a machine of today."""

from theano_tutorials import backend  # noqa: F401  isort: skip  (makes Theano importable)
