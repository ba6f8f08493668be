"""Colours that follow a rule are learned; training is the plain loop; parts of batches and resuming change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coloured_shapes import write
from dlkit_builtin.colorize.bins import SoftEncoding
from dlkit_builtin.colorize.lab import rgb_to_lab
from dlkit_builtin.colorize.options import ColorizeOptions
from dlkit_builtin.colorize.technique import Colorize
from torch.nn import functional as F

from dlkit import session
from dlkit.data import ImageData, load_data
from dlkit.discovery import registry
from dlkit.display import Display
from dlkit.errors import DataError, UsageError
from dlkit.options import DataOptions, RuntimeOptions
from dlkit.options.values import Duration
from dlkit.run import Run, open_run
from dlkit.runtime import Runtime
from dlkit.settings import resolve

QUIET = Display(quiet=True)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("colours") / "shapes.npz", height=12, width=12)


@pytest.fixture(scope="module")
def data(shapes: Path) -> ImageData:
    return load_data(DataOptions(data=str(shapes)))


def runtime(seed: int = 0) -> Runtime:
    return Runtime(RuntimeOptions(device="cpu", seed=seed, threads=1))


def make(data: ImageData, **given: Any) -> Colorize:
    torch.manual_seed(0)
    chosen: dict[str, Any] = {"layers": (6, 8), "batch_size": 16, "checkpoint_every": Duration(0.0)}
    return Colorize(ColorizeOptions(**chosen | given), data.spec)


def trained(technique: Colorize, data: ImageData, path: Path) -> list[dict[str, Any]]:
    path.mkdir(exist_ok=True)
    run = Run(path)
    technique.train(data, runtime(), run)
    return list(run.metrics())


@pytest.mark.parametrize("given", [{}, {"mode": "bins", "grid": 30}], ids=str)
def test_what_a_thing_is_says_its_colour(tmp_path: Path, data: ImageData, given: dict[str, Any]) -> None:
    technique = make(data, layers=(8, 16), epochs=15, batch_size=8, lr=1e-2, **given)
    trained(technique, data, tmp_path / "run")
    error = technique.evaluate(data, runtime()).get("ab_rmse", "test")
    assert error.value < 0.4 * min(error.baselines.values())
    assert error.baselines["mean colour of the lightness"] < error.baselines["grey image"]
    assert error.interval is not None
    assert error.interval[0] < error.value < error.interval[1]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"loss": "smooth-l1", "l1": 1e-4, "subsample": 2, "batch_norm": False},
        {"mode": "bins", "grid": 30, "rebalance": 0.9},
    ],
    ids=str,
)
def test_training_equals_a_plain_loop(tmp_path: Path, data: ImageData, given: dict[str, Any]) -> None:
    technique, plain = make(data, epochs=2, **given), make(data, epochs=2, **given)
    rows = trained(technique, data, tmp_path / "run")
    network, options, ours = plain.network, plain.options, runtime()
    plain.count_colours(data.train, ours)
    network.to(memory_format=torch.channels_last)
    adam = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    pixels = data.train.pixels()
    for epoch, row in enumerate(rows):
        total = 0.0
        for indices in torch.randperm(128, generator=ours.generator("permutation", "train", epoch)).split(16):
            lab = rgb_to_lab(pixels[indices])
            maps = network.unet(lab[:, :1] / 50 - 1)[0]
            colours = lab[:, 1:]
            if options.mode == "bins":
                chosen, shares = SoftEncoding(30)(colours.movedim(1, -1).reshape(-1, 2))
                dense = torch.zeros(len(chosen), len(network.bins)).scatter_(1, chosen, shares)
                crosses = -(dense * maps.movedim(1, -1).flatten(0, 2).log_softmax(1)).sum(1)
                loss = (network.weights[dense.argmax(1)] * crosses).mean()
            elif options.loss == "smooth-l1":
                loss = F.smooth_l1_loss(110 * maps, F.avg_pool2d(colours, 2), beta=10) / 110
                loss = loss + 1e-4 * sum(p.abs().sum() for p in network.parameters() if p.ndim == 4)
            else:
                loss = (maps - colours / 110).square().mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            total += loss.item() * len(indices)
        assert row["train_loss"] == pytest.approx(total / 128, rel=1e-4)


@pytest.mark.parametrize("mode", ["regression", "bins"])
def test_updates_in_parts_are_the_same(tmp_path: Path, data: ImageData, mode: Any) -> None:
    losses = []
    for parts in (1, 3):
        rows = trained(make(data, mode=mode, epochs=1, accumulate=parts, batch_norm=False), data, tmp_path / str(parts))
        losses.append((rows[0]["train_loss"], rows[0]["val_loss"]))
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    with pytest.raises(UsageError, match="--accumulate 3"):
        trained(make(data, mode=mode, accumulate=3), data, tmp_path / "batch-norm")


def test_rare_colours_weigh_more(tmp_path: Path, data: ImageData) -> None:
    technique = make(data, mode="bins", epochs=1)
    trained(technique, data, tmp_path / "run")
    network = technique.network
    grey, orange = ((network.bins - torch.tensor(colour)).norm(dim=1).argmin() for colour in ((0, 0), (30, 50)))
    assert network.weights[orange] > 2 * network.weights[grey]


def test_bins_begin_at_how_often_colours_occur(tmp_path: Path, data: ImageData) -> None:
    """Before any update no constant distribution fits the training images much better: the gradient is nearly zero."""
    technique = make(data, mode="bins", epochs=1, lr=1e-12)
    trained(technique, data, tmp_path / "run")
    images = data.train.pixels(torch.arange(len(data.train)))
    seen, chosen, shares = technique.targets(images, SoftEncoding(10))
    output = technique.network.unet.output

    def loss_and_gradient() -> tuple[float, float]:
        loss = technique.loss(seen, chosen, shares)
        return loss.item(), float(torch.autograd.grad(loss, output.bias)[0].norm())

    begun, gradient = loss_and_gradient()
    torch.nn.init.zeros_(output.bias)
    uniform, without = loss_and_gradient()
    assert begun < 0.8 * uniform
    assert gradient < 0.15 * without


@pytest.mark.parametrize("mode", ["regression", "bins"])
def test_resuming_ends_with_the_same_bits(
    tmp_path: Path, shapes: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "conclude", lambda run, *arguments: None)
    flags = {"data": str(shapes), "mode": mode, "layers": "4,4", "batch_size": 32, "threads": 1, "dropout": 0.2}
    weights = []
    for name, epochs in (("whole", 3), ("parts", 1)):
        given = flags | {"runs": str(tmp_path / name), "epochs": epochs, "checkpoint_every": "0"}
        run = session.train(resolve(registry().technique("colorize"), flags=given), QUIET)
        if epochs == 1:
            session.resume(open_run(str(run.path)), QUIET, changes={"epochs": 3})
        weights.append((run.path / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_grey_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="images of digits are grey") as refused:
        make(load_data(DataOptions(data="digits")))
    assert "--channels at auto" in refused.value.hint
    disguised = load_data(DataOptions(data="digits", channels="3"))
    with pytest.raises(DataError, match="No training image has any colour"):
        trained(make(disguised), disguised, tmp_path / "run")


def test_what_does_not_go_together_is_told(shapes: Path, data: ImageData) -> None:
    with pytest.raises(UsageError, match="--normalize channel"):
        make(load_data(DataOptions(data=str(shapes), normalize="channel")))
    with pytest.raises(UsageError, match="--subsample 8 needs 4 levels; there are 2"):
        make(data, subsample=8)
    with pytest.raises(UsageError, match="Batch norm needs"):
        make(data, batch_size=1)
    for given, message in (
        ({"temperature": 0.5}, "--temperature: of colour bins; add --mode bins"),
        ({"mode": "bins", "loss": "smooth-l1"}, "--loss smooth-l1 is of --mode regression"),
        ({"subsample": 3}, "must be a power of 2"),
    ):
        with pytest.raises(ValueError, match=message):
            ColorizeOptions(**given)  # type: ignore[arg-type]


def test_colours_of_grey_images_are_not_judged(tmp_path: Path, shapes: Path, data: ImageData) -> None:
    np.savez(tmp_path / "grey.npz", images=np.full((4, 16, 16), 90, np.uint8), split=np.repeat("test", 4))
    grey = load_data(DataOptions(data=str(tmp_path / "grey.npz")), like=data.spec)
    assert len(make(data).evaluate(grey, runtime())) == 0
