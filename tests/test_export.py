"""ONNX files, run by onnxruntime side by side with Theano."""

import os

import numpy as np
import onnx
import onnxruntime
import pytest

from theano_tutorials import export_onnx, load_model, read_data

MODELS = ("LogisticRegression", "MLP", "LeNet5")


@pytest.fixture(scope="module")
def test_images():
    return read_data("mnist")[2][0]


@pytest.fixture(scope="module")
def exported(saved_models, tmp_path_factory):
    """ONNX files by model name."""
    folder = tmp_path_factory.mktemp("onnx")
    for name in MODELS:
        export_onnx(saved_models[name], folder / f"{name}.onnx")
    return {name: folder / f"{name}.onnx" for name in MODELS}


def run_onnx(path, images):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(["probabilities", "digit"], {"images": images})


@pytest.mark.parametrize("name", MODELS)
def test_onnxruntime_and_theano_agree_on_all_test_images(name, saved_models, exported, test_images):
    expected = load_model(saved_models[name]).predict(test_images)
    parts = [run_onnx(exported[name], images) for images in np.array_split(test_images, 5)]
    probabilities, digits = (np.concatenate(part) for part in zip(*parts))
    assert (probabilities.dtype, digits.dtype) == (np.float32, np.int64)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(digits, expected.argmax(axis=1))
    assert len(np.unique(digits)) == 10  # not trivial


@pytest.mark.parametrize("n", [0, 1, 7])
@pytest.mark.parametrize("name", MODELS)
def test_any_number_of_images(name, n, exported, test_images):
    probabilities, digits = run_onnx(exported[name], test_images[:n])
    assert (probabilities.shape, digits.shape) == ((n, 10), (n,))


@pytest.mark.parametrize("name", MODELS)
def test_file_says_what_it_takes_and_gives(name, exported):
    graph = onnx.load(str(exported[name])).graph

    def signature(values):
        return {
            value.name: (
                value.type.tensor_type.elem_type,
                [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim],
            )
            for value in values
        }

    assert signature(graph.input) == {"images": (onnx.TensorProto.FLOAT, ["N", 784])}
    assert signature(graph.output) == {
        "probabilities": (onnx.TensorProto.FLOAT, ["N", 10]),
        "digit": (onnx.TensorProto.INT64, ["N"]),
    }


def test_equal_models_give_equal_files(saved_models, exported, tmp_path):
    again = tmp_path / "again.onnx"
    export_onnx(saved_models["LeNet5"], again)
    assert again.read_bytes() == exported["LeNet5"].read_bytes()


def test_a_model_that_is_not_valid_leaves_the_file_that_is_there(tmp_path):
    damaged, target = tmp_path / "damaged.safetensors", tmp_path / "model.onnx"
    damaged.write_bytes(b"no model")
    target.write_bytes(b"before")
    with pytest.raises(ValueError, match=r"damaged\.safetensors: not a whole safetensors file"):
        export_onnx(damaged, target)
    assert target.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged.safetensors", "model.onnx"]


def test_the_model_itself_is_not_overwritten(saved_models):
    path = saved_models["MLP"]
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"expected a name that ends in \.onnx"):
        export_onnx(path, path)
    assert path.read_bytes() == before


def test_script_exports(run_script, saved_models, exported, tmp_path):
    target = tmp_path / "digits.onnx"
    finished = run_script("export_onnx.py", saved_models["MLP"], target)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
    assert target.read_bytes() == exported["MLP"].read_bytes()


def test_script_says_that_onnx_is_missing(run_script, saved_models, tmp_path):
    # A package of that name that cannot be imported, before the installed one.
    (tmp_path / "onnx.py").write_text("raise ModuleNotFoundError(\"No module named 'onnx'\", name='onnx')\n")
    paths = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    finished = run_script("export_onnx.py", saved_models["MLP"], tmp_path / "x.onnx", PYTHONPATH=paths)
    assert finished.returncode == 1
    assert finished.stderr == (
        "error: onnx cannot be imported (No module named 'onnx'): install it with pip install onnx \"numpy<2\"\n"
    )
    assert not (tmp_path / "x.onnx").exists()
