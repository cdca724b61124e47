"""Modules of the standard library and of NumPy as translated code finds them when it imports them."""

import collections
import collections.abc
import functools
import gzip
import importlib
import inspect
import io
import itertools
import os
import pickle
import random
import string
import subprocess
import sys
import time
import types
import urllib.error
import urllib.parse
import urllib.request
from types import ModuleType

import numpy as np
import six

from theano_tutorials.backend.adapting import numpy_view
from theano_tutorials.backend.adapting.stand_ins import module
from theano_tutorials.legacy import files
from theano_tutorials.legacy.texts import Text

# Modules that have another name today, and are otherwise what they were.
RENAMED = {
    "ConfigParser": "configparser",
    "HTMLParser": "html.parser",
    "Image": "PIL.Image",
    "Queue": "queue",
    "SocketServer": "socketserver",
    "Tkinter": "tkinter",
    "copy_reg": "copyreg",
    "httplib": "http.client",
    "repr": "reprlib",
    "thread": "_thread",
    "urlparse": "urllib.parse",
}


class View(ModuleType):
    """A module with some names of its own; all others, and what is set, are those of a module of today."""

    def __init__(self, module, **names):
        super().__init__(module.__name__, module.__doc__)
        vars(self)["_module"] = module
        vars(self)["_names"] = names
        # For "from module import *".
        public = getattr(module, "__all__", None) or [name for name in dir(module) if not name.startswith("_")]
        vars(self)["__all__"] = sorted({*public, *names})
        vars(self).update(names)

    def __getattr__(self, name):
        return getattr(self._module, name)

    def __setattr__(self, name, value):
        if name in self._names:
            vars(self)[name] = value
        else:
            setattr(self._module, name, value)

    def __dir__(self):
        return sorted({*dir(self._module), *self._names})


class _Random(random.Random):
    """Draws the whole numbers that Python 2 drew."""

    def _randbelow(self, n):
        return int(self.random() * n) if n < 1 << 53 else super()._randbelow(n)

    def seed(self, a=None, version=1):
        super().seed(a, version=1)


def _random():
    generator = _Random()
    names = {name: getattr(generator, name) for name in random.__all__ if name.islower() and hasattr(generator, name)}
    return View(random, **names, Random=_Random)


class _Unpickler(pickle.Unpickler):
    """Text of Python 2 is bytes, which NumPy's arrays are in, too: latin-1 keeps each byte."""

    def __init__(self, file, **encoding):
        super().__init__(files.bytes_of(file), encoding="latin-1")


class _Pickler(pickle.Pickler):
    def __init__(self, file, protocol=0):
        super().__init__(files.bytes_of(file), 2 if protocol >= 0 else protocol)


def _pickle():
    def dump(value, file, protocol=0):
        _Pickler(file, protocol).dump(value)

    def dumps(value, protocol=0):
        written = io.BytesIO()
        dump(value, written, protocol)
        return written.getvalue()

    def load(file, **encoding):
        return _Unpickler(file).load()

    def loads(data, **encoding):
        return load(io.BytesIO(data.encode("latin-1") if isinstance(data, str) else data))

    return View(
        pickle,
        dump=dump,
        dumps=dumps,
        load=load,
        loads=loads,
        Pickler=_Pickler,
        Unpickler=_Unpickler,
    )


class _StringIO(io.StringIO):
    softspace = False  # see texts.print_

    def __init__(self, text=""):
        super().__init__(Text(text), newline="\n")

    def write(self, text):
        return super().write(Text(text))


def _getargspec(function):
    found = inspect.getfullargspec(function)
    return _ArgSpec(*found[:4])


_ArgSpec = collections.namedtuple("ArgSpec", "args varargs keywords defaults")


def _types():
    return View(
        types,
        BooleanType=bool,
        ClassType=type,
        DictType=dict,
        FloatType=float,
        IntType=int,
        ListType=list,
        LongType=int,
        NoneType=type(None),
        StringType=Text,
        StringTypes=(Text,),
        TupleType=tuple,
        TypeType=type,
        UnicodeType=Text,
    )


