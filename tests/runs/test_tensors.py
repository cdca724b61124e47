"""Files on disk: whole, or not there."""

import os
import resource
import signal
import stat
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from theano_tutorials.runs import tensors
from theano_tutorials.runs.tensors import read_tensors, remove_unfinished, write_atomically, write_tensors


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def largest_file(size):
    """Within it, no file can be written beyond a size: so a full disk fails, even for root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_file_is_replaced_and_nothing_else_is_left(tmp_path):
    for data in (b"old" * 1000, b"new", b""):
        write_atomically(tmp_path / "file", data)
        assert (tmp_path / "file").read_bytes() == data
        assert names_in(tmp_path) == ["file"]


def test_who_has_the_old_file_open_reads_it_to_its_end(tmp_path):
    write_atomically(tmp_path / "file", b"old")
    with open(tmp_path / "file", "rb") as old:
        write_atomically(tmp_path / "file", b"new")
        assert old.read() == b"old"
    assert (tmp_path / "file").read_bytes() == b"new"


def test_old_file_is_whole_where_the_new_one_cannot_be_written(tmp_path):
    write_atomically(tmp_path / "file", b"old")
    with largest_file(1000), pytest.raises(OSError, match="File too large"):
        write_atomically(tmp_path / "file", b"n" * 1001)
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names_in(tmp_path) == ["file"]


def test_old_arrays_are_whole_where_the_new_ones_cannot_be_written(tmp_path):
    write_tensors(tmp_path / "file", {"a": np.zeros(2)}, {"rows": 3})
    with largest_file(100), pytest.raises(OSError, match="File too large"):
        write_tensors(tmp_path / "file", {"a": np.ones(2)}, {"rows": 4})
    arrays, description = read_tensors(tmp_path / "file")
    assert (arrays["a"].tolist(), description) == ([0, 0], {"rows": 3})
    assert names_in(tmp_path) == ["file"]


def test_nothing_is_left_where_the_file_cannot_be_renamed(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "file", b"data")
    assert names_in(tmp_path) == ["file"]


def test_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "no" / "file", b"data")


# Loads the module by its path, since the package takes seconds to import.
KILLED_WHILE_WRITING = """
import importlib.util, resource, signal, sys
spec = importlib.util.spec_from_file_location("tensors", sys.argv[1])
tensors = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tensors)
tensors.write_atomically(sys.argv[2], b"old")
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
tensors.write_atomically(sys.argv[2], b"new" * 1000)
"""


def test_old_file_is_whole_where_the_process_is_killed_while_it_writes(tmp_path):
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, tensors.__file__, str(tmp_path / "file")]
    killed = subprocess.run(command, stderr=subprocess.PIPE, timeout=60)
    assert killed.returncode == -signal.SIGXFSZ, killed.stderr.decode()
    assert (tmp_path / "file").read_bytes() == b"old"
    assert len(names_in(tmp_path)) == 2  # so it did begin to write


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0, 0o666)])
def test_permissions_follow_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "file", b"data")
    finally:
        after = os.umask(before)
    assert after == umask
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    for name in (".file.abc", ".file-of-a-phase.abc", "file.abc", ".other.abc", ".file"):
        (tmp_path / name).write_bytes(b"")
    remove_unfinished(tmp_path, ["file*"])
    assert names_in(tmp_path) == [".file", ".other.abc", "file.abc"]


def test_arrays_and_metadata_are_read_as_they_were_written(tmp_path):
    arrays = {
        "b": np.arange(3, dtype="uint32"),
        "a": np.float64([[1.5, -0.0]]),
        "of nothing": np.zeros((0, 2), "float32"),
    }
    metadata = {"rows": 3, "names": ["a", None], "infinite": float("inf")}
    write_tensors(tmp_path / "file", arrays, metadata)
    found, description = read_tensors(tmp_path / "file")
    assert description == metadata
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_changed_metadata_is_refused(tmp_path):
    write_tensors(tmp_path / "file", {"a": np.zeros(2)}, {"rows": 3})
    content = (tmp_path / "file").read_bytes()
    assert content.count(b'rows\\": 3') == 1
    (tmp_path / "file").write_bytes(content.replace(b'rows\\": 3', b'rows\\": 4'))
    with pytest.raises(ValueError, match="damaged: its checksum is not that of its content"):
        read_tensors(tmp_path / "file")
