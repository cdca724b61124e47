"""``rnnslu.py`` of the course."""

from theano_tutorials import RNNSLU
from theano_tutorials import train_rnnslu as main
from theano_tutorials.legacy.course import IMPORTED
from theano_tutorials.rnnslu import contextwin

globals().update(IMPORTED)
