"""Piano rolls: which notes sound at each time step, of Bach's chorales or of MIDI files."""

import io
import math
import os
import tempfile
from pathlib import Path

import numpy as np
import theano

from theano_tutorials.datasets.errors import DatasetError

CHORALES = "chorales"
_SECONDS_PER_QUARTER = 0.6  # 100 quarter notes a minute
_TICKS_PER_BEAT = 480
_SECONDS_PER_BEAT = 0.5  # what a MIDI file has where it says nothing else
_MAX_STEPS = 1_000_000  # of one piece; a damaged file may last for years
_VELOCITY = 64
_ROUNDING = 1e-6  # of times, in steps
_INSTALL = "pip install 'theano_tutorials[music]'"


def read_piano_rolls(dataset=CHORALES, r=(21, 109), dt=0.3):
    """Read pieces of music as piano rolls.

    Parameters
    ----------
    dataset : str, path, or list of arrays
        ``"chorales"``, the chorales by J. S. Bach that music21 carries, at 100 quarter
        notes a minute; the path of a folder with MIDI files, or of one; or piano rolls
        in memory.
    r : (int, int)
        Range of the notes: from the first MIDI note number up to the last one, which is
        left out. Other notes are left out, too.
    dt : float
        Time from one step to the next, in seconds.

    Returns
    -------
    list of numpy.ndarray, floatX, (n_steps, r[1] - r[0])
        1 where a note sounds, else 0. Pieces without a note are left out.

    Raises
    ------
    DatasetError
        If there are no pieces, or a file cannot be read.
    ImportError
        If music21, or for MIDI files mido, is not installed.
    ValueError
        If the range is empty or the time is not positive.
    """
    if not (len(r) == 2 and 0 <= r[0] < r[1] <= 128):
        raise ValueError(f"r is {tuple(r)!r}: expected two MIDI note numbers, the first below the second, at most 128")
    if not (math.isfinite(dt) and dt > 0):
        raise ValueError(f"dt is {dt!r}: expected a positive, finite number of seconds")
    if isinstance(dataset, (list, tuple)):
        rolls = [_checked(np.asarray(roll), r) for roll in dataset]
    elif dataset == CHORALES:
        rolls = _chorales(r, dt)
    else:
        rolls = [_roll(_notes_of(path), r, dt, path) for path in _midi_files(Path(dataset))]
    rolls = [roll for roll in rolls if roll.any()]
    if not rolls:
        raise DatasetError(f"{dataset} has no note from {r[0]} to {r[1] - 1}: expected some")
    return rolls


def write_midi(path, roll, r=(21, 109), dt=0.3):
    """Write a piano roll as a MIDI file. Notes that follow without a gap are one.

    Parameters
    ----------
    path : path
    roll : numpy.ndarray, (n_steps, r[1] - r[0])
        A note sounds where it is at least 0.5.
    r : (int, int)
        Range of the notes, as in :func:`read_piano_rolls`.
    dt : float
        Time from one step to the next, in seconds.

    Raises
    ------
    ImportError
        If mido is not installed.
    OSError
        If the file cannot be written.
    """
    mido = _mido()
    on = np.pad(np.asarray(roll) >= 0.5, ((1, 1), (0, 0))).astype(int)
    ticks = dt / _SECONDS_PER_BEAT * _TICKS_PER_BEAT
    track = mido.MidiTrack()
    before = 0
    for step, change in enumerate(np.diff(on, axis=0)):
        now = round(step * ticks)
        # Notes end before others begin.
        for note in [*np.flatnonzero(change < 0), *np.flatnonzero(change > 0)]:
            kind = "note_on" if change[note] > 0 else "note_off"
            track.append(mido.Message(kind, note=r[0] + int(note), velocity=_VELOCITY, time=now - before))
            before = now
    # The end, so that silence there is kept.
    track.append(mido.MetaMessage("end_of_track", time=max(0, round(len(roll) * ticks) - before)))
    content = io.BytesIO()
    mido.MidiFile(ticks_per_beat=_TICKS_PER_BEAT, tracks=[track]).save(file=content)
    _write_whole(path, content.getvalue())