def _numpy():
    names = {"cast": numpy_view.make().cast}
    names.update(bool=bool, complex=complex, float=float, int=int, long=int, object=object, str=str, unicode=str)
    lost = {
        **dict.fromkeys(("Inf", "Infinity", "PINF", "infty"), np.inf),
        **dict.fromkeys(("NaN", "NAN"), np.nan),
        "alltrue": np.all,
        "asfarray": lambda a, dtype=np.float64: np.asarray(a, dtype),
        "asscalar": lambda a: a.item(),
        "complex_": np.complex128,
        "cumproduct": np.cumprod,
        "float_": np.float64,
        "in1d": lambda a, b, **options: np.isin(a, b, **options).reshape(-1),
        "msort": lambda a: np.sort(a, axis=0),
        "product": np.prod,
        "rank": np.ndim,
        "row_stack": np.vstack,
        "sometrue": np.any,
        "string_": np.bytes_,
        "unicode_": np.str_,
    }
    names.update({name: value for name, value in lost.items() if not hasattr(np, name)})
    # Of the file's own kind: arrays of objects are pickles of Python 2.
    names.update(fromstring=_fromstring, load=functools.partial(np.load, allow_pickle=True, encoding="latin1"))
    return View(np, **names)


def _fromstring(text, dtype=float, count=-1, sep=""):
    if sep:
        return np.fromstring(text, dtype, count, sep=sep)
    return np.frombuffer(text.encode("latin-1") if isinstance(text, str) else text, dtype, count).copy()


def make():
    """Stand-ins by the name under which Python 2 imports them."""
    renamed = {name: importlib.import_module(today) for name, today in RENAMED.items() if name != "Tkinter"}
    pickles = _pickle()
    strings = module("StringIO", StringIO=_StringIO)
    requests = View(urllib.request, urlretrieve=files.urlretrieve)
    opened = {name: getattr(urllib.request, name) for name in ("urlopen", "Request", "build_opener", "install_opener")}
    quoting = {name: getattr(urllib.parse, name) for name in ("quote", "quote_plus", "unquote", "urlencode")}
    errors = {name: getattr(urllib.error, name) for name in ("URLError", "HTTPError")}
    abstract = {name: getattr(collections.abc, name) for name in collections.abc.__all__}
    return {
        **renamed,
        "StringIO": strings,
        "__builtin__": importlib.import_module("builtins"),
        "cPickle": pickles,
        "cStringIO": strings,
        "commands": module("commands", getoutput=subprocess.getoutput, getstatusoutput=subprocess.getstatusoutput),
        "collections": View(collections, **abstract),
        "gzip": View(gzip, open=files.gzip_open),
        "inspect": View(inspect, getargspec=_getargspec),
        "itertools": View(
            itertools,
            ifilter=filter,
            imap=map,
            izip=zip,
            izip_longest=itertools.zip_longest,
            ifilterfalse=itertools.filterfalse,
        ),
        "numpy": _numpy(),
        "os": View(os, getcwdu=os.getcwd),
        "pickle": pickles,
        "random": _random(),
        "string": View(
            string,
            letters=string.ascii_letters,
            lowercase=string.ascii_lowercase,
            uppercase=string.ascii_uppercase,
            maketrans=str.maketrans,
            **{name: getattr(str, name) for name in _OF_STRINGS},
            join=lambda words, separator=" ": separator.join(words),
            atoi=int,
            atof=float,
        ),
        "sys": View(sys, maxint=sys.maxsize, setdefaultencoding=lambda name: None),
        "time": View(time, clock=time.process_time),
        "types": _types(),
        "six": View(six, moves=View(six.moves, cPickle=pickles, urllib=View(six.moves.urllib, request=requests))),
        "urllib": View(urllib, **opened, **quoting, urlretrieve=files.urlretrieve, request=requests),
        "urllib2": module("urllib2", **opened, **quoting, **errors),
    }


_OF_STRINGS = (
    "capitalize",
    "count",
    "find",
    "lower",
    "lstrip",
    "replace",
    "rfind",
    "rstrip",
    "split",
    "strip",
    "upper",
)
