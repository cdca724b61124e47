# -*- coding: utf-8 -*-
# What Python 2 makes of values, and prints of them.
import numpy as np, random, string, sys, StringIO, Queue, urllib, collections, inspect, types
class A:
    __metaclass__ = type
    def __nonzero__(self): return False
    def __div__(self, other): return 'div by', other
def f(a, (b, c), d):
    """tuples as parameters"""
    print "x", b,
    exec "y = 7 / 2" in globals()
    return `a` <> "0", y
print f(1, (2, 3), 4), (lambda (p, q): q)((1, 2)), bool(A()), A() / 3
print 1/3., 0.1 + 0.2, 1e16, 1e12, 123456789012.5, 99999999999.5, 1e-5, 100.0, 1e100, float('nan'), -0.0, float('inf')
print (1, 2.5, 0.1 + 0.2), [1/3.], {'a': 1/3.}, str(1/3.), "%s|%r|%5s|%.3f" % (1/3., 1/3., 2., 2/3.), "{} {:.2f}".format(1/3., 2/3.)
print np.float64(1)/3, np.float32(0.1), np.array(1/3.), np.array([1/3., 2]), [np.float64(1)/3], str(np.array(0.1, 'float32')), np.arange(3) / 2, np.array([1., 2]) / 2
print 7 / 2, -7 / 2, 7 // 2, 7 % 3, 7 / 2., np.int64(7) / 2, True / 2, 7L / 2, 0777, 0xFFL
a = np.arange(4); a /= 2; b = [9, 8]; b[0] /= 2; b[1] /= 2.
class C(object): n = 9
C.n /= 2
print a, b, C.n, round(2.5), round(-2.5), round(2.675, 2), round(7)
print None < 0, 5 > None, 3 < 'a', cmp(2, 1), max(1, 2), sorted([3, 1, 2], lambda x, y: cmp(y, x)), sorted('bca', reverse=True)
l = [3, 1, 2]; l.sort(lambda x, y: y - x); print l, map(None, [1, 2]), filter(None, (0, 1)), filter(lambda c: c > 'a', 'abc')
random.seed(3); l = range(10); random.shuffle(l)
print l, random.randint(0, 9), random.choice(l), random.sample(l, 3), random.randrange(5), random.uniform(0, 1), random.gauss(0, 1)
random.seed('text'); print len(string.letters), string.join(['a', 'b'], '-'), string.split('a b'), 'abc'.translate(string.maketrans('ab', 'xy'))
s = StringIO.StringIO(); print >>s, 'to', 'a file', 1/3.; print repr(s.getvalue()), isinstance('a', basestring), isinstance(u'a', basestring), type('a') == str, isinstance(1L, long)
print urllib.quote('a b'), inspect.getargspec(lambda a, b=1: 0).args, types.StringType is str, collections.Iterable is not None, sys.maxint
print 'C:\Users\new', len('\u1234'), r'\n', 'tab	', unicode('x'), unichr(97), reduce(lambda x, y: x + y, range(4)), zip('ab', 'cd'), xrange(3)[1]
try:
    raise ValueError, ('bad', 2)
except (ValueError, KeyError), e:
    print e, e.args
try: raise KeyError('k')
except KeyError, e: pass
print e.message, type(e).__name__, f.func_name
d = dict([(1, 'one')]); print d.has_key(1), d.keys(), d.values()[0], d.items(), list(d.iteritems()), d.itervalues().next()
print 'end',
print
print 'no', 'space', 'at',; sys.stdout.write('the\n'); print 'end'
