"""What an installation asks for: the constraints, and the steps of the Dockerfile."""

import re
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent


def for_this_python(lines):
    """Requirements that count here, by name."""
    found = [Requirement(line) for line in lines]
    return {each.name: each for each in found if each.marker is None or each.marker.evaluate({"extra": ""})}


CONSTRAINTS = for_this_python(re.findall(r"^[^#\n].*", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
REQUIRED = for_this_python(metadata.requires("theano_tutorials"))


def test_the_constraints_are_one_version_of_each_dependency():
    assert CONSTRAINTS.keys() - {"six"} == REQUIRED.keys() - {"six"}  # a dependency of Theano where it is one of ours
    for name, constraint in CONSTRAINTS.items():
        (specifier,) = constraint.specifier
        assert specifier.operator == "=="
        assert name not in REQUIRED or specifier.version in REQUIRED[name].specifier


@pytest.mark.parametrize("name", [name for name in REQUIRED if name != "theano"])
def test_what_is_installed_is_in_the_range(name):
    assert metadata.version(name) in REQUIRED[name].specifier


def test_the_image_has_a_python_that_will_do_and_the_commands_of_the_readme():
    steps = re.sub(r"\\\n", "", (ROOT / "Dockerfile").read_text())
    (version,) = re.findall(r"^FROM python:([\d.]+)-slim$", steps, re.MULTILINE)
    (supported,) = re.findall(r'^requires-python = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version in SpecifierSet(supported)
    assert re.search(r"^RUN make setup$", steps, re.MULTILINE)
    assert re.search(r'^CMD \["make", "train"\]$', steps, re.MULTILINE)
    assert re.search(r"apt-get install .*g\+\+ make", steps)


def test_this_python_is_in_the_range():
    assert ".".join(map(str, sys.version_info[:2])) in SpecifierSet(
        metadata.metadata("theano_tutorials")["Requires-Python"]
    )
