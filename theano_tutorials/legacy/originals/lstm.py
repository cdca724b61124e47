"""``lstm.py`` of the course."""

from theano_tutorials import train_lstm
from theano_tutorials.legacy.course import IMPORTED

globals().update(IMPORTED)
