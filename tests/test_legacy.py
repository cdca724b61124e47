"""Old code, as researchers have it, in a fresh process.

tests/old_code/*.txt are what Python 2.7.18 printed of the script of that name, with Theano 0.8.2,
NumPy 1.11.3 and SciPy 0.18.1.
"""

import ast
import gzip
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import theano
import theano.tensor as T
from hypothesis import given
from hypothesis import strategies as st

from theano_tutorials import HiddenLayer, LogisticRegression, read_data
from theano_tutorials.legacy import files, operations, running, texts, theano_names, translation
from theano_tutorials.legacy.originals.utils import scale_to_unit_interval, tile_raster_images

OLD_CODE = Path(__file__).with_name("old_code")


def run(script, *arguments, cwd, **environment):
    return python("-m", "theano_tutorials.legacy", script, *arguments, cwd=cwd, **environment)


def python(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "arguments", "exit_code"),
    [
        ("values", [], 0),
        ("softmax_by_hand", [], 0),
        ("lenet_of_old", [], 0),
        ("autoencoder", ["pickled.txt"], 0),
        ("tagger", [], 0),
        ("beside/settings_by_execfile", ["a", "--b"], 3),
        ("pickled/loads_pickles", [], 0),
        ("habits", [], 0),
    ],
)
def test_a_script_prints_what_python_2_printed(tmp_path, script, arguments, exit_code):
    path = OLD_CODE / f"{script}.py"
    finished = run(path, *arguments, cwd=tmp_path)
    assert finished.stdout == path.with_suffix(".txt").read_text(), finished.stderr
    assert finished.returncode == exit_code
    if script == "softmax_by_hand":
        device, took = finished.stderr.splitlines()
        assert device == "device gpu: none here, so the processor computes"
        assert took.startswith("took ")


# For Python 3 and the library of before.
OF_THE_COURSE = """
import theano_tutorials.legacy
import numpy, theano, theano.tensor as T
from logistic_sgd import LogisticRegression, load_data
from mlp import HiddenLayer, MLP
from convolutional_mlp import LeNetConvPoolLayer

datasets = load_data('mnist.pkl.gz')
train_set_x, train_set_y = datasets[0]
n_train_batches = train_set_x.get_value(borrow=True).shape[0] // 600
index = T.lscalar()
x = T.matrix('x')
y = T.ivector('y')
classifier = LogisticRegression(input=x, n_in=28 * 28, n_out=10)
cost = classifier.negative_log_likelihood(y)
g_W, g_b = T.grad(cost=cost, wrt=classifier.W), T.grad(cost=cost, wrt=classifier.b)
updates = [(classifier.W, classifier.W - 0.13 * g_W), (classifier.b, classifier.b - 0.13 * g_b)]
train_model = theano.function(
    inputs=[index], outputs=cost, updates=updates,
    givens={x: train_set_x[index * 600:(index + 1) * 600], y: train_set_y[index * 600:(index + 1) * 600]})
print(n_train_batches, '%.4f' % train_model(0), '%.4f' % train_model(1))

rng = numpy.random.RandomState(1234)
print(MLP(rng=rng, input=x, n_in=28 * 28, n_hidden=5, n_out=10).params)
layer0 = LeNetConvPoolLayer(rng, input=x.reshape((5, 1, 28, 28)), image_shape=(5, 1, 28, 28),
                            filter_shape=(2, 1, 5, 5), poolsize=(2, 2))
layer2 = HiddenLayer(rng, input=layer0.output.flatten(2), n_in=2 * 12 * 12, n_out=3, activation=T.tanh)
print(theano.function([x], layer2.output)(train_set_x.get_value()[:5]).shape)

from logistic_sgd import sgd_optimization_mnist, predict
sgd_optimization_mnist(learning_rate=0.13, n_epochs=1, dataset='mnist.pkl.gz', batch_size=600)
predict()
"""


