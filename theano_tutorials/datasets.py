import gzip
import numpy as np, theano, theano.tensor as T
N_CLASSES=10
def load_data(dataset="mnist"):
    D="/work/shared/data/mnist/"
    def rd(n,off): return np.frombuffer(gzip.open(D+n).read(),np.uint8,offset=off)
    X=rd("train-images-idx3-ubyte.gz",16).reshape(-1,784)/np.float32(256); Y=rd("train-labels-idx1-ubyte.gz",8)
    Xt=rd("t10k-images-idx3-ubyte.gz",16).reshape(-1,784)/np.float32(256); Yt=rd("t10k-labels-idx1-ubyte.gz",8)
    sh=lambda a: theano.shared(np.asarray(a,"float32"),borrow=True)
    return [(sh(X[:50000]),T.cast(sh(Y[:50000]),"int32")),(sh(X[50000:]),T.cast(sh(Y[50000:]),"int32")),(sh(Xt),T.cast(sh(Yt),"int32"))]
def n_features(d): return d[0][0].get_value(borrow=True).shape[1]
