"""Saved models built again, and image files made into digits."""

import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import theano
import theano.tensor as T
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from theano_tutorials.checkpoint import named_parameters, read_tensors, write_tensors
from theano_tutorials.images import read_digit
from theano_tutorials.predict import evaluate_model, read_model

from theano_tutorials import (
    MLP,
    LeNet5,
    LeNetConvPoolLayer,
    LogisticRegression,
    evaluate,
    load_model,
    read_data,
)
from theano_tutorials.datasets import read_idx

ROOT = Path(__file__).parents[1]
MODELS = {"LogisticRegression": LogisticRegression, "MLP": MLP, "LeNet5": LeNet5}
RESAMPLING = Image.Resampling


@pytest.fixture(scope="module")
def digits():
    """Some hundred digits of the test set: uint8 (300, 28, 28), and their labels."""
    folder = ROOT / "data" / "mnist"
    images = read_idx(folder / "t10k-images-idx3-ubyte.gz", 3)
    labels = read_idx(folder / "t10k-labels-idx1-ubyte.gz", 1)
    return images[::33][:300], labels[::33][:300]


# A batch of any size


def float32(*shape, seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, shape).astype("float32")


@pytest.mark.parametrize("batch_size", [1, 3])
def test_convolution_layer_of_any_batch_size_equals_one_of_a_fixed_size(batch_size):
    x = T.tensor4()
    sizes = ((4, 2, 5, 5), (batch_size, 2, 12, 13))
    fixed = LeNetConvPoolLayer(np.random.RandomState(0), x, *sizes)
    of_any = LeNetConvPoolLayer(None, x, sizes[0], (None, *sizes[1][1:]), W=fixed.W, b=fixed.b)
    assert of_any.output_shape == (None, *fixed.output_shape[1:])
    gradients = [T.grad(layer.output.sum(), fixed.W) for layer in (fixed, of_any)]
    results = theano.function([x], [fixed.output, of_any.output, *gradients])(float32(*sizes[1]))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[2], results[3])


@pytest.mark.parametrize("image_shape", [(None, None, 28, 28), (None, 1, 28), (1, None, 28, 28), (0, 1, 28, 28), None])
def test_only_the_batch_size_may_be_none(image_shape):
    with pytest.raises(
        ValueError, match=r"image_shape is .*: expected 4 integers of at least 1, or None for the first"
    ):
        LeNetConvPoolLayer(np.random.RandomState(0), T.tensor4(), (2, 1, 5, 5), image_shape)


def test_filter_shape_has_no_none():
    with pytest.raises(ValueError, match=r"filter_shape is \(None, 1, 5, 5\): expected 4 integers of at least 1"):
        LeNetConvPoolLayer(np.random.RandomState(0), T.tensor4(), (None, 1, 5, 5), (1, 1, 28, 28))


@pytest.mark.parametrize("n", [1, 501])  # one more than a block
def test_lenet_predicts_as_a_graph_of_that_batch_size(n, saved_models):
    model, predict = load_model(saved_models["LeNet5"])
    x = T.matrix()
    fixed = LeNet5(np.random.RandomState(0), x, n, nkerns=(5, 8))
    for name, param in named_parameters(model).items():
        named_parameters(fixed)[name].set_value(param.get_value())
    images = np.abs(float32(n, 784))
    expected = evaluate(fixed.p_y_given_x, {x: images})
    np.testing.assert_allclose(predict(images), expected, rtol=0, atol=1e-6)


# Loading a model


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_model_is_built_again(name, saved_models, digits):
    model, predict = load_model(saved_models[name])
    tensors, metadata = read_tensors(saved_models[name])
    assert type(model) is MODELS[name]
    assert model.architecture == metadata["architecture"]
    values = {key: param.get_value() for key, param in named_parameters(model).items()}
    assert sorted(values) == sorted(tensors)
    for key, value in values.items():
        np.testing.assert_array_equal(value, tensors[key])

    images, labels = digits
    probabilities = predict(images)
    assert (probabilities.shape, probabilities.dtype) == ((300, 10), np.float32)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert np.mean(probabilities.argmax(axis=1) != labels) < 0.2
    for same in (images.reshape(300, 784), images / np.float32(256), images / 256.0):
        np.testing.assert_array_equal(predict(same), probabilities)
    assert predict(images[:0]).shape == (0, 10)


