# A recurrent tagger: list maps, windows, shuffled sentences, scan.
import random, string
from itertools import izip
import theano, numpy
from theano import tensor as T
from collections import OrderedDict


def contextwin(l, win):
    assert (win % 2) == 1
    lpadded = win / 2 * [-1] + list(l) + win / 2 * [-1]
    return [lpadded[i:i + win] for i in range(len(l))]


def shuffle(lol, seed):
    for l in lol:
        random.seed(seed)
        random.shuffle(l)


class model(object):
    def __init__(self, nh, nc, ne, de, cs):
        draw = lambda *shape: theano.shared(0.2 * numpy.random.uniform(-1.0, 1.0, shape).astype(theano.config.floatX))
        self.emb, self.Wx, self.Wh, self.W = draw(ne + 1, de), draw(de * cs, nh), draw(nh, nh), draw(nh, nc)
        self.bh, self.b, self.h0 = [theano.shared(numpy.zeros(n, dtype=theano.config.floatX)) for n in (nh, nc, nh)]
        self.params = [self.emb, self.Wx, self.Wh, self.W, self.bh, self.b, self.h0]
        idxs = T.imatrix()
        x = self.emb[idxs].reshape((idxs.shape[0], de * cs))
        y = T.iscalar('y')

        def recurrence(x_t, h_tm1):
            h_t = T.nnet.sigmoid(T.dot(x_t, self.Wx) + T.dot(h_tm1, self.Wh) + self.bh)
            return [h_t, T.nnet.softmax(T.dot(h_t, self.W) + self.b)]

        [h, s], _ = theano.scan(fn=recurrence, sequences=x, outputs_info=[self.h0, None], n_steps=x.shape[0])
        p_last = s[-1, 0, :]
        lr = T.scalar('lr')
        nll = -T.log(p_last)[y]
        gradients = T.grad(nll, self.params)
        updates = OrderedDict((p, p - lr * g) for p, g in zip(self.params, gradients))
        self.classify = theano.function([idxs], T.argmax(s[:, 0, :], axis=1))
        self.train = theano.function([idxs, y, lr], nll, updates=updates)


random.seed(345)
numpy.random.seed(345)
words = list(string.lowercase)
print words[:3], string.join(words[-3:], ''), map(None, [1, 2])
sentences = [[random.randint(0, len(words) - 1) for _ in range(5 + i / 4)] for i in range(20)]
labels = [[w / 9 for w in s] for s in sentences]
shuffle([sentences, labels], 3)
print sentences[0], labels[0], random.choice(words), random.sample(words, 3)
rnn = model(nh=12, nc=3, ne=len(words), de=6, cs=5)
for epoch in xrange(3):
    shuffle([sentences, labels], epoch)
    seen = 0.
    for words_of, labels_of in izip(sentences, labels):
        cwords = map(lambda w: numpy.asarray(w).astype('int32'), contextwin(words_of, 5))
        last = numpy.asarray(cwords, dtype='int32')
        seen += rnn.train(last, labels_of[-1], 0.1)
    print '[learning] epoch %i >> %.2f%%' % (epoch, (epoch + 1) * 100. / 3), 'cost', round(seen / len(sentences), 3)
predicted = [rnn.classify(numpy.asarray(contextwin(s, 5), dtype='int32')) for s in sentences]
right = sum([(p == numpy.asarray(l)).sum() for p, l in zip(predicted, labels)])
counts = {}
for l in labels:
    for each in l:
        counts[each] = counts.get(each, 0) + 1
if counts.has_key(0):
    print sorted(counts.keys())[0], sorted(counts.iteritems(), lambda a, b: cmp(b[1], a[1]))
print filter(lambda w: w < 'd', words), zip('ab', (1, 2)), reduce(lambda a, b: a + b, range(5)), right > 0
