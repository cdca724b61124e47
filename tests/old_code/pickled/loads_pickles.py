# Loads what Python 2 has pickled: the whole model, as text and in binary, values alone, an array of objects.
# With the argument dump, on Python 2, it has made these files.
import cPickle, numpy, os, theano, sys
import theano.tensor as T
from mlp import HiddenLayer
from logistic_sgd import LogisticRegression
class Net(object):
    def __init__(self):
        self.x = T.matrix('x')
        self.hidden = HiddenLayer(numpy.random.RandomState(1), self.x, 4, 3)
        self.top = LogisticRegression(self.hidden.output, 3, 2)
        self.params = self.hidden.params + self.top.params
        self.words = {'caf\xc3\xa9': 1L}
net = Net()
here = os.path.dirname(os.path.abspath(sys.argv[0])) + '/'
net.top.W.set_value(numpy.arange(6.).reshape(3, 2))
def show(net):
    f = theano.function([net.x], net.top.p_y_given_x)
    print f(numpy.ones((2, 4))), [p.get_value().sum() for p in net.params], type(net.params[0]).__name__
if sys.argv[1:] == ['dump']:
    cPickle.dump(net, open(here + 'net.pkl', 'w'))
    cPickle.dump(net, open(here + 'net2.pkl', 'wb'), -1)
    cPickle.dump([p.get_value() for p in net.params], open(here + 'values.pkl', 'w'))
    numpy.save(here + 'v.npy', numpy.array([{'a': net.hidden.W.get_value()}], dtype=object))
show(cPickle.load(open(here + 'net.pkl')))
show(cPickle.load(open(here + 'net2.pkl', 'rb')))
print [v.shape for v in cPickle.load(open(here + 'values.pkl'))], numpy.load(here + 'v.npy')[0]['a'].shape
if type('a') is str and type(u'') is not int: print 'types'
fmt = '%s %d'
print fmt % (1/3., 7 % 4)
