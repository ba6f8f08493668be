"""The worth of a learned code: how well simple classifiers tell the classes by it, beside the same on raw pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlkit.baselines.limits import affordable
from dlkit.baselines.probes import knn_accuracy, linear_probe_accuracy, wilson_interval
from dlkit.metrics import Metric

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.runtime import Runtime

TRAIN_IMAGES = 5_000
"""At most so many labelled training images fit the classifiers."""
TEST_IMAGES = 10_000
"""At most so many held-out images test them: the published test sets' size."""

Labelled = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]


def code_metrics(encode: Callable[[Tensor], Tensor], data: ImageData, runtime: Runtime) -> list[Metric]:
    """kNN and linear-probe accuracy of codes on held-out images, beside raw pixels and the majority class.

    Args:
        encode: pixels ``(B, C, H, W)`` on the runtime's device → codes ``(B, Z)``, as a technique with the
            capability *encode* does it; its modules must be on the device and in eval mode.
        data: the classifiers are fitted on ``data.train`` and tested on ``data.held_out``.
        runtime: where codes are computed.

    Returns:
        ``knn_accuracy`` and ``linear_probe_accuracy``; nothing where there are no labels, fewer than two classes,
        or no images held out.
    """
    if data.held_out is data.train or len(data.spec.classes) < 2:
        return []
    fit = _labelled(encode, data.train, affordable(TRAIN_IMAGES, data.spec.shape), runtime)
    test = _labelled(encode, data.held_out, affordable(TEST_IMAGES, data.spec.shape), runtime)
    if fit is None or test is None:
        return []
    codes, pixels, labels = fit
    test_codes, test_pixels, test_labels = test
    majority = int(np.bincount(labels).argmax())
    rows = []
    for name, label, classify in (
        ("knn_accuracy", "kNN accuracy of the code", knn_accuracy),
        ("linear_probe_accuracy", "linear-probe accuracy of the code", linear_probe_accuracy),
    ):
        accuracy = classify(codes, labels, test_codes, test_labels)
        rows.append(
            Metric(
                name=name,
                label=label,
                value=accuracy,
                split=data.held_out.name,
                better="higher",
                interval=wilson_interval(accuracy, len(test_labels)),
                baselines={
                    "raw pixels": classify(pixels, labels, test_pixels, test_labels),
                    "majority class": float((test_labels == majority).mean()),
                },
                note=f"fitted on {len(labels):,} labelled training images, tested on {len(test_labels):,}",
            )
        )
    return rows


def _labelled(encode: Callable[[Tensor], Tensor], split: Split, most: int, runtime: Runtime) -> Labelled | None:
    """Codes, flat pixels and labels of labelled images, at most ``most``, always the same ones."""
    if split.labels is None:
        return None
    known = torch.nonzero(split.labels >= 0).flatten()
    if len(known) == 0:
        return None
    if len(known) > most:
        generator = runtime.generator("code metrics", split.name, device="cpu")
        known = known[torch.randperm(len(known), generator=generator)[:most].sort().values]
    chosen = split.subset(known)
    codes, pixels = [], []
    with runtime.inference():
        for batch in runtime.batches(chosen, 500):
            codes.append(encode(batch.images).float().cpu())
            pixels.append(batch.images.float().cpu().flatten(1))
    return torch.cat(codes).numpy(), torch.cat(pixels).numpy(), split.labels[known].numpy()
