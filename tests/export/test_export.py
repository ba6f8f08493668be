from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from fake_models import FakeAutoencoder, FakeClassifier, FakeOptions, fake_images, fake_spec, technique_of

import dlkit
from dlkit.errors import DataError, DlkitError, ExportMismatchError, PluginError, UsageError
from dlkit.export import export
from dlkit.export.formats import BUILTIN_FORMATS, ExportFormat, choose_format, find_format
from dlkit.export.weights_format import read_weights

FORMATS = [each.name for each in BUILTIN_FORMATS]


def run_export(technique, tmp_path, *, images=None, format="onnx", **more):
    spec = technique.spec
    target = tmp_path / "made" / ("model" + find_format(format).suffix)
    return export(
        technique, spec, fake_images(spec) if images is None else images,
        name="fake", options=technique.options, target=target, format=format, **more,
    )  # fmt: skip


def left_over(tmp_path):
    return [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("pixel_type", ["uint8", "float32"])
@pytest.mark.parametrize("kind", [FakeAutoencoder, FakeClassifier])
def test_every_format_equals_the_model(kind, pixel_type, format, tmp_path, capfd):
    technique = kind(FakeOptions(), fake_spec(pixel_type, channels=3))
    report = run_export(technique, tmp_path, format=format)
    assert report.difference <= 1e-4
    assert report.images == 20
    assert set(report.differences) == set(technique.outputs())
    assert report.size == report.path.stat().st_size
    assert left_over(tmp_path) == [report.path]
    assert stat.S_IMODE(report.path.stat().st_mode) == 0o666 & ~_umask()
    assert b"/secret/place" not in report.path.read_bytes()
    assert str(tmp_path).encode() not in report.path.read_bytes()
    assert __file__.encode() not in report.path.read_bytes()
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    json.dumps(report.to_json())


def _umask():
    current = os.umask(0o022)
    os.umask(current)
    return current


def test_onnx_file_is_valid_whole_and_says_what_it_is(tmp_path):
    technique = FakeAutoencoder(FakeOptions(), fake_spec())
    path = run_export(technique, tmp_path, metadata={"licence": "CC0"}).path
    model = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert not any(each.external_data for each in model.graph.initializer)
    (images,) = model.graph.input
    dims = images.type.tensor_type.shape.dim
    assert images.name == "images"
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["batch", 1, 8, 8]
    assert [each.name for each in model.graph.output] == ["code", "reconstruction"]
    assert all(each.type.tensor_type.shape.dim[0].dim_param == "batch" for each in model.graph.output)

    metadata = {each.key: each.value for each in model.metadata_props}
    assert metadata["licence"] == "CC0"
    assert metadata["technique"] == "fake"
    assert metadata["dlkit_version"] == dlkit.__version__
    assert json.loads(metadata["outputs"]) == {"code": "code", "reconstruction": "image"}
    spec = json.loads(metadata["spec"])
    assert spec["classes"] == ["zero", "=one", "two"]
    assert (spec["height"], spec["pixel_type"]) == (8, "uint8")


def test_onnx_classifier_equals_numpy_at_any_batch_size(tmp_path):
    technique = FakeClassifier(FakeOptions(), fake_spec())
    path = run_export(technique, tmp_path).path
    weight = technique.module.linear.weight.detach().numpy().astype(np.float64)
    bias = technique.module.linear.bias.detach().numpy().astype(np.float64)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for count in (1, 2, 7, 33):
        raw = fake_images(technique.spec, count).numpy()
        logits = raw.reshape(count, -1) / 255.0 @ weight.T + bias
        expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        (found,) = session.run(None, {"images": raw})
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_torch_program_runs_without_dlkit(tmp_path):
    technique = FakeClassifier(FakeOptions(), fake_spec())
    path = run_export(technique, tmp_path, format="torch").path
    code = (
        "import sys, torch; extra = {'technique': ''}; program = torch.export.load(sys.argv[1], extra_files=extra);"
        "assert extra['technique'] == 'fake', extra;"
        "out, = program.module()(torch.full((3, 1, 8, 8), 255, dtype=torch.uint8));"
        "assert 'dlkit' not in sys.modules; print(out[0].tolist())"
    )
    output = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True).stdout
    (expected,) = technique.module(torch.ones(1, 1, 8, 8))
    np.testing.assert_allclose(json.loads(output), expected[0].detach(), atol=1e-6)