def _mido():
    try:
        import mido  # here, since only MIDI files need it
    except ImportError as error:
        raise ImportError(f"mido is not installed, which reads and writes MIDI files: {_INSTALL}") from error
    return mido


def _checked(roll, r):
    if roll.ndim != 2 or roll.shape[1] != r[1] - r[0] or not np.isin(roll, (0, 1)).all():
        raise DatasetError(
            f"a piano roll of shape {roll.shape} and dtype {roll.dtype}: expected (n_steps, {r[1] - r[0]}) with zeros "
            "and ones"
        )
    return roll.astype(theano.config.floatX)


def _roll(notes, r, dt, name):
    # Notes are (start, end, number), in seconds.
    def first_step(time):
        return math.ceil(time / dt - _ROUNDING)

    n_steps = max((first_step(end) for _, end, _ in notes), default=0)
    if n_steps > _MAX_STEPS:
        raise DatasetError(f"{name} lasts for {n_steps} steps of {dt} s: expected at most {_MAX_STEPS}")
    roll = np.zeros((n_steps, r[1] - r[0]), dtype=theano.config.floatX)
    for start, end, number in notes:
        if r[0] <= number < r[1]:
            roll[first_step(start) : first_step(end), number - r[0]] = 1
    return roll


def _midi_files(path):
    if not path.exists():
        raise DatasetError(f"{path} does not exist: expected {CHORALES}, a MIDI file or a folder of MIDI files")
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in (".mid", ".midi"))
    if path.is_dir() and not files:
        raise DatasetError(f"{path} holds no MIDI file: expected files that end with .mid or .midi")
    return files if path.is_dir() else [path]


def _notes_of(path):
    mido = _mido()
    notes, begun, now = [], {}, 0.0
    try:
        for message in mido.MidiFile(path, clip=True):
            now += message.time
            if message.type in ("note_on", "note_off"):
                key = message.channel, message.note
                if key in begun:
                    notes.append((begun.pop(key), now, message.note))
                if message.type == "note_on" and message.velocity:
                    begun[key] = now
    except Exception as error:  # mido raises whatever its reader stumbles over
        raise DatasetError(f"{path}: not a MIDI file ({type(error).__name__}: {error})") from error
    return notes


def _chorales(r, dt):
    try:
        import music21  # here, since it takes a second
    except ImportError as error:
        raise ImportError(f"music21 is not installed, which carries the chorales: {_INSTALL}") from error
    import pooch  # here, as in known.py

    # Parsed once: it takes a minute.
    cache = Path(pooch.os_cache("theano_tutorials")) / f"chorales-music21-{music21.__version__}.npz"
    try:
        with np.load(cache) as file:
            pieces = [file[name] for name in file.files]
    except (OSError, ValueError):
        names = dict.fromkeys(music21.corpus.chorales.Iterator(returnType="filename"))
        pieces = [_quarters_of(music21.corpus.parse(name)) for name in names]
        _keep(cache, pieces)
    scale = np.array([_SECONDS_PER_QUARTER, _SECONDS_PER_QUARTER, 1])
    return [_roll([(s, e, int(n)) for s, e, n in piece * scale], r, dt, CHORALES) for piece in pieces]


def _quarters_of(score):
    # Start and end, in quarter notes, and number of each note.
    return np.array(
        [
            (float(note.offset), float(note.offset + note.quarterLength), pitch.midi)
            for note in score.flatten().notes
            for pitch in note.pitches
        ]
    )


def _keep(cache, pieces):
    content = io.BytesIO()
    np.savez_compressed(content, *pieces)
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(cache, content.getvalue())
    except OSError:
        pass  # then it is parsed the next time, too


def _write_whole(path, content):
    # Under another name first: what has the name is whole.
    with tempfile.NamedTemporaryFile(dir=Path(path).parent, prefix=".unfinished", delete=False) as file:
        try:
            file.write(content)
            file.close()
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
