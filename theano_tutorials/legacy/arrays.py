"""NumPy, SciPy and Pillow as translated code finds them: with the names of 2012 to 2018."""

import functools
import importlib
import sys

import numpy as np
import PIL.Image
import scipy

from theano_tutorials.backend.adapting import numpy_view
from theano_tutorials.backend.adapting.stand_ins import module
from theano_tutorials.legacy.views import View

_FILTERS = {name.lower(): PIL.Image.Resampling[name] for name in ("NEAREST", "LANCZOS", "BILINEAR", "BICUBIC")}
_FILTERS["cubic"] = _FILTERS["bicubic"]

_TAKE_ANY_SHAPE = ("array", "asanyarray", "asarray", "diagonal", "save", "savez", "shape", "size", "transpose")


def make():
    """Stand-ins by the name under which Python 2 imports them."""
    of_numpy = _numpy()
    # SciPy had all names of NumPy.
    shared = {name: getattr(of_numpy, name) for name in dir(of_numpy) if name[0] != "_" and not hasattr(scipy, name)}
    kinds = PIL.Image.Resampling
    of_pillow = View(
        PIL.Image,
        ANTIALIAS=kinds.LANCZOS,
        CUBIC=kinds.BICUBIC,
        LINEAR=kinds.BILINEAR,
        NEAREST=kinds.NEAREST,
        fromstring=PIL.Image.frombytes,
    )
    return {
        "Image": of_pillow,
        "PIL": View(PIL, Image=of_pillow),
        "numpy": of_numpy,
        "scipy": View(scipy, **shared, rand=np.random.rand, randn=np.random.randn, misc=_misc()),
    }


def _numpy():
    names = {"cast": numpy_view.make().cast}
    names.update(bool=bool, complex=complex, float=float, int=int, long=int, object=object, str=str, unicode=str)
    lost = {
        **dict.fromkeys(("Inf", "Infinity", "PINF", "infty"), np.inf),
        **dict.fromkeys(("NaN", "NAN"), np.nan),
        "NINF": -np.inf,
        "alen": len,
        "alltrue": np.all,
        "asfarray": lambda a, dtype=np.float64: np.asarray(a, dtype),
        "asscalar": lambda a: a.item(),
        "bool8": np.bool_,
        "cfloat": np.complex128,
        "complex_": np.complex128,
        "cumproduct": np.cumprod,
        "float_": np.float64,
        "in1d": lambda a, b, **options: np.isin(a, b, **options).reshape(-1),
        "mat": np.asmatrix,
        "msort": lambda a: np.sort(a, axis=0),
        "product": np.prod,
        "rank": np.ndim,
        "round_": np.round,
        "row_stack": np.vstack,
        "sometrue": np.any,
        "string_": np.bytes_,
        "trapz": getattr(np, "trapezoid", None),
        "unicode_": np.str_,
    }
    names.update({name: value for name, value in lost.items() if not hasattr(np, name)})
    names.update({name: _of_any_shape(getattr(np, name)) for name in _TAKE_ANY_SHAPE})
    # Of the file's own kind: arrays of objects are pickles of Python 2.
    names.update(fromstring=_fromstring, load=functools.partial(np.load, allow_pickle=True, encoding="latin1"))
    return View(np, **names, set_printoptions=_set_printoptions)


def _set_printoptions(precision=None, threshold=None, *others, **options):
    if isinstance(threshold, str) or threshold != threshold:  # no number, which meant: show all
        threshold = sys.maxsize
    np.set_printoptions(precision, threshold, *others, **options)


def _of_any_shape(function):
    @functools.wraps(function)
    def call(*arguments, **options):
        try:
            return function(*arguments, **options)
        except ValueError as error:
            if "inhomogeneous" not in str(error):
                raise
        return function(*map(_as_objects, arguments), **{name: _as_objects(each) for name, each in options.items()})

    return call


def _as_objects(value):
    # Rows that are not equally long were an array of objects.
    return np.array(value, dtype=object) if isinstance(value, (list, tuple)) else value


def _fromstring(text, dtype=float, count=-1, sep=""):
    if sep:
        return np.fromstring(text, dtype, count, sep=sep)
    return np.frombuffer(text.encode("latin-1") if isinstance(text, str) else text, dtype, count).copy()


def _misc():
    return module(
        "scipy.misc",
        bytescale=bytescale,
        fromimage=fromimage,
        imread=lambda name, flatten=False, mode=None: fromimage(PIL.Image.open(name), flatten, mode),
        imresize=imresize,
        imsave=lambda name, arr, format=None: toimage(arr, channel_axis=2).save(name, format),
        toimage=toimage,
        **{name: _of_special(name) for name in ("comb", "factorial", "logsumexp")},
    )


def _of_special(name):
    # scipy.special takes a while, and few scripts use it.
    return lambda *arguments, **options: getattr(importlib.import_module("scipy.special"), name)(*arguments, **options)


def bytescale(data, cmin=None, cmax=None, high=255, low=0):
    """``scipy.misc.bytescale``: values from cmin to cmax as bytes from low to high."""
    if data.dtype == np.uint8:
        return data
    cmin = data.min() if cmin is None else cmin
    cmax = data.max() if cmax is None else cmax
    scale = (high - low) / ((cmax - cmin) or 1)
    return ((data * 1.0 - cmin) * scale + 0.4999).clip(0, high).astype(np.uint8) + np.uint8(low)


def toimage(arr, high=255, low=0, cmin=None, cmax=None, pal=None, mode=None, channel_axis=None):
    """``scipy.misc.toimage``: an image of a matrix, or of one whose last or first axis is that of the colours."""
    data = np.asarray(arr)
    if mode == "F":
        return PIL.Image.fromarray(data.astype(np.float32))
    if data.ndim == 3:
        channels = channel_axis if channel_axis is not None else [n in (3, 4) for n in data.shape].index(True)
        data = np.moveaxis(data, channels, 2)
    image = PIL.Image.fromarray(np.ascontiguousarray(bytescale(data, cmin, cmax, high, low)))
    return image if mode in (None, image.mode) else image.convert(mode)


def fromimage(im, flatten=False, mode=None):
    """``scipy.misc.fromimage``: the values of an image."""
    if mode is not None and mode != im.mode:
        im = im.convert(mode)
    if flatten:
        im = im.convert("F")
    return np.array(im.convert("L") if im.mode == "1" else im)


def imresize(arr, size, interp="bilinear", mode=None):
    """``scipy.misc.imresize``: to per cent (a whole number), to a fraction (a float), or to rows and columns."""
    image = toimage(arr, mode=mode)
    if np.ndim(size) == 0:
        fraction = size / 100 if isinstance(size, (int, np.integer)) else size
        size = tuple((np.array(image.size) * fraction).astype(int))
    else:
        size = (size[1], size[0])
    return fromimage(image.resize(size, _FILTERS[interp]))
