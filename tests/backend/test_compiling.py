"""The compiler's runs: each module once, in parallel, and together with others where that changes nothing."""

import ctypes
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import theano
import theano.tensor as T
from hypothesis import given
from hypothesis import strategies as st
from theano.gof import cmodule

from theano_tutorials.backend.compiling import batches, header, process

pytestmark = [pytest.mark.one_python, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
A_WHILE = 600  # seconds; only a hang takes as long

# Many modules, of which no two are alike.
CLASSIFIER = """
import theano_tutorials, theano, theano.tensor as T, numpy as np
from theano.gof.cc import get_module_cache
x, y = T.matrix(), T.ivector()
classifier = theano_tutorials.LogisticRegression(x, 4, 3)
cost = classifier.negative_log_likelihood(y)
train = theano.function([x, y], cost, updates=theano_tutorials.sgd_updates(cost, classifier.params, 0.1))
print(train(np.ones((2, 4), "float32"), np.int32([0, 2])), *get_module_cache().stats[1:])
"""
# Writes the time of its start and of its end, and which modules it compiles, into a file beside it.
LOGGED_COMPILER = """#!{python}
import re, subprocess, sys, time
start = time.time()
sources = [open(argument).read() for argument in sys.argv if argument.endswith(".cpp")]
modules = [name for source in sources for name in re.findall(r"PyInit_(\\w+)", source)]
status = subprocess.call([{compiler!r}, *sys.argv[1:]])
with open({log!r}, "a") as log:
    print(start, time.time(), ",".join(modules), *sys.argv[1:], sep="\\t", file=log)
sys.exit(status)
"""


@pytest.fixture
def compiler(tmp_path):
    """A g++ that notes its runs."""
    path = tmp_path / "bin" / "g++"
    path.parent.mkdir()
    log = path.parent / "log"
    log.touch()
    path.write_text(LOGGED_COMPILER.format(python=sys.executable, compiler=shutil.which("g++"), log=str(log)))
    path.chmod(0o755)
    return path


class Run(NamedTuple):
    start: float
    end: float
    modules: list
    arguments: list


def runs_of(compiler):
    """Runs so far."""
    lines = [line.split("\t") for line in (compiler.parent / "log").read_text().splitlines()]
    return [
        Run(float(start), float(end), modules.split(",") if modules else [], arguments)
        for start, end, modules, *arguments in lines
    ]


def modules_among(runs):
    return [module for run in runs for module in run.modules]


def start(code, home, compiler=None, flags="", **more):
    path = f"{compiler.parent}{os.pathsep}{os.environ['PATH']}" if compiler else os.environ["PATH"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home), "PATH": path, "THEANO_FLAGS": flags}
    environment.pop("THEANORC", None)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**environment, **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def output_of(process):
    out, err = process.communicate(timeout=A_WHILE)
    said = [line for line in err.splitlines() if not line.startswith("waiting for another process")]
    assert (process.returncode, said) == (0, [])
    return out


def left_over(home):
    """Folders in the compile cache that are no modules."""
    return [path.name for path in home.glob(".theano/*/tmp*") if not (path / "key.pkl").exists()]


# Runs of the compiler


def test_a_first_start_compiles_each_module_once_and_several_at_a_time(tmp_path, compiler):
    _, loaded, n_compiled = output_of(start(CLASSIFIER, tmp_path, compiler)).split()
    runs = [run for run in runs_of(compiler) if run.modules]
    modules = modules_among(runs)
    # Beside those of the function: cutils_ext and lazylinker_ext.
    assert len(set(modules)) == len(modules) == int(n_compiled) + 2 > 8
    assert len(runs) < len(modules) / 2
    assert loaded == "0"
    assert left_over(tmp_path) == []
    overlaps = [max(a.start, b.start) < min(a.end, b.end) for a in runs for b in runs if a is not b]
    assert any(overlaps) == (len(os.sched_getaffinity(0)) > 1)