@pytest.mark.slow
def test_code_of_python_3_finds_the_modules_of_the_course(tmp_path):
    finished = python("-c", OF_THE_COURSE, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr.startswith("The code for file logistic_sgd.py ran for ")
    lines = finished.stdout.splitlines()
    # log 10 for classes that are all as probable.
    assert lines[1].startswith("83 2.3026 ")
    assert lines[2:-1] == [
        "[W, b, W, b]",
        "(5, 3)",
        "... loading data",
        "... building the model",
        "... training the model",
        "epoch 1, minibatch 83/83, validation error 12.458333 %",
        "     epoch 1, minibatch 83/83, test error of best model 12.375000 %",
        "Optimization complete with best validation score of 12.458333 %,with test performance 12.375000 %",
        lines[-4],
        "... loading data",
        "Predicted values for the first 10 examples in test set:",
    ]
    assert lines[-4].startswith("The code run for 1 epochs, with ")
    with open(tmp_path / "best_model.pkl", "rb") as file:
        assert isinstance(pickle.load(file), LogisticRegression)


SMALL = """
import theano_tutorials.legacy, numpy
numpy.savez('small.npz', x_train=numpy.arange(64 * 64, dtype='uint8').reshape(64, 8, 8), y_train=numpy.arange(64) % 3,
            x_test=numpy.arange(32 * 64, dtype='uint8').reshape(32, 8, 8), y_test=numpy.arange(32) % 3)
"""


@pytest.mark.one_python
@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "expected", "files_left"),
    [
        (
            "from mlp import *; test_mlp(n_epochs=1, dataset='small.npz', batch_size=4, n_hidden=3); numpy, theano, T",
            ["... building the model", "... training", "Optimization complete. Best validation score of "],
            [],
        ),
        (
            "from logistic_cg import *; cg_optimization_mnist(n_epochs=2, mnist_pkl_gz='mnist.pkl.gz')",
            ["Optimizing using scipy.optimize.fmin_cg...", "validation error ", "Optimization complete with best "],
            [],
        ),
        (
            "from dA import dA, test_dA; test_dA(training_epochs=1, dataset='small.npz')",
            ["Training epoch 0, cost  "],
            ["dA_plots/filters_corruption_0.png", "dA_plots/filters_corruption_30.png"],
        ),
        (
            "from cA import test_cA; test_cA(training_epochs=1, dataset='small.npz')",
            ["Training epoch 0, reconstruction cost  "],
            ["cA_plots/cae_filters.png"],
        ),
        (
            "import rbm; rbm.test_rbm(training_epochs=1, dataset='small.npz', n_chains=2, n_samples=1, n_hidden=9)",
            ["Training epoch 0, cost is  "],
            ["rbm_plots/filters_at_epoch_0.png", "rbm_plots/samples.png"],
        ),
        (
            "from SdA import SdA, test_SdA; test_SdA(pretraining_epochs=1, training_epochs=1, dataset='small.npz')",
            ["... pre-training the model", "Pre-training layer 2, epoch 0, cost  ", "Optimization complete with best "],
            [],
        ),
        (
            "from DBN import test_DBN; test_DBN(pretraining_epochs=1, training_epochs=1, dataset='small.npz')",
            ["... pre-training the model", "Pre-training layer 1, epoch 0, cost  ", "Optimization complete with best "],
            [],
        ),
        (
            "from convolutional_mlp import evaluate_lenet5, downsample, conv\n"
            "evaluate_lenet5(n_epochs=1, nkerns=[2, 3])\nprint(downsample.max_pool_2d.__name__)",
            ["... training", "Optimization complete.", "Best validation score of ", "max_pool_2d"],
            [],
        ),
        (
            "import hmc, utils, rnnslu, lstm, rnnrbm\n"
            "print(hmc.HMC_sampler.__name__, utils.tile_raster_images.__name__, rnnslu.contextwin([1], 3))",
            ["HMC_sampler tile_raster_images [[-1, 1, -1]]"],
            [],
        ),
    ],
)
def test_functions_of_the_course_print_and_leave_what_they_did(tmp_path, call, expected, files_left):
    finished = python("-c", SMALL + call, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.splitlines()
    for beginning in expected:
        assert any(line.startswith(beginning) for line in lines), (beginning, finished.stdout)
    assert not any(line.startswith("The code ran for") for line in lines)
    for name in files_left:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_a_file_beside_the_script_wins(tmp_path):
    (tmp_path / "mlp.py").write_text("HiddenLayer = 'mine'\n")
    code = "import theano_tutorials.legacy, logistic_sgd; from mlp import HiddenLayer; print(HiddenLayer)"
    finished = python("-c", code, cwd=tmp_path)
    assert (finished.stdout, finished.stderr) == ("mine\n", "")


# Running


def script_of(tmp_path, source, name="script.py"):
    path = tmp_path / name
    path.write_bytes(source if isinstance(source, bytes) else source.encode())
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "exit_code", "last_line"),
    [
        ("print 1\nimport pymongo.nowhere\n", 1, "error: {path}, line 2: No module named 'pymongo'"),
        (
            "print 1\nx = open('nowhere.csv')\n",
            1,
            "error: {path}, line 2: [Errno 2] No such file or directory: 'nowhere.csv'",
        ),
        ("print 1\ndef f(x):\n\treturn x / 0\nf(1)\n", 1, "ZeroDivisionError: {zero}"),
        ("print(1)\nasync def f(): pass\nprint(3 / 2)\nraise SystemExit(4)\n", 4, None),
        ("print 1\nx = = 2\n", 1, "SyntaxError: invalid syntax"),
        ("print 1\ndef f(:\n", 1, "SyntaxError: invalid syntax"),
        ("import theano.sandbox.cuda.dnn as dnn\nprint dnn.dnn_available()\ndnn.dnn_conv(1, 2)\n", 1, "ImportError: "),
        ("import os\nprint 1\nos.kill(os.getpid(), 2)\nimport time\ntime.sleep(60)\n", 130, "KeyboardInterrupt"),
    ],
)
def test_how_a_script_ends(tmp_path, source, exit_code, last_line):
    path = script_of(tmp_path, source)
    finished = run(path, cwd=tmp_path)
    assert finished.returncode == exit_code, finished.stderr
    if last_line is None:
        assert (finished.stdout, finished.stderr) == ("1\n1.5\n", "")  # as it is: it is Python 3
        return
    zero = "integer division or modulo by zero" if sys.version_info < (3, 14) else "division by zero"
    assert finished.stderr.splitlines()[-1].startswith(last_line.format(path=path, zero=zero))
    assert "legacy" not in finished.stderr.replace(str(tmp_path), "")
    if "ZeroDivision" in last_line:
        assert f'  File "{path}", line 3, in f\n    return x / 0\n' in finished.stderr


