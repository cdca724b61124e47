"""Texts as numbers, and the LSTM beside a loop in NumPy."""

import io
import pickle
import tarfile

import numpy as np
import pytest
import theano
import theano.tensor as T
from numpy_units import sigmoid, slopes, values

from theano_tutorials import LSTM, DatasetError, train_lstm
from theano_tutorials.datasets.texts import UNKNOWN, read_texts, words_of
from theano_tutorials.lstm import adadelta_updates, padded

SIZES = {"n_words": 7, "dim_proj": 3, "n_classes": 2}
TEXTS = [np.array(words, dtype="int32") for words in ([2, 3, 4, 5], [6, 2], [5, 5, 5])]
LABELS = np.array([1, 0, 1], dtype="int32")


def network(use_dropout=False):
    x, mask = T.imatrix("x"), T.matrix("mask")
    model = LSTM(np.random.RandomState(1), x, mask, **SIZES, use_dropout=use_dropout)
    rng = np.random.RandomState(2)
    for param in model.params:
        param.set_value((0.5 * rng.randn(*param.get_value().shape)).astype(theano.config.floatX))
    return model


def probabilities(params, texts, factor=1):
    """Word for word and text for text, without a mask."""
    Wemb, W, U_, b_, U, b = params
    n = Wemb.shape[1]
    rows = []
    for text in texts:
        h, c, total = np.zeros(n), np.zeros(n), np.zeros(n)
        for word in text:
            a = Wemb[word] @ W + h @ U_ + b_
            i, f, o = (sigmoid(a[k * n : (k + 1) * n]) for k in range(3))
            c = f * c + i * np.tanh(a[3 * n :])
            h = o * np.tanh(c)
            total += h
        scores = factor * total / len(text) @ U + b
        rows.append(np.exp(scores) / np.exp(scores).sum())
    return np.array(rows)


def cost_of(params):
    return -np.mean(np.log(probabilities(params, TEXTS)[np.arange(3), LABELS] + 1e-8))


@pytest.mark.parametrize(("use_dropout", "factor"), [(False, 1), (True, 0.5)])
def test_probabilities_are_those_of_a_loop_over_the_words(use_dropout, factor):
    model = network(use_dropout)
    x, mask = padded(TEXTS)
    found = theano.function([model.x, model.mask], model.p_y_given_x)(x, mask)
    np.testing.assert_allclose(found, probabilities(values(model.params), TEXTS, factor), rtol=1e-4)


def test_the_gradient_is_the_slope():
    model = network()
    y = T.ivector()
    cost = model.negative_log_likelihood(y)
    function = theano.function([model.x, model.mask, y], [cost, *T.grad(cost, model.params)])
    found, *gradients = function(*padded(TEXTS), LABELS)
    assert found == pytest.approx(cost_of(values(model.params)), rel=1e-5)
    for gradient, slope in zip(gradients, slopes(cost_of, values(model.params))):
        np.testing.assert_allclose(gradient, slope, atol=1e-5)


def test_adadelta_is_that_of_numpy():
    model = network()
    y = T.ivector()
    cost = model.negative_log_likelihood(y)
    step = theano.function([model.x, model.mask, y], cost, updates=adadelta_updates(cost, model.params))
    params = values(model.params)
    of_gradients, of_steps = ([np.zeros_like(param) for param in params] for _ in range(2))
    for _ in range(4):
        step(*padded(TEXTS), LABELS)
        for k, gradient in enumerate(slopes(cost_of, params)):
            of_gradients[k] = 0.95 * of_gradients[k] + 0.05 * gradient**2
            change = -np.sqrt(of_steps[k] + 1e-6) / np.sqrt(of_gradients[k] + 1e-6) * gradient
            of_steps[k] = 0.95 * of_steps[k] + 0.05 * change**2
            params[k] = params[k] + change
    for param, expected in zip(model.params, params):
        np.testing.assert_allclose(param.get_value(), expected, atol=1e-4)


def test_dropout_erases_half_of_the_units():
    model = network(use_dropout=True)
    x, mask = padded([TEXTS[0]] * 2000)
    pooled, dropped = theano.function([model.x, model.mask], [model.pooled, model.dropped])(x, mask)
    U, b = values(model.params)[-2:]
    patterns = [pooled[0] * np.array(kept) for kept in np.ndindex(2, 2, 2)]
    scores = np.array(patterns) @ U + b
    possible = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    distance = np.abs(dropped[:, None, 0] - possible[:, 0])
    np.testing.assert_allclose(distance.min(axis=1), 0, atol=1e-5)
    counts = np.bincount(distance.argmin(axis=1), minlength=8)
    assert np.all(np.abs(counts - 250) < 5 * np.sqrt(2000 / 8 * 7 / 8))


