"""The figures that the tutorials published, by the commands of README.md."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from models import TUTORIALS, as_options

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_script_prints_what_was_published(name, tmp_path):
    tutorial = TUTORIALS[name]
    script = [sys.executable, str(SCRIPTS / f"train_{name}.py"), "--output-dir", str(tmp_path)]
    finished = subprocess.run(
        [*script, *as_options(tutorial.published)], capture_output=True, text=True, timeout=1000, check=False
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    lines = finished.stdout.splitlines()
    assert lines[1 : 1 + len(tutorial.lines)] == tutorial.lines
    if tutorial.ending:
        assert lines[-3] == tutorial.ending
        assert re.fullmatch(rf"The code ran for {tutorial.n_epochs} epochs, with \d+\.\d\d epochs/sec", lines[-2])