def test_no_script(tmp_path):
    finished = run("nowhere.py", cwd=tmp_path)
    assert (finished.returncode, finished.stderr) == (1, "error: nowhere.py: no such file\n")


@pytest.mark.slow
def test_flags_of_the_time(tmp_path):
    path = script_of(tmp_path, "import theano\nprint theano.config.floatX, theano.config.device\n")
    finished = run(path, cwd=tmp_path, THEANO_FLAGS="device=gpu0,floatX=float32")
    assert (finished.stdout, finished.stderr) == (
        "float32 cpu\n",
        "device gpu0: no pygpu here, so the processor computes\n",
    )
    assert run(path, cwd=tmp_path).stdout == "float64 cpu\n"
    # In this room alone.
    refused = python("-c", "import theano_tutorials", cwd=tmp_path, THEANO_FLAGS="device=gpu0")
    assert "expected cpu, cuda" in refused.stderr


@pytest.mark.slow
def test_other_libraries_see_nothing_of_python_2(tmp_path):
    source = """
import json, numpy, theano_tutorials, random as mine
import random
print json.dumps({'a': 1}), theano_tutorials.__name__, mine is random
print json.loads.func_globals['__builtins__']['open'] is open, json.loads.func_globals['__builtins__']['str'] == str
"""
    finished = run(script_of(tmp_path, source), cwd=tmp_path)
    assert finished.stdout == '{"a": 1} theano_tutorials True\nFalse True\n', finished.stderr
    assert not list(tmp_path.glob("**/*.pyc"))


