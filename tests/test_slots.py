"""Slots of sentences, conlleval's measure, and Elman's network beside a loop in NumPy."""

import gzip
import pickle

import numpy as np
import pytest
import theano
from hypothesis import given
from hypothesis import strategies as st
from numpy_units import sigmoid, slopes, values

from theano_tutorials import RNNSLU, DatasetError, train_rnnslu
from theano_tutorials.datasets.slots import read_slots
from theano_tutorials.rnnslu import chunks, conlleval, contextwin

LABEL = st.sampled_from(["O", "B-a", "I-a", "B-b", "I-b"])


def test_windows_are_words_around_each_word():
    assert contextwin([0, 1, 2, 3], 5) == [[-1, -1, 0, 1, 2], [-1, 0, 1, 2, 3], [0, 1, 2, 3, -1], [1, 2, 3, -1, -1]]
    assert contextwin([7], 1) == [[7]]
    for win in (0, 2, -3):
        with pytest.raises(ValueError, match=f"win is {win}: expected an"):
            contextwin([1], win)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("O O", []),
        ("B-a I-a I-a", [(0, 3, "a")]),
        ("B-a B-a I-a", [(0, 1, "a"), (1, 3, "a")]),
        ("I-a I-a O I-b", [(0, 2, "a"), (3, 4, "b")]),
        ("B-a I-b", [(0, 1, "a"), (1, 2, "b")]),
        ("O B-a O", [(1, 2, "a")]),
    ],
)
def test_slots_begin_and_end_as_conlleval_has_it(labels, expected):
    assert sorted(chunks(labels.split())) == expected


@given(st.lists(LABEL, max_size=8))
def test_slots_are_those_that_a_search_over_all_spans_finds(labels):
    found = set()
    for start in range(len(labels)):
        prefix, _, kind = labels[start].partition("-")
        before = labels[start - 1] if start else "O"
        begins = prefix == "B" or (prefix == "I" and (before == "O" or before[2:] != kind))
        for end in range(start + 1, len(labels) + 1):
            goes_on = all(label == f"I-{kind}" for label in labels[start + 1 : end])
            ends = end == len(labels) or labels[end] != f"I-{kind}"
            if begins and goes_on and ends:
                found.add((start, end, kind))
    assert chunks(labels) == found


def test_f1_by_hand():
    true = [["B-a", "I-a", "O", "B-b"], ["B-a", "O"]]
    predicted = [["B-a", "I-a", "O", "O"], ["B-a", "I-a"]]
    # Three slots are there, two are predicted, and one of these is right.
    assert conlleval(predicted, true) == pytest.approx({"p": 50, "r": 100 / 3, "f1": 40})
    assert conlleval(true, true) == {"p": 100, "r": 100, "f1": 100}
    assert conlleval([["O"]], [["O"]]) == {"p": 0, "r": 0, "f1": 0}


# The network

SIZES = {"nh": 4, "nc": 3, "ne": 6, "de": 2, "cs": 3}
WORDS, LABELS = [2, 5, 0, 2], [1, 0, 2, 2]


def cost_of(params):
    emb, wx, wh, w, bh, b, h = params
    total = 0
    padded = [-1, *WORDS, -1]
    for place, label in enumerate(LABELS):
        x = np.concatenate([emb[word] for word in padded[place : place + 3]])
        h = sigmoid(x @ wx + h @ wh + bh)
        scores = h @ w + b
        total -= np.log(np.exp(scores[label]) / np.exp(scores).sum())
    return total / len(LABELS)


def test_an_update_follows_the_slope_and_scales_the_embeddings():
    model = RNNSLU(**SIZES)
    before = values(model.params)
    assert model.train(WORDS, LABELS, 3, 0.5) == pytest.approx(cost_of(before), rel=1e-5)
    for param, old, slope in zip(model.params, before, slopes(cost_of, before)):
        expected = old - 0.5 * slope
        if param is model.emb:
            expected /= np.sqrt((expected**2).sum(axis=1, keepdims=True))
        np.testing.assert_allclose(param.get_value(), expected, atol=1e-5)


def test_initial_weights_are_drawn_in_the_order_of_the_original():
    rng = np.random.RandomState(345)
    model = RNNSLU(**SIZES)
    for param, shape in ((model.emb, (7, 2)), (model.wx, (6, 4)), (model.wh, (4, 4)), (model.w, (4, 3))):
        drawn = (0.2 * rng.uniform(-1, 1, shape)).astype(theano.config.floatX)
        np.testing.assert_array_equal(param.get_value(), drawn)


