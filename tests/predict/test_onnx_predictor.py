from __future__ import annotations

import json
import os

import numpy as np
import onnx
import pytest
from fake_models import FakeAutoencoder, FakeClassifier, FakeOptions, fake_images, fake_spec

from dlkit.errors import DataError
from dlkit.export import export
from dlkit.predict import OnnxPredictor, TechniquePredictor


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    spec = fake_spec()
    technique = FakeClassifier(FakeOptions(), spec)
    target = tmp_path_factory.mktemp("exported") / "model.onnx"
    export(technique, spec, fake_images(spec), name="fake", options=technique.options, target=target)
    return target


def altered(exported, tmp_path, change):
    model = onnx.load(exported)
    change(model)
    path = tmp_path / "altered.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def set_metadata(model, key, value):
    for each in model.metadata_props:
        if each.key == key:
            each.value = value


@pytest.mark.parametrize("pixel_type", ["uint8", "float32"])
def test_equals_the_technique(pixel_type, tmp_path):
    spec = fake_spec(pixel_type, channels=3)
    technique = FakeAutoencoder(FakeOptions(), spec)
    target = tmp_path / "model.onnx"
    export(technique, spec, fake_images(spec), name="fake", options=technique.options, target=target)
    found, expected = OnnxPredictor(target, threads=1), TechniquePredictor(technique, spec)
    assert dict(found.outputs) == dict(expected.outputs)
    assert (found.spec.shape, found.spec.classes, found.technique) == (spec.shape, spec.classes, "fake")
    images = fake_images(spec, 5)
    for name, array in expected.predict(images).items():
        np.testing.assert_allclose(found.predict(images)[name], array, atol=1e-5)


def test_a_foreign_model_is_told_what_it_lacks(exported, tmp_path):
    path = altered(exported, tmp_path, lambda model: model.ClearField("metadata_props"))
    with pytest.raises(DataError, match=r"altered\.onnx.*lacks dlkit_version, technique, spec, outputs"):
        OnnxPredictor(path)


@pytest.mark.parametrize("content", [b"", b"not an onnx file at all" * 10, None])
def test_broken_files(content, exported, tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(exported.read_bytes()[:500] if content is None else content)
    with pytest.raises(DataError, match=r"broken\.onnx"):
        OnnxPredictor(path)


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        OnnxPredictor(tmp_path / "none.onnx")


@pytest.mark.timeout(60)
def test_a_pipe_and_a_giant(tmp_path):
    """A pipe was waited for; a terabyte, which takes no space on the disk, was read."""
    os.mkfifo(tmp_path / "pipe.onnx")
    with (tmp_path / "giant.onnx").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(DataError, match="a pipe"):
        OnnxPredictor(tmp_path / "pipe.onnx")
    with pytest.raises(DataError, match="more than the limit"):
        OnnxPredictor(tmp_path / "giant.onnx")


@pytest.mark.parametrize("inputs", ["[" * 100_000, "{", "3", '{"\\u001b[31m": {}}'])
def test_garbled_names_of_inputs(inputs, exported, tmp_path):
    path = altered(exported, tmp_path, lambda model: model.metadata_props.add(key="inputs", value=inputs))
    with pytest.raises(DataError, match="takes no images but"):
        OnnxPredictor(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spec", "{"),
        ("spec", "[]"),
        ("spec", "[" * 100_000),
        ("spec", "{}"),
        ("outputs", '{"../../x": "image"}'),
        ("outputs", '{"probabilities": "painting"}'),
        ("outputs", "{}"),
        ("outputs", "3"),
    ],
)
def test_garbled_metadata(key, value, exported, tmp_path):
    path = altered(exported, tmp_path, lambda model: set_metadata(model, key, value))
    with pytest.raises(DataError, match="cannot be understood"):
        OnnxPredictor(path)


@pytest.mark.parametrize(
    "change",
    [
        {"height": 10**9}, {"height": "8"}, {"channels": True}, {"pixel_type": "int64"}, {"resize": "no"},
        {"classes": [1, 2, 3]}, {"surprise": 1},
    ],
)  # fmt: skip
def test_garbled_specs(change, exported, tmp_path):
    def garble(model):
        spec = json.loads(next(each.value for each in model.metadata_props if each.key == "spec"))
        set_metadata(model, "spec", json.dumps(spec | change))

    with pytest.raises(DataError, match="cannot be understood"):
        OnnxPredictor(altered(exported, tmp_path, garble))


def test_metadata_that_belies_the_graph(exported, tmp_path):
    def other_size(model):
        spec = json.loads(next(each.value for each in model.metadata_props if each.key == "spec"))
        set_metadata(model, "spec", json.dumps(spec | {"height": 9}))

    with pytest.raises(DataError, match="does not take"):
        OnnxPredictor(altered(exported, tmp_path, other_size))
    other_name = '{"code": "code"}'
    with pytest.raises(DataError, match="has the outputs"):
        OnnxPredictor(altered(exported, tmp_path, lambda model: set_metadata(model, "outputs", other_name)))


def test_no_other_file_is_read(exported, tmp_path):
    """A stranger's graph cannot name a file of ours as its weights."""
    (tmp_path / "secret").write_bytes(b"\0" * 4096)

    def externalise(model):
        tensor = next(each for each in model.graph.initializer if each.dims)
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="secret")

    with pytest.raises(DataError, match="another file"):
        OnnxPredictor(altered(exported, tmp_path, externalise))


def test_unknown_operators_are_an_error_not_a_library(exported, tmp_path):
    def rename(model):
        model.graph.node[0].domain = "com.stranger"
        model.opset_import.add(domain="com.stranger", version=1)

    with pytest.raises(DataError, match="onnxruntime cannot load"):
        OnnxPredictor(altered(exported, tmp_path, rename))
