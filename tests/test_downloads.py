"""Downloads of known data sets, from a server of this machine."""

import functools
import gc
import hashlib
import http.server
import re
import socket
import threading
import time
from pathlib import Path

import pytest
from small_dataset import (
    MNIST_FILES,
    N_TRAIN,
    TEST_LABELS,
    TRAIN_IMAGES,
    assert_is_small_dataset,
    assert_refused,
    idx,
    images,
    packed,
    small_arrays,
    write_idx_folder,
)

from theano_tutorials import read_data
from theano_tutorials.datasets import known


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, notes what is asked for, and breaks off in files that end in ``.cut``."""

    def do_GET(self):
        self.server.requested.append(self.path.rpartition("/")[2])
        cut = Path(self.translate_path(f"{self.path}.cut"))
        if not cut.exists():
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", str(cut.stat().st_size + 1))
        self.end_headers()
        self.wfile.write(cut.read_bytes())
        return None

    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path):
    """A folder that is served, and the server."""
    folder = write_idx_folder(tmp_path / "served", compress=True)
    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.requested = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield folder, server
        server.shutdown()
        thread.join()


@pytest.fixture
def make_known(tmp_path, monkeypatch):
    """Makes a data set named "small" known, at an address; returns the folder that it is downloaded to."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    md5 = {
        f"{name}.gz": hashlib.md5(packed(idx(array))).hexdigest() for name, array in zip(MNIST_FILES, small_arrays())
    }

    def make(port):
        source = known.Source(f"http://127.0.0.1:{port}/", md5)
        monkeypatch.setitem(known.KNOWN_DATASETS, "small", source)
        return tmp_path / "cache" / "theano_tutorials" / "small"

    return make


def files_under(folder):
    return sorted(path.name for path in folder.rglob("*") if not path.is_dir())


def test_known_data_set_is_downloaded_once(served, make_known):
    _, server = served
    cache = make_known(server.server_port)
    assert_is_small_dataset(read_data("small"))
    assert server.requested == [f"{name}.gz" for name in MNIST_FILES]
    assert files_under(cache) == sorted(server.requested)
    assert_is_small_dataset(read_data("small"))
    assert len(server.requested) == 4


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # pooch leaves it open at an HTTP error
def test_download_goes_on_where_it_was_interrupted(served, make_known):
    folder, server = served
    cache = make_known(server.server_port)
    hidden = (folder / f"{TEST_LABELS}.gz").rename(folder / "hidden")
    assert_refused("small", "HTTPError", f"{TEST_LABELS}.gz", str(cache))
    hidden.rename(folder / f"{TEST_LABELS}.gz")
    server.requested.clear()
    assert_is_small_dataset(read_data("small"))
    assert server.requested == [f"{TEST_LABELS}.gz"]
    gc.collect()  # while the warning is ignored


def test_download_with_another_checksum_is_refused_and_not_kept(served, make_known):
    folder, server = served
    cache = make_known(server.server_port)
    (folder / f"{TRAIN_IMAGES}.gz").write_bytes(packed(idx(255 - images(N_TRAIN, 0))))
    expected = known.KNOWN_DATASETS["small"].md5[f"{TRAIN_IMAGES}.gz"]
    assert_refused("small", f"{TRAIN_IMAGES}.gz", "hash", expected, str(cache))
    assert files_under(cache) == []


def test_damaged_file_in_the_cache_is_downloaded_anew(served, make_known):
    _, server = served
    cache = make_known(server.server_port)
    cache.mkdir(parents=True)
    (cache / f"{TRAIN_IMAGES}.gz").write_bytes(b"half a fi")
    assert_is_small_dataset(read_data("small"))


def test_download_that_breaks_off_is_refused_and_not_kept(served, make_known):
    folder, server = served
    cache = make_known(server.server_port)
    (folder / f"{TRAIN_IMAGES}.gz").rename(folder / f"{TRAIN_IMAGES}.gz.cut")
    assert_refused("small", f"{TRAIN_IMAGES}.gz", "cannot be downloaded", str(cache))
    assert files_under(cache) == []


def assert_says_where_to_put_the_files(cache):
    start = time.perf_counter()
    assert_refused(
        "small", "cannot be downloaded", f"Put {', '.join(f'{name}.gz' for name in MNIST_FILES)} into {cache}"
    )
    assert time.perf_counter() - start < 5
    assert files_under(cache) == []


def test_refused_connection_says_where_to_put_the_files(make_known):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # and does not listen
        assert_says_where_to_put_the_files(make_known(listener.getsockname()[1]))


def test_server_that_does_not_answer_says_where_to_put_the_files(make_known, monkeypatch):
    monkeypatch.setattr(known, "_DOWNLOAD_TIMEOUT", 0.2)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert_says_where_to_put_the_files(make_known(listener.getsockname()[1]))


def test_files_put_there_are_read(make_known):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        write_idx_folder(make_known(listener.getsockname()[1]))
        assert_is_small_dataset(read_data("small"))


def test_cache_that_cannot_be_written_says_where_to_put_the_files(served, make_known):
    _, server = served
    cache = make_known(server.server_port)
    cache.parent.parent.write_text("a file in the place of the folder")
    assert_refused("small", "cannot be downloaded", f"into {cache}")


def test_known_data_sets_come_as_four_gzipped_idx_files():
    assert list(known.KNOWN_DATASETS) == ["mnist", "fashion-mnist", "kmnist"]
    for source in known.KNOWN_DATASETS.values():
        assert list(source.md5) == [f"{name}.gz" for name in MNIST_FILES]
        assert all(re.fullmatch("[0-9a-f]{32}", md5) for md5 in source.md5.values())


def test_data_sets_of_debian_are_found_where_it_installs_them(make_known, monkeypatch, tmp_path):
    make_known(port=9)
    assert known._ON_DISK[-1] == Path("/usr/share/datasets")
    monkeypatch.setattr(known, "_ON_DISK", [tmp_path / "datasets"])
    write_idx_folder(tmp_path / "datasets" / "small", compress=True)
    assert_is_small_dataset(read_data("small"))


def test_the_package_of_debian_is_named(make_known, monkeypatch):
    make_known(port=9)
    source = known.KNOWN_DATASETS["small"]
    assert known.KNOWN_DATASETS["fashion-mnist"].debian == "dataset-fashion-mnist"
    monkeypatch.setitem(known.KNOWN_DATASETS, "small", source._replace(debian="dataset-small"))
    assert_refused("small", "or on Debian, as root, apt-get install dataset-small")
