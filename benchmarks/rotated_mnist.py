"""Codes of a denoising stack under a linear SVM, on a rotated MNIST made here (Larochelle et al. 2007, section 4.1).

Each digit is turned by an angle drawn uniformly from 0 to 2π. A stack of denoising autoencoders, trained greedily
without labels on the training images, gives a code; the same linear SVM learns from raw pixels, from PCA of the code's
size and from the code, its C chosen for each of them on the same validation images. Goals: the code's error is at least
10 points below that of raw pixels, and below that of PCA (published, Vincent et al. 2010: raw 43.5 %, three denoising
layers 10.0 %, at the paper's size with tuned layers).

    python benchmarks/rotated_mnist.py [--data mnist] [--scale 0.1] [--seeds 3] [--set KEY=VALUE …]

``--scale 1`` is the paper's size: 10,000 training, 2,000 validation and 50,000 test images, of the 70,000 of MNIST; a
tenth of it takes four minutes on a shared core.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import t as student
from sklearn.decomposition import PCA
from torch import Tensor
from torch.nn import functional as F

from dlkit.data import load_data
from dlkit.discovery import registry
from dlkit.options import DataOptions
from dlkit.probes.estimators import make_estimator
from dlkit.run import Run
from dlkit.runtime import Runtime
from dlkit.session import build_technique
from dlkit.settings import Settings, resolve

SIZES = {"train": 10_000, "val": 2_000, "test": 50_000}
STRENGTHS = (1e-4, 1e-3, 1e-2)
STACK: dict[str, Any] = {
    "greedy": True, "layers": "1000", "code": 500, "activation": "sigmoid", "code_activation": "sigmoid",
    "init": "xavier", "loss": "bce", "tied": True, "denoise": "mask:0.25", "greedy_epochs": 20, "epochs": 1,
    "batch_size": 50,
}  # fmt: skip
GOAL = 10.0
"""Points of error below raw pixels."""

Parts = dict[str, np.ndarray]


def rotated(images: Tensor, generator: torch.Generator) -> Tensor:
    """Pixels ``(N, 1, 28, 28)``, each turned about its centre by an angle of its own, bilinear; black comes in."""
    turned = []
    for part in torch.split(images, 5_000):
        angle = 2 * math.pi * torch.rand(len(part), generator=generator)
        cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros(len(part))
        turn = torch.stack([torch.stack([cosine, -sine, zero], 1), torch.stack([sine, cosine, zero], 1)], 1)
        grid = F.affine_grid(turn, list(part.shape), align_corners=False)
        turned.append(F.grid_sample(part, grid, align_corners=False))
    return torch.cat(turned)


def make(data: str, scale: float, seed: int, path: Path) -> tuple[Parts, Parts]:
    """Write a rotated MNIST as an ``.npz`` for ``--data``; its pixels ``(N, 784)`` and labels by split."""
    loaded = load_data(DataOptions(data=data))
    images = torch.cat([split.pixels() for split in loaded.splits])
    labels = torch.cat([split.labels for split in loaded.splits if split.labels is not None])
    generator = torch.Generator().manual_seed(seed)
    counts = [int(scale * size) for size in SIZES.values()]
    chosen = torch.randperm(len(images), generator=generator)[: sum(counts)]
    turned = (rotated(images[chosen], generator) * 255).round().to(torch.uint8).squeeze(1).numpy()
    names, kept = np.repeat(list(SIZES), counts), labels[chosen].numpy()
    np.savez(path, images=turned, labels=kept, split=names)
    flat = turned.reshape(len(turned), -1).astype(np.float32) / 255
    return {name: flat[names == name] for name in SIZES}, {name: kept[names == name] for name in SIZES}


def svm_error(features: Parts, labels: Parts) -> float:
    """Test error in per cent of a linear SVM, C chosen on the validation images.

    Features are centred and divided by one number for all of them: standardising each would blow up PCA's last ones.
    """
    mean, scale = features["train"].mean(0), features["train"].std(0)
    given = {name: (part - mean) / np.sqrt(np.square(scale).mean()) for name, part in features.items()}
    fitted = [
        make_estimator("linear-svm", "classes", {"C": C, "dual": False, "tol": 1e-3}, seed=0).fit(
            given["train"], labels["train"]
        )
        for C in STRENGTHS
    ]
    best = max(fitted, key=lambda model: float(model.score(given["val"], labels["val"])))
    return 100 * (1 - float(best.score(given["test"], labels["test"])))


def errors(data: str, scale: float, seed: int, options: dict[str, Any]) -> dict[str, float]:
    """Name → test error of each way of seeing an image."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rotated-mnist.npz"
        pixels, labels = make(data, scale, seed, path)
        flags = {"data": str(path), "seed": seed, "runs": folder, **options}
        codes = learned_codes(resolve(registry().technique("autoencoder"), flags=flags))
    size = codes["train"].shape[1]
    pca = PCA(min(size, 784), random_state=0).fit(pixels["train"])
    return {
        "raw pixels, 784": svm_error(pixels, labels),
        f"PCA, {pca.n_components_}": svm_error({name: pca.transform(part) for name, part in pixels.items()}, labels),
        f"denoising code, {size}": svm_error(codes, labels),
    }


def learned_codes(settings: Settings) -> Parts:
    """Train, and encode all splits: what ``dlkit train`` and ``dlkit encode`` do, without figures and report."""
    runtime = Runtime(settings.runtime)
    data = load_data(settings.data)
    technique: Any = build_technique(settings, data.spec, runtime)
    technique.train(data, runtime, Run.create(settings, data.spec))
    return {split.name: runtime.collect(technique.encode, split).numpy() for split in data.splits}


def written(values: list[float]) -> str:
    """Mean and 95 % interval over seeds, by Student's t."""
    mean = statistics.mean(values)
    if len(values) < 2:
        return f"{mean:.1f}"
    half = float(student.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:.1f} ± {half:.1f}"


def main() -> int:
    """Print a table; 1 where a goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="options of the autoencoder")
    arguments = parser.parse_args()
    options = STACK | dict(pair.split("=", 1) for pair in arguments.set)
    rows: dict[str, list[float]] = {}
    for seed in range(arguments.seeds):
        started = time.monotonic()
        found = errors(arguments.data, arguments.scale, seed, options)
        for name, error in found.items():
            rows.setdefault(name, []).append(error)
        told = ", ".join(f"{name}: {error:.2f} %" for name, error in found.items())
        print(f"seed {seed}, {time.monotonic() - started:.0f} s: {told}", file=sys.stderr, flush=True)
    raw, pca, code = rows.values()
    counts = ", ".join(f"{int(arguments.scale * size):,} {name}" for name, size in SIZES.items())
    print(f"{counts} images; linear SVM; {arguments.seeds} seeds, 95 % intervals over them\n")
    print("| features | test error, % | below raw pixels, points |\n| --- | --- | --- |")
    for name, values in rows.items():
        gains = written([a - b for a, b in zip(raw, values, strict=True)]) if values is not raw else ""
        print(f"| {name} | {written(values)} | {gains} |")
    met = statistics.mean(raw) - statistics.mean(code) >= GOAL and statistics.mean(code) < statistics.mean(pca)
    print(f"\nGoal, at least {GOAL:g} points below raw pixels and below PCA: {'met' if met else 'MISSED'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
