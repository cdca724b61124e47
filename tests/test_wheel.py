"""The wheel carries the data, and works where nothing else of the checkout is."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import theano

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
def source(tmp_path_factory):
    source = tmp_path_factory.mktemp("source") / "checkout"
    # A copy: building in the checkout would leave files there.
    for name in ("theano_tutorials", "theano_tutorials_command", "data"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    return source


def build_wheel(source, folder):
    pip("wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    return build_wheel(source, tmp_path_factory.mktemp("wheel"))


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


def requirements_of(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return re.findall(r"^Requires-Dist: (.*)$", archive.read(metadata).decode(), re.MULTILINE)


def test_wheel_carries_theano_where_its_own_setup_cannot_run(wheel):
    names = [name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("theano/")]
    if sys.version_info < (3, 12):
        assert wheel.name.endswith("-py39-none-any.whl")
        assert names == []
    else:
        assert wheel.name.endswith("-py312-none-any.whl")
        installed = Path(theano.__file__).parent
        carried = {str(path.relative_to(installed.parent)) for path in installed.rglob("*") if path.is_file()}
        assert {name for name in carried if not name.endswith(".pyc")} == {*names}
        assert {"theano/LICENSE.txt", "theano/gof/c_code/lazylinker_c.c"} <= {*names}
    assert [line for line in requirements_of(wheel) if line.startswith("theano")] == [
        "theano==1.0.5; python_version < '3.12'"
    ]


def test_a_source_package_gives_the_same_wheel(wheel, source, tmp_path):
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", tmp_path / "sdist"],
        cwd=source,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    (package,) = (tmp_path / "sdist").iterdir()
    again = build_wheel(package, tmp_path / "wheel")
    contents = [
        {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}
        for archive in map(zipfile.ZipFile, (wheel, again))
    ]
    assert contents[0] == contents[1]


def test_theano_that_cannot_be_had_is_said_in_the_error(source, tmp_path):
    code = (
        "import sys, pathlib, hatch_build\n"
        "hatch_build.REQUIREMENT = hatch_build.REQUIREMENT.replace('6e94', '0000')\n"
        "hatch_build.theano_files(pathlib.Path(sys.argv[1]))"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=source, capture_output=True, text=True)
    assert run.returncode == 1
    assert "Theano 1.0.5 cannot be built from its source package on PyPI" in run.stderr
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in run.stderr


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