def test_labels_are_the_most_probable_ones():
    model = RNNSLU(**SIZES)
    windows = np.array(contextwin(WORDS, 3), dtype="int32")
    probabilities = theano.function([model.idxs], model.p_y_given_x_sentence)(windows)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.classify(windows), probabilities.argmax(axis=1))


def test_it_learns_the_slots_of_flights():
    result = train_rnnslu(n_epochs=4, nhidden=100)
    assert result.best_validation_loss < 0.05
    assert result.test_loss < 0.05


def test_the_step_size_falls_until_the_training_ends(monkeypatch, tmp_path):
    monkeypatch.setattr("theano_tutorials.rnnslu._EPOCHS_UNTIL_DECAY", 1)
    path = tmp_path / "fold.pkl.gz"
    write_fold(path, n=6)
    result = train_rnnslu(n_epochs=500, dataset=path, lr=2e-4, nhidden=3, emb_dimension=2, win=1)
    rates = result.history["learning_rate"]
    assert result.n_epochs < 500
    assert rates[-1] / 2 < 1e-5 <= rates[-1]
    # Halved after each epoch that is not better, and not otherwise.
    losses = result.history["validation_error"]
    best = np.minimum.accumulate(losses)
    for epoch in range(1, len(rates)):
        is_better = epoch == 1 or losses[epoch - 1] < best[epoch - 2]
        assert rates[epoch] == pytest.approx(rates[epoch - 1] * (1 if is_better else 0.5))


# Files


def fold(n=4):
    words, labels = {"to": 0, "boston": 1, "from": 2}, {"B-city": 0, "O": 1}
    sentences = [np.array([0, 1], dtype="int32"), np.array([2, 1, 0, 1], dtype="int32")] * n
    of_words = [np.array([1, 0], dtype="int32"), np.array([1, 0, 1, 0], dtype="int32")] * n
    split = (sentences, of_words, of_words)
    return [split] * 3 + [{"words2idx": words, "labels2idx": labels, "tables2idx": {"x": 0}}]


def write_fold(path, n=4, protocol=2, content=None):
    with gzip.open(path, "wb") as file:
        pickle.dump(fold(n) if content is None else content, file, protocol=protocol)


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_a_fold_of_atis_is_read(protocol, tmp_path):
    path = tmp_path / "atis.fold3.pkl.gz"
    write_fold(path, protocol=protocol)
    slots = read_slots(path)
    assert slots.words == ["to", "boston", "from"]
    assert slots.label_names == ["B-city", "O"]
    assert [len(split) for split in slots.sentences] == [8, 8, 8]
    np.testing.assert_array_equal(slots.sentences[2][1], [2, 1, 0, 1])
    np.testing.assert_array_equal(slots.labels[0][1], [1, 0, 1, 0])


class Hostile:
    def __reduce__(self):
        return (print, ("this must not run",))


def damaged():
    def with_dictionaries(**changes):
        return [*fold()[:3], {**fold()[3], **changes}]

    yield "an object", [*fold()[:3], Hostile()]
    yield "numbers that are missing", with_dictionaries(words2idx={"to": 0, "boston": 5})
    yield "keys that are no text", with_dictionaries(words2idx={(1, 2): 0})
    yield "no dictionaries", fold()[:3]
    yield "a word without a name", [(([np.array([9], dtype="int32")],) * 3)] * 3 + fold()[3:]
    yield "labels of another length", [(fold()[0][0], fold()[0][1], fold()[0][1][::-1])] * 3 + fold()[3:]
    yield "no sentence", [([], [], [])] * 3 + fold()[3:]


@pytest.mark.parametrize(("name", "content"), list(damaged()))
def test_a_damaged_fold_is_refused(name, content, tmp_path, capsys):
    path = tmp_path / "fold.pkl.gz"
    write_fold(path, content=content)
    with pytest.raises(DatasetError, match=r"fold\.pkl\.gz"):
        read_slots(path)
    assert capsys.readouterr().out == ""


def test_a_file_that_is_missing_or_cut_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="does not exist: expected flights, or a file such as"):
        read_slots(tmp_path / "nothing.pkl")
    path = tmp_path / "fold.pkl.gz"
    write_fold(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DatasetError, match="not a fold of ATIS"):
        read_slots(path)


def test_flights_are_the_same_each_time_and_have_each_slot():
    slots = read_slots()
    assert [len(split) for split in slots.sentences] == [800, 200, 200]
    again = read_slots()
    assert all(np.array_equal(a, b) for a, b in zip(slots.sentences[1], again.sentences[1]))
    used = {slots.label_names[label] for sentence in slots.labels[0] for label in sentence}
    assert used == {*slots.label_names}
    assert "I-fromloc.city_name" in used
