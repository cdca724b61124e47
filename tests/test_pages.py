"""The pages of docs/tutorial are true: their Python runs, what they include is there, and docs/zh says the same."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import FENCED

ROOT = Path(__file__).parents[1]
ENGLISH = sorted((ROOT / "docs" / "tutorial").glob("*.md"))
CHINESE = [ROOT / "docs" / "zh" / page.relative_to(ROOT / "docs") for page in ENGLISH]

each_page = pytest.mark.parametrize("page", ENGLISH, ids=lambda page: page.stem)


@pytest.mark.one_python
@pytest.mark.slow
@each_page
def test_its_python_runs_and_prints_what_the_page_shows(page, tmp_path):
    finished = subprocess.run(
        [sys.executable, ROOT / "tests" / "pages.py", page],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


def included(page, directive, options):
    """The lines of a source file that a page includes, as Sphinx takes them."""
    lines = (page.parent / directive.split()[1]).read_text().splitlines()
    options = dict(re.findall(r":([\w-]+): (.*)", options))
    first = next(number for number, line in enumerate(lines) if options["start-at"] in line)
    last = next(number for number, line in enumerate(lines) if number >= first and options["end-at"] in line)
    return lines[first : last + 1], int(options["dedent"])


@pytest.mark.parametrize("page", ENGLISH + CHINESE, ids=lambda page: "/".join(page.parts[-3:]))
def test_what_it_includes_is_whole(page):
    for directive, options in FENCED.findall(page.read_text()):
        if directive.startswith("{literalinclude}"):
            lines, dedent = included(page, directive, options)
            assert lines[0][:dedent].isspace()
            assert not lines[0][dedent].isspace()
            assert all(not line[:dedent].strip() for line in lines)


def shape_of(page):
    """What both languages have in common: headings, code, formulas, figures, tables, exercises and references."""
    text = page.read_text()
    code = [(kind.replace("../", ""), body) for kind, body in FENCED.findall(text)]
    prose = FENCED.sub("", text)
    return {
        "headings": [len(level) for level in re.findall(r"^(#+) ", prose, re.MULTILINE)],
        "code": code,
        "formulas": re.findall(r"^\$\$\n(.*?)^\$\$$", prose, re.MULTILINE | re.DOTALL),
        "figures": [figure.replace("../", "") for figure in re.findall(r"!\[[^]]+\]\((.*?)\)", prose)],
        "rows": re.findall(r"^\|", prose, re.MULTILINE),
        "items": re.findall(r"^ *(\d+\.|-) ", prose, re.MULTILINE),
        "solutions": prose.count("<details>"),
        "addresses": re.findall(r"https?://[^)>\s]+", prose),
    }


@pytest.mark.parametrize(("page", "chinese"), list(zip(ENGLISH, CHINESE)), ids=[page.stem for page in ENGLISH])
def test_both_languages_have_the_same_headings_code_and_figures(page, chinese):
    assert shape_of(chinese) == shape_of(page)


def test_no_page_is_in_one_language_only():
    assert sorted((ROOT / "docs" / "zh" / "tutorial").glob("*.md")) == sorted(CHINESE)


@pytest.mark.parametrize(("expected", "printed"), [("a\n", "b\n"), ("...\nb\n", "a\n"), ("", "a\n")])
def test_a_difference_is_found(expected, printed, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"```python\nprint({printed.strip()!r})\n```\n\n```text\n{expected}```\n")
    finished = subprocess.run(
        [sys.executable, ROOT / "tests" / "pages.py", page], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 1
    assert "expected" in finished.stderr


def test_an_exception_that_is_not_shown_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\n1 / 0\n```\n")
    finished = subprocess.run(
        [sys.executable, ROOT / "tests" / "pages.py", page], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 1
    assert "ZeroDivisionError" in finished.stderr