def test_a_folder_stands_for_its_best_model(saved_models, tmp_path, digits):
    (tmp_path / "best_model.safetensors").write_bytes(saved_models["MLP"].read_bytes())
    expected = load_model(saved_models["MLP"]).predict(digits[0])
    np.testing.assert_array_equal(load_model(str(tmp_path)).predict(digits[0]), expected)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no best_model\.safetensors: expected the folder of a run"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((28, 28)), r"shape \(28, 28\): expected \(n, 784\) or \(n, 28, 28\)"),
        (np.zeros(784), r"shape \(784,\): expected"),
        (np.zeros((1, 1, 28, 28)), r"shape \(1, 1, 28, 28\): expected"),
        (np.zeros((0, 5)), r"shape \(0, 5\): expected"),
        (np.zeros((2, 784), "int64"), "dtype int64: expected uint8, or floats"),
        (np.full((2, 784), np.nan), "1568 values that are NaN or infinite"),
        (["7"], r"shape \(1,\): expected"),
    ],
)
def test_wrong_images_are_refused(images, message, saved_models):
    with pytest.raises(ValueError, match=message):
        load_model(saved_models["LogisticRegression"]).predict(images)


def test_evaluation_counts_every_example(saved_models):
    model, predict = load_model(saved_models["LogisticRegression"])
    W, b = (param.get_value() for param in model.params)
    expected = tuple(np.mean((x @ W + b).argmax(axis=1) != y) for x, y in read_data("mnist")[1:])
    assert evaluate_model(predict, "mnist") == pytest.approx(expected, abs=1e-4)


# Refused models

