"""Pickles of every protocol: which are read, and which are refused."""

import pickle
import struct

import numpy as np
import pytest
from small_dataset import (
    GZIP_DAMAGE,
    PYTHON_2_PICKLE,
    SMALL,
    as_image,
    assert_equal_pairs,
    assert_refused,
    images,
    labels,
    packed,
    peak_memory,
    small_pairs,
)

from theano_tutorials import read_data


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("pixels", ["float32", "float64", ">f4"])
@pytest.mark.parametrize("classes", ["int64", "uint8", ">i4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_pickle_is_read(tmp_path, protocol, pixels, classes, order):
    pairs = small_pairs(pixels, classes, order)
    (tmp_path / "data.pkl").write_bytes(pickle.dumps(pairs, protocol))
    assert_equal_pairs(read_data(tmp_path / "data.pkl"), pairs)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ["mnist.pkl.gz", "data.pkl.gz", "data.pickle", "data.pickle.gz"])
def test_pickle_is_read_under_each_of_its_names(tmp_path, protocol, name):
    content = pickle.dumps(small_pairs(), protocol)
    (tmp_path / name).write_bytes(packed(content) if name.endswith(".gz") else content)
    assert_equal_pairs(read_data(tmp_path / name), small_pairs())


@pytest.mark.parametrize("protocol", range(6))
def test_pickle_may_hold_lists_and_bytes_and_a_view_and_an_array_twice(tmp_path, protocol):
    every_other, backwards = images(8, 0)[::2], images(8, 0)[1::2, ::-1]
    every_other.flags.writeable = False  # in protocol 5, other opcodes
    train = [every_other, labels(4, 0)]
    pairs = [train, [backwards, labels(4, 1)], train]
    (tmp_path / "data.pkl").write_bytes(pickle.dumps(pairs, protocol))
    assert_equal_pairs(read_data(tmp_path / "data.pkl"), [(x.reshape(4, 12) / 256, y) for x, y in pairs])


def renamed_core(content):
    """The pickle as NumPy 2 names its modules; frames, which only save time, are left out."""
    if content[:2] >= b"\x80\x04":
        assert content[2:3] == pickle.FRAME
        content = content[:2] + content[11:]
    for module in (b"multiarray", b"numeric"):
        old, new = b"numpy.core." + module, b"numpy._core." + module
        content = content.replace(bytes([len(old)]) + old, bytes([len(new)]) + new).replace(b"c" + old, b"c" + new)
    return content


@pytest.mark.parametrize("protocol", range(6))
def test_pickle_of_numpy_2_is_read(tmp_path, protocol):
    content = renamed_core(pickle.dumps(small_pairs(), protocol))
    assert b"numpy._core." in content
    assert b"numpy.core." not in content
    (tmp_path / "data.pkl").write_bytes(content)
    assert_equal_pairs(read_data(tmp_path / "data.pkl"), small_pairs())


def test_pickle_of_python_2_is_read(tmp_path):
    (tmp_path / "data.pkl.gz").write_bytes(packed(PYTHON_2_PICKLE))
    expected = [([[0, 0.5], [0.25, 0.75]], [7, 3]), ([[0.125, 0.996]], [9]), ([[1, 0]], [0])]
    assert_equal_pairs(read_data(tmp_path / "data.pkl.gz"), expected)


def python_2_array(array, text):
    """An array as Python 2 pickles it, with the opcode for its strings that ``text`` writes."""
    shape = b"".join(b"I%d\n" % size for size in array.shape)
    kind = b"cnumpy\ndtype\n(" + text(array.dtype.str[1:].encode()) + b"I0\nI1\ntR"
    kind += b"(I3\n" + text(array.dtype.str[:1].encode()) + b"NNNI-1\nI-1\nI0\ntb"
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\nt" + text(b"b") + b"tR"
        b"(I1\n(" + shape + b"t" + kind + b"I00\n" + text(array.tobytes()) + b"tb"
    )


@pytest.mark.parametrize("pixels", ["float32", "float64", "uint8"])
@pytest.mark.parametrize(
    "text",
    [
        lambda raw: b"S" + repr(raw)[1:].encode() + b"\n",
        lambda raw: b"U" + bytes([len(raw)]) + raw if len(raw) < 256 else b"T" + struct.pack("<i", len(raw)) + raw,
        lambda raw: b"T" + struct.pack("<i", len(raw)) + raw,
    ],
    ids=["STRING", "SHORT_BINSTRING", "BINSTRING"],
)
def test_strings_of_python_2_are_bytes_of_arrays(tmp_path, text, pixels):
    pairs = [(images(n, n).reshape(n, 12).astype(pixels), labels(n, n)) for n in (4, 3, 2)]
    split = [b"(" + b"".join(python_2_array(part, text) for part in pair) + b"t" for pair in pairs]
    content = b"(" + b"".join(split) + b"t."
    for loaded, pair in zip(pickle.loads(content, encoding="latin1"), pairs):
        np.testing.assert_array_equal(loaded[0], pair[0], strict=True)  # the bytes are what NumPy reads, too
    (tmp_path / "data.pkl").write_bytes(content)
    scale = 256 if pixels == "uint8" else 1
    assert_equal_pairs(read_data(tmp_path / "data.pkl"), [(x / np.float32(scale), y) for x, y in pairs])


