"""Greedy training: what each layer learns from, once; exact resume; what it teaches other techniques."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from dlkit_builtin.autoencoder.noise import Noise
from dlkit_builtin.autoencoder.sparsity import Sparsity
from dlkit_builtin.autoencoder.technique import Autoencoder
from small_autoencoders import new_run, options, runtime
from torch import nn
from torch.nn import functional as F

from dlkit.data import ImageData, load_data
from dlkit.discovery import registry
from dlkit.errors import UsageError
from dlkit.layerwise import LayerTask, vectors
from dlkit.options import DataOptions, TrainOptions
from dlkit.options.values import Duration
from dlkit.run import Run
from dlkit.runtime import Runtime

GREEDY: dict[str, Any] = {"greedy": True, "greedy_epochs": 2, "epochs": 2}


@pytest.fixture(scope="module")
def data(shapes_npz: Path) -> ImageData:
    return load_data(DataOptions(data=str(shapes_npz)))


def technique(data: ImageData, **given: Any) -> Autoencoder:
    torch.manual_seed(3)
    return Autoencoder(options(**GREEDY | given), data.spec)


def test_phases_and_records(data: ImageData, tmp_path: Path) -> None:
    greedy, run = technique(data), new_run(tmp_path)
    phases = greedy.plan()
    assert [(phase.name, phase.epochs) for phase in phases] == [
        ("layer-1", 2), ("layer-2", 2), ("layer-3", 2), ("train", 2)
    ]  # fmt: skip
    sizes = [sum(p.numel() for module in phase.modules.values() for p in module.parameters()) for phase in phases]
    assert sizes[0] == 2 * 64 * 12 + 12 + 64
    assert sizes[3] == sum(sizes[:3])
    greedy.train(data, runtime(), run)
    rows = run.metrics()
    assert [row["phase"] for row in rows] == [name for phase in phases for name in [phase.name] * 2]
    assert all(row["val_loss"] > 0 for row in rows)


def test_codes_are_computed_once_by_the_layers_below(
    data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[tuple[str, tuple[int, ...]]] = []
    collect = Runtime.collect

    def counted(self: Runtime, function: Any, split: Any, batch_size: int = 250) -> torch.Tensor:
        codes = collect(self, function, split, batch_size)
        computed.append((split.name, tuple(codes.shape)))
        return codes

    monkeypatch.setattr(Runtime, "collect", counted)
    technique(data, greedy_epochs=3).train(data, runtime(), new_run(tmp_path))
    assert computed == [("train", (64, 12)), ("val", (16, 12)), ("train", (64, 8)), ("val", (16, 8))]


def test_the_stack_is_what_the_layers_learned(data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the whole is tuned its layers are those that were taught; the second one learned codes of the first."""
    seen: dict[str, tuple[torch.Tensor, dict[str, torch.Tensor]]] = {}
    fit = Autoencoder.fit

    def watched(self: Autoencoder, given: ImageData, ours: Runtime, run: Run, phase: str) -> None:
        if phase == "train":
            seen[phase] = given.train.pixels(), {k: v.clone() for k, v in self.network.state_dict().items()}
            return
        fit(self, given, ours, run, phase)
        seen[phase] = given.train.pixels(), {k: v.clone() for k, v in self.network.state_dict().items()}

    monkeypatch.setattr(Autoencoder, "fit", watched)
    greedy = technique(data, activation="tanh")
    greedy.train(data, runtime(), new_run(tmp_path))
    names = {"layer-1": ("hidden.0", "output"), "layer-2": ("hidden.2", "hidden.2"), "layer-3": ("code", "hidden.0")}
    whole = seen["train"][1]
    for phase, (up, down) in names.items():
        layer = seen[phase][1]
        for part in ("weight", "bias"):
            assert torch.equal(layer[f"encoder.code.{part}"], whole[f"encoder.{up}.{part}"])
            assert torch.equal(layer[f"decoder.output.{part}"], whole[f"decoder.{down}.{part}"])
    first = torch.tanh(
        F.linear(data.train.pixels().flatten(1), whole["encoder.hidden.0.weight"], whole["encoder.hidden.0.bias"])
    )
    torch.testing.assert_close(seen["layer-2"][0].flatten(1), first)


@pytest.mark.parametrize(
    "given",
    [
        {"tied": True, "contractive": 0.1, "denoise": Noise.parse("mask:0.3+gaussian:0.1")},
        {"sparse": Sparsity.parse("kl:0.1"), "activation": "sigmoid", "loss": "bce", "dropout": 0.1},
        {"activation": "gelu", "contractive": 0.1, "sparse": Sparsity.parse("l1:1e-3"), "max_norm": 2.0},
    ],
    ids=["tied contractive denoising", "sparse bce", "gelu"],
)
def test_all_constraints_go_with_it(data: ImageData, tmp_path: Path, given: dict[str, Any]) -> None:
    run = new_run(tmp_path)
    technique(data, **given).train(data, runtime(), run)
    rows = run.metrics()
    assert {row["phase"] for row in rows} == {"layer-1", "layer-2", "layer-3", "train"}
    if "contractive" in given:
        assert all(row["train_contraction"] > 0 for row in rows)
    if "sparse" in given:
        assert ["train_sparsity" in row for row in rows] == [False] * 4 + [True] * 4