def test_a_second_start_runs_no_compiler_but_to_know_its_version(tmp_path, compiler):
    first = output_of(start(CLASSIFIER, tmp_path, compiler)).split()
    n_runs = len(runs_of(compiler))
    second = output_of(start(CLASSIFIER, tmp_path, compiler)).split()
    assert first[0] == second[0]
    assert (second[1], second[2]) == (first[2], "0")
    assert [run.arguments for run in runs_of(compiler)[n_runs:]] == [["-v"], ["-dumpversion"]]


def test_two_first_starts_share_the_work(tmp_path, compiler):
    first, second = (start(CLASSIFIER, tmp_path, compiler) for _ in range(2))
    costs, _, n_compiled = zip(*(output_of(process).split() for process in (first, second)))
    assert len(set(costs)) == 1
    modules = modules_among(runs_of(compiler))
    assert len(set(modules)) == len(modules) == sum(map(int, n_compiled)) + 2
    assert min(map(int, n_compiled)) == 0
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("seed", range(2))
def test_a_process_killed_while_it_compiles_ahead_leaves_nothing_that_is_used(tmp_path, seed):
    killed = start(CLASSIFIER, tmp_path)
    while not list(tmp_path.glob(".theano/*/tmp_ahead_*/*/mod.cpp")):
        assert killed.poll() is None
        time.sleep(0.01)
    time.sleep(random.Random(seed).uniform(0, 1.5))
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    _, _, n_compiled = output_of(start(CLASSIFIER, tmp_path)).split()
    _, n_loaded, n_compiled_then = output_of(start(CLASSIFIER, tmp_path)).split()
    assert int(n_loaded) > 8
    assert int(n_compiled) <= int(n_loaded)
    assert n_compiled_then == "0"


CONSTANTS = """
import theano_tutorials, theano, theano.tensor as T, numpy as np
numbers = T.constant(np.float32([[0.1, 0.2], [0.3, 0.4]]))
product = (T.constant(np.float32(0.1)).dimshuffle("x", "x") * numbers)[1:, 0] - numbers.T[0, :1]
theano.function([], [product, T.stack([T.constant(2), T.constant(3)])])
"""


def test_no_constant_is_computed_by_a_module(tmp_path, compiler):
    output_of(start(CONSTANTS, tmp_path, compiler))
    written = "".join(path.read_text() for path in tmp_path.glob(".theano/*/tmp*/mod.cpp"))
    ops = {line.split()[-1] for line in written.splitlines() if line.strip().startswith("// Op class ")}
    assert ops == {"DeepCopyOp"}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64", "uint16"])
@pytest.mark.parametrize("operation", [T.add, T.mul, T.sub])
def test_constants_have_the_bits_of_compiled_code(dtype, operation):
    bits = np.random.RandomState(0).bytes(2 * 8 * 50)
    a, b = np.frombuffer(bits, dtype).reshape(2, -1)
    if np.dtype(dtype).kind == "f":  # of any bits a float is a NaN now and then
        a, b = np.nan_to_num(a), np.nan_to_num(b)
    x, y = T.TensorType(dtype, [False])(), T.TensorType(dtype, [False])()
    compiled = theano.function([x, y], operation(x, y))
    with np.errstate(all="ignore"):
        folded = theano.function([], operation(T.constant(a), T.constant(b)))()
    np.testing.assert_array_equal(folded.view("uint8"), compiled(a, b).view("uint8"))


class Broken(theano.Op):
    """Whose C code does not compile."""

    __props__ = ()

    def make_node(self, x):
        return theano.Apply(self, [x], [x.type()])

    def c_code(self, node, name, inputs, outputs, sub):
        return "this is no C++;"

    def c_code_cache_version(self):
        return (1,)


OLD_PICKLE = """
import pathlib, pickle, theano_tutorials, numpy as np, theano.tensor.signal
path = pathlib.Path(theano.tensor.signal.__file__).parent / "tests" / "old_pool_interface.pkl"
pool = pickle.loads(path.read_bytes(), encoding="latin1")
x = np.random.RandomState(0).rand(2, 3, 4, 6).astype("float32")
largest, average, *gradients = pool(x)
blocks = x.reshape(2, 3, 2, 2, 3, 2)
print((largest == blocks.max((3, 5))).all(), np.allclose(average, blocks.mean((3, 5))), len(gradients))
"""


