"""Files that may be gzipped, whatever their names say."""

import gzip

from theano_tutorials.datasets.errors import DatasetError

_GZIP = b"\x1f\x8b"  # RFC 1952, section 2.3.1
_WEB_PAGE = (b"<!doctype html", b"<html")


def open_plain_or_gzipped(path):
    """Open a file to read its bytes, unpacked if its first two bytes are those of gzip.

    Raises
    ------
    DatasetError
        If it is a web page, as a download of an address that is gone.
    """
    with open(path, "rb") as file:
        start = file.read(100)
    if start.lstrip().lower().startswith(_WEB_PAGE):
        raise DatasetError(f"{path}: a web page, not data: download the file again, and look at it")
    return gzip.open(path) if start.startswith(_GZIP) else open(path, "rb")
