"""A run directory on made-up but realistic data, written as plain files."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from dlkit.data.spec import DataSpec
from dlkit.metrics import Metric, Metrics
from dlkit.report import Picture, plots, save_pictures

EVIL = "<script>alert(1)</script>"
CLASSES = ("zero", "one", "two", "three $x^2$", "_four", "five\x1b[31m", "six", "seven", 'ei"ght', EVIL)


def metrics() -> Metrics:
    filters = {"noisy input": 11.52, "Gaussian filter, σ = 0.8 px": 14.41, "median filter 3 × 3": 13.9}
    return Metrics(
        (
            Metric(
                name="psnr", label="PSNR", value=18.34, split="test", better="higher", unit="dB",
                baselines=filters | {"PCA, 32 components": 16.02}, interval=(18.1, 18.57), note="360 images",
            ),
            Metric(name="mse", label="Reconstruction MSE", value=0.9412, split="test", better="lower",
                   baselines={"PCA, 32 components": 0.8801}, note="summed over pixels, mean over images"),
            Metric(name="knn", label="kNN accuracy of the code", value=97.2, split="test", better="higher", unit="%",
                   baselines={"raw pixels": 98.3}, interval=(95.0, 98.5), note=f"5 neighbours {EVIL}"),
            Metric(name="seconds", label="Time per image", value=float("nan"), split="train", better="lower"),
        )
    )  # fmt: skip


@pytest.fixture
def run_path(made_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_run, tmp_path / "runs" / "autoencoder" / made_run.name))


@pytest.fixture(scope="session")
def made_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("made") / "runs" / "autoencoder" / "digits-001"
    run.mkdir(parents=True)
    (run / "config.toml").write_text(
        f'technique = "autoencoder"\ndata = "{EVIL}"\nepochs = 40\nseed = 7\nsplit_seed = 0\n'
    )
    spec = DataSpec(
        source=f"/data/{EVIL}", name="digits", channels=1, height=8, width=8, classes=CLASSES, fingerprint="9f" * 32,
        counts={"train": 1294, "val": 143, "test": 360},
        class_counts={"train": tuple(range(125, 135)), "val": (14,) * 10, "test": (36,) * 10},
    )  # fmt: skip
    environment = {
        "started": "2026-01-02T10:00:00+00:00", "argv": ["/venv/bin/dlkit", "train", "autoencoder", "--denoise"],
        "dlkit": "0.1.0", "python": "3.12.3", "packages": {"torch": "2.14.1", "timm": None}, "device": "cpu",
        "device_name": "x86_64", "threads": 2, "git_commit": None,
    }  # fmt: skip
    status = {"format": 1, "status": "trained", "since": "2026-01-02T10:00:42+00:00", "trained_seconds": 42.0}
    evaluation = {"metrics": metrics().to_json(), "notices": [f"3 images of test are in train too: {EVIL}"]}
    for name, plain in {
        "data": spec.to_json(), "environment": [environment], "status": status, "evaluation": evaluation
    }.items():  # fmt: skip
        (run / f"{name}.json").write_text(json.dumps(plain))
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history(40)))
    save_pictures(pictures(), run / "plots")
    return run


def history(epochs: int, phase: str = "train") -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for epoch in range(1, epochs + 1):
        loss = 0.06 * math.exp(-epoch / 7) + 0.011
        val = "nan" if epoch == 3 else loss * 1.08 + 2e-5 * max(0, epoch - 30) ** 2
        row = {"phase": phase, "epoch": epoch, "step": 11 * epoch, "lr": 1e-3, "train_loss": loss, "val_loss": val}
        rows.append(row | {"val_psnr": 18 - 9 * math.exp(-epoch / 6), "seconds": 0.8})
    return rows


def pictures() -> list[Picture]:
    generator = torch.Generator().manual_seed(0)
    images = digits()
    noisy = images + 0.3 * torch.randn(images.shape, generator=generator)
    labels = torch.arange(500) % 11 - 1
    middles = torch.randn(11, 2, generator=generator) * 3
    points = middles[labels + 1] + torch.randn(500, 2, generator=generator)
    grid = plots.image_grid([noisy[:12], images[:12], images[:12] * 0.9], ["corrupted", "output", "target"])
    return [
        Picture("reconstructions", "Reconstructions", f"Held-out images {EVIL}", grid),
        Picture("filters", "First-layer filters", "Weights from the pixels.", plots.filters(images[:40] - 0.5)),
        Picture("code-space", "Code space", "The codes in two dimensions.", plots.scatter(points, labels, CLASSES)),
        Picture("samples", "Samples", "Training images by class.", plots.samples(images, labels[:120], CLASSES)),
    ]


def digits() -> torch.Tensor:
    """120 smooth blobs, 8 × 8."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(120, 1, 3, 3, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=8, mode="bicubic").clamp(0, 1)
