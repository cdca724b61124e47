"""Sentences of which each word has a label of a slot: ATIS, and requests for flights that are made here."""

import io
import pickle
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from theano_tutorials.datasets.errors import DatasetError
from theano_tutorials.datasets.files import open_plain_or_gzipped
from theano_tutorials.datasets.pickles import ArrayUnpickler, PickledArray, PickledBuffer

FLIGHTS = "flights"
_N_SENTENCES = (800, 200, 200)
_SEED = 0


class Slots(NamedTuple):
    """Labelled sentences, in three splits: training, validation, test.

    Attributes
    ----------
    sentences, labels : list of three lists of numpy.ndarray, int32, (n_words,)
        Words and their labels, by number.
    words, label_names : list of str
        What the numbers mean. Labels begin with ``B-`` where a slot begins, with ``I-``
        within it, and ``O`` is no slot.
    """

    sentences: list
    labels: list
    words: list
    label_names: list


def read_slots(dataset=FLIGHTS):
    """Read sentences whose words have labels.

    Parameters
    ----------
    dataset : str or path
        ``"flights"``: 1,200 requests for flights, which are put together from some
        phrases by this library. An easy task, not ATIS. Or the path of a fold of ATIS
        as the tutorial has it, ``atis.fold3.pkl.gz``.

    Returns
    -------
    Slots

    Raises
    ------
    DatasetError
        If the file is missing or not valid.
    """
    return _flights() if dataset == FLIGHTS else _fold(Path(dataset))


def _fold(path):
    if not path.exists():
        raise DatasetError(f"{path} does not exist: expected {FLIGHTS}, or a file such as atis.fold3.pkl.gz")
    try:
        with open_plain_or_gzipped(path) as file:
            *splits, dictionaries = _UnpicklerOfDictionaries(io.BytesIO(file.read()), encoding="latin1").load()
        words, label_names = (_names(dictionaries[key]) for key in ("words2idx", "labels2idx"))
        sentences, labels = ([_arrays(split[part]) for split in splits] for part in (0, 2))
    except Exception as error:  # a damaged pickle raises whatever its last opcode does
        raise DatasetError(f"{path}: not a fold of ATIS ({type(error).__name__}: {error})") from error
    return _checked(path, Slots(sentences, labels, words, label_names))


def _names(numbers):
    if sorted(numbers.values()) != list(range(len(numbers))):
        raise DatasetError(f"{len(numbers)} names with other numbers: expected 0 to {len(numbers) - 1}")
    return sorted(numbers, key=numbers.get)


def _arrays(parts):
    return [np.asarray(part.array() if isinstance(part, (PickledArray, PickledBuffer)) else part) for part in parts]


class _UnpicklerOfDictionaries(ArrayUnpickler):
    # Of dictionaries with text as keys, whose hash takes no time.
    def load_dict(self):
        items = self.pop_mark()
        self.append({})
        self._set(items)

    def load_setitems(self):
        self._set(self.pop_mark())

    def load_setitem(self):
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _set(self, items):
        if not (isinstance(self.stack[-1], dict) and all(type(key) is str for key in items[::2])):
            raise DatasetError("a dictionary with keys of another type: expected text")
        self.stack[-1].update(zip(items[::2], items[1::2]))

    dispatch: ClassVar = {
        **ArrayUnpickler.dispatch,
        pickle.EMPTY_DICT[0]: pickle._Unpickler.load_empty_dictionary,
        pickle.DICT[0]: load_dict,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
    }


def _checked(path, slots):
    for sentences, labels in zip(slots.sentences, slots.labels):
        if not sentences or len(sentences) != len(labels):
            raise DatasetError(f"{path}: {len(sentences)} sentences and {len(labels)} labels of them: expected as many")
        for words, of_words in zip(sentences, labels):
            fits = all(
                array.ndim == 1 and array.dtype.kind in "iu" and array.min() >= 0 and array.max() < len(names)
                for array, names in ((words, slots.words), (of_words, slots.label_names))
                if array.size
            )
            if not (fits and len(words) == len(of_words) > 0):
                raise DatasetError(
                    f"{path}: a sentence of shape {words.shape} with labels of shape {of_words.shape}: expected a "
                    "number for each word, and one for its label"
                )
    parts = slots.sentences, slots.labels
    as_int32 = ([[array.astype("int32") for array in split] for split in part] for part in parts)
    return Slots(*as_int32, slots.words, slots.label_names)


# Phrases of requests: words, or a slot in braces.
_BEGINNINGS = (
    "show me", "list", "i want", "i need", "i would like", "please find", "are there any", "give me", "what are the",
)  # fmt: skip
_KINDS = ("flights", "a flight", "the {cost} flights", "{airline} flights", "{class} tickets", "the {cost} fare")
_PLACES = ("from {from} to {to}", "to {to} from {from}", "between {from} and {to}", "from {from} to {to} via {via}")
_TIMES = (
    "", "on {day}", "on {day} {period}", "in the {period}", "leaving {day}", "arriving before {time}", "after {time}",
    "on {day} before {time}",
)  # fmt: skip
_CITIES = (
    "boston", "denver", "atlanta", "dallas", "pittsburgh", "baltimore", "oakland", "new york", "san francisco",
    "salt lake city", "fort worth", "los angeles", "washington", "philadelphia", "st louis", "kansas city",
)  # fmt: skip
_VALUES = {
    "from": ("fromloc.city_name", _CITIES),
    "to": ("toloc.city_name", _CITIES),
    "via": ("stoploc.city_name", _CITIES),
    "day": ("depart_date.day_name", ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")),
    "period": ("depart_time.period_of_day", ("morning", "afternoon", "evening", "late evening")),
    "time": ("arrive_time.time", ("5 pm", "noon", "6 o'clock pm", "10 am", "9 30 am")),
    "airline": ("airline_name", ("united", "delta", "american airlines", "us air", "continental")),
    "cost": ("cost_relative", ("cheapest", "lowest", "least expensive")),
    "class": ("class_type", ("first class", "coach", "business class", "one way")),
}


def _flights():
    rng = np.random.RandomState(_SEED)
    splits = [[_request(rng) for _ in range(n)] for n in _N_SENTENCES]
    words, label_names = (
        sorted({name for split in splits for sentence in split for name in sentence[part]}) for part in (0, 1)
    )
    numbers = [{name: number for number, name in enumerate(names)} for names in (words, label_names)]

    def numbered(split, part):
        return [np.array([numbers[part][name] for name in sentence[part]], dtype="int32") for sentence in split]

    sentences, labels = ([numbered(split, part) for split in splits] for part in (0, 1))
    return Slots(sentences, labels, words, label_names)


def _request(rng):
    words, labels = [], []
    for phrases in (_BEGINNINGS, _KINDS, _PLACES, _TIMES):
        for part in phrases[rng.randint(len(phrases))].split():
            if part.startswith("{"):
                name, values = _VALUES[part.strip("{}")]
                value = values[rng.randint(len(values))].split()
                words += value
                labels += [f"B-{name}", *[f"I-{name}"] * (len(value) - 1)]
            else:
                words.append(part)
                labels.append("O")
    return words, labels
