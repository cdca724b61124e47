"""``python -m theano_tutorials``: the command line.

By now Theano is imported; the command line has to say before on which device. So it
begins anew, as the module that does not import Theano first.
"""

import os
import sys

if __name__ == "__main__":
    os.execv(sys.executable, [sys.executable, "-m", "theano_tutorials_command", *sys.argv[1:]])