VALID = {"W": float32(4, 3), "b": float32(3)}
SIZES = {"n_in": 4, "n_out": 3}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "a model None: expected LogisticRegression, MLP, LeNet5"),
        ({"model": "ResNet", "architecture": SIZES}, "a model 'ResNet': expected"),
        ({"model": ["MLP"], "architecture": SIZES}, r"a model \['MLP'\]: expected"),
        ({"model": "LogisticRegression"}, "architecture None: expected that of LogisticRegression"),
        ({"model": "LogisticRegression", "architecture": [4, 3]}, r"architecture \[4, 3\]"),
        ({"model": "LogisticRegression", "architecture": {"n_in": 4}}, "architecture"),
        ({"model": "LogisticRegression", "architecture": {**SIZES, "n_hidden": 2}}, "architecture"),
        ({"model": "LogisticRegression", "architecture": {"n_in": -4, "n_out": 3}}, "architecture"),
        ({"model": "LogisticRegression", "architecture": {"n_in": 4.0, "n_out": 3}}, "architecture"),
        ({"model": "LogisticRegression", "architecture": {"n_in": "4", "n_out": 3}}, "architecture"),
        ({"model": "LogisticRegression", "architecture": {"n_in": True, "n_out": 3}}, "architecture"),
        ({"model": "LogisticRegression", "architecture": {"n_in": 10**15, "n_out": 3}}, "does not fit"),
        ({"model": "LogisticRegression", "architecture": {"n_in": 10**300, "n_out": 3}}, "does not fit"),
        ({"model": "MLP", "architecture": {"n_in": 4, "n_hidden": 10**12, "n_out": 3}}, "does not fit"),
        ({"model": "LeNet5", "architecture": {"nkerns": [10**9, 10**9], "n_out": 3}}, "does not fit"),
        ({"model": "LeNet5", "architecture": {"nkerns": [20], "n_out": 3}}, "architecture"),
        ({"model": "LeNet5", "architecture": {"nkerns": 20, "n_out": 3}}, "architecture"),
    ],
)
def test_nonsense_in_the_metadata_is_refused(metadata, message, tmp_path):
    path = tmp_path / "model.safetensors"
    write_tensors(path, VALID, metadata)
    with pytest.raises(ValueError, match=rf"model\.safetensors.*{message}"):
        load_model(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"W": float32(3, 4)}, r"W: \(\(3, 4\), 'float32'\), expected \(\(4, 3\), 'float32'\)"),
        ({"b": np.zeros(3)}, r"b: \(\(3,\), 'float64'\), expected"),
        ({"c": float32(1)}, r"c: .*, expected none"),
        ({"b": np.float32([0, np.inf, 0])}, "b has values that are NaN or infinite"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(changes, message, tmp_path):
    path = tmp_path / "model.safetensors"
    write_tensors(path, {**VALID, **changes}, {"model": "LogisticRegression", "architecture": SIZES})
    with pytest.raises(ValueError, match=rf"model\.safetensors.*{message}"):
        load_model(path)


def test_parameters_too_large_to_compute_with_are_named(tmp_path):
    path = tmp_path / "model.safetensors"
    write_tensors(
        path, {**VALID, "W": np.full((4, 3), 3e38, "float32")}, {"model": "LogisticRegression", "architecture": SIZES}
    )
    with pytest.raises(ValueError, match=r"model\.safetensors: the probabilities are NaN"):
        load_model(path).predict(np.ones((1, 4)))


@st.composite
def mutated(draw, data):
    """Bytes with some of them changed, cut out or repeated."""
    data = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = start + draw(st.integers(0, 8))
        data[start:end] = draw(st.one_of(st.binary(max_size=8), st.just(bytes(data[start:end] * 2))))
    return bytes(data)


def read_or_refuse(read, path):
    """What ``read`` makes of a file, or None where it raises a ValueError that names it."""
    try:
        return read(path)
    except ValueError as error:
        message = str(error)
    assert str(path) in message
    return None


SMALL_SIZES = {"n_in": 3, "n_hidden": 2, "n_out": 2}
SMALL_SHAPES = {
    "hiddenLayer.W": (3, 2),
    "hiddenLayer.b": (2,),
    "logRegressionLayer.W": (2, 2),
    "logRegressionLayer.b": (2,),
}


def assert_small(saved):
    assert (saved.name, saved.architecture) == ("MLP", SMALL_SIZES)
    assert {name: value.shape for name, value in saved.tensors.items()} == SMALL_SHAPES
    assert all(np.isfinite(value).all() for value in saved.tensors.values())


@pytest.mark.fuzz
@given(data=st.data())
def test_a_damaged_model_is_refused_or_valid(data, tmp_path):
    path = tmp_path / "small.safetensors"
    write_tensors(
        path,
        {name: float32(*shape) for name, shape in SMALL_SHAPES.items()},
        {"model": "MLP", "architecture": SMALL_SIZES},
    )
    path.write_bytes(data.draw(mutated(path.read_bytes())))
    saved = read_or_refuse(read_model, path)
    if saved is not None:
        assert_small(saved)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(1, 3) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SMALL_SIZES, "nkerns"]), inner),
    max_leaves=4,
)


@pytest.mark.fuzz
@given(
    name=st.sampled_from(["MLP", "MLP", "LeNet5", "LogisticRegression"]) | JSON,
    changes=st.dictionaries(st.sampled_from([*SMALL_SIZES, "nkerns"]), JSON, max_size=2) | JSON,
    dropped=st.sets(st.sampled_from([*SMALL_SHAPES]), max_size=1),
    damage=st.sampled_from([1, 1, 1, np.nan, -np.inf]),
)
def test_a_model_of_any_content_is_refused_or_valid(name, changes, dropped, damage, tmp_path):
    path = tmp_path / "small.safetensors"
    tensors = {key: float32(*shape) for key, shape in SMALL_SHAPES.items() if key not in dropped}
    next(iter(tensors.values()))[0] *= np.float32(damage)
    architecture = {**SMALL_SIZES, **changes} if isinstance(changes, dict) else changes
    write_tensors(path, tensors, {"model": name, "architecture": architecture})
    saved = read_or_refuse(read_model, path)
    if saved is not None:
        assert_small(saved)


# Image files


def pasted(digit, size, corner, background=0):
    image = Image.new("L", size, background)
    image.paste(digit, corner)
    return image


def enlarged(digit, size=280, resample=RESAMPLING.BICUBIC):
    return Image.fromarray(digit).resize((size, size), resample)


