"""Running out of memory, simulated by CUDA's own error, in every technique that trains by gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from dlkit import session
from dlkit.cli.main import main
from dlkit.options import RuntimeOptions
from dlkit.runtime import Runtime
from dlkit.runtime.update import Updater

MOST = 6
"""Samples for which there is memory."""
INDEPENDENT = [
    ["autoencoder", "--layers", "8", "--code", "3"],
    ["autoencoder", "--layers", "8,6", "--code", "3", "--denoise", "--greedy"],
    ["vae", "--layers", "8", "--code", "3"],
    ["classifier", "--net", "mlp", "--layers", "8", "--dropout", "0"],
    ["stacked", "--layers", "8", "--pretrain-epochs", "1", "--head-epochs", "1", "--pretrain", "denoising"],
]
DEPENDENT = [
    ["autoencoder", "--layers", "8", "--code", "3", "--batch-norm"],
    ["autoencoder", "--layers", "8", "--code", "3", "--sparse", "kl:0.05"],
    ["vae", "--layers", "8", "--code", "3", "--free-bits", "0.1"],
    ["gan", "--net", "mlp", "--features", "pixels"],
]


def short(monkeypatch: pytest.MonkeyPatch) -> None:
    backward = Updater._backward

    def fail(self: Updater, loss_fn: Any, tensors: Any, weight: float | None) -> Any:
        if max(len(tensor) for tensor in tensors if tensor is not None) > MOST:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return backward(self, loss_fn, tensors, weight)

    monkeypatch.setattr(Updater, "_backward", fail)


def train(words: list[str], data: Path, root: Path) -> int:
    return main(["train", *words, "--data", str(data), "--epochs", "2", "--batch-size", "16", "--threads", "1",
                 "--quiet", "--runs", str(root)])  # fmt: skip


@pytest.fixture(autouse=True)
def no_conclusion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "conclude", lambda *_: None)


@pytest.mark.parametrize("words", INDEPENDENT, ids=" ".join)
def test_smaller_parts_give_the_same(
    words: list[str], shapes_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert train(words, shapes_npz, tmp_path / "whole") == 0
    short(monkeypatch)
    capsys.readouterr()
    assert train(words, shapes_npz, tmp_path / "parts") == 0
    assert "computed in smaller parts" in capsys.readouterr().err
    whole, parts = (load_file(next((tmp_path / root).glob("*/*/model.safetensors"))) for root in ("whole", "parts"))
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("words", DEPENDENT, ids=" ".join)
def test_where_samples_depend_on_each_other_there_is_advice(
    words: list[str], shapes_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    short(monkeypatch)
    assert train(words, shapes_npz, tmp_path) == 1
    error = capsys.readouterr().err
    assert "depend on each other" in error
    assert "--batch-size" in error
    assert "Traceback" not in error


def test_in_an_optimizers_step_it_is_told_and_the_checkpoint_is_whole(
    shapes_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """A step that fails may have changed half of the weights, so it is not tried again: training stops."""
    words = ["autoencoder", "--layers", "8", "--code", "3", "--optimizer", "adam", "--checkpoint-every", "0"]
    step, steps = torch.optim.Adam.step, []

    def fail(self: torch.optim.Adam, closure: Any = None) -> Any:
        steps.append(0)
        if len(steps) == 6:  # in the second epoch
            self.param_groups[0]["params"][0].data.add_(1)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return step(self, closure)

    assert train(words, shapes_npz, tmp_path / "whole") == 0
    with monkeypatch.context() as short_of_memory:
        short_of_memory.setattr(torch.optim.Adam, "step", fail)
        assert train(words, shapes_npz, tmp_path / "stopped") == 1
    error = capsys.readouterr().err
    assert "out of memory" in error
    assert "--batch-size" in error
    (run,) = (tmp_path / "stopped" / "autoencoder").iterdir()
    assert main(["resume", str(run), "--quiet"]) == 0
    whole = load_file(next((tmp_path / "whole").glob("*/*/model.safetensors")))
    resumed = load_file(run / "model.safetensors")
    assert all(torch.equal(resumed[name], tensor) for name, tensor in whole.items())


class Images:
    """A split of which :meth:`Runtime.collect` needs no more."""

    files = labels = targets = None
    in_memory = True

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __len__(self) -> int:
        return len(self.tensor)

    def raw(self, indices: Tensor) -> Tensor:
        return self.tensor[indices]


@pytest.mark.parametrize("most", [1, 3, 9, 100])
def test_evaluation_goes_on_in_smaller_parts(most: int) -> None:
    """It ended in a traceback: a batch of evaluation may be larger than one of training."""

    def double(images: Tensor) -> Tensor:
        if len(images) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 2 * images

    images = torch.rand(25, 1, 2, 2)
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1))
    split: Any = Images(images)
    assert torch.equal(runtime.collect(double, split, 10), 2 * images)
    with pytest.raises(torch.OutOfMemoryError):
        runtime.collect(lambda _: double(torch.zeros(1000)), split)


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("odd")])
def test_elsewhere_it_is_told(
    error: Exception, shapes_npz: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(session, "conclude", fail)
    assert train(["autoencoder", "--layers", "8", "--code", "3"], shapes_npz, tmp_path) == 1
    shown = capsys.readouterr().err
    assert ("Traceback" in shown) == (str(error) == "odd")
    assert ("--batch-size" in shown) == (str(error) != "odd")