def test_weights_hold_the_state_the_spec_and_the_metadata(tmp_path):
    technique = FakeAutoencoder(FakeOptions(code=3), fake_spec())
    path = run_export(technique, tmp_path, format="safetensors", metadata={"options": "{}"}).path
    state, spec, metadata = read_weights(path)
    assert state.plain == {"kind": "FakeAutoencoder"}
    assert metadata["options"] == "{}"
    assert spec.classes == technique.spec.classes
    for name, tensor in technique.module.state_dict().items():
        assert torch.equal(state.tensors[name], tensor)


@pytest.mark.parametrize("content", [b"", b"garbage" * 20, None])
def test_weights_of_a_stranger_are_refused(content, tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "foreign.safetensors"
    if content is None:
        save_file({"x": torch.ones(1)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match="foreign"):
        read_weights(path)


@pytest.mark.parametrize("format", ["onnx", "torch"])
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda pixels: pixels.flatten(1) + torch.rand_like(pixels.flatten(1)), "differs from the model by"),
        (lambda pixels: (pixels.flatten(1) - pixels.flatten(1)).log(), "not finite"),
    ],
)
def test_a_wrong_export_is_an_error_and_leaves_nothing(function, message, format, tmp_path):
    technique = technique_of(function)(FakeOptions(), fake_spec())
    with pytest.raises(ExportMismatchError, match=message) as caught:
        run_export(technique, tmp_path, format=format)
    assert caught.value.exit_code == 4
    assert left_over(tmp_path) == []


def test_a_state_that_forgets_something_is_an_error(tmp_path):
    class Forgetful(FakeClassifier):
        @classmethod
        def load(cls, state, options, spec):
            made = cls(options, spec)
            made.module.linear.bias.data += 1
            made.module.linear.bias.data[0] -= 1.5
            return made

    with pytest.raises(ExportMismatchError):
        run_export(Forgetful(FakeOptions(), fake_spec()), tmp_path, format="safetensors")
    assert left_over(tmp_path) == []


def test_what_no_graph_can_hold_is_told_with_its_cause(tmp_path):
    def branch(pixels):
        return pixels.flatten(1) if pixels.sum() > 3 else -pixels.flatten(1)

    with pytest.raises(DlkitError, match="cannot be captured") as caught:
        run_export(technique_of(branch)(FakeOptions(), fake_spec()), tmp_path)
    assert "depends on" in caught.value.hint
    assert left_over(tmp_path) == []


def test_what_onnx_lacks_is_told(tmp_path):
    technique = technique_of(lambda pixels: torch.special.bessel_j0(pixels.flatten(1)))(FakeOptions(), fake_spec())
    with pytest.raises(DlkitError, match=r"cannot be converted to ONNX.*bessel"):
        run_export(technique, tmp_path)
    assert run_export(technique, tmp_path, format="torch").difference == 0


def test_a_model_in_training_mode_is_refused(tmp_path):
    technique = FakeAutoencoder(FakeOptions(), fake_spec())
    technique.module.train()
    with pytest.raises(PluginError, match="eval mode"):
        run_export(technique, tmp_path)


def test_another_number_of_outputs_is_refused(tmp_path):
    technique = FakeAutoencoder(FakeOptions(), fake_spec())
    technique.kinds = {"code": "code"}
    with pytest.raises(PluginError, match="tuple of 1"):
        run_export(technique, tmp_path, format="safetensors")


@pytest.mark.parametrize("outputs", [{}, {"../x": "code"}, {"code": "picture"}])
def test_unusable_outputs_are_refused(outputs, tmp_path):
    technique = FakeAutoencoder(FakeOptions(), fake_spec())
    technique.kinds = outputs
    with pytest.raises(PluginError):
        run_export(technique, tmp_path)


