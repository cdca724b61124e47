# What programs of the time rely on, mostly without knowing it.
import imp
import os
import subprocess
import sys
import exceptions
import UserDict
from sets import Set

import numpy as np
import scipy as sp
import scipy.linalg
import scipy.misc
import theano
import theano.tensor as T
from PIL import Image

sys.stdout = os.fdopen(sys.stdout.fileno(), 'w', 0)


class Log(object):
    """Is written to; has nothing else that a file has."""
    def __init__(self, out):
        self.out = out

    def write(self, message):
        self.out.write(message.replace('loss', 'LOSS'))


class Report(object):
    squares = [i * i for i in range(4)]

    def rows(self):
        pairs = [(a, b) for a in range(3) for b in range(a)]
        print a, b, pairs
        later = [lambda: c for c in range(3)]
        print [each() for each in later], c
        table = [[low * high for high in [1, 2]] for low in [5, 6]]
        print high, low, table
        i = 7
        total = sum(i for i in range(3)) + sum([i for i in range(2)])
        print i, total
        first = lambda v: [v for v in v] + [v]
        print first([1, 2]), Report.squares
        del a, b
        return sorted(name for name in locals().keys() if len(name) < 4)


doubled = [x * 2 for x in [1, 2, 3] if x > 1]
print x, doubled, Report().rows()

# Code from text and from files, in names of its own.
names = {}
exec 'import urllib2, numpy\nprint 3 / 2, numpy.mat([1, 2]).shape' in names
settings = open('settings_of_this_run.py', 'w')
settings.write('print "settings", 7 / 2\nlayers = map(None, [1])\n')
settings.close()
print imp.load_source('settings_of_this_run', 'settings_of_this_run.py').layers
names = {}
execfile('settings_of_this_run.py', names)
print names['layers']

# Arrays that are compared with None, with lists, or have rows of all lengths.
weights = np.arange(4.)
if weights != None:
    print weights == None, None == weights, weights == [], weights == [1, 2], (weights == weights).all()
print [each for each in [weights, None] if each == None], weights != np.arange(3)
ragged = np.array([[1, 2], [3]])
print ragged.dtype, ragged.shape, np.asarray([np.zeros(2), np.zeros(3)]).shape
try:
    np.array([[1, 2], [3]], dtype=float)
except ValueError:
    print 'no array of floats'
np.set_printoptions(threshold='nan')
np.set_printoptions(threshold=np.nan)
print sp.zeros(3), sp.linalg.det(np.eye(2)), sp.tensordot(np.ones((2, 3)), np.ones((3, 2)), axes=[1, 0]).shape
vector = T.vector('x')
print theano.function([vector], np.abs(vector))([-1., 2.])

# Whole numbers that are floats, and the order of things of all kinds.
import random
random.seed(3)
print random.randint(1, 1e6), random.sample(set([1]), 1), random.randrange(1e3)
numbers = range(10)
random.shuffle(numbers)
print numbers
random.shuffle(numbers, lambda: 0.3)
print numbers, random.sample(xrange(1000), 5), random.choice('abc')
print max([None, 1]), min('a', 1), sorted([3, 'a', None, 1.5]), [1, 2] < [1, 'a'], (1, 'b') > (1, 'a'), cmp(None, 3)
mixed = ['b', 2, None]
mixed.sort()
print mixed, isinstance(UserDict.UserDict, object), exceptions.KeyError is KeyError, len(Set([1, 1]))

# Images, by SciPy.
rng = np.random.RandomState(0)
image = rng.rand(6, 8) * 3 - 1
print scipy.misc.bytescale(image)
scipy.misc.imsave('image.png', image)
print scipy.misc.imread('image.png')
print scipy.misc.imresize(image, (3, 4))
print scipy.misc.imresize(image, 50), scipy.misc.imresize(image, 1.5, interp='nearest').shape
colours = scipy.misc.toimage(rng.rand(3, 4, 5))
print colours.size, colours.mode, np.asarray(colours).sum()
scipy.misc.imsave('colours.png', rng.rand(4, 5, 3))
print scipy.misc.imread('colours.png').shape, scipy.misc.imread('colours.png', flatten=True).dtype
print scipy.misc.comb(5, 2), scipy.misc.factorial(4), scipy.misc.logsumexp([1., 2.])
print Image.fromarray(np.uint8(image * 80 + 81)).resize((4, 3), Image.ANTIALIAS).size

# Other processes, files and codecs.
print subprocess.check_output(['echo', 'a b']).split()
filter_ = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print filter_.communicate('x y\n')[0].split()
log = open('log.txt', 'w', 0)
log.write('begin\n')
print open('log.txt').read(),
print >> log, 'third', 1.0 / 3
print open('log.txt').readlines()
binary = open('weights.bin', 'wb')
binary.write(np.arange(3, dtype='float32'))
binary.write(image.T.copy(order='C'))
binary.close()
print np.fromfile('weights.bin', dtype='float32').shape
print 'a\\n'.decode('string_escape'), 'abc'.encode('hex'), '616263'.decode('hex'), u'abc'.encode('utf-8')
print type('a'), type(1 / 2.)
sys.stdout = Log(sys.stdout)
print 'loss',
print 0.5
print '  indented'


def computed(value):
    print 'computing'
    return value


print 'first', computed(1), computed(2),
print 'end'
