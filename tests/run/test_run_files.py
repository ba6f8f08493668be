"""What a run reads and writes: status, lock, metrics, model; and files that somebody or something spoilt."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dlkit_builtin.autoencoder.technique import Autoencoder
from safetensors.torch import load_file

from dlkit.data.spec import DataSpec, Normalization
from dlkit.discovery import registry
from dlkit.errors import DataError, DlkitError, UsageError
from dlkit.metrics import Metric, Metrics
from dlkit.run import Run, open_run
from dlkit.run.environment import describe_environment
from dlkit.run.model_files import load_state, save_state
from dlkit.settings import resolve
from dlkit.technique import State

SPEC = DataSpec(source="/x/tiny.npz", name="tiny", channels=1, height=4, width=4, counts={"train": 3})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    card = registry().technique("autoencoder")
    return Run.create(resolve(card, flags={"runs": str(tmp_path), "layers": "5", "code": 3}), SPEC)


def model(run: Run) -> Autoencoder:
    technique = Autoencoder(run.settings.options, run.spec)
    run.save_model(technique.state(), distribution="dlkit", version="1")
    return technique


# --- status, log, lock ------------------------------------------------------------------------------------------


def test_status_and_log(run: Run) -> None:
    run.set_status("training")
    run.set_status("failed", error="it broke \udc80\n")
    status = open_run(str(run.path)).status
    assert (status["status"], status["error"]) == ("failed", "it broke \udc80\n")
    lines = (run.path / "log.txt").read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == ["training", "failed"]
    assert not [path for path in run.path.iterdir() if path.suffix == ".tmp"]


def test_only_one_process_trains_a_run(run: Run) -> None:
    code = f"""
from pathlib import Path; from dlkit.run import Run; from dlkit.errors import UsageError
try:
    with Run(Path({str(run.path)!r})).locked():
        print("in")
except UsageError as error:
    print(error)
