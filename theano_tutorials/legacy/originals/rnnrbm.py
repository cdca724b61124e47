"""``rnnrbm.py`` of the course."""

from theano_tutorials import RnnRbm
from theano_tutorials import train_rnnrbm as test_rnnrbm
from theano_tutorials.legacy.course import IMPORTED

globals().update(IMPORTED)
