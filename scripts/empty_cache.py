"""Empty Theano's compile cache: remove all that it has compiled.

The next start compiles again what it needs. The folder is the one that
THEANO_FLAGS or .theanorc name, or ~/.theano. Do not run it while something trains.
"""

import os
import tempfile

_FLAGS = os.environ.get("THEANO_FLAGS")
# Nothing in the cache is loaded: it may be what does not work.
_unused = tempfile.TemporaryDirectory()
os.environ["THEANO_FLAGS"] = ",".join(filter(None, [_FLAGS, f"cxx=,device=cpu,compiledir={_unused.name}"]))

from command import Parser, exit_codes  # noqa: E402  isort: skip  (first: says what is missing)

from theano_tutorials.backend import flags_of_the_user  # noqa: E402
from theano_tutorials.backend.compiling import cache  # noqa: E402


def main():
    summary, details = __doc__.split("\n\n", 1)
    Parser(description=summary, epilog=details).parse_args()
    if _FLAGS is None:
        del os.environ["THEANO_FLAGS"]
    else:
        os.environ["THEANO_FLAGS"] = _FLAGS
    for folder, n_modules in cache.empty(flags_of_the_user()):
        print(f"{folder}: {n_modules} modules removed")


if __name__ == "__main__":
    with exit_codes():
        main()