def test_which_modules_are_translated(tmp_path):
    assert running.is_of_the_user(tmp_path / "mlp.py")
    installed = [np.__file__, json.__file__, theano.__file__, files.__file__, tmp_path / "dist-packages" / "yaml.py"]
    assert not any(map(running.is_of_the_user, installed))


@pytest.mark.slow
def test_mnist_from_its_dead_address(tmp_path):
    source = """
import urllib, gzip, cPickle, os
if not os.path.isfile('mnist.pkl.gz'):
    urllib.urlretrieve('http://www.iro.umontreal.ca/~lisa/deep/data/mnist/mnist.pkl.gz', 'mnist.pkl.gz')
train, valid, test = cPickle.load(gzip.open('mnist.pkl.gz'))
print [len(part[1]) for part in (train, valid, test)], train[0].dtype, train[1][:5], os.listdir('.')
"""
    finished = run(script_of(tmp_path, source), cwd=tmp_path)
    assert finished.stdout == (
        "[50000, 10000, 10000] float32 [5 0 4 1 9] ['mnist.pkl.gz', 'script.py']\n"
    ) or finished.stdout.endswith("['script.py', 'mnist.pkl.gz']\n"), finished.stderr
    with gzip.open(tmp_path / "mnist.pkl.gz") as file:
        (images, labels), _, _ = pickle.load(file)
    expected_images, expected_labels = read_data("mnist")[0]
    np.testing.assert_array_equal(images, np.asarray(expected_images).reshape(50000, 784))
    np.testing.assert_array_equal(labels, expected_labels)


# What layers take


def test_a_layer_takes_any_variable_of_the_right_dimension():
    rng = np.random.RandomState(0)
    x, values = T.matrix("x"), rng.rand(3, 4).astype(theano.config.floatX)
    below = HiddenLayer(rng, x, 4, 5)
    half = HiddenLayer(rng, x, 4, 5, W=0.5 * below.W, b=below.b + 1)
    np.testing.assert_allclose(
        theano.function([x], half.output)(values), np.tanh(values @ (0.5 * below.W.get_value()) + 1), rtol=1e-5
    )
    assert repr(half) == "<HiddenLayer: n_in=4, n_out=5, activation=tanh, 0 parameters>"
    with pytest.raises(ValueError, match=r"W has ndim 1: expected the shape \(4, 5\)"):
        HiddenLayer(rng, x, 4, 5, W=below.b)


def test_a_hidden_layer_takes_sequences():
    rng = np.random.RandomState(0)
    x, values = T.tensor3("x"), rng.rand(2, 3, 4).astype(theano.config.floatX)
    layer = HiddenLayer(rng, x, 4, 5)
    expected = np.tanh(np.einsum("tbi,ij->tbj", values, layer.W.get_value()))
    np.testing.assert_allclose(theano.function([x], layer.output)(values), expected, rtol=1e-5)


def test_a_subclass_needs_no_constructor():
    class Mine(LogisticRegression):
        def __init__(self, input, W, b):
            self.W, self.b = W, b
            self.p_y_given_x = T.nnet.softmax(T.dot(input, W) + b)
            self.y_pred = T.argmax(self.p_y_given_x, axis=1)

    x, y = T.matrix(), T.ivector()
    mine = Mine(x, theano.shared(np.zeros((4, 3), theano.config.floatX)), theano.shared(np.zeros(3, "float32")))
    cost = theano.function([x, y], [mine.negative_log_likelihood(y), mine.errors(y)])
    found = cost(np.ones((2, 4), theano.config.floatX), np.array([0, 1], "int32"))
    np.testing.assert_allclose(found, [np.log(3), 0.5], rtol=1e-6)
    assert repr(mine) == "<Mine: 0 parameters>"


