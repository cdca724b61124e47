"""``python -m theano_tutorials.legacy script.py [arguments]``: run an old script as it is."""

import sys

from theano_tutorials.legacy.running import run

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m theano_tutorials.legacy script.py [arguments]")
    sys.exit(run(sys.argv[1], sys.argv[2:]))