@pytest.mark.parametrize("normalize", ["standardize", "none"])
def test_the_first_layer_learns_pixels_as_the_whole_does(shapes_npz: Path, tmp_path: Path, normalize: Any) -> None:
    data = load_data(DataOptions(data=str(shapes_npz), normalize=normalize))
    run = new_run(tmp_path)
    technique(data, greedy_epochs=12, lr=0.01).train(data, runtime(), run)
    losses = [row["train_loss"] for row in run.metrics() if row["phase"] == "layer-1"]
    assert losses[-1] < 0.7 * losses[0]


class StoppedError(Exception):
    """A crash."""


@pytest.mark.parametrize("at", [3, 11, 18, 27])
def test_a_crash_in_any_phase_changes_nothing(
    data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """64 images in batches of 16, two epochs in each of four phases: 32 steps in all."""
    given: dict[str, Any] = {"tied": True, "contractive": 0.1, "dropout": 0.1, "denoise": Noise.parse("mask:0.3")}
    given["checkpoint_every"] = Duration(1e-9)
    whole = technique(data, **given)
    whole.train(data, runtime(), new_run(tmp_path / "whole"))

    update, steps = Runtime.update, 0

    def crashing(self: Runtime, *arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == at:
            raise StoppedError
        return update(self, *arguments)

    run = new_run(tmp_path / "broken")
    with monkeypatch.context() as patch:
        patch.setattr(Runtime, "update", crashing)
        with pytest.raises(StoppedError):
            technique(data, **given).train(data, runtime(), run)
        run.close()
    again = technique(data, **given)
    again.train(data, runtime(), Run(run.path))
    for name, tensor in whole.state().tensors.items():
        assert torch.equal(again.state().tensors[name], tensor), name
    ends = [[row["train_loss"] for row in Run(tmp_path / each).metrics()] for each in ("whole", "broken")]
    assert ends[0] == ends[1]


def task(**given: Any) -> LayerTask:
    trained = TrainOptions(epochs=30, batch_size=16, lr=0.01)
    return LayerTask(**{"phase": "layer", "units": 6, "activation": "sigmoid", "options": trained, **given})


@pytest.mark.parametrize("noise", [None, "mask:0.25"])
@pytest.mark.parametrize(("binary", "activation"), [(True, "sigmoid"), (False, "relu")])
def test_it_teaches_a_layer(data: ImageData, tmp_path: Path, noise: str | None, binary: bool, activation: str) -> None:
    learn = registry().technique("autoencoder").layer_learner()
    x = data.train.pixels().flatten(1) if binary else 3 * data.train.pixels().flatten(1) - 1
    asked, run = task(binary=binary, activation=activation, noise=noise), new_run(tmp_path)
    layer = learn(vectors("train", x), asked, runtime(), run)
    assert isinstance(layer, nn.Linear)
    assert layer.weight.shape == (6, 64)
    rows = run.metrics()
    assert {row["phase"] for row in rows} == {"layer"}
    assert rows[-1]["train_loss"] < 0.9 * rows[0]["train_loss"]
    again = learn(vectors("train", x), asked, runtime(), new_run(tmp_path / "again"))
    assert torch.equal(layer.weight, again.weight)


def test_vectors_are_corrupted_value_by_value(data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as channels of one pixel, which are missing together."""
    from dlkit_builtin.autoencoder import technique as module

    shares: list[float] = []
    real = module.corrupt

    def watched(images: torch.Tensor, *arguments: Any) -> torch.Tensor:
        corrupted = real(images, *arguments)
        shares.extend((corrupted.flatten(1) == 0).float().mean(1).tolist())
        return corrupted

    monkeypatch.setattr(module, "corrupt", watched)
    learn = registry().technique("autoencoder").layer_learner()
    learn(vectors("train", torch.ones(64, 100)), task(noise="mask:0.5"), runtime(), new_run(tmp_path))
    assert 0.2 < min(shares) < max(shares) < 0.8


def test_vectors_have_no_bars(tmp_path: Path) -> None:
    learn = registry().technique("autoencoder").layer_learner()
    with pytest.raises(UsageError, match="no rows and columns"):
        learn(vectors("train", torch.ones(8, 4)), task(noise="bars:2"), runtime(), new_run(tmp_path))
