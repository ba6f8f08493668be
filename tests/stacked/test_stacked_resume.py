"""Stopped in any phase and taken up again, training ends with the same bits."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from dlkit_builtin.stacked.options import StackedOptions
from stacked_fakes import options, train
from torch import Tensor

from dlkit.data import load_data
from dlkit.options import DataOptions
from dlkit.options.values import Duration, LabelBudget
from dlkit.run import Run


class CrashError(Exception):
    pass


def chosen(pretrain: Any) -> StackedOptions:
    more = {} if pretrain == "rbm" else {"batch_norm": True}
    return options(pretrain=pretrain, dropout=0.2, mixup=0.2, checkpoint_every=Duration(1e-9), **more)


def trained(path: Path, npz: Path, pretrain: str) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    data = load_data(DataOptions(data=str(npz), labels=LabelBudget(40)))
    technique, run = train(path, data, chosen(pretrain))
    rows = [{key: value for key, value in row.items() if "second" not in key} for row in run.metrics()]
    return {**technique.state().tensors, "random": torch.rand(3)}, rows


@cache
def uninterrupted(npz: Path, pretrain: str) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    with TemporaryDirectory() as folder:
        return trained(Path(folder), npz, pretrain)


@pytest.mark.parametrize(
    ("pretrain", "phase"),
    [("denoising", "layer-1"), ("denoising", "layer-2"), ("denoising", "head"), ("denoising", "finetune"),
     ("rbm", "layer-2"), ("supervised", "layer-2"), ("none", "train")],
)  # fmt: skip
def test_stopped_in_any_phase(
    tmp_path: Path, shapes_npz: Path, pretrain: str, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dlkit.runtime.fit._SAVING_SHARE", 1e9)

    def crash(_run: Run, now: str, row: dict[str, Any]) -> None:
        if now == phase and row["epoch"] == 2:
            raise CrashError

    with monkeypatch.context() as patch:
        patch.setattr(Run, "epoch_ended", crash)
        with pytest.raises(CrashError):
            trained(tmp_path, shapes_npz, pretrain)
    tensors, rows = trained(tmp_path, shapes_npz, pretrain)
    expected, expected_rows = uninterrupted(shapes_npz, pretrain)
    assert rows == expected_rows
    assert tensors.keys() == expected.keys()
    assert [name for name in tensors if not torch.equal(tensors[name], expected[name])] == []