def on_grey_paper(digit):
    """Dark ink on grey paper that has some grain."""
    grain = np.random.RandomState(0).normal(0, 4, (280, 280))
    return Image.fromarray(np.uint8(np.clip(180 - np.asarray(enlarged(digit)) * 0.5 + grain, 0, 255)))


def transparent(digit):
    """Black ink in the opacity of an image that is black all over."""
    ink = enlarged(digit)
    return Image.merge("LA", [Image.new("L", ink.size, 0), ink])


VARIANTS = {
    "original.png": Image.fromarray,
    "original.bmp": Image.fromarray,
    "enlarged.png": enlarged,
    "enlarged-blocks.png": lambda digit: enlarged(digit, resample=RESAMPLING.NEAREST),
    "enlarged-ringing.png": lambda digit: enlarged(digit, resample=RESAMPLING.LANCZOS),
    "inverted.png": lambda digit: Image.fromarray(255 - digit),
    "inverted-enlarged.jpg": lambda digit: enlarged(255 - digit),
    "shifted.png": lambda digit: pasted(Image.fromarray(digit), (300, 200), (17, 150)),
    "at-the-border.png": lambda digit: pasted(Image.fromarray(digit[4:, 4:]), (60, 60), (0, 0)),
    "grey-paper.png": on_grey_paper,
    "1.png": lambda digit: enlarged(255 - digit).convert("1"),
    "1-threshold.png": lambda digit: enlarged(digit).point(lambda level: 255 * (level > 127), "1"),
    "P.gif": lambda digit: enlarged(digit).convert("P"),
    "RGB.png": lambda digit: Image.merge("RGB", [enlarged(digit)] * 3),
    "RGBA.png": lambda digit: transparent(digit).convert("RGBA"),
    "LA.png": transparent,
    "CMYK.tif": lambda digit: enlarged(255 - digit).convert("RGB").convert("CMYK"),
    "YCbCr.jpg": lambda digit: enlarged(digit).convert("RGB"),
    "I-16.png": lambda digit: Image.fromarray(np.asarray(enlarged(digit)).astype(np.uint16) * 257),
    "I.tif": lambda digit: Image.fromarray(np.asarray(enlarged(digit)).astype(np.int32) * 1000 - 77),
    "F.tif": lambda digit: Image.fromarray(np.asarray(enlarged(digit)) / np.float32(255)),
    "webp.webp": lambda digit: enlarged(digit),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_digits_drawn_in_other_ways_are_read_as_well(name, digits, saved_models, tmp_path):
    images, labels = (part[:200] for part in digits)
    path = tmp_path / name
    prepared = []
    for digit in images:
        VARIANTS[name](digit).save(path)
        prepared.append(read_digit(path).pixels)
    predict = load_model(saved_models["LogisticRegression"]).predict
    n_errors = np.sum(predict(images).argmax(axis=1) != labels)
    assert n_errors < 30
    # 'As well': within five of two hundred.
    assert np.sum(predict(np.stack(prepared)).argmax(axis=1) != labels) <= n_errors + 5


def test_an_image_of_mnist_hardly_changes(digits, tmp_path):
    changes = []
    for digit in digits[0]:
        Image.fromarray(digit).save(tmp_path / "digit.png")
        pixels = read_digit(tmp_path / "digit.png").pixels
        assert (pixels.shape, pixels.dtype, pixels.max()) == ((28, 28), np.uint8, 255)
        changes.append(np.abs(pixels - digit.astype(int)).mean())
    # Grey levels, a pixel. Where the centre of mass is between two pixels, the digit may move by one.
    assert np.percentile(changes, 98) < 0.5


def drawn(tmp_path, image, name="image.png", **options):
    image.save(tmp_path / name, **options)
    return read_digit(tmp_path / name)


def bar(size, box, ink=0, paper=255):
    image = Image.new("L", size, paper)
    image.paste(ink, box)
    return image


def test_preparation_is_said(tmp_path):
    assert drawn(tmp_path, bar((300, 200), (40, 10, 160, 190))).preparation == (
        "inverted, 120 x 180 pixels of 300 x 200 scaled to 13 x 20, centred"
    )
    assert drawn(tmp_path, bar((28, 28), (0, 3, 5, 23), ink=255, paper=0)).preparation == (
        "5 x 20 pixels of 28 x 28 kept, centred"
    )


@pytest.mark.parametrize("box", [(10, 10, 11, 200), (0, 0, 200, 1), (3, 3, 4, 4), (1, 1, 199, 199), (40, 30, 90, 180)])
def test_ink_fits_20_x_20_with_its_centre_of_mass_in_the_centre(box, tmp_path):
    pixels = drawn(tmp_path, bar((200, 200), box)).pixels
    rows, columns = np.nonzero(pixels)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert max(height, width) == 20
    scale = 20 / max(box[2] - box[0], box[3] - box[1])
    assert height == pytest.approx(max(1, (box[3] - box[1]) * scale), abs=0.5)
    assert width == pytest.approx(max(1, (box[2] - box[0]) * scale), abs=0.5)
    for positions in (rows, columns):
        assert abs(np.average(positions, weights=pixels[rows, columns]) - 14) <= 0.5


def test_the_first_frame_of_an_animation_counts(tmp_path):
    first, second = bar((40, 40), (5, 5, 10, 35)), bar((40, 40), (5, 5, 35, 10))
    alone = drawn(tmp_path, first)
    animated = drawn(tmp_path, first, "animation.gif", save_all=True, append_images=[second])
    np.testing.assert_array_equal(animated.pixels, alone.pixels)


def test_a_photograph_is_turned_upright(tmp_path):
    upright = drawn(tmp_path, bar((60, 80), (5, 5, 15, 75)))
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned clockwise
    turned = drawn(
        tmp_path, bar((60, 80), (5, 5, 15, 75)).transpose(Image.Transpose.ROTATE_90), "turned.png", exif=exif
    )
    np.testing.assert_array_equal(turned.pixels, upright.pixels)


@pytest.mark.parametrize(
    "image",
    [
        Image.new("L", (28, 28), 255),
        Image.new("RGBA", (5, 5)),
        Image.new("1", (1, 1)),
        Image.new("I", (9, 9), 70000),
        Image.new("F", (9, 9), 0.5),
        bar((50, 50), (10, 10, 20, 40), ink=250, paper=255),  # no more than a stain
    ],
    ids=lambda image: f"{image.mode}-{image.size[0]}",
)
def test_a_blank_image_is_an_error_that_says_so(image, tmp_path):
    with pytest.raises(ValueError, match=r"image\.tif: blank, grey levels from .* expected a digit"):
        drawn(tmp_path, image, "image.tif")


def test_specks_far_apart_are_no_digit(tmp_path):
    image = Image.new("L", (3000, 3000), 255)
    image.putpixel((10, 10), 0)
    image.putpixel((2900, 2900), 0)
    with pytest.raises(ValueError, match=r"image\.png: specks far apart"):
        drawn(tmp_path, image)


def test_values_that_are_no_numbers_are_refused(tmp_path):
    values = np.zeros((9, 9), "float32")
    values[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"image\.tif: .*1 pixels are NaN or infinite"):
        drawn(tmp_path, Image.fromarray(values), "image.tif")


def png_that_claims(width, height):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an image of a format that Pillow reads"),
        (b"Have a nice day", "not an image of a format that Pillow reads"),
        (png_that_claims(10000, 10000), "DecompressionBombWarning: .*exceeds limit"),
        (png_that_claims(100000, 100000), "DecompressionBombError: .*exceeds limit"),
        (png_that_claims(200, 200), "not an image that can be read"),  # and ends early
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n", "EPS: expected pixels"),
    ],
)
def test_files_that_are_no_image_are_refused(content, message, tmp_path):
    path = tmp_path / "digit.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"digit\.png: .*{message}"):
        read_digit(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        read_digit(tmp_path / "none.png")


def encoded(image, **options):
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


SMALL = bar((12, 14), (3, 2, 6, 12))
FILES = [
    encoded(SMALL, format="PNG"),
    encoded(SMALL.convert("RGBA"), format="PNG"),
    encoded(SMALL, format="GIF"),
    encoded(SMALL, format="JPEG"),
    encoded(SMALL, format="TIFF"),
    encoded(SMALL, format="BMP"),
]


@pytest.mark.fuzz
@given(content=st.sampled_from(FILES).flatmap(mutated))
def test_a_damaged_image_is_refused_or_a_digit(content, tmp_path):
    path = tmp_path / "mutant.img"
    path.write_bytes(content)
    digit = read_or_refuse(read_digit, path)
    if digit is not None:
        assert (digit.pixels.shape, digit.pixels.dtype, digit.pixels.max()) == ((28, 28), np.uint8, 255)


# The script


@pytest.fixture
def image_files(digits, tmp_path):
    """A digit as it is, and one inverted and enlarged."""
    Image.fromarray(digits[0][0]).save(tmp_path / "first.png")
    enlarged(255 - digits[0][1]).save(tmp_path / "second.jpg")
    return tmp_path / "first.png", tmp_path / "second.jpg"


def test_script_prints_digits_and_goes_on_after_a_bad_image(run_script, image_files, saved_models, tmp_path):
    first, second = image_files
    (tmp_path / "broken.png").write_text("broken")
    Image.new("L", (9, 9)).save(tmp_path / "blank.png")
    finished = run_script(
        "predict.py",
        saved_models["LeNet5"],
        first,
        tmp_path / "broken.png",
        tmp_path / "blank.png",
        tmp_path / "none.png",
        second,
    )
    assert finished.returncode == 1
    errors = finished.stderr.splitlines()
    assert len(errors) == 3
    for name, line in zip(("broken.png", "blank.png", "none.png"), errors):
        assert re.match(rf"error: .*{name}", line)
    lines = finished.stdout.splitlines()
    predict = load_model(saved_models["LeNet5"]).predict
    for path, (head, table, preparation) in zip(image_files, (lines[:3], lines[3:])):
        digit = read_digit(path)
        (expected,) = predict(digit.pixels[None])
        assert head == f"{path}: {expected.argmax()}"
        assert table.split() == [part for label, p in enumerate(expected) for part in (f"{label}:", f"{p:.4f}")]
        assert preparation.strip() == digit.preparation


def test_script_prints_json(run_script, image_files, saved_models):
    first, *others = image_files
    finished = run_script("predict.py", saved_models["MLP"], first, "--json", *others)
    assert (finished.returncode, finished.stderr) == (0, "")
    predict = load_model(saved_models["MLP"]).predict
    lines = finished.stdout.splitlines()
    assert len(lines) == len(image_files)
    for path, line in zip(image_files, lines):
        digit = read_digit(path)
        (expected,) = predict(digit.pixels[None])
        found = json.loads(line)
        assert found.pop("probabilities") == pytest.approx(expected.tolist(), rel=1e-4)
        assert found == {"file": str(path), "digit": expected.argmax(), "preparation": digit.preparation}


def test_script_evaluates(run_script, saved_models):
    losses = evaluate_model(load_model(saved_models["LogisticRegression"]).predict, "mnist")
    finished = run_script("predict.py", saved_models["LogisticRegression"], "--evaluate", "mnist")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout == "validation error {:f} %\ntest error {:f} %\n".format(*(100 * loss for loss in losses))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{model}"], "expected image files or --evaluate DATASET"),
        (["{model}", "--evaluate", "nowhere"], "data set nowhere not found"),
        (["nowhere", "digit.png"], "No such file or directory: 'nowhere'"),
    ],
)
def test_script_ends_with_one_line_for_an_error(run_script, arguments, message, saved_models):
    finished = run_script("predict.py", *(part.format(model=saved_models["MLP"]) for part in arguments))
    assert (finished.returncode, finished.stdout) == (1, "")
    assert re.fullmatch(rf"error: .*{message}.*\n", finished.stderr)


def test_script_is_interrupted_by_ctrl_c(image_files, saved_models):
    command = [sys.executable, ROOT / "scripts" / "predict.py", saved_models["MLP"], *[image_files[0]] * 20000]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith(os.fspath(image_files[0]))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.startswith("Interrupted\n")