def test_a_function_of_an_old_pickle_is_compiled(tmp_path, compiler):
    assert output_of(start(OLD_PICKLE, tmp_path, compiler)) == "True True 2\n"


def test_an_error_of_the_compiler_is_that_of_theano(capfd):
    x = T.vector()
    with pytest.raises(Exception, match="Compilation failed") as caught:
        theano.function([x], Broken()(T.tanh(x) * 3.25))
    assert "The following error happened while compiling the node" in str(caught.value)
    ahead = Path(theano.config.compiledir).glob("tmp_ahead_*/*/mod.cpp")
    assert not any("this is no C++" in path.read_text() for path in ahead)
    capfd.readouterr()


def test_the_users_debugging_information_stays(tmp_path, compiler):
    output_of(start(CLASSIFIER, tmp_path, compiler, flags="gcc.cxxflags=-g3"))
    runs = [run for run in runs_of(compiler) if run.modules]
    assert len(runs) > 2
    assert all("-g3" in run.arguments and "-g" not in run.arguments for run in runs)


def test_the_flags_of_another_processor_are_not_taken(tmp_path, compiler):
    output_of(start("import theano_tutorials", tmp_path, compiler))
    (file,) = tmp_path.glob(".theano/*/march.json")
    machine, flags = json.loads(file.read_text())
    assert any(flag.startswith("-march=") for flag in flags)
    for other in ([[*machine[0], "flags: another"], machine[1]], [machine[0], [*machine[1][:-1], "-O1"]]):
        file.write_text(json.dumps([other, ["-march=another"]]))
        code = "import theano_tutorials; from theano.gof.cmodule import GCC_compiler; print(*GCC_compiler.march_flags)"
        assert output_of(start(code, tmp_path, compiler)).split() == flags
        assert json.loads(file.read_text()) == [machine, flags]


GRAPH_OF_A_CLASSIFIER = """
import theano_tutorials
import theano, theano.tensor as T
from theano.gof.cc import get_module_cache
x, y = T.matrix(), T.ivector()
classifier = theano_tutorials.LogisticRegression(x, 4, 3)
cost = classifier.negative_log_likelihood(y)
theano.function([x, y], cost, updates=theano_tutorials.sgd_updates(cost, classifier.params, 0.1))
n_compiled = get_module_cache().stats[2]
print(n_compiled)
"""


def test_a_start_compiles_nothing_that_an_earlier_one_compiled(tmp_path):
    first, second = (int(output_of(start(GRAPH_OF_A_CLASSIFIER, tmp_path))) for _ in range(2))
    assert first > 5
    assert second == 0


@pytest.mark.parametrize(("after", "is_there"), [("exit 0", True), ("exit 1", False), ("kill -KILL $$", False)])
def test_a_library_is_whole_or_not_there(after, is_there, tmp_path):
    target = tmp_path / "library.so"
    linker = f"printf content > $2; {after}"
    _, _, status = process.output_subprocess_Popen(["sh", "-c", linker, "sh", "-o", str(target)])
    assert (status == 0) == is_there
    assert target.exists() == is_there
    assert not is_there or target.read_text() == "content"


# The precompiled header


def command_of_theano(folder):
    """A command by which Theano compiles a module, with a flag that no other has, and so no header."""
    x = T.vector()
    linker = theano.gof.CLinker().accept(theano.gof.FunctionGraph([x], [T.tanh(x)]))
    args = [*linker.compile_args(), f"-frandom-seed={folder}"]
    with process.noted_commands() as commands:
        cmodule.GCC_compiler.compile_str("m", linker.get_src_code(), str(folder), preargs=args, py_module=False)
    return commands[0]


