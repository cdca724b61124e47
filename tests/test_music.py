"""Piano rolls and the RNN-RBM."""

import mido
import numpy as np
import pytest
import theano
import theano.tensor as T
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy_units import sigmoid, slopes, states, values
from theano.sandbox.rng_mrg import MRG_RandomStreams

from theano_tutorials import DatasetError, RnnRbm, train_rnnrbm
from theano_tutorials.datasets.music import read_piano_rolls, write_midi
from theano_tutorials.rnnrbm import build_rbm

R = (60, 66)
SMALL = {"n_hidden": 4, "n_hidden_recurrent": 3, "r": R}


@settings(max_examples=50)
@given(arrays.arrays(bool, st.tuples(st.integers(1, 12), st.just(6))), st.sampled_from([0.1, 0.3, 0.5, 1]))
def test_what_is_written_is_read(tmp_path_factory, roll, dt):
    roll[-1, 2] = True  # or there would be no last step
    path = tmp_path_factory.mktemp("midi") / "piece.mid"
    write_midi(path, roll, R, dt)
    (read,) = read_piano_rolls(path, R, dt)
    np.testing.assert_array_equal(read, roll)


def test_a_midi_file_of_several_tracks_and_tempos_is_sampled_in_seconds(tmp_path):
    file = mido.MidiFile(ticks_per_beat=100)
    slow, fast = (mido.MetaMessage("set_tempo", tempo=t, time=at) for t, at in ((1_000_000, 0), (500_000, 200)))
    tempo = mido.MidiTrack([slow, fast])
    one = mido.MidiTrack([mido.Message("note_on", note=60, velocity=9), mido.Message("note_off", note=60, time=100)])
    # The second begins after two seconds, and ends by a velocity of zero half a second later.
    other = mido.MidiTrack(
        [mido.Message("note_on", note=62, velocity=9, time=200), mido.Message("note_on", note=62, velocity=0, time=100)]
    )
    file.tracks += [tempo, one, other]
    path = tmp_path / "piece.midi"
    file.save(path)
    (roll,) = read_piano_rolls(tmp_path, R, 0.25)
    expected = np.zeros((10, 6))
    expected[:4, 0] = 1
    expected[8:, 2] = 1
    np.testing.assert_array_equal(roll, expected)


@pytest.mark.one_python
@pytest.mark.slow
def test_the_chorales_are_those_of_bach():
    rolls = read_piano_rolls()
    assert len(rolls) == 350
    # Four voices, and sometimes two on the same note.
    sounding = np.concatenate(rolls).sum(axis=1)
    assert 3.8 < sounding.mean() < 4
    assert np.concatenate(rolls)[:, : 36 - 21].sum() == 0  # nobody sings lower
    # BWV 269, "Aus meines Herzens Grunde", begins in G major: G, B, D, G.
    assert list(21 + np.flatnonzero(rolls[0][0])) == [43, 59, 62, 67]
    # At two steps a quarter note, and again at one.
    slow = read_piano_rolls(dt=0.6)
    np.testing.assert_array_equal(slow[0], rolls[0][::2])


@pytest.mark.parametrize("content", [b"", b"MThd", b"RIFF" + bytes(40), b"MThd\0\0\0\6\0\1\xff\xff\0\0" + bytes(9)])
def test_a_file_that_is_not_midi_is_refused(content, tmp_path):
    (tmp_path / "piece.mid").write_bytes(content)
    with pytest.raises(DatasetError, match=r"piece\.mid: not a MIDI file|has no note"):
        read_piano_rolls(tmp_path)


def test_what_is_no_music_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="holds no MIDI file"):
        read_piano_rolls(tmp_path)
    with pytest.raises(DatasetError, match="does not exist: expected chorales, a MIDI file or"):
        read_piano_rolls(tmp_path / "nothing")
    with pytest.raises(DatasetError, match=r"a piano roll of shape \(3, 2\)"):
        read_piano_rolls([np.zeros((3, 2))])
    with pytest.raises(DatasetError, match="has no note from 21 to 108"):
        read_piano_rolls([np.zeros((3, 88))])
    for arguments, message in (({"r": (60, 60)}, r"r is \(60, 60\)"), ({"dt": 0}, "dt is 0: expected a positive")):
        with pytest.raises(ValueError, match=message):
            read_piano_rolls(**arguments)
    write_midi(tmp_path / "long.mid", np.eye(6), R, 1000)
    with pytest.raises(DatasetError, match=r"lasts for .* steps of 0\.001 s: expected at most 1000000"):
        read_piano_rolls(tmp_path, R, 0.001)