# Translation


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("def f(a, (b, c)):\n    '''doc'''\n    x = 1\n    raise ValueError\nf(1, (2, 3))\n", 4),
        ("class A:\n    __metaclass__ = type\n    x = 1\nprint 1, \\\n  2\nraise ValueError, 'x'\n", 6),
        ("print '''\n\ttwo lines''', (\n  1)\nif 1:\n\tx = 3\n        y = 4\nx.nowhere\n", 7),
        ("try:\n    pass\nexcept (A, B), e:\n    pass\nraise 'x'\n", 5),
        ("exec 'x = 1' in {}\nprint >>None, 3\nx = `x` <> 'y'\n", 3),
    ],
)
def test_lines_stay_where_they_are(source, line):
    code, is_python_2 = translation.code_of(source.encode(), "script.py")
    assert is_python_2
    with pytest.raises(Exception) as caught:  # noqa: PT011
        exec(code, {**operations.BY_NAME, "__python2_print__": lambda *values, **options: None})
    of_the_script = [entry for entry in caught.traceback if entry.frame.code.raw.co_filename == "script.py"]
    assert of_the_script[-1].lineno + 1 == line


@pytest.mark.parametrize(
    "source",
    [
        "def f(x: int): pass",
        "f'{x}'",
        "print('a', end='')",
        "a @ b",
        "def f(*, x): pass",
        "first, *rest = x",
        "raise A from B",
        "x: int = 3",
    ],
)
def test_what_is_python_3_stays_as_it_is(source):
    _, is_python_2 = translation.code_of(source.encode(), "script.py")
    assert not is_python_2


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (b"# coding: latin-1\nx = 'caf\xe9'\n", "caf\xe9"),
        (b"\xef\xbb\xbfx = 'caf\xc3\xa9'\n", "caf\xe9"),
        (b"x = 'caf\xe9'\r\n", "caf\xe9"),
        ("x = '\u4e2d'\n".encode("gbk").join([b"# -*- coding: gbk -*-\n", b""]), "\u4e2d"),
        (b"x = 'C:\\Users\\N' ur'\\d' b'e'\n", "C:\\Users\\N\\de"),
    ],
)
def test_sources_of_all_kinds_are_read(source, expected):
    code, is_python_2 = translation.code_of(source, "script.py")
    names = {}
    exec(code, names)
    assert (names["x"], is_python_2) == (expected, True)


whole = st.one_of(st.integers(-1000, 1000), st.integers(-1000, 1000).map(np.int64), st.booleans())
numbers = st.one_of(whole, st.floats(-1000, 1000), st.floats(-1000, 1000).map(np.float64))


@given(numbers, numbers)
def test_division(x, y):
    if y == 0:
        return
    exact = float(x) / float(y)
    is_whole = all(isinstance(value, (int, np.integer)) for value in (x, y))
    assert operations.divide(x, y) == (np.floor(exact) if is_whole else exact)


def test_division_of_arrays_and_of_theano():
    a = np.array([7, -7])
    np.testing.assert_array_equal(operations.divide(a, 2), [3, -4])
    np.testing.assert_array_equal(operations.divide(a, 2.0), [3.5, -3.5])
    before = a
    a = operations.divide_in_place(a, 2)
    assert a is before
    n = T.lscalar()
    assert theano.function([n], operations.divide(n, 2))(7) == 3
    assert theano.function([n], operations.divide(n, 2.0))(7) == 3.5


@given(st.floats())
def test_text_of_a_float_has_twelve_digits(x):
    text = texts.text_of_float(x)
    assert float(text) == float(f"{x:.12g}") or x != x
    assert len(text) <= len(f"{x:.11e}") + 2
    assert ast.literal_eval(text) == float(text) if np.isfinite(x) else text in ("inf", "-inf", "nan")
    assert not text.lstrip("-").isdigit()


@pytest.mark.parametrize(
    ("content", "is_text"),
    [
        (b"a\tb\nc\r\n", True),
        ("caf\xe9\n".encode(), True),
        (b"", True),
        (b"\x80\x02]q\x00.", False),
        (b"\xff\xfe", False),
    ],
)
@pytest.mark.parametrize("mode", ["r", "rb", "rU"])
def test_what_is_text_is_read_as_text(tmp_path, content, is_text, mode):
    path = tmp_path / "file"
    path.write_bytes(content)
    with files.open_(path, mode) as file:
        read = file.read()
    expected = content.replace(b"\r\n", b"\n") if "U" in mode and is_text else content
    assert read == (expected.decode() if is_text else expected)


