"""A tiny backbone with a weights file, tiny data of every kind, and what it takes to train on them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dlkit_builtin.transfer.options import TransferOptions
from dlkit_builtin.transfer.taken import takes
from dlkit_builtin.transfer.technique import Transfer
from finetune_fakes import FakeRun, runtime
from safetensors.torch import load, save
from torch import Tensor

from dlkit.data import ImageData, load_data
from dlkit.options import DataOptions
from dlkit.options.values import Duration, Size
from dlkit.technique import State

BACKBONE = "test_resnet"


def save_weights(path: Path) -> Path:
    """Weights for the backbone, as if they had been trained."""
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(7)
    save_file(timm.create_model(BACKBONE, pretrained=False).state_dict(), path)
    return path


def small_data(path: Path, target: str = "classes", **arrays: Any) -> ImageData:
    """Images that tell about their labels, but do not give them away; 60 to train on, 12 held out twice."""
    random = np.random.default_rng(0)
    numbers = random.random((84, 2)).astype(np.float32)
    images = (numbers[:, :1, None] * 120 + random.integers(0, 100, (84, 8, 8))).astype(np.uint8)
    images[:, :4] += (numbers[:, 1:, None] * 35).astype(np.uint8)
    labels = {
        "classes": (numbers[:, 0] * 2.999).astype(np.int64),
        "multi-label": (numbers > 0.5).astype(np.int64),
        "number": 1000 * numbers[:, 0],
    }[target]
    given = {"images": images, "labels": labels, "split": np.repeat(["train", "val", "test"], [60, 12, 12])} | arrays
    np.savez(path, **given)
    return load_data(DataOptions(data=str(path), target=target, image_size=Size(32, 32)))  # type: ignore[arg-type]


def small_options(weights: Path, strategy: str, **given: Any) -> TransferOptions:
    """Two epochs, from a weights file; what the strategy does not take is left out."""
    epochs = 7 if strategy == "gradual" else 2  # one for the head, and one for each of six stages
    values = {"epochs": epochs, "head_epochs": 3, "cache": False, "lr": 0.01, "checkpoint_every": Duration(1e9)}
    values = {name: value for name, value in (values | given).items() if takes(strategy, name)}
    return TransferOptions(backbone=BACKBONE, weights=str(weights), strategy=strategy, **values)  # type: ignore[arg-type]


def trained(options: TransferOptions, data: ImageData, path: Path) -> Transfer:
    """A technique after training, as the session makes it."""
    torch.manual_seed(0)
    technique = Transfer(options, data.spec)
    technique.train(data, runtime(), FakeRun(path))  # type: ignore[arg-type]
    return technique


def restored(technique: Transfer) -> Transfer:
    """The same technique from what a run directory keeps; its options are those of another directory's run."""
    state = technique.state()
    tensors = load(save({name: tensor.contiguous() for name, tensor in state.tensors.items()}))
    plain = json.loads(json.dumps(state.plain))
    return Transfer.load(State(tensors, plain), technique.options, technique.spec)


def outputs(technique: Transfer, data: ImageData) -> Tensor:
    """What the module that is used and exported says of the test images."""
    with torch.inference_mode():
        found: Tensor = technique.inference_module()(data.test.pixels())[0]
        return found


def with_labels(data: ImageData, labels: Tensor) -> ImageData:
    """The same images with other training labels."""
    train = data.train.subset(torch.arange(len(data.train)))
    train.labels = labels
    return dataclasses.replace(data, train=train)
