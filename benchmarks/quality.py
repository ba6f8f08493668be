"""How good the autoencoder is: the published settings, beside their baselines and goals.

    python benchmarks/quality.py [mnist-10] [mnist-50] [fashion-conv] [fashion-dense] [--seed 0] [--runs DIR]
                                 [--mnist PATH] [--fashion-mnist PATH]

Trains with the command's defaults but for what the table says. MNIST and Fashion-MNIST are taken from where you say,
or from the cache of data sets, or are downloaded. Prints a line for each goal and exits with 1 where one is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import dlkit
from dlkit.metrics import Metrics

Goal = tuple[str, float, str, float]
"""What is measured, the figure, ≤ or ≥, the goal."""

MINUTES = 10.0
"""A denoiser is to be trained within this, on two cores."""


def deep(goal: float) -> Callable[[Metrics, float], Iterator[Goal]]:
    """784-1000-500-250-30 (Hinton and Salakhutdinov 2006, figure 2: 3.00 when trained to the end, PCA 13.87)."""

    def goals(metrics: Metrics, _: float) -> Iterator[Goal]:
        error = metrics.get("squared_error", "test")
        yield "squared error per test image", error.value, "≤", goal
        yield "the same of PCA, 30 components", error.baselines["PCA, 30 components"], "≥", 13.0

    return goals


def denoising(gain: float, over_filter: float | None) -> Callable[[Metrics, float], Iterator[Goal]]:
    """Gaussian noise of σ = 0.3: gain in mean per-image PSNR over the unclipped input, and over the best filter."""

    def goals(metrics: Metrics, seconds: float) -> Iterator[Goal]:
        psnr = metrics.get("psnr", "test")
        yield "PSNR gain over the noisy input, dB", psnr.value - psnr.baselines["corrupted input"], "≥", gain
        if over_filter is not None:
            best = max(value for name, value in psnr.baselines.items() if "filter" in name)
            yield "PSNR gain over the best filter, dB", psnr.value - best, "≥", over_filter
        yield "minutes, all told", seconds / 60, "≤", MINUTES

    return goals


DEEP: dict[str, Any] = {"data": "mnist", "layers": "1000,500,250", "code": 30}
ROWS: dict[str, tuple[dict[str, Any], Callable[[Metrics, float], Iterator[Goal]]]] = {
    "mnist-10": ({**DEEP, "epochs": 10}, deep(7.0)),
    "mnist-50": ({**DEEP, "epochs": 50}, deep(5.0)),
    "fashion-conv": ({"data": "fashion-mnist", "net": "conv", "denoise": "gaussian:0.3"}, denoising(10.0, 2.5)),
    "fashion-dense": ({"data": "fashion-mnist", "net": "dense", "denoise": "gaussian:0.3"}, denoising(9.5, None)),
}


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", default="runs")
    parser.add_argument("--mnist", default="mnist", metavar="PATH")
    parser.add_argument("--fashion-mnist", default="fashion-mnist", metavar="PATH")
    arguments = parser.parse_args()
    missed = 0
    for row in arguments.rows or ROWS:
        options, goals = ROWS[row]
        started = time.monotonic()
        data = arguments.mnist if options["data"] == "mnist" else arguments.fashion_mnist
        options = {**options, "data": data, "seed": arguments.seed, "runs": arguments.runs}
        model = dlkit.train("autoencoder", name=row, **options)
        for what, figure, sign, goal in goals(model.metrics, time.monotonic() - started):
            met = figure <= goal if sign == "≤" else figure >= goal
            missed += not met
            print(f"{row:14} {what:36} {figure:8.3f}  goal {sign} {goal:g}  {'met' if met else 'MISSED'}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
