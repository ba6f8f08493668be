"""`auto` and `--advise`: the same result as the strategy by itself, the evidence, and going on after a stop."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from dlkit_builtin.transfer.candidates import Judge
from dlkit_builtin.transfer.catalog import STRATEGIES
from dlkit_builtin.transfer.technique import Transfer
from dlkit_builtin.transfer.trial import Trial
from finetune_fakes import runtime, snapshot
from small_transfer import save_weights, small_data, small_options, trained

from dlkit.cli.main import main
from dlkit.data import ImageData
from dlkit.errors import Interrupted
from dlkit.options.values import Duration

GRADIENTS = ("finetune-top", "finetune-deep", "lp-ft", "finetune")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_weights(tmp_path_factory.mktemp("weights") / "test_resnet.safetensors")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return small_data(tmp_path_factory.mktemp("data") / "small.npz")


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Everyone may win, and finetune-top does; two folds are enough here."""
    monkeypatch.setattr("dlkit_builtin.transfer.study.FOLDS", 2)
    monkeypatch.setattr(Judge, "cannot_win", lambda *_: False)
    monkeypatch.setattr(Judge, "choose", lambda _, found: next(c for c in found if c.strategy == "finetune-top"))
    return monkeypatch


def test_auto_is_the_strategy_that_it_chose(
    weights: Path, data: ImageData, tmp_path: Path, decided: pytest.MonkeyPatch
) -> None:
    """Whatever was measured and raced before leaves no trace in the weights; and what was raced is not raced again."""
    tried = list[tuple[str, int]]()
    scores = Trial.scores

    def watched(self: Trial, strategy: str, fold: int) -> object:
        tried.append((strategy, fold))
        return scores(self, strategy, fold)

    decided.setattr(Trial, "scores", watched)
    options = small_options(weights, "auto", epochs=1, budget=Duration(1000))
    auto = trained(options, data, tmp_path)
    assert auto.strategy == "finetune-top"
    alone = snapshot(trained(small_options(weights, "finetune-top", epochs=1), data, tmp_path / "alone").network)
    assert all(torch.equal(tensor, alone[name]) for name, tensor in auto.network.state_dict().items())

    advice = json.loads((tmp_path / "advice.json").read_text())
    assert advice["choice"] == "finetune-top"
    names = [candidate["strategy"] for candidate in advice["candidates"]]
    assert names == [name for name in STRATEGIES if name in names]
    assert {"linear-probe", "stage-probe", "mlp-head", *GRADIENTS} <= {*names}
    assert all(candidate["images"] == 60 for candidate in advice["candidates"])
    assert [stage["stage"] for stage in advice["stages"]] == [stage.name for stage in auto.network.backbone.stages]

    tables = {table.name: table for table in auto.evaluate(data, runtime()).tables}
    assert [row["strategy"] for row in tables["strategies"].rows] == names
    assert "finetune-top" in tables["strategies"].title
    assert len(tables["stages"].rows) == len(advice["stages"])

    raced = [call for call in tried if call[0] in GRADIENTS]
    assert sorted(raced) == sorted((name, fold) for name in GRADIENTS for fold in range(2))
    tried.clear()
    again = trained(options, data, tmp_path)  # in the same run directory, as `dlkit resume` does
    assert not [call for call in tried if call[0] in GRADIENTS]
    assert again.strategy == "finetune-top"


def test_advice_makes_no_run(shapes_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["transfer", "--backbone", "test_resnet", "--random-init", "--image-size", "32", "--threads", "1",
             "--no-cache", "--head-epochs", "2", "--data", str(shapes_npz), "--runs", str(tmp_path / "runs"),
             "--budget", "1s", "--advise"]  # fmt: skip
    assert main(words) == 0
    told = capsys.readouterr()
    text = told.out + told.err
    lines = text.splitlines()
    row = next(line for line in lines if line.startswith("little data"))  # 21 images per class
    assert row.count("→") == 1
    assert not any("→" in line for line in lines if line.startswith("much data"))
    assert sum(line.startswith("→ ") for line in lines) == 1  # the choice among the candidates
    assert any(line.startswith("Strategy: ") for line in lines)
    assert not (tmp_path / "runs").exists()
    assert main([*words, "--json"]) == 0
    advice = json.loads(capsys.readouterr().out)
    assert advice["choice"] in STRATEGIES
    assert advice["measurements"]["size"] == "little"


def test_advice_that_is_stopped_promises_no_run(
    shapes_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any) -> NoReturn:
        raise Interrupted(signal.SIGTERM, "Everything is saved. Go on with: dlkit resume /tmp/of-a-trial")

    monkeypatch.setattr(Transfer, "advise", stopped)
    words = ["--backbone", "test_resnet", "--random-init", "--image-size", "32", "--data", str(shapes_npz)]
    assert main(["transfer", *words, "--runs", str(tmp_path), "--advise"]) == 128 + signal.SIGTERM
    told = capsys.readouterr().err
    assert "Stopped by SIGTERM" in told
    assert "resume" not in told
