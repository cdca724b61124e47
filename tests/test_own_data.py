"""Data of a user, from end to end: other images than MNIST's, features that are no image, sizes that NumPy computed."""

import json
import math

import numpy as np
import onnxruntime
import pytest
from models import TUTORIALS
from PIL import Image

from theano_tutorials import export_onnx, load_model, train_lenet, train_mlp
from theano_tutorials.runs.tensors import read_tensors

N_CLASSES = 3
MODEL = "best_model.safetensors"
IMAGES = {"rectangular": (20, 16), "coloured": (18, 17, 3), "channels first": (3, 18, 17)}
ROWS = {"no image": (30,), "of no grey or coloured image": (6, 5, 2)}


def write(folder, shape):
    """A data set of examples of that shape; in each class other rows of them are bright."""
    rng = np.random.RandomState(0)
    y = rng.randint(N_CLASSES, size=180)
    bright = np.arange(shape[0]) % N_CLASSES == y[:, None]
    x = rng.randint(60, size=(180, *shape)) + 120 * bright.reshape(180, -1, *[1] * (len(shape) - 1))
    x = x.astype("uint8")
    np.savez(folder / "own.npz", x_train=x[:120], y_train=y[:120], x_test=x[120:], y_test=y[120:])
    return folder / "own.npz", x[120:], y[120:]


def cases(shapes, tutorials):
    return [pytest.param(shape, name, id=f"{name}-{case}") for case, shape in shapes.items() for name in tutorials]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "name"), cases(IMAGES, TUTORIALS) + cases(ROWS, [name for name in TUTORIALS if name != "lenet"])
)
def test_a_run_on_own_data_is_whole_and_its_model_is_used(shape, name, tmp_path, capfd):
    dataset, images, labels = write(tmp_path, shape)
    options = {**TUTORIALS[name].quick, "n_epochs": 30, "batch_size": 10, "learning_rate": 0.1}
    result = TUTORIALS[name].train(dataset=dataset, output_dir=tmp_path / "run", **options)
    assert result.test_loss < 0.2
    is_image = shape in IMAGES.values()
    figures = {"learning_curve.png", "confusion.png"} | ({"filters.png", "mistakes.png"} if is_image else set())
    assert {path.name for path in (tmp_path / "run").glob("*.png")} == figures
    for figure in figures:
        with Image.open(tmp_path / "run" / figure) as image:
            image.load()
    output, errors = capfd.readouterr()
    assert errors == ""
    assert ("are no images" in output) == (not is_image)

    _, metadata = read_tensors(tmp_path / "run" / MODEL)
    assert metadata["architecture"]["n_out"] == N_CLASSES
    predict = load_model(tmp_path / "run").predict
    probabilities = predict(images)
    assert probabilities.shape == (60, N_CLASSES)
    n_used = len(labels) // 10 * 10
    assert np.mean((probabilities.argmax(axis=1) != labels)[:n_used]) == pytest.approx(result.test_loss)

    export_onnx(tmp_path / "run", tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()
    assert taken.shape == ["N", math.prod(shape)]


@pytest.mark.slow
def test_sizes_that_numpy_computed_are_those_of_python(tmp_path):
    dataset, _, labels = write(tmp_path, (20, 16))
    rng = np.random.default_rng(0)
    sizes = {"n_epochs": np.int64(2), "batch_size": np.int32(10), "patience": np.int64(1000), "seed": np.uint16(3)}
    train_mlp(
        dataset=dataset,
        output_dir=tmp_path / "mlp",
        n_hidden=labels.max() + 1,
        learning_rate=np.float64(rng.uniform(0.01, 0.1)),
        L1_reg=np.float32(0.25),
        L2_reg=np.float64(1e-4),
        **sizes,
    )
    train_lenet(dataset=dataset, output_dir=tmp_path / "lenet", nkerns=np.array([2, 3]), **sizes)
    # To the bit.
    config = json.loads((tmp_path / "mlp" / "config.json").read_text())["hyperparameters"]
    train_mlp(dataset=dataset, output_dir=tmp_path / "python", **config)
    assert (tmp_path / "python" / MODEL).read_bytes() == (tmp_path / "mlp" / MODEL).read_bytes()
    for name, architecture in (
        ("mlp", {"n_in": 320, "n_hidden": 3, "n_out": 3}),
        ("lenet", {"nkerns": [2, 3], "n_out": 3, "image_shape": [1, 20, 16]}),
    ):
        model, _ = load_model(tmp_path / name)
        assert model.architecture == architecture
        config = json.loads((tmp_path / name / "config.json").read_text())["hyperparameters"]
        assert {key: config[key] for key in sizes} == {key: int(value) for key, value in sizes.items()}