@pytest.mark.parametrize("protocol", range(6))
def test_lists_of_numbers_and_whole_floats_are_read(tmp_path, protocol):
    pairs = small_pairs()
    lists = [([list(map(float, row)) for row in x.tolist()], [float(label) for label in y]) for x, y in pairs]
    rows = [(list(x.astype("float32")), y.astype("float64")) for x, y in pairs]
    for written in (lists, rows):
        (tmp_path / "data.pkl").write_bytes(pickle.dumps(written, protocol))
        assert_equal_pairs(read_data(tmp_path / "data.pkl"), pairs)


def test_a_row_that_is_there_many_times_takes_no_memory(tmp_path):
    row = [0.5] * 3000
    (tmp_path / "data.pkl").write_bytes(pickle.dumps([([row] * 3000, [0] * 3000)] * 3))
    assert peak_memory(assert_refused, tmp_path / "data.pkl", "3000 rows of 9000000 numbers together") < SMALL


@pytest.mark.parametrize("name", ["data.pkl", "data.pkl.gz"])
@pytest.mark.parametrize("compress", [False, True])
def test_gzip_is_told_by_its_first_bytes(tmp_path, name, compress):
    content = pickle.dumps(small_pairs())
    (tmp_path / name).write_bytes(packed(content) if compress else content)
    assert_equal_pairs(read_data(tmp_path / name), small_pairs())


def test_pickle_of_rows_has_their_length_for_the_shape_of_an_example(tmp_path):
    (tmp_path / "data.pkl").write_bytes(pickle.dumps(small_pairs()))
    data = read_data(tmp_path / "data.pkl")
    assert (data.example_shape, data.n_features) == ((12,), 12)


# What is refused


