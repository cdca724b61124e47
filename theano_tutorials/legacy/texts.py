"""Numbers and other values as text, with the digits that Python 2 prints."""

import io
import sys
from contextlib import suppress

import numpy as np

_MADE_BY_CLASS = 1 << 9  # Py_TPFLAGS_HEAPTYPE


def text_of_float(x):
    """``str(x)`` of Python 2: twelve digits."""
    text = f"{x:.12g}"
    if any(letter in text for letter in ".enf"):
        return text
    if len(text.lstrip("-")) < 12:
        return text + ".0"
    digits, _, exponent = f"{x:.11e}".partition("e")
    return f"{digits.rstrip('0').rstrip('.')}e{exponent}"


class _Float(float):
    """A float whose text is that of Python 2; its repr is the same in both."""

    def __str__(self):
        return text_of_float(self)

    __repr__ = float.__repr__

    def __format__(self, spec):
        return format(float(self), spec) if spec else text_of_float(self)


def of_python_2(value):
    """A value, or the members of a tuple or dictionary, such that their text is that of Python 2."""
    if type(value) is float:
        return _Float(value)
    if type(value) is np.ndarray and value.ndim == 0 and value.dtype.kind == "f":
        return _Float(value)
    if type(value) is bytes:
        return value.decode("latin-1")
    if type(value) is type and not value.__flags__ & _MADE_BY_CLASS:
        return repr(value).replace("class", "type", 1)
    if type(value) is tuple:
        return tuple(map(alone, value))
    if type(value) is dict:
        return {name: alone(member) for name, member in value.items()}
    return value


def alone(value):
    """A value that is shown by itself: what is inside of it is shown by its repr, which has not changed."""
    return value if type(value) in (tuple, dict) else of_python_2(value)


class _Type(type):
    def __instancecheck__(cls, value):
        return isinstance(value, cls.types)

    def __subclasscheck__(cls, other):
        return issubclass(other, cls.types)

    def __eq__(cls, other):
        return cls is other or other is cls.types[0]

    def __hash__(cls):
        return hash(cls.types[0])

    def __getattr__(cls, name):
        return getattr(cls.types[0], name)


class Text(metaclass=_Type):
    """``str`` and ``unicode`` of Python 2: makes text with its digits, and is the type of text and of bytes."""

    types = (str, bytes)

    def __new__(cls, value="", *encoding):
        if isinstance(value, bytes):
            return str(value, *(encoding or ("latin-1",)))
        return str(alone(value))


class Out(io.TextIOWrapper):
    """Standard output that knows whether a space is due before what is printed next: ``softspace``."""

    softspace = False

    @classmethod
    def instead_of(cls, file):
        """The same file; the other object cannot be used any more."""
        line_buffering, encoding = file.line_buffering, file.encoding
        return cls(file.detach(), encoding, errors="surrogateescape", line_buffering=line_buffering)

    def write(self, text):
        self.softspace = False
        if isinstance(text, bytes):  # of a writer of codecs around this file
            self.flush()
            return self.buffer.write(text)
        return super().write(text)


def print_statement(*values, end="\n", file=None):
    """The statement ``print``: a comma at its end keeps the line open, and asks for a space if more comes."""
    file = sys.stdout if file is None else file
    is_due = getattr(file, "softspace", False)
    words = []
    for value in values:
        word = str(alone(value))
        words += [" ", word] if is_due else [word]
        is_due = not word.endswith(("\n", "\t"))
    file.write("".join(words) + ("" if end == " " else end))
    with suppress(AttributeError):  # a file that takes no such name
        file.softspace = is_due and end == " "


def print_function(*values, **options):
    """The function ``print`` of Python 2, for modules that import it from ``__future__``."""
    print(*(str(alone(value)) for value in values), **options)