"""

    def other() -> str:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    with run.locked():
        assert "Another process is training" in other()
        with pytest.raises(UsageError, match="Another process"), Run(run.path).locked():
            pass
    assert other() == "in\n"


def test_a_lock_that_cannot_be_made_is_no_bug(run: Run) -> None:
    (run.path / ".lock").mkdir()
    with pytest.raises(DlkitError, match="lock"), run.locked():
        pass


def test_environment_is_kept_per_session(run: Run) -> None:
    for threads in (1, 2):
        run.add_environment(describe_environment(distribution="dlkit", version="1", threads=threads, device="cpu"))
    first, second = run.environments
    assert (first["threads"], second["threads"]) == (1, 2)
    assert first["packages"]["torch"] == torch.__version__.partition("+")[0]
    assert first["argv"] == sys.argv
    assert {"python", "platform", "git_commit", "device_name", "started", "directory"} <= set(first)


# --- metrics ----------------------------------------------------------------------------------------------------


def test_metrics_are_appended_and_cut_back(run: Run) -> None:
    assert run.metrics_position() == 0
    run.record({"phase": "train", "epoch": 1, "train_loss": 0.1 + 0.2})
    position = run.metrics_position()
    assert position == (run.path / "metrics.jsonl").stat().st_size
    run.record({"phase": "train", "epoch": 2, "train_loss": math.inf, "val_loss": math.nan})
    assert run.metrics()[0] == {"phase": "train", "epoch": 1, "train_loss": 0.30000000000000004}
    assert run.metrics()[1] == {"phase": "train", "epoch": 2, "train_loss": "inf", "val_loss": "nan"}
    run.cut_metrics(position + 1000)
    assert len(run.metrics()) == 2
    run.cut_metrics(position)
    run.record({"phase": "train", "epoch": 2, "train_loss": 0.5})
    run.close()
    assert [row["train_loss"] for row in open_run(str(run.path)).metrics()] == [0.30000000000000004, 0.5]
    run.cut_metrics(0)
    assert run.metrics() == []


def test_a_line_that_a_crash_cut_off_is_left_out(run: Run) -> None:
    run.record({"epoch": 1})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "tra')
    assert run.metrics() == [{"epoch": 1}]


def test_evaluation_and_back(run: Run) -> None:
    rows = (
        Metric(name="psnr", label="PSNR", value=12.345678901234567, split="test", better="higher",
               baselines={"x": math.inf}, interval=(1.0, 2.0), unit="dB", note="n"),
        Metric(name="ssim", label="SSIM", value=math.nan, split="test", better="lower"),
    )  # fmt: skip
    assert run.load_evaluation() is None
    run.save_evaluation(Metrics(rows), ("a notice",))
    again = run.load_evaluation()
    assert again is not None
    assert again[0] == rows[0]
    assert math.isnan(again[1].value)
    assert json.loads((run.path / "evaluation.json").read_text())["notices"] == ["a notice"]


def test_checkpoint_paths_stay_inside(run: Run) -> None:
    path = run.checkpoint_path("train", "last")
    assert path.parent.is_dir()
    assert path.parent.parent == run.path / "checkpoints"
    for phase in ("../../x", "layer 1", "a/b", ""):  # nor may two names come to share a directory
        with pytest.raises(ValueError, match="a phase's name"):
            run.checkpoint_path(phase, "last")


# --- the model --------------------------------------------------------------------------------------------------


def test_model_and_back(run: Run) -> None:
    technique = model(run)
    images = torch.rand(2, 1, 4, 4)
    loaded: Any = open_run(str(run.path)).load_technique()
    assert torch.equal(loaded.reconstruct(images), technique.reconstruct(images))
    assert set(load_file(run.path / "model.safetensors")) == set(technique.network.state_dict())
    assert json.loads((run.path / "model.json").read_text())["technique"] == "autoencoder"


def test_tied_and_strided_tensors_are_kept(tmp_path: Path) -> None:
    weight = torch.arange(6.0).view(2, 3)
    tensors = {"a": weight, "b": weight, "c": weight.t(), "d": weight[:, 1], "e": torch.tensor(3)}
    save_state(tmp_path, State(tensors, {"k": [1, None]}), {"technique": "t"})
    state = load_state(tmp_path)
    assert state.plain == {"k": [1, None]}
    assert set(state.tensors) == set(tensors)
    assert all(torch.equal(state.tensors[name], tensor) for name, tensor in tensors.items())


def test_no_model_yet(run: Run) -> None:
    with pytest.raises(DataError, match=r"has no model yet.*\n.*dlkit resume"):
        run.load_technique()


def spoil_tensors(run: Run) -> None:
    path = run.path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-3])


def other_tensors(run: Run) -> None:
    technique = Autoencoder(run.settings.options, run.spec)
    run.save_model(technique.state(), distribution="dlkit", version="1")
    (run.path / "model.json").write_text(json.dumps({"state": {}, "sha256": "0" * 64}))


def no_tensors(run: Run) -> None:
    (run.path / "model.safetensors").unlink()


def garbage_with_the_right_sum(run: Run) -> None:
    import hashlib

    (run.path / "model.safetensors").write_bytes(b"garbage" * 20)
    digest = hashlib.sha256(b"garbage" * 20).hexdigest()
    (run.path / "model.json").write_text(json.dumps({"state": {}, "sha256": digest}))


def another_size(run: Run) -> None:
    config = run.path / "config.toml"
    config.write_text(config.read_text().replace("code = 3", "code = 4"))


def tensors_missing(run: Run) -> None:
    save_state(run.path, State({"x": torch.zeros(1)}), {"technique": "autoencoder"})


@pytest.mark.parametrize(
    "spoil", [spoil_tensors, other_tensors, no_tensors, garbage_with_the_right_sum, another_size, tensors_missing],
    ids=lambda function: function.__name__,
)  # fmt: skip
def test_a_spoilt_model_is_a_data_error(run: Run, spoil: Any) -> None:
    model(run)
    spoil(run)
    with pytest.raises(DataError, match=f"The model of '{run.path}' cannot be read"):
        open_run(str(run.path)).load_technique()


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"x"', "null", '{"sha256": []}', "\x00", '{"state": {}}'])
def test_a_spoilt_model_json_is_a_data_error(run: Run, text: str) -> None:
    model(run)
    (run.path / "model.json").write_text(text)
    with pytest.raises(DataError, match=r"cannot be read|Cannot read"):
        run.load_technique()


# --- files that somebody or something spoilt --------------------------------------------------------------------

SPOILT = ["", "{", "[]", "3", '"x"', "null", "[3]", "{}", '{"a": []}', "\udcff"]


@pytest.mark.parametrize("text", SPOILT)
@pytest.mark.parametrize("name", ["status.json", "environment.json", "evaluation.json", "data.json", "metrics.jsonl"])
def test_a_spoilt_file_is_a_data_error_or_nothing(run: Run, name: str, text: str) -> None:
    (run.path / name).write_bytes((text + "\n").encode("utf-8", "surrogateescape"))
    reads = {
        "status.json": lambda: open_run(str(run.path)).status,
        "environment.json": lambda: run.environments,
        "evaluation.json": run.load_evaluation,
        "data.json": lambda: Run(run.path).spec,
        "metrics.jsonl": run.metrics,
    }
    harmless = {
        "status.json": {"{}", '{"a": []}'},
        "environment.json": {"[]"},
        "metrics.jsonl": {"", "{}", '{"a": []}'},
    }
    if text in harmless.get(name, set()):
        reads[name]()
        return
    with pytest.raises(DataError, match=name):
        reads[name]()


@pytest.mark.parametrize(
    "change",
    [
        {"channels": "3"}, {"channels": 0}, {"height": -1}, {"width": 2.5}, {"width": True}, {"name": 3},
        {"pixel_type": "float64"}, {"resize": "melt"}, {"classes": [1]}, {"counts": []},
        {"counts": {"train": "x"}}, {"class_counts": {"train": 1}}, {"fingerprint": None}, {"unknown": 1},
        {"height": 10**6}, {"channels": 5},
        {"crop": 0}, {"crop": "1"}, {"crop": math.nan}, {"interpolation": "melt"}, {"target": ["x"]},
        {"classes": ["a", "b"], "class_counts": {"train": [3]}},
        {"normalization": {}}, {"normalization": {"mode": "none", "shape": [1, 1], "mean": "", "std": ""}},
        {"normalization": {"mode": "melt", "shape": [1, 1, 1], "mean": "AAAAAA==", "std": "AACAPw=="}},
        {"normalization": {"mode": "none", "shape": [1, 1, 1], "mean": "AAAA", "std": "AACAPw=="}},
        {"normalization": {"mode": "channel", "shape": [2, 1, 1], "mean": "AAAAAAAAAAA=", "std": "AACAPwAAgD8="}},
        {"normalization": {"mode": "none", "shape": ["1", 1, 1], "mean": "AAAAAA==", "std": "AACAPw=="}},
    ],
    ids=str,
)  # fmt: skip
def test_a_data_spec_with_impossible_values_is_a_data_error(run: Run, change: dict[str, Any]) -> None:
    plain = json.loads((run.path / "data.json").read_text())
    (run.path / "data.json").write_text(json.dumps(plain | change))
    with pytest.raises(DataError, match=r"data\.json"):
        _ = Run(run.path).spec


def test_a_data_spec_with_every_normalisation_is_read(run: Run) -> None:
    for mode, shape in (("channel", (1, 1, 1)), ("mean-image", (1, 4, 4)), ("standardize", (1, 4, 4))):
        values = np.full(shape, 0.5, dtype="<f4").tobytes()
        normalization = Normalization(mode=mode, shape=shape, mean=values, std=values)  # type: ignore[arg-type]
        (run.path / "data.json").write_text(json.dumps(SPEC.to_json() | {"normalization": normalization.to_json()}))
        assert Run(run.path).spec.normalization == normalization


@pytest.mark.parametrize("line", ["epochs = -3", "code = 'many'", "unknown = 1", "[table]", "denoise = 'fog'", "net"])
def test_a_spoilt_config_is_a_usage_error(run: Run, line: str) -> None:
    key = line.partition(" ")[0]
    config = run.path / "config.toml"
    kept = [text for text in config.read_text().splitlines() if not text.startswith(f"{key} =")]
    config.write_text("\n".join([*kept, line]))
    with pytest.raises(UsageError, match=r"config\.toml"):
        _ = Run(run.path).settings


@pytest.mark.parametrize("found", [2, "1", None, [1], True])
def test_a_newer_layout_is_refused(run: Run, found: object) -> None:
    run.set_status("finished")
    plain = json.loads((run.path / "status.json").read_text())
    (run.path / "status.json").write_text(json.dumps(plain | {"format": found}))
    with pytest.raises(UsageError, match=r"(?s)layout.*Upgrade") as caught:
        open_run(str(run.path))
    assert caught.value.exit_code == 2


def test_a_disk_that_is_full_is_no_bug(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlkit.run.run.to_append", lambda _: Path("/dev/full").open("ab"))  # noqa: SIM115
    with pytest.raises(DlkitError, match=r"metrics\.jsonl.*No space left"):
        run.record({"epoch": 1})
    with pytest.raises(DlkitError, match=r"log\.txt.*No space left"):
        run.log("x")