@pytest.fixture
def command(monkeypatch, tmp_path):
    """A command by which Theano compiles, for which there is no header."""
    monkeypatch.setattr(header, "_usable", {})
    command = command_of_theano(tmp_path)
    yield command
    shutil.rmtree(header.folder_of(command), ignore_errors=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A command by which Theano compiles, for which there is a header."""
    command = command_of_theano(tmp_path_factory.mktemp("module"))
    header.make(command)
    yield command
    shutil.rmtree(header.folder_of(command))


def source_of(command):
    return next(Path(argument) for argument in command if argument.endswith("mod.cpp")).read_text()


def is_used(command, *flags):
    """Whether GCC reads the header; it marks one so, in the list of those that it reads."""
    command = [command[0], "-H", *header.options(command, source_of(command)), *command[1:], *flags]
    command.remove("-g")
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert finished.stderr.count("Python.h") <= 1
    return any(line.startswith("! ") for line in finished.stderr.splitlines())


def test_a_header_is_used_once_it_is_made(command):
    assert not header.is_made(header.folder_of(command))
    assert header.options(command, source_of(command)) == []
    header.make(command)
    assert header.is_made(header.folder_of(command))
    assert is_used(command)


def test_a_library_is_the_same_with_the_header(command, tmp_path):
    def code_of_a_library():
        library, (_, _, status) = process.compile_library(command)
        assert status == 0
        sections = ["-j", ".text", "-j", ".rodata", "-O", "binary"]
        subprocess.run(["objcopy", *sections, library, str(tmp_path / "code")], check=True)
        return (tmp_path / "code").read_bytes()

    without = code_of_a_library()
    header.make(command)
    assert is_used(command)
    assert code_of_a_library() == without
    assert len(without) > 1000


@pytest.mark.parametrize(
    "flag", ["-O2", "-fopenmp", "-pthread", "-std=c++14", "-march=x86-64", "-funsigned-char", "-g"]
)
def test_other_flags_have_another_header(made, flag):
    other = [*made, flag]
    assert header.folder_of(other) != header.folder_of(made)
    assert not is_used(other)


@pytest.mark.parametrize("flag", ["-DNDEBUG", "-DPY_ARRAY_UNIQUE_SYMBOL=other"])
def test_a_macro_that_changes_the_headers_is_seen(made, flag):
    assert not is_used([*made, flag])


def test_a_macro_of_no_header_changes_nothing(made):
    assert is_used([*made, "-DOF_NOBODY=1", "-Wall"])


def test_a_folder_that_hides_a_header_is_respected(made, tmp_path):
    command = [*made[:3], f"-I{tmp_path}", *made[3:]]
    assert is_used(command)
    (tmp_path / "math.h").write_text("#include_next <math.h>\n")
    assert not is_used(command)


def test_a_source_that_begins_otherwise_is_compiled_as_it_is(made):
    for source in ("#include <iostream>\n", "#define NDEBUG\n" + header.HEADERS, ""):
        assert header.options(made, source) == []


def test_a_changed_header_is_read_again(command, monkeypatch, tmp_path):
    original = cmodule.std_include_dirs()
    copy = tmp_path / "c_code"
    shutil.copytree(original[-1], copy)
    monkeypatch.setattr(cmodule, "std_include_dirs", lambda: [*original[:-1], str(copy)])
    command = [f"-I{copy}" if argument == f"-I{original[-1]}" else argument for argument in command]
    header.make(command)
    assert is_used(command)

    changed = copy / "theano_mod_helper.h"
    changed.write_text(changed.read_text() + "\n#define CHANGED 1\n")
    header._usable.clear()  # as in the next process
    assert not header.is_made(header.folder_of(command))
    assert not is_used(command)
    time.sleep(0.01)
    header.make(command)
    assert is_used(command)
    assert not list(Path(theano.config.compiledir).glob("tmp_header_*"))


@pytest.mark.parametrize("damage", ["truncated", "empty", "gone", "other bytes"])
def test_a_damaged_header_does_no_harm(command, damage):
    header.make(command)
    path = header.folder_of(command) / "headers.h.gch"
    content = path.read_bytes()
    if damage == "gone":
        shutil.rmtree(path.parent)
        header._usable[path.parent] = {"files": {}}, []
    else:
        half = len(content) // 2
        path.write_bytes({"truncated": content[:half], "empty": b"", "other bytes": bytes(len(content))}[damage])
    library, (_, _, status) = process.compile_library(command)
    assert status == 0
    assert Path(library).stat().st_size > 1000


@pytest.mark.parametrize("seconds", [0, 0.6])
def test_a_process_killed_while_it_writes_the_header_leaves_none(tmp_path, seconds):
    maker = start("import theano_tutorials", tmp_path)
    while not list(tmp_path.glob(".theano/*/tmp_header_*/headers.h")):
        assert maker.poll() is None
        time.sleep(0.01)
    time.sleep(seconds)
    os.killpg(maker.pid, signal.SIGKILL)
    maker.communicate()
    for folder in tmp_path.glob(".theano/*/precompiled_header_*"):
        assert {"headers.h", "headers.h.gch", "stamps.json"} <= {path.name for path in folder.iterdir()}
    output_of(start(CLASSIFIER, tmp_path))


def test_an_abandoned_header_is_removed(command):
    abandoned, fresh = (Path(theano.config.compiledir, f"tmp_header_{name}") for name in ("old", "fresh"))
    for folder in (abandoned, fresh):
        folder.mkdir()
        (folder / "headers.h.gch").touch()
    os.utime(abandoned, (0, 0))
    header.make(command)
    assert not abandoned.exists()
    assert fresh.exists()
    shutil.rmtree(fresh)


def test_no_room_for_a_header_is_no_error(command, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(header.tempfile, "mkdtemp", full)
    header.make(command)
    assert not header.is_made(header.folder_of(command))


# Several modules in one run


SEPARATELY = """
import theano_tutorials
from theano_tutorials.backend.compiling import batches
batches.divide = lambda commands, n_at_once: [[command] for command in commands]
"""
NETWORKS = """
import theano_tutorials, hashlib, numpy as np, theano, theano.tensor as T
rng, x, y = np.random.RandomState(0), T.matrix(), T.ivector()
for net in (theano_tutorials.MLP(rng, x, 28 * 28, 30, 10), theano_tutorials.LeNet5(rng, x, 4)):
    cost = net.negative_log_likelihood(y) + 1e-3 * sum(T.sum(param**2) for param in net.params)
    update = theano.function([x, y], [cost, net.errors(y)], updates=theano_tutorials.sgd_updates(cost, net.params, 0.1))
    images, labels = rng.uniform(size=(4, 28 * 28)).astype("float32"), np.int32([1, 2, 3, 4])
    costs = [update(images, labels) for _ in range(3)]
    content = np.array(costs).tobytes() + b"".join(param.get_value().tobytes() for param in net.params)
    print(costs[-1], hashlib.sha256(content).hexdigest())
"""


def test_modules_compiled_together_compute_the_same_bits(tmp_path, compiler):
    outputs, n_runs = [], []
    for name, code in (("together", NETWORKS), ("separately", SEPARATELY + NETWORKS)):
        n_before = len(runs_of(compiler))
        outputs.append(output_of(start(code, tmp_path / name, compiler)))
        n_runs.append(len(runs_of(compiler)) - n_before)
    assert outputs[0] == outputs[1]
    assert n_runs[0] < n_runs[1] / 2


def test_a_library_of_several_modules_takes_its_place_once(tmp_path):
    output_of(start(CLASSIFIER, tmp_path))
    libraries = [path.stat() for path in tmp_path.glob(".theano/*/tmp*/m*.so")]
    assert len({status.st_ino for status in libraries}) < len(libraries) / 2


@pytest.fixture
def command_for(tmp_path):
    """Function that makes a command, as of Theano, for a source."""

    def make(text, *flags):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        (folder / "mod.cpp").write_text(text)
        return ["g++", "-shared", "-g", "-fPIC", *flags, "-o", str(folder / "library.so"), str(folder / "mod.cpp")]

    return make


def function(name, value, before="", after=""):
    return f'{before}\nextern "C" int {name}() {{ return {value}; }}\n{after}\n'


ALONE = {
    "a macro that is left": function("a", 1, "#define answer 1"),
    "a macro that is changed": function("a", "answer", "#define answer 1\n#undef answer\n  #  define answer 2"),
    "a macro of others that is undefined": function("a", 1, "#undef answer"),
    "a header further down": function("a", 1, after="#include <complex>"),
    "a pragma": function("a", 1, '#pragma GCC optimize "O0"'),
    "a header of its own": '#include "own.h"\n' + function("a", 1),
    "a header of another library": "#include <sys/stat.h>\n" + function("a", 1),
}
BESIDE = {
    "nothing": function("a", 1),
    "a header of the standard library": "#include <vector>\n" + function("a", "std::vector<int>(1).size()"),
    "a macro that is undefined again": function("a", "answer", "#define answer 1", "#undef answer"),
    "a macro that nobody else knows": function("a", "other_answer", "#define other_answer 1"),
    "the same names": function("a", "helper()", "static int helper() { return 1; }\nint answer;"),
}
OTHER = function("b", "answer + helper()", "static int helper() { return 40; }\nconst int answer = 2;")


@pytest.mark.parametrize("text", ALONE.values(), ids=ALONE)
def test_a_source_that_could_change_another_is_compiled_alone(command_for, tmp_path, text):
    (tmp_path / "own.h").touch()
    commands = [command_for(source, f"-I{tmp_path}") for source in (text, OTHER)]
    assert sorted(map(len, batches.divide(commands, 1))) == [1, 1]


@pytest.mark.parametrize("flag", ["-O2", "-DNDEBUG", "-I/usr/include", "-fopenmp", "-std=c++14"])
def test_other_flags_are_not_mixed(command_for, flag):
    commands = [command_for(function("a", 1)), command_for(OTHER, flag)]
    assert sorted(map(len, batches.divide(commands, 1))) == [1, 1]


@pytest.mark.parametrize("text", BESIDE.values(), ids=BESIDE)
def test_what_each_source_defines_is_its_own(command_for, text):
    commands = [command_for(text), command_for(OTHER, "-lm")]
    (batch,) = batches.divide(commands, 1)
    found = {}
    for command, (library, (out, err, status)) in zip(batch, batches.compile_libraries(batch)):
        assert (out, err, status) == (b"", b"", 0)
        name = "b" if command is commands[1] else "a"
        found[name] = getattr(ctypes.CDLL(library), name)()
    assert found == {"a": 1, "b": 42}


def test_one_that_does_not_compile_does_not_take_others_with_it(command_for):
    commands = [command_for(function("a", 1)), command_for("this is no C++;"), command_for(OTHER)]
    (batch,) = batches.divide(commands, 1)
    results = dict(zip(map(process.library_of, batch), batches.compile_libraries(batch)))
    of_a, of_broken, of_b = (results[process.library_of(command)] for command in commands)
    assert (ctypes.CDLL(of_a[0]).a(), ctypes.CDLL(of_b[0]).b()) == (1, 42)
    assert of_broken[1][2] != 0
    assert b"this is no C++" in of_broken[1][1]


def test_sources_that_only_fail_together_are_compiled_separately(command_for):
    # Functions of C are in no namespace.
    helper = 'extern "C" int shared_helper() { return 1; }'
    commands = [command_for(function("a", "shared_helper()", helper)), command_for(function("b", 2, helper))]
    (batch,) = batches.divide(commands, 1)
    assert [status for _, (_, _, status) in batches.compile_libraries(batch)] == [0, 0]


def test_without_links_each_has_a_copy(command_for, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    batch = [command_for(function("a", 1)), command_for(OTHER)]
    (a, _), (b, _) = batches.compile_libraries(batch)
    assert (ctypes.CDLL(a).a(), ctypes.CDLL(b).b()) == (1, 42)
    assert os.stat(a).st_ino != os.stat(b).st_ino


@given(lengths=st.lists(st.integers(1, 1000), max_size=20), n_at_once=st.integers(1, 8))
def test_batches_are_all_commands_in_about_as_many_parts_as_can_run(tmp_path_factory, lengths, n_at_once):
    commands = []
    for i, length in enumerate(lengths):
        path = tmp_path_factory.mktemp("source") / "mod.cpp"
        path.write_text("/" * length)
        commands.append(["g++", str(path), "-o", str(i)])
    divided = batches.divide(commands, n_at_once)
    assert sorted(command for batch in divided for command in batch) == sorted(commands)
    assert len(divided) == min(n_at_once, len(commands))
    sizes = [sum(lengths[int(command[-1])] for command in batch) for batch in divided]
    assert sizes == sorted(sizes, reverse=True)
    # A part is never longer than its share and one more source.
    assert not sizes or sizes[0] <= sum(lengths) / len(divided) + max(lengths)