# The model


def sequence(n_steps=8):
    return (np.random.RandomState(1).uniform(size=(n_steps, 6)) < 0.4).astype(theano.config.floatX)


def larger(model):
    rng = np.random.RandomState(2)
    for param in model.params:
        param.set_value((0.5 * rng.randn(*param.get_value().shape)).astype(theano.config.floatX))
    return model


def cost_in_numpy(params, v, v_sample):
    W, bv, bh, Wuh, Wuv, Wvu, Wuu, bu = params
    u, total = np.zeros(len(bu)), 0
    for step, sample in zip(v, v_sample):
        bv_t, bh_t = bv + u @ Wuv, bh + u @ Wuh
        for rows, sign in ((step, 1), (sample, -1)):
            total += sign * (-rows @ bv_t - np.log1p(np.exp(rows @ W + bh_t)).sum())
        u = np.tanh(bu + step @ Wvu + u @ Wuu)
    return total / len(v)


def test_an_update_follows_the_slope_of_the_cost():
    model = larger(RnnRbm(**SMALL, lr=0.1))
    v = sequence()
    before = values(model.params)
    # A model of the same seed makes the same chains.
    v_sample = theano.function([model.v], model.v_sample, no_default_updates=True)(v)
    model = larger(RnnRbm(**SMALL, lr=0.1))
    model.train_function(v)
    of_cost = slopes(lambda params: cost_in_numpy(params, v, v_sample), before)
    for param, old, slope in zip(model.params, before, of_cost):
        np.testing.assert_allclose(param.get_value(), old - 0.1 * slope, atol=1e-5)


def test_a_chain_comes_to_the_distribution_of_the_machine():
    rng = np.random.RandomState(5)
    W, bv, bh = (rng.randn(*shape).astype(theano.config.floatX) for shape in ((4, 3), (4,), (3,)))
    v = T.matrix()
    sample, _, _, updates = build_rbm(v, W, bv, bh, 100, MRG_RandomStreams(6))
    n = 40000
    sampled = theano.function([v], sample, updates=updates)(np.zeros((n, 4), dtype=theano.config.floatX))
    visible, hidden = states(4), states(3)
    weights = np.exp((visible @ bv)[:, None] + hidden @ bh + visible @ W @ hidden.T).sum(axis=1)
    expected = n * weights / weights.sum()
    counts = np.bincount((sampled @ [8, 4, 2, 1]).astype(int), minlength=16)
    assert np.sum((counts - expected) ** 2 / expected) < 50  # 15 degrees of freedom


def test_the_monitored_value_is_the_likelihood_by_the_means():
    model = larger(RnnRbm(**SMALL))
    v = sequence(1)  # one step: the biases are those of the parameters
    W, bv = values(model.params)[:2]
    found = model.train_function(v)
    # Whatever the chain, each mean is that of one of the hidden states.
    means = sigmoid(states(4) @ W.T + bv)
    likelihoods = np.sum(v * np.log(means) + (1 - v) * np.log(1 - means), axis=1)
    assert np.min(np.abs(likelihoods - found)) < 1e-4


def test_it_learns_a_melody_and_plays_it():
    melody = np.eye(6, dtype=theano.config.floatX)[np.arange(120) % 3]
    model = RnnRbm(n_hidden=20, n_hidden_recurrent=20, lr=0.05, r=R)
    result = model.train([melody], num_epochs=400)
    assert result.history["log-likelihood"][-1] > -0.5
    played = model.generate_function()
    follows = np.mean([played[t + 1].argmax() == (played[t].argmax() + 1) % 3 for t in range(20, 199)])
    assert follows > 0.9


def test_a_generated_piece_is_written_and_drawn(tmp_path):
    model = RnnRbm(**SMALL)
    roll = model.generate(tmp_path / "piece.mid")
    (read,) = read_piano_rolls(tmp_path / "piece.mid", R)
    np.testing.assert_array_equal(read, roll[: len(read)])
    assert not roll[len(read) :].any()
    assert model.generate(tmp_path / "piece.mid", show=True)._repr_png_().startswith(b"\x89PNG")


def test_bad_arguments_are_refused():
    for arguments, message in (
        ({"n_hidden": 0}, "n_hidden is 0: expected"),
        ({"lr": -1}, "lr is -1: expected a positive"),
        ({"batch_size": 0}, "batch_size is 0: expected"),
    ):
        with pytest.raises(ValueError, match=message):
            train_rnnrbm(dataset=[sequence()], **{"r": R, **arguments})
