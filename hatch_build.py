"""Puts Theano 1.0.5 into our wheel, where its own setup.py cannot run.

Theano is on PyPI as a source package. From Python 3.12 on, its setup.py fails: it asks
configparser for two names that are gone. There pip builds Theano's wheel with these
names put back, and its files become files of our wheel.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FIRST_PYTHON_WITHOUT_SETUP = (3, 12)
REQUIREMENT = "theano==1.0.5 --hash=sha256:6e9439dd53ba995fcae27bf20626074bfc2fff446899dc5c53cb28c1f9202e89\n"

# Comes first on the path of setup.py: Python's configparser, with the names of Python 2.
CONFIGPARSER = """
import os
import sysconfig

path = os.path.join(sysconfig.get_paths()["stdlib"], "configparser.py")
with open(path, encoding="utf-8") as file:
    exec(compile(file.read(), path, "exec"))


class SafeConfigParser(ConfigParser):
    readfp = ConfigParser.read_file
"""


def theano_files(folder):
    """Build Theano's wheel and unpack it.

    Parameters
    ----------
    folder : Path
        An empty folder for what is built.

    Returns
    -------
    dict of str to str
        Where each part of Theano is, and its place in our wheel.

    Raises
    ------
    RuntimeError
        If pip cannot get Theano's source or build it; the message ends with that of pip.
    """
    (folder / "names").mkdir()
    (folder / "names" / "configparser.py").write_text(CONFIGPARSER, encoding="utf-8")
    (folder / "requirements.txt").write_text(REQUIREMENT, encoding="utf-8")
    path = [str(folder / "names"), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = (
        "-m pip --disable-pip-version-check wheel --no-deps --no-build-isolation --no-binary theano --require-hashes"
    )
    pip = subprocess.run(
        [sys.executable, *command.split(), "--wheel-dir", folder, "--requirement", folder / "requirements.txt"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if pip.returncode != 0:
        last = "\n".join(pip.stdout.splitlines()[-12:])
        raise RuntimeError(f"Theano 1.0.5 cannot be built from its source package on PyPI:\n{last}")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "wheel")
    (licence,) = (folder / "wheel").glob("*.dist-info/**/LICENSE.txt")
    return {str(folder / "wheel" / "theano"): "theano", str(licence): "theano/LICENSE.txt"}


class TheanoInTheWheel(BuildHookInterface):
    """The build hook; pyproject.toml names it."""

    def initialize(self, version, build_data):
        """Add Theano's files to a wheel of ours, also to an editable one."""
        if sys.version_info < FIRST_PYTHON_WITHOUT_SETUP:
            # No Theano inside, and a dependency on it.
            build_data["tag"] = "py39-none-any"
            return
        build_data["tag"] = "py{}{}-none-any".format(*FIRST_PYTHON_WITHOUT_SETUP)
        self.folder = tempfile.TemporaryDirectory()
        files = theano_files(Path(self.folder.name))
        build_data["force_include_editable" if version == "editable" else "force_include"].update(files)

    def finalize(self, version, build_data, artifact_path):
        """Remove what was built on the way."""
        if sys.version_info >= FIRST_PYTHON_WITHOUT_SETUP:
            self.folder.cleanup()
