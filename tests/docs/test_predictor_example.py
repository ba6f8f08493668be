"""The predictor of docs/writing-a-plugin.md, section 10, does what the page says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from doc_pages import ROOT, blocks
from scipy.spatial.distance import cdist
from scipy.special import softmax
from torch import Tensor, nn

from dlkit.backbones import BackboneOptions, Tap, build_backbone
from dlkit.card import Card
from dlkit.data import DataSpec, ImageData, load_data
from dlkit.features import FeatureOptions, extract
from dlkit.metrics import Metrics
from dlkit.options import DataOptions, RuntimeOptions
from dlkit.run import Run
from dlkit.runtime import Runtime
from dlkit.supervised.metrics import supervised_metrics, supervised_tables
from dlkit.supervised.objective import Inference, labelled, objective
from dlkit.supervised.options import SupervisedOptions
from dlkit.technique import OutputKind

NAMES = {
    each.__name__: each
    for each in (Any, BackboneOptions, Card, DataSpec, FeatureOptions, ImageData, Inference, Mapping, Metrics, Run,
                 Runtime, SupervisedOptions, Tensor, build_backbone, dataclass, extract, labelled, objective,
                 supervised_metrics, supervised_tables)
} | {"OutputKind": OutputKind, "TAP": Tap("top"), "nn": nn, "torch": torch}  # fmt: skip


def test_the_nearest_centroid_is_the_likeliest_class(shapes_npz: Path) -> None:
    light, heavy = [block.text for block in blocks(ROOT / "docs" / "writing-a-plugin.md")
                    if "Centroid" in block.text or "self.backbone = build_backbone" in block.text]  # fmt: skip
    names: dict[str, Any] = {"__name__": __name__, **NAMES}
    exec(light, names)
    exec(heavy, names)
    options = names["CentroidOptions"](backbone="test_resnet", random_init=True, cache=False)
    assert names["CENTROID"].form(options).height == 160
    data = load_data(DataOptions(data=str(shapes_npz), channels="3", image_size=None))
    technique = type(
        "Centroid", (), {key: names[key] for key in ("train", "evaluate", "outputs", "inference_module")}
    )()
    torch.manual_seed(0)  # the weights
    technique.options, technique.network = options, names["Network"](options, data.spec)
    runtime = Runtime(RuntimeOptions(device="cpu"))
    technique.train(data, runtime, None)
    taps = [NAMES["TAP"]]
    train, test = (extract(technique.network.backbone, split, taps, runtime, options)[taps[0]]
                   for split in (data.train, data.held_out))  # fmt: skip
    means = np.stack([train[np.asarray(data.train.labels) == label].mean(0) for label in range(3)])
    nearness = softmax(-(cdist(test, means).astype(np.float64) ** 2), axis=1)
    outputs = runtime.collect(lambda images: technique.inference_module()(images)[0], data.held_out)
    np.testing.assert_allclose(outputs, nearness, atol=1e-3)
    right = float(np.mean(outputs.argmax(1).numpy() == np.asarray(data.held_out.labels)))
    assert technique.evaluate(data, runtime).get("accuracy", data.held_out.name).value == right
    assert technique.outputs() == {"probabilities": "probabilities"}
