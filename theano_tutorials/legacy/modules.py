"""Modules of the standard library as translated code finds them when it imports them."""

import collections
import collections.abc
import gzip
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

import six

from theano_tutorials.backend.adapting.stand_ins import module
from theano_tutorials.legacy import arrays, files
from theano_tutorials.legacy.texts import Text
from theano_tutorials.legacy.views import View

# Modules that have another name today, and are otherwise what they were.
RENAMED = {
    "BaseHTTPServer": "http.server",
    "ConfigParser": "configparser",
    "HTMLParser": "html.parser",
    "Queue": "queue",
    "SimpleHTTPServer": "http.server",
    "SocketServer": "socketserver",
    "Tkinter": "tkinter",
    "UserDict": "collections",
    "UserList": "collections",
    "__builtin__": "builtins",
    "anydbm": "dbm",
    "cookielib": "http.cookiejar",
    "copy_reg": "copyreg",
    "exceptions": "builtins",
    "htmlentitydefs": "html.entities",
    "httplib": "http.client",
    "repr": "reprlib",
    "thread": "_thread",
    "urlparse": "urllib.parse",
    "xmlrpclib": "xmlrpc.client",
}


class _Random(random.Random):
    """Draws the whole numbers that Python 2 drew."""

    def _randbelow(self, n):
        return int(self.random() * n) if n < 1 << 53 else super()._randbelow(n)

    def seed(self, a=None, version=1):
        super().seed(a, version=1)

    def randrange(self, start, *stop_and_step):
        # Floats, too, if they are whole.
        bounds = (int(each) if isinstance(each, float) and each.is_integer() else each for each in stop_and_step)
        return super().randrange(int(start) if isinstance(start, float) and start.is_integer() else start, *bounds)

    def shuffle(self, x, random=None):
        random = random or self.random
        for i in range(len(x) - 1, 0, -1):
            j = int(random() * (i + 1))
            x[i], x[j] = x[j], x[i]

    def sample(self, population, k):
        return super().sample(tuple(population) if isinstance(population, (set, frozenset)) else population, k)


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
    softspace = False  # see texts.print_statement

    def __init__(self, text=""):
        super().__init__(Text(text), newline="\n")

    def write(self, text):
        return super().write(Text(text))


_AS_TEXT = {"encoding": "utf-8", "errors": "surrogateescape"}


class _Popen(subprocess.Popen):
    """Pipes of text."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **{**_AS_TEXT, **options})


def _with_text(function):
    return lambda *arguments, **options: function(*arguments, **{**_AS_TEXT, **options})


def _getargspec(function):
    found = inspect.getfullargspec(function)
    return _ArgSpec(*found[:4])


_ArgSpec = collections.namedtuple("ArgSpec", "args varargs keywords defaults")


def _types():
    return View(
        types,
        BooleanType=bool,
        ClassType=type,
        ComplexType=complex,
        DictType=dict,
        DictionaryType=dict,
        FileType=io.IOBase,
        FloatType=float,
        InstanceType=object,
        IntType=int,
        ListType=list,
        LongType=int,
        NoneType=type(None),
        ObjectType=object,
        SliceType=slice,
        StringType=Text,
        StringTypes=(Text,),
        TupleType=tuple,
        TypeType=type,
        UnboundMethodType=types.FunctionType,
        UnicodeType=Text,
        XRangeType=range,
    )


def make():
    """Stand-ins by the name under which Python 2 imports them, for all but those of RENAMED."""
    pickles = _pickle()
    strings = module("StringIO", StringIO=_StringIO)
    requests = View(urllib.request, urlretrieve=files.urlretrieve)
    opened = {name: getattr(urllib.request, name) for name in ("urlopen", "Request", "build_opener", "install_opener")}
    quoting = {name: getattr(urllib.parse, name) for name in ("quote", "quote_plus", "unquote", "urlencode")}
    errors = {name: getattr(urllib.error, name) for name in ("URLError", "HTTPError")}
    abstract = {name: getattr(collections.abc, name) for name in collections.abc.__all__}
    return {
        **arrays.make(),
        "StringIO": strings,
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
        "os": View(os, fdopen=files.fdopen, getcwdu=os.getcwd),
        "pickle": pickles,
        "random": _random(),
        "sets": module("sets", Set=set, ImmutableSet=frozenset),
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
        "subprocess": View(
            subprocess,
            Popen=_Popen,
            **{name: _with_text(getattr(subprocess, name)) for name in ("call", "check_call", "check_output")},
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
