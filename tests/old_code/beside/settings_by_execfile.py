# Settings are a file beside the script, and a module beside it is Python 2, too.
import os, sys
execfile(os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), 'settings.cfg'))
print name, n_hidden, rate


def inner():
    execfile(os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), 'settings.cfg'), globals())
    return n_hidden / 7


print inner()
import mlp
print mlp.__file__ is not None, mlp.HiddenLayer(6).half, mlp.__name__
from package import part
print part.doubled(3), sys.argv[1:]
f = open('notes.txt', 'wb')
f.write('one\ttwo\n')
print >>f, 'three', 3 / 2
f.close()
print [line.split('\t') for line in open('notes.txt', 'rb')]
print open('notes.txt').read().split('\n')
class Old:
    def __init__(self, values): self.values = values
    def __nonzero__(self): return len(self.values) > 0
    def next(self):
        if not self.values: raise StopIteration, 'no more'
        return self.values.pop()
    def __iter__(self): return self
old = Old([1, 2])
print bool(old), old.next(), [v for v in old], bool(old)
sys.exit(3)
