"""What a training prints and keeps: the directory of a run, its files, its figures."""

from theano_tutorials.runs.directory import Run, open_run
from theano_tutorials.runs.figures import draw_classifier

__all__ = ["Run", "draw_classifier", "open_run"]
