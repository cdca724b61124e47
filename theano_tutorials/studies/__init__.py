"""Search over hyper-parameters, on one machine or many: Optuna chooses, Dask runs."""

from theano_tutorials.studies.search import search

__all__ = ["search"]
