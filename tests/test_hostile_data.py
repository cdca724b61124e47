"""Files that would run something: what they hold does not run."""

import copyreg
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from small_dataset import as_image, assert_equal_pairs, assert_refused, npz_arrays, small_pairs

from theano_tutorials import read_data


class TouchesByCall:
    """Its unpickling calls a function that makes a file."""

    def __init__(self, function, argument):
        self.call = function, (argument,)

    def __reduce__(self):
        return self.call


class TouchesByState:
    """Its unpickling sets a state, and that makes a file."""

    def __init__(self, path):
        self.path = path

    def __getstate__(self):
        return self.path

    def __setstate__(self, path):
        Path(path).touch()


class TouchingArray(np.ndarray):
    """An array whose unpickling makes the file that its text names."""

    def __setstate__(self, state):
        super().__setstate__(state)
        Path(str(self[0])).touch()


def by_system(path):
    return TouchesByCall(os.system, f"touch '{path}'")


def by_eval(path):
    return TouchesByCall(eval, f"open({path!r}, 'w').close()")


def in_array(path):
    array = np.empty((2, 2), dtype=object)
    array[:] = by_system(path)
    return array


HOSTILE_OBJECTS = {
    "os.system": by_system,
    "eval": by_eval,
    "__setstate__": TouchesByState,
    "object array": in_array,
    "array of a subclass": lambda path: np.array([path]).view(TouchingArray),
    "after a data set": lambda path: (*small_pairs(), by_system(path)),
    "in a data set": lambda path: as_image(by_system(path)),
    "object array in a data set": lambda path: as_image(in_array(path)),
}


def text_opcode(path):
    return b"S'touch " + path.encode() + b"'\n"


def unicode_opcode(text):
    return b"\x8c" + bytes([len(text)]) + text.encode()


HOSTILE_BYTES = {
    "GLOBAL, REDUCE": lambda path: b"cos\nsystem\n(" + text_opcode(path) + b"tR.",
    "INST": lambda path: b"(" + text_opcode(path) + b"ios\nsystem\n.",
    "OBJ": lambda path: b"(cos\nsystem\n" + text_opcode(path) + b"o.",
    "STACK_GLOBAL": lambda path: (
        b"\x80\x04" + unicode_opcode("os") + unicode_opcode("system") + b"\x93(" + text_opcode(path) + b"tR."
    ),
    "a dotted name": lambda path: (
        b"\x80\x04" + unicode_opcode("shutil") + unicode_opcode("os.system") + b"\x93(" + text_opcode(path) + b"tR."
    ),
    "an extension code": lambda path: b"\x80\x02\x82\xf0(" + text_opcode(path) + b"tR.",
    "Python 2's name": lambda path: b"c__builtin__\neval\n(S\"open('" + path.encode() + b"', 'w')\"\ntR0N.",
}


@pytest.fixture
def extension_code():
    """Code 240 stands for os.system, as a program may have it for something of its own."""
    copyreg.add_extension("os", "system", 240)
    yield
    copyreg.remove_extension("os", "system", 240)


@pytest.fixture
def traces(tmp_path):
    """A path at which only hostile data make a file."""
    return tmp_path / "ran"


def assert_runs_nothing(path, content, traces):
    # First the proof that it would run.
    pickle.loads(content)
    assert traces.exists()
    traces.unlink()
    path.write_bytes(content)
    assert_refused(path, "not a pickle of MNIST")
    assert not traces.exists()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", HOSTILE_OBJECTS)
def test_hostile_object_in_a_pickle_runs_nothing(tmp_path, name, protocol, traces):
    content = pickle.dumps(HOSTILE_OBJECTS[name](str(traces)), protocol)
    assert_runs_nothing(tmp_path / "data.pkl", content, traces)


@pytest.mark.parametrize("name", HOSTILE_BYTES)
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # by the eval, in the proof
def test_hostile_bytes_in_a_pickle_run_nothing(tmp_path, name, traces, extension_code):
    assert_runs_nothing(tmp_path / "data.pkl", HOSTILE_BYTES[name](str(traces)), traces)


def test_hostile_object_in_an_npz_runs_nothing(tmp_path, traces):
    path = tmp_path / "data.npz"
    np.savez(path, **npz_arrays(x_train=in_array(str(traces))))
    with np.load(path, allow_pickle=True) as archive:
        assert archive["x_train"].shape == (2, 2)
    assert traces.exists()
    traces.unlink()
    assert_refused(path, "not a valid .npz file", "allow_pickle=False")
    assert not traces.exists()


# Stands for what the library puts in NumPy's place, and would replace its attributes.
POISONS = {
    "a class": b"cnumpy.core.numeric\n_frombuffer\n(N}S'array'\nI1\nstb.",
    "a class, with a tuple": b"cnumpy.core.numeric\n_frombuffer\n(NNtb.",
    "a function": b"c_codecs\nencode\n(N}S'__defaults__'\nNstb.",
    "an object": b"cnumpy.core.numeric\n_frombuffer\n(tR}S'array'\ncnumpy\nndarray\nsb.",
}


@pytest.mark.parametrize("poison", POISONS)
def test_pickle_with_a_state_for_something_else_is_refused_and_spoils_no_later_one(tmp_path, poison):
    path = tmp_path / "data.pkl"
    path.write_bytes(POISONS[poison])
    assert_refused(path, "not a pickle of MNIST")
    for protocol in range(6):
        path.write_bytes(pickle.dumps(small_pairs(), protocol))
        assert_equal_pairs(read_data(path), small_pairs())
