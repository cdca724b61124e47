"""The pages are true: Python of README.md runs, what they link to is there, and docs/design.md shows the tree."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import FENCED

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CHINESE_README = (ROOT / "README.zh-CN.md").read_text()
DESIGN = (ROOT / "docs" / "design.md").read_text()
LIBRARY = ROOT / "theano_tutorials"
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "data/**/*.md", "theano_tutorials/**/*.md")
    for page in ROOT.glob(pattern)
)


def blocks_of(readme):
    """Python of a README, block by block."""
    return [block for kind, block in FENCED.findall(readme) if kind == "python"]


def commands_of(readme):
    """Commands for the shell, in their order, but for those of make, the demo and a device, which others test."""
    lines = [line for kind, block in FENCED.findall(readme) if not kind for line in block.splitlines()]
    lines += re.findall(r"`(eval [^`]+)`", readme)
    return [line for line in lines if re.match(r"(?!.*(--device|demo))(python scripts/|theano-tutorials |eval )", line)]


@pytest.mark.slow
@pytest.mark.parametrize("block", blocks_of(README), ids=lambda block: block.splitlines()[0])
def test_python_in_readme(block, tmp_path):
    finished = subprocess.run(
        [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    promised = re.findall(r"^print\(.*\)  # (.*)$", block, re.MULTILINE)
    assert [line for line in finished.stdout.splitlines() if line in promised] == promised


@pytest.mark.one_python
@pytest.mark.slow
def test_commands_in_readme(tmp_path):
    for name in ("scripts", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in commands_of(README):
        finished = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert finished.returncode == 0, f"{command}: {finished.stderr}"


def test_the_chinese_readme_has_nothing_that_is_not_run():
    assert {*blocks_of(CHINESE_README)} <= {*blocks_of(README)}
    assert {*commands_of(CHINESE_README)} <= {*commands_of(README)}
    assert blocks_of(CHINESE_README)
    assert len(commands_of(CHINESE_README)) >= 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page):
    text = page.read_text()
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    named = re.findall(r"(?<!build/)\b(?:theano_tutorials|tests|scripts|docs|benchmarks)/[\w/]+\.\w+", text)
    commands = re.findall(r"(?<!/)\bscripts/\w+\.py", text)
    missing = {link for link in links if not (page.parent / link).exists()}
    missing |= {path for path in (*named, *commands) if not (ROOT / path).exists()}
    assert not missing
    wanted = re.findall(r"(?:`|^)make ([\w-]+)(?:[`\s]|$)", text, re.MULTILINE)
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {*wanted} <= {*targets}


# The rooms of docs/design.md


def table_under(heading):
    """Cells of the rows of the first table under a heading."""
    table = re.search(rf"# {heading}\n(?:[^|\n].*\n|\n)*((?:\|.*\n)+)", DESIGN)[1]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def code_in(text):
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)


def room_of(path):
    """The module or the package right under theano_tutorials/ that a file is in."""
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def test_the_table_of_rooms_is_the_tree():
    places = [name for place, *_ in table_under("The rooms") for name in code_in(place)]
    rooms = {name.removeprefix("theano_tutorials/") for name in places}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    paths = [Path(line) for line in tracked.stdout.splitlines()]
    folders = {f"{path.parts[0]}/" for path in paths if len(path.parts) > 1 and not path.parts[0].startswith(".")}
    in_library = [path.parts[1:] for path in paths if path.parts[0] == "theano_tutorials"]
    inside = {parts[0] if len(parts) == 1 else f"{parts[0]}/" for parts in in_library}
    assert rooms == (folders - {"theano_tutorials/"}) | inside


@pytest.mark.parametrize("room", ["datasets", "runs", "saved", "backend", "legacy"])
def test_every_module_of_a_room_is_named(room):
    assert {path.stem for path in (LIBRARY / room).rglob("[!_]*.py")} <= {*code_in(DESIGN)}


def imports_of(path):
    """Rooms from which a module imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "theano_tutorials":
            modules = {module.stem for module in LIBRARY.iterdir()}
            yield from (alias.name if alias.name in modules else "__init__" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("theano_tutorials."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "theano_tutorials":
                    yield [*alias.name.split("."), "__init__"][1]


def test_rooms_import_what_the_table_says():
    found = {}
    for path in LIBRARY.rglob("*.py"):
        if room_of(path) != "__init__":
            found.setdefault(room_of(path), set()).update(set(imports_of(path)) - {room_of(path)})
    rows = [(code_in(rooms), {*code_in(imported)}) for rooms, imported in table_under("Who imports whom")]
    tutorials = rows[0][0]
    assert sorted(found) == sorted(room for rooms, _ in rows for room in rooms)
    for rooms, imported in rows:
        assert imported == set().union(*(found[room] for room in rooms)) - {*tutorials}, rooms
    for number, tutorial in enumerate(tutorials):
        assert found[tutorial] & {*tutorials} <= {*tutorials[:number]}
    assert not any(found[room] & {*tutorials} for room in {*found} - {*tutorials, "legacy"})
