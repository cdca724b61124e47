"""Runs Theano's own tests on this Python and NumPy, as ``make test-theano`` does.

Theano's tests are for nose, which ended before Python 3.10; a plugin of pytest gives
them what they import of it. Each module of tests runs in a process of its own.
"""

import argparse
import inspect
import json
import os
import subprocess
import sys
import types
import unittest
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import numpy.testing
import pytest

PARTS = ("compile", "gof", "scalar", "scan_module", "tensor", "tensor.nnet", "tensor.signal")
SECONDS_OF_A_TEST = 300
SECONDS_OF_A_MODULE = 3600
RESULTS = "THEANO_SUITE_RESULTS"

# The plugin


def _module(name, **content):
    module = types.ModuleType(name)
    vars(module).update(content)
    sys.modules[name] = module
    return module


def _nose():
    case = unittest.TestCase()
    asserts = {"assert_" + name: getattr(case, f"assert{camel}") for name, camel in _ASSERTS.items()}
    _module("nose.plugins.skip", SkipTest=unittest.SkipTest)
    _module("nose.plugins.attrib", attr=lambda *args, **kwargs: lambda function: function)
    _module("nose.plugins")
    _module("nose.tools", raises=_raises, assert_equals=case.assertEqual, **asserts)
    _module("nose", SkipTest=unittest.SkipTest, tools=sys.modules["nose.tools"], plugins=sys.modules["nose.plugins"])


_ASSERTS = {"raises": "Raises", "true": "True", "equal": "Equal"}


def _raises(*errors):
    def decorate(function):
        def wrapper(*args, **kwargs):
            with pytest.raises(errors):
                function(*args, **kwargs)

        wrapper.__name__ = function.__name__
        return wrapper

    return decorate


def _dec():
    # numpy.testing.dec, of which Theano uses two.
    def skipif(condition, reason=None):
        return unittest.skipIf(condition() if callable(condition) else condition, reason or "")

    return types.SimpleNamespace(skipif=skipif, knownfailureif=skipif, slow=lambda function: function)


def _dropped():
    # What Theano's tests use of NumPy, and NumPy has dropped.
    numpy.find_common_type = lambda types, others: numpy.result_type(*types, *others)  # noqa: NPY201
    numpy.testing.dec = _dec()
    vstack = numpy.vstack
    numpy.vstack = lambda arrays: vstack(list(arrays))


def pytest_configure(config):
    """Before Theano's tests are imported."""
    _nose()
    _dropped()

    import theano_tutorials  # noqa: F401


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector, name, obj):
    """A test of nose that yields tests is one test that runs them all."""
    if inspect.isclass(obj) and getattr(obj, "check_name", False):
        obj.check_name = False  # a class that Theano makes in one module for another, and looks for in the first
    if not (name.startswith("test") and inspect.isgeneratorfunction(obj)):
        return None
    instance = collector.obj() if inspect.isclass(collector.obj) else None

    def run():
        for test in obj(*([] if instance is None else [instance])):
            function, *arguments = test if isinstance(test, tuple) else (test,)
            function(*arguments)

    return pytest.Function.from_parent(collector, name=name, callobj=run)


@pytest.fixture(autouse=True)
def _set_up_a_class_that_is_no_test_case(request):
    if request.cls and not issubclass(request.cls, unittest.TestCase) and hasattr(request.instance, "setUp"):
        request.instance.setUp()


def pytest_runtest_logreport(report):
    """Note the outcome of each test in the file that the variable names."""
    if report.when == "call" or report.outcome != "passed":
        crash = getattr(report.longrepr, "reprcrash", None)
        message = crash.message.partition("\n")[0] if crash else str(report.longrepr or "")[-300:]
        with open(os.environ[RESULTS], "a") as file:
            print(json.dumps([report.nodeid.rpartition("/")[2], report.outcome, message]), file=file)


# The runner


def modules_of(parts):
    """Names of Theano's modules of tests in these parts of it."""
    import theano

    import theano_tutorials  # noqa: F401

    root = Path(theano.__file__).parent
    for part in parts:
        for path in sorted((root / part.replace(".", "/") / "tests").glob("test_*.py")):
            yield f"theano.{part}.tests.{path.stem}"


def run_module(name, folder):
    """Run a module of tests; return its outcomes: (test, outcome, message)."""
    results = folder / f"{name}.jsonl"
    results.unlink(missing_ok=True)
    flags = [os.environ.get("THEANO_FLAGS"), "floatX=float64,on_opt_error=warn,on_shape_error=warn"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, Path(__file__).parents[:2])),
        "THEANO_FLAGS": ",".join(filter(None, flags)),
        RESULTS: str(results),
        "OMP_NUM_THREADS": "1",
    }
    options = ["--assert=plain", "--quiet", "--no-header", "--timeout", str(SECONDS_OF_A_TEST), "-p", "theano_suite"]
    with open(folder / f"{name}.log", "w") as log:
        try:
            subprocess.run(
                [sys.executable, "-W", "ignore", "-m", "pytest", *options, "-c", os.devnull, "--pyargs", name],
                env=environment,
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=SECONDS_OF_A_MODULE,
            )
        except subprocess.TimeoutExpired:
            log.write("TIMEOUT\n")
    outcomes = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    return outcomes or [[name, "no test ran", (folder / f"{name}.log").read_text()[-300:]]]


def main():
    """Run the tests, print what failed, and how many tests had which outcome."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="for what is printed and for the outcomes")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("parts", nargs="*", default=PARTS, help=f"of Theano: {', '.join(PARTS)}, or whole modules")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    names = [name for part in arguments.parts for name in ([part] if ".tests." in part else modules_of([part]))]
    with ThreadPoolExecutor(arguments.processes) as pool:
        outcomes = list(pool.map(lambda name: run_module(name, arguments.folder), names))
    counts = Counter()
    for name, of_module in zip(names, outcomes):
        counts.update(outcome for _, outcome, _ in of_module)
        for test, outcome, message in of_module:
            if outcome not in ("passed", "skipped"):
                print(f"{name}: {test}: {outcome}: {message}")
    print(", ".join(f"{n} {outcome}" for outcome, n in sorted(counts.items())))


if __name__ == "__main__":
    main()
