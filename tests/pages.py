"""Run the Python of a page: its blocks in order, in one process, as a reader types them.

A block of ``text`` right after a block of ``python`` is what the latter prints; an
ellipsis stands for anything. An exception ends the output with its own line, as
in a console. A block without such output may print what it likes, but may not fail.

    python tests/pages.py docs/tutorial/theano.md           # says where page and output differ
    python tests/pages.py docs/tutorial/theano.md --write   # writes the output into the page
"""

import doctest
import io
import re
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

FENCED = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = re.compile(r"^```python\n(?P<code>.*?)^```$(?:\n*^```text\n(?P<output>.*?)^```$)?", re.MULTILINE | re.DOTALL)


def same(expected, printed):
    """Whether a page shows what was printed; an ellipsis stands for anything."""
    expected, printed = ("\n".join(line.rstrip() for line in text.splitlines()) + "\n" for text in (expected, printed))
    return doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS)


def printed_by(code, names):
    """What a block prints, with the line of its exception, and whether there was one."""
    caught = io.StringIO()
    failed = False
    with redirect_stdout(caught), redirect_stderr(caught):
        try:
            exec(compile(code, "<stdin>", "exec"), names)
        except Exception as error:
            failed = True
            caught.write("".join(traceback.format_exception_only(type(error), error)))
    return caught.getvalue(), failed


def run(page, write=False):
    """Run a page, and return what differs; ``write`` corrects the page."""
    text = page.read_text()
    names = {"__name__": "__main__"}
    differences = []

    def check(block):
        place = f"{page}, line {text[: block.start()].count(chr(10)) + 1}"
        printed, failed = printed_by(block["code"], names)
        if failed if block["output"] is None else not same(block["output"], printed):
            differences.append(f"{place}: expected\n{block['output']}printed\n{printed}")
            if write and block["output"] is not None:
                shown = "\n".join(line.rstrip() for line in printed.splitlines())
                return f"```python\n{block['code']}```\n\n```text\n{shown}\n```"
        return block[0]

    corrected = RUN.sub(check, text)
    if write:
        page.write_text(corrected)
    return differences


if __name__ == "__main__":
    found = run(Path(sys.argv[1]), write="--write" in sys.argv[2:])
    sys.exit("\n".join(found) or None)
