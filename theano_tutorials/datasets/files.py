"""Files that may be gzipped."""

import gzip


def open_plain_or_gzipped(path):
    """Open a file to read its bytes, unpacked if its name ends in ``.gz``."""
    return gzip.open(path) if path.name.endswith(".gz") else open(path, "rb")