def test_initial_weights_are_orthogonal():
    model = LSTM(np.random.RandomState(1), T.imatrix(), T.matrix(), n_words=20, dim_proj=8)
    for weights in (model.lstm_W, model.lstm_U):
        for block in np.split(weights.get_value(), 4, axis=1):
            np.testing.assert_allclose(block @ block.T, np.eye(8), atol=1e-5)
    embeddings = model.Wemb.get_value()
    assert embeddings.min() >= 0
    assert embeddings.max() < 0.01


def splits(n=60):
    """Of two words that matter, whichever comes last says the class."""
    rng = np.random.RandomState(0)
    made = []
    for size in (20 * n, n, n):
        texts = [rng.randint(2, 12, size=rng.randint(3, 9)) for _ in range(size)]
        labels = rng.randint(2, size=size)
        for text, label in zip(texts, labels):
            text[rng.randint(len(text))] = 12 + label
        made.append((texts, labels))
    return made


def test_it_learns_which_word_says_the_class():
    result = train_lstm(dataset=splits(), n_words=14, dim_proj=16, n_epochs=10)
    assert result.best_validation_loss < 0.02
    assert result.test_loss < 0.02


def test_tweets_are_numbered_by_how_frequent_words_are():
    train, valid, test = read_texts("tweets", n_words=500)
    assert [len(split.labels) for split in (train, valid, test)] == [18478, 2053, 2281]
    counts = np.bincount(np.concatenate(train.sequences), minlength=500)
    assert counts[0] == 0
    assert np.all(np.diff(counts[2:]) <= 0)
    assert counts[UNKNOWN] > counts[499] > 0
    again = read_texts("tweets", n_words=500)
    assert all(np.array_equal(a, b) for a, b in zip(test.sequences, again[2].sequences))


def test_words_are_letters_or_marks():
    expected = ["i", "can't", ",", "won't", "!", "#", "noway", "@", "you", "3x"]
    assert words_of("I can't, won't! #NoWay @you 3x") == expected


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "aclImdb_v1.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        for split in ("train", "test"):
            for label, word in (("pos", "good"), ("neg", "bad")):
                for number in range(10):
                    content = f"A {word} film.<br />No {number}".encode()
                    info = tarfile.TarInfo(f"aclImdb/{split}/{label}/{number}_7.txt")
                    info.size = len(content)
                    file.addfile(info, io.BytesIO(content))
        info = tarfile.TarInfo("aclImdb/train/unsup/0_0.txt")
        file.addfile(info, io.BytesIO())
    return path


def test_reviews_are_read_from_their_archive(archive):
    train, valid, test = read_texts(archive)
    assert [len(split.labels) for split in (train, valid, test)] == [18, 2, 20]
    assert list(test.labels) == [1] * 10 + [0] * 10
    # Without the mark of a new line, six words: a, good or bad, film, the full stop, no, and the number.
    assert {len(text) for split in (train, valid, test) for text in split.sequences} == {6}
    good, bad = test.sequences[0][1], test.sequences[-1][1]
    assert good != bad


def test_the_file_of_the_tutorial_is_read(tmp_path):
    path = tmp_path / "imdb.pkl"
    texts, labels = [[5, 2, 9], [3, 20000]] * 10, [1, 0] * 10
    path.write_bytes(pickle.dumps((texts, labels), 2) + pickle.dumps((texts, labels), 2))
    train, valid, test = read_texts(path, n_words=100)
    assert [len(split.labels) for split in (train, valid, test)] == [18, 2, 20]
    np.testing.assert_array_equal(test.sequences[1], [3, UNKNOWN])


class Hostile:
    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.mark.parametrize("content", [b"", b"x" * 50, pickle.dumps(Hostile()), pickle.dumps(([[1]], [0]))])
def test_another_file_is_refused(content, tmp_path, capsys):
    path = tmp_path / "imdb.pkl"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"imdb\.pkl: not the tutorial's imdb\.pkl"):
        read_texts(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"x" * 50])
def test_another_archive_is_refused(content, tmp_path):
    path = tmp_path / "reviews.tar.gz"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"reviews\.tar\.gz: not an archive of reviews"):
        read_texts(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda made: made[:2], "2 pairs of sequences and labels: expected training, validation and test"),
        (lambda made: [*made[:2], (made[2][0], made[2][1][1:])], "60 texts and 59 labels: expected as many"),
        (lambda made: [*made[:2], (made[2][0], made[2][1] / 2)], "labels of dtype float64"),
        (lambda made: [*made[:2], ([[0.5]] * 60, made[2][1])], "a text of dtype float64"),
    ],
)
def test_bad_sequences_are_refused(change, message):
    with pytest.raises(DatasetError, match=message):
        read_texts(change(splits()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"maxlen": 2}, "0 texts have less than maxlen 2 words: expected at least batch_size 16"),
        ({"decay_c": -1}, "decay_c is -1: expected"),
        ({"dataset": "nothing.tar.gz"}, "nothing.tar.gz does not exist: expected tweets, imdb"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        train_lstm(**{"dataset": splits(), "n_words": 14, "dim_proj": 4, **arguments})