STRUCTURES = {
    "two pairs": small_pairs()[:2],
    "four pairs": (*small_pairs(), small_pairs()[0]),
    "a triple for a pair": (*small_pairs()[:2], (*small_pairs()[2], labels(2, 0))),
    "arrays for pairs": tuple(x for x, _ in small_pairs()),
    "one array": images(2, 0),
    "a number": 3,
    "nothing": None,
    "text": "abc",
    "lists of text": [([["0.5"]], [0])] * 3,
    "lists of lists of lists": [([[[0.5]]], [0])] * 3,
    "rows of different lengths": [([[0.5], [0.5, 0.5]], [0, 0])] * 3,
    "None for labels": [(images(2, 0), None)] * 3,
    "dtypes for arrays": [(np.dtype("f4"), np.dtype("i8"))] * 3,
    "a dictionary": {"train": small_pairs()[0]},
    "a set": {1, 2, 3},
    "a scalar of NumPy": as_image(np.float32(1)),
    "a masked array": as_image(np.ma.masked_array(images(4, 0))),
    "an array of a subclass": as_image(np.zeros((4, 2)).view(np.recarray)),
    "dates": as_image(np.zeros((4, 2), "M8[s]")),
    "text for images": as_image(np.array([["a", "b"]] * 4)),
    "complex images": as_image(np.zeros((4, 2), "c8")),
    "records": as_image(np.zeros(4, [("pixel", "f4")])),
    "objects": as_image(np.array([[None]] * 4)),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", STRUCTURES)
def test_pickle_of_something_else_is_refused(tmp_path, name, protocol):
    (tmp_path / "data.pkl").write_bytes(pickle.dumps(STRUCTURES[name], protocol))
    assert_refused(tmp_path / "data.pkl", "not a pickle of MNIST")


def array_opcodes(shape, code=b"f4", order=b"<", data=b"abcd"):
    """A pickle of three pairs, in which all of the arrays are this one."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n" + shape + b"cnumpy\ndtype\n"
        b"(S'" + code + b"'\nI0\nI1\ntR(I3\nS'" + order + b"'\nNNNI-1\nI-1\nI0\ntbI00\nS'" + data + b"'\ntb"
    )
    return b"(" + (b"(" + array * 2 + b"t") * 3 + b"t."


MALFORMED = {
    "empty file": b"",
    "no pickle": b"<!DOCTYPE html>",
    "no opcode": b"\x80\x02\xff.",
    "a protocol to come": b"\x80\x06N.",
    "nothing on the stack": b"t.",
    "persistent id": b"Pid\n.",
    "binary persistent id": b"S'id'\nQ.",
    "extension code of nobody": b"\x80\x02\x82\x01.",
    "memo of nobody": b"h\x07.",
    "buffer out of band": b"\x80\x05\x97.",
    "huge shape": array_opcodes(b"(I4294967296\nI4294967296\nt"),
    "negative shape": array_opcodes(b"(I-1\nI-1\nt"),
    "shape beyond C": array_opcodes(b"(I%d\nt" % 10**40),
    "text for a shape": array_opcodes(b"S'shape'\n"),
    "another shape": array_opcodes(b"(I1\nI2\nt"),
    "half an item": array_opcodes(b"(I1\nI1\nt", data=b"abc"),
    "objects": array_opcodes(b"(I1\nI1\nt", code=b"O8", data=b"abcdefgh"),
    "float of one byte": array_opcodes(b"(I1\nI4\nt", code=b"f1"),
    "no byte order": array_opcodes(b"(I1\nI1\nt", order=b"!"),
    "array without a state": b"cnumpy\nndarray\n(tR" + b"((00t.",
    "arrays without a state": b"(" + b"(cnumpy\nndarray\n(tRcnumpy\nndarray\n(tRt" * 3 + b"t.",
    "other encoding": b"c_codecs\nencode\n(S'a'\nS'idna'\ntR.",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_pickle_is_refused(tmp_path, name):
    (tmp_path / "data.pkl").write_bytes(MALFORMED[name])
    assert_refused(tmp_path / "data.pkl", "not a pickle of MNIST")


def test_array_opcodes_are_valid_where_nothing_is_malformed(tmp_path):
    # So that each malformed pickle above is refused for its fault alone.
    (tmp_path / "data.pkl").write_bytes(array_opcodes(b"(I1\nI1\nt"))
    assert_refused(tmp_path / "data.pkl", "train set: labels from 1.6777999408082104e+22")


# A pair of the last two, and so on: 2**20 None to print or to hash. Forty more bytes, and it takes years.
NESTED = b"N" + b"2\x86" * 20
BOMBS = {
    "dtype": (b"cnumpy\ndtype\n(" + NESTED + b"tR.", "expected text"),
    "byte order": (b"cnumpy\ndtype\n(S'f4'\ntR(I3\n" + NESTED + b"tb.", "expected text"),
    "encoding": (b"c_codecs\nencode\n(S'a'\n" + NESTED + b"tR.", "expected text"),
    "key": (b"}" + NESTED + b"Ns.", "KeyError"),  # no such opcode
    "keys": (b"(" + NESTED + b"Nd.", "KeyError"),
    "member": (b"\x80\x04\x8f(" + NESTED + b"\x90.", "KeyError"),
    "frozen member": (b"\x80\x04(" + NESTED + b"\x91.", "KeyError"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_nested_pickle_is_refused_before_it_is_printed_or_hashed(tmp_path, name):
    content, fragment = BOMBS[name]
    (tmp_path / "data.pkl").write_bytes(content)
    assert_refused(tmp_path / "data.pkl", "not a pickle of MNIST", fragment)


PROMISES = {
    "BINBYTES8": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 34),
    "BYTEARRAY8": b"\x80\x05\x96" + struct.pack("<Q", 1 << 34),
    "BINUNICODE8": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 34),
    "BINSTRING": b"T" + struct.pack("<i", 2**31 - 1),
    "LONG4": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1),
    "FRAME": b"\x80\x04\x95" + struct.pack("<Q", 1 << 34),
    "LONG_BINPUT": b"Nr" + struct.pack("<I", 2**32 - 1),
    "BYTEARRAY8 beyond memory": b"\x80\x05\x96" + struct.pack("<Q", 2**64 - 1),
}


@pytest.mark.parametrize("name", PROMISES)
@pytest.mark.parametrize("compress", [False, True])
def test_pickle_that_promises_gigabytes_takes_no_more_memory_than_the_file(tmp_path, name, compress):
    path = tmp_path / ("data.pkl.gz" if compress else "data.pkl")
    content = PROMISES[name] + b"data."
    path.write_bytes(packed(content) if compress else content)
    assert peak_memory(assert_refused, path, "not a pickle of MNIST") < SMALL


@pytest.mark.parametrize("protocol", range(6))
def test_pickle_cut_anywhere_is_refused(tmp_path, protocol):
    content = pickle.dumps(small_pairs(), protocol)
    path = tmp_path / "data.pkl"
    for size in range(0, len(content), 11):
        path.write_bytes(content[:size])
        assert_refused(path, "not a pickle of MNIST")


@pytest.mark.parametrize("damage", GZIP_DAMAGE)
def test_damaged_gzip_of_a_pickle_is_refused(tmp_path, damage):
    # Even where the pickle in it is whole: the values may not be.
    change, fragment = GZIP_DAMAGE[damage]
    (tmp_path / "data.pkl.gz").write_bytes(change(packed(pickle.dumps(small_pairs()))))
    assert_refused(tmp_path / "data.pkl.gz", fragment)
