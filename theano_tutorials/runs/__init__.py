"""What a training prints and keeps: the directory of a run, its files, its figures."""

from theano_tutorials.runs.directory import MAIN_PHASE, Run, open_run
from theano_tutorials.runs.figures import draw_classifier, draw_curve, draw_filters, draw_images

__all__ = ["MAIN_PHASE", "Run", "draw_classifier", "draw_curve", "draw_filters", "draw_images", "open_run"]
