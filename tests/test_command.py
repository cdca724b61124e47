"""The installed command: from a wheel, without a checkout, and in a shell."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import theano_tutorials

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PROGRAM = Path(sys.executable).with_name("theano-tutorials")


@pytest.fixture
def run(tmp_path):
    """Runs the command in an empty folder, and returns the finished process."""

    def run(*arguments, program=(PROGRAM,), **variables):
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [*map(str, program), *map(str, arguments)]
        return subprocess.run(
            command, cwd=tmp_path, env={**environment, **variables}, capture_output=True, text=True, timeout=300
        )

    return run


def assert_one_error(finished, *parts):
    assert finished.returncode == 1
    assert re.fullmatch("error: .*\n", finished.stderr)
    assert all(part in finished.stderr for part in parts)


@pytest.mark.parametrize("program", [[PROGRAM], [sys.executable, "-m", "theano_tutorials"]])
def test_the_version(run, program):
    finished = run("--version", program=program)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout == f"theano-tutorials {theano_tutorials.__version__}\n"


def test_a_model_is_trained_and_reads_a_digit(run, tmp_path):
    trained = run("train", "logreg", "--n-epochs", "1")
    assert (trained.returncode, trained.stderr) == (0, "")
    assert "validation error 12.458333 %" in trained.stdout
    (folder,) = (tmp_path / "runs" / "logreg").iterdir()
    results = f"Results in runs/logreg/{folder.name}: best_model.safetensors, metrics.csv, "
    assert trained.stdout.splitlines()[-1].startswith(results)
    read = run("predict", "runs/logreg", "--json", ROOT / "docs" / "images" / "seven.png", "--device", "cpu")
    assert (read.returncode, read.stderr) == (0, "")
    assert '"digit": 7' in read.stdout
    exported = run("export-onnx", "runs/logreg", "logreg.onnx")
    assert (exported.returncode, exported.stdout, exported.stderr) == (0, "", "")
    assert (tmp_path / "logreg.onnx").stat().st_size > 784 * 10 * 4


def test_what_is_missing_is_one_line(run):
    assert_one_error(run("train", "mlp", PATH="/nonexistent"), "no C++ compiler on the PATH")
    alone = run("train", "mlp", program=[sys.executable, "-m", "theano_tutorials"], PATH="/nonexistent")
    assert_one_error(alone, "no C++ compiler on the PATH")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["nonsense"], ["'nonsense'", "train", "predict", "(see theano-tutorials --help)"]),
        (["train"], ["MODEL", "(see theano-tutorials train --help)"]),
        (["train", "nonsense"], ["'nonsense'", "lenet", "(see theano-tutorials train --help)"]),
        (["train", "mlp", "--nonsense"], ["--nonsense", "(see theano-tutorials train mlp --help)"]),
        (["predict"], ["RUN", "(see theano-tutorials predict --help)"]),
        (["train", "mlp", "--device", "the one"], ["'the one'", "expected cpu, cuda"]),
    ],
)
def test_a_wrong_command_is_one_line(run, arguments, parts):
    assert_one_error(run(*arguments), *parts)


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_the_help_lists_every_command(run, arguments):
    finished = run(*arguments)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert re.findall(r"^    ([\w-]+) ", finished.stdout, re.MULTILINE) == [
        "train",
        "sample",
        "predict",
        "search",
        "demo",
        "export-onnx",
        "legacy",
        "empty-cache",
    ]


def test_the_options_of_a_training_are_in_groups(run):
    shown = run("train", "mlp", "--help", COLUMNS="200").stdout
    groups = dict(re.findall(r"^(model|training|run):\n(.*?)(?:\n\n|\Z)", shown, re.MULTILINE | re.DOTALL))
    names = {title: set(re.findall(r"^  --([\w-]+)", text, re.MULTILINE)) for title, text in groups.items()}
    assert names["model"] == {"n-hidden"}
    assert {"learning-rate", "l2-reg", "n-epochs", "batch-size", "patience", "seed"} <= names["training"]
    assert names["run"] == {"dataset", "output-dir", "resume", "overwrite", "tensorboard", "device"}


COMPLETE = """
eval "$(theano-tutorials --print-completion bash)"
complete -p theano-tutorials >/dev/null || exit 1
COMP_WORDS=({words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
$(complete -p theano-tutorials | sed 's/.* -F \\([^ ]*\\) .*/\\1/') theano-tutorials
echo "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("theano-tutorials p", "predict"),
        ("theano-tutorials train l", "logreg logistic_cg lenet lstm"),
        ("theano-tutorials train mlp --n-h", "--n-hidden"),
    ],
)
def test_bash_completes_the_command(run, words, expected):
    path = f"{PROGRAM.parent}:{os.environ['PATH']}"
    finished = run(COMPLETE.format(words=words), program=["bash", "--norc", "-c"], PATH=path)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert sorted(finished.stdout.split()) == sorted(expected.split())
