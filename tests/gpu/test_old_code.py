"""Old code that names a device, where pygpu is."""

import os
import subprocess
import sys

import theano


def test_an_old_name_is_cuda_or_the_processor(tmp_path):
    script = tmp_path / "old.py"
    script.write_text("import theano\nprint theano.config.device, 3 / 2\n")
    finished = subprocess.run(
        [sys.executable, "-m", "theano_tutorials.legacy", str(script)],
        env={**os.environ, "THEANO_FLAGS": "device=gpu"},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    if theano.config.device.startswith("cuda"):
        assert (finished.stdout, finished.stderr) == ("cuda 1\n", "")
    else:
        assert finished.stdout == "cpu 1\n"
        assert finished.stderr.startswith("device gpu: device cuda cannot be used: ")
        assert finished.stderr.endswith(", so the processor computes\n")
        assert finished.stderr.count("\n") == 1
