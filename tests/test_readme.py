"""The Python of README.md runs, and prints what its comments say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0])
def test_python_in_readme(block, tmp_path):
    finished = subprocess.run(
        [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    promised = re.findall(r"^print\(.*\)  # (.*)$", block, re.MULTILINE)
    assert [line for line in finished.stdout.splitlines() if line in promised] == promised
