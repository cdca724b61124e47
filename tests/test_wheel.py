"""The wheel carries the data, and works where nothing else of the checkout is."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
MNIST = {
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
}


def pip(*arguments):
    run = subprocess.run([sys.executable, "-m", "pip", *map(str, arguments)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    source = tmp_path_factory.mktemp("source") / "checkout"
    # A copy: building in the checkout would leave files there.
    for name in ("theano_tutorials", "data"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    (built,) = folder.iterdir()
    return built


def test_wheel_carries_the_package_and_mnist(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "theano_tutorials").rglob("*.py")}
    assert "theano_tutorials/backend/compiling/lock.py" in modules
    assert modules <= names
    assert {f"theano_tutorials/data/mnist/{name}" for name in MNIST} <= names
    assert not [name for name in names if name.startswith(("tests/", "scripts/", "docs/"))]


def test_mnist_in_the_wheel_is_that_of_the_checkout(wheel):
    with zipfile.ZipFile(wheel) as archive:
        for name in MNIST:
            assert archive.read(f"theano_tutorials/data/mnist/{name}") == (ROOT / "data" / "mnist" / name).read_bytes()


def test_wheel_carries_the_licences(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert any(name.endswith(".dist-info/licenses/data/mnist/README.md") for name in names)


def test_installed_wheel_loads_mnist_offline(wheel, tmp_path):
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip("install", "--no-index", "--no-deps", "--target", target, wheel)
    code = (
        "import theano_tutorials\n"
        "print(theano_tutorials.__file__)\n"
        "for x, y in theano_tutorials.load_data():\n"
        "    print(x.get_value(borrow=True).shape)\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=elsewhere,
        # An unreachable proxy: data from the network would fail here.
        env={**os.environ, "PYTHONPATH": str(target), "http_proxy": "http://127.0.0.1:9", "HOME": str(elsewhere)},
        capture_output=True,
        text=True,
    )
    assert run.stderr == ""
    file, *shapes = run.stdout.splitlines()
    assert Path(file) == target / "theano_tutorials" / "__init__.py"
    assert shapes == ["(50000, 784)", "(10000, 784)", "(10000, 784)"]