def test_text_and_bytes_are_written(tmp_path):
    with files.open_(tmp_path / "file", "wb") as file:
        file.write("caf\xe9")
        file.write(b"\xff\0")
        file.writelines(["a", "b"])
    assert (tmp_path / "file").read_bytes() == "caf\xe9".encode() + b"\xff\0ab"
    with files.open_(tmp_path / "text", "w+") as file:
        file.write("one\ntwo\n")
        file.seek(0)
        assert (file.readline(), list(file)) == ("one\n", ["two\n"])


# Theano's names


def test_pooling_under_its_old_name():
    x = T.tensor4()
    images = np.random.RandomState(0).rand(1, 2, 5, 5).astype(theano.config.floatX)
    whole = theano.function([x], theano_names.max_pool_2d(x, (2, 2), ignore_border=True))(images)
    with_border = theano.function([x], theano_names.max_pool_2d(x, ds=(2, 2)))(images)
    expected = np.empty((1, 2, 3, 3), theano.config.floatX)
    for map_, row, column in np.ndindex(2, 3, 3):
        expected[0, map_, row, column] = images[0, map_, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].max()
    np.testing.assert_array_equal(with_border, expected)
    np.testing.assert_array_equal(whole, expected[..., :2, :2])


@pytest.mark.slow
def test_names_of_theano_that_are_gone(tmp_path):
    source = """
import theano, theano.tensor as T, numpy
from theano.compat.python2x import OrderedDict
from theano.gof.python25 import any, all
from theano.sandbox.neighbours import images2neibs
import theano.sandbox.cuda as cuda
from theano.sandbox.cuda.basic_ops import gpu_contiguous
from theano.tensor.nnet import conv
n, k, x = T.iscalar('n'), T.iscalar('k'), T.tensor4('x')
print theano.function([n, k], n / k)(7, 2), theano.function([n, theano.Param(k, default=2)], n / k)(9),
print OrderedDict(a=1)['a'], any([0, 1]), cuda.cuda_available, gpu_contiguous(x) is x
print theano.function([x], images2neibs(x, (2, 2)))(numpy.arange(4.).reshape(1, 1, 2, 2))
W = theano.shared(numpy.ones((1, 1, 2, 2)))
print theano.function([x], conv.conv2d(x, W, image_shape=(1, 1, 2, 2), filter_shape=(1, 1, 2, 2), unroll_batch=1))(
    numpy.arange(4.).reshape(1, 1, 2, 2))
"""
    finished = run(script_of(tmp_path, source), cwd=tmp_path)
    assert finished.stdout == "3 4 1 True False True\n[[ 0.  1.  2.  3.]]\n[[[[ 6.]]]]\n", finished.stderr


def test_the_page_names_tests_that_are_there():
    page = (Path(__file__).parents[1] / "docs" / "legacy.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", page)) - {"test_mlp"}
    assert named
    assert named <= {name for name in globals() if name.startswith("test_")}


def test_images_in_tiles():
    images = np.arange(24.0).reshape(4, 6)
    picture = tile_raster_images(images, (2, 3), (2, 2), (1, 2))
    assert (picture.shape, picture.dtype) == ((5, 8), np.uint8)
    np.testing.assert_array_equal(picture[:2, :3], [[0, 50, 101], [152, 203, 254]])
    assert not picture[2].any()
    assert not picture[:, 3:5].any()
    raw = tile_raster_images(images, (2, 3), (2, 2), scale_rows_to_unit_interval=False, output_pixel_vals=False)
    np.testing.assert_array_equal(raw[2:, 3:], [[18, 19, 20], [21, 22, 23]])
    colours = tile_raster_images((images, None, images, None), (2, 3), (2, 2))
    assert (colours.shape, colours[..., 1].max(), colours[..., 3].min()) == ((4, 6, 4), 0, 255)
    np.testing.assert_allclose(scale_to_unit_interval(np.array([1.0, 3, 2])), [0, 1, 0.5])