def test_existing_files_are_kept_unless_told(tmp_path):
    technique = FakeClassifier(FakeOptions(), fake_spec())
    target = tmp_path / "made" / "model.safetensors"
    target.parent.mkdir()
    target.write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        run_export(technique, tmp_path, format="safetensors")
    assert target.read_text() == "mine"
    run_export(technique, tmp_path, format="safetensors", overwrite=True)
    assert read_weights(target)[1].name == "data"


def test_a_failed_export_keeps_the_file_it_would_replace(tmp_path):
    technique = technique_of(lambda pixels: torch.rand_like(pixels))(FakeOptions(), fake_spec())
    target = tmp_path / "made" / "model.pt2"
    target.parent.mkdir()
    target.write_text("mine")
    with pytest.raises(ExportMismatchError):
        run_export(technique, tmp_path, format="torch", overwrite=True)
    assert target.read_text() == "mine"


def test_images_must_be_there_and_fit(tmp_path):
    technique = FakeClassifier(FakeOptions(), fake_spec())
    with pytest.raises(DataError, match="no images"):
        run_export(technique, tmp_path, images=fake_images(technique.spec)[:0])
    with pytest.raises(DataError, match=r"expected torch\.uint8"):
        run_export(technique, tmp_path, images=fake_images(technique.spec) / 255)
    # Fewer than a whole batch is enough.
    assert run_export(technique, tmp_path, images=fake_images(technique.spec, 3)).images == 3


def test_at_most_256_images_are_compared(tmp_path):
    technique = FakeClassifier(FakeOptions(), fake_spec())
    assert run_export(technique, tmp_path, images=fake_images(technique.spec, 300)).images == 256


def test_the_technique_is_left_as_it_was(tmp_path):
    technique = FakeAutoencoder(FakeOptions(), fake_spec())
    before = {name: tensor.clone() for name, tensor in technique.module.state_dict().items()}
    run_export(technique, tmp_path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in technique.module.state_dict().items())
    assert all(parameter.requires_grad for parameter in technique.module.parameters())


def test_a_format_of_a_plugin(tmp_path, monkeypatch):
    module = type(sys)("fake_format")
    module.write = lambda model, path: path.write_text(json.dumps(dict(model.metadata)))
    module.reload = lambda model, path: model.module
    monkeypatch.setitem(sys.modules, "fake_format", module)
    card = ExportFormat(name="json", suffix=".json", summary="A test.", implementation="fake_format")
    technique = FakeClassifier(FakeOptions(), fake_spec())
    report = export(
        technique, technique.spec, fake_images(technique.spec),
        name="fake", options=technique.options, target=tmp_path / "x.json", format=card,
    )  # fmt: skip
    assert json.loads(report.path.read_text())["technique"] == "fake"
    with pytest.raises(PluginError, match="no_such_module"):
        ExportFormat(name="a", suffix=".a", summary="", implementation="no_such_module").load()


@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_is_the_users_error(format, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # as full as a test can make it
    try:
        with pytest.raises(DlkitError, match="Cannot write"):
            run_export(FakeAutoencoder(FakeOptions(), fake_spec("uint8", channels=3)), tmp_path, format=format)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left_over(tmp_path) == []


def test_unknown_formats_are_named():
    with pytest.raises(UsageError, match="'keras'; expected one of onnx, torch, safetensors"):
        find_format("keras")


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        (None, None, "onnx"), (None, "m.pt2", "torch"), (None, "m.SafeTensors", "safetensors"), (None, "m.bin", "onnx"),
        ("torch", "m.bin", "torch"), ("torch", "m.pt2", "torch"), ("torch", None, "torch"),
    ],
)  # fmt: skip
def test_the_suffix_chooses_the_format(name, target, expected):
    assert choose_format(name, target and Path(target)).name == expected


def test_a_suffix_of_another_format_is_refused():
    with pytest.raises(UsageError, match="suffix of the format torch, not of onnx"):
        choose_format("onnx", Path("m.pt2"))


def test_formats_and_metadata_are_light():
    code = "import sys, dlkit.export.formats, dlkit.export.metadata; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
