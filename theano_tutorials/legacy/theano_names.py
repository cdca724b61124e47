"""Names that Theano had in versions 0.6 to 0.9, and what they mean in 1.0.5."""

import collections
import functools
import importlib
import itertools
import os
import sys

import theano
import theano.tensor as T
from theano.tensor.signal.pool import max_pool_2d_same_size, pool_2d

from theano_tutorials.backend import flags_of_the_user
from theano_tutorials.backend.adapting.stand_ins import module

_CUDA = "theano.sandbox.cuda is gone from Theano 1.0: device=cuda and theano.gpuarray have taken its place"
_started_with = os.environ.get("THEANO_FLAGS", "")


def max_pool_2d(input, ds, ignore_border=None, st=None, padding=(0, 0), mode="max"):
    """``downsample.max_pool_2d``: :func:`theano.tensor.signal.pool.pool_2d` under its names of today."""
    return pool_2d(input, ws=ds, ignore_border=bool(ignore_border), stride=st, pad=padding, mode=mode)


def conv2d(input, filters, image_shape=None, filter_shape=None, border_mode="valid", subsample=(1, 1), **unrolling):
    """``theano.tensor.nnet.conv.conv2d``, by the convolution of today, which is faster: the same figures."""
    return T.nnet.conv2d(
        input,
        filters,
        input_shape=image_shape,
        filter_shape=filter_shape,
        border_mode=border_mode,
        subsample=subsample,
    )


def _param(variable, default=None, name=None, mutable=False, strict=False, allow_downcast=None, **options):
    return theano.In(
        variable, name=name, value=default, mutable=mutable, strict=strict, allow_downcast=allow_downcast, **options
    )


def _use(device="gpu", *arguments, **options):
    say_that_there_is_no_gpu(device)


def say_that_there_is_no_gpu(device):
    """One line for a script that asks for a device which this process does not have."""
    if theano.config.device == "cpu":
        print(f"device {device}: none here, so the processor computes", file=sys.stderr, flush=True)


def make():
    """Stand-ins by full name, for the modules of Theano that are gone."""
    from theano.tensor.nnet import neighbours

    older = {function.__name__: function for function in (all, any, functools.partial, itertools.combinations)}
    older |= {kind.__name__: kind for kind in (collections.Counter, collections.OrderedDict, collections.deque)}
    older |= {"defaultdict": collections.defaultdict, "product": itertools.product}

    def gone(*arguments, **options):
        raise ImportError(_CUDA)

    def same(variable):
        return variable

    moved = dict.fromkeys(("as_cuda_ndarray_variable", "gpu_contiguous", "gpu_from_host", "host_from_gpu"), same)
    basic = module("theano.sandbox.cuda.basic_ops", **moved)
    dnn = module("theano.sandbox.cuda.dnn", dnn_available=lambda: False, dnn_conv=gone, dnn_pool=gone)
    cuda = module(
        "theano.sandbox.cuda",
        __path__=[],
        basic_ops=basic,
        cuda_available=False,
        cuda_enabled=False,
        cuda_ndarray=None,
        dnn=dnn,
        use=_use,
        **moved,
    )
    modules = [
        basic,
        cuda,
        dnn,
        module("theano.compat.python2x", **older),
        module("theano.gof.python25", **older),
        module("theano.sandbox.neighbours", images2neibs=neighbours.images2neibs, neibs2images=neighbours.neibs2images),
        module("theano.tensor.signal.downsample", max_pool_2d=max_pool_2d, max_pool_2d_same_size=max_pool_2d_same_size),
    ]
    return {each.__name__: each for each in modules}


def install():
    """Give Theano back the names that are attributes of modules which are still there."""
    theano.Param = _param
    importlib.import_module("theano.tensor.nnet.conv").conv2d = conv2d


def apply_flags():
    """Set the flags that a script has put into THEANO_FLAGS before it imports Theano, which is imported already."""
    global _started_with
    now = os.environ.get("THEANO_FLAGS", "")
    if now == _started_with:
        return
    _started_with = now
    for name, value in flags_of_the_user().items():
        if name == "device":
            if value != theano.config.device:
                say_that_there_is_no_gpu(value)
        elif name == "floatx":
            theano.config.floatX = value
        else:
            _set(name, value)


def _set(name, value):
    owner = theano.config
    *sections, last = name.split(".")
    for section in sections:
        owner = getattr(owner, section, None)
    try:
        now = getattr(owner, last)
        setattr(owner, last, value.lower() in ("1", "true") if isinstance(now, bool) else type(now)(value))
    except Exception:  # a flag that is gone, or that cannot change any more
        return
