"""dlkit's own classifier as a judge of images: with its default network, from seed 0 whatever the run's, trained once
for a data set and kept."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dlkit.discovery import registry
from dlkit.errors import DlkitError
from dlkit.files import cache_home, scratch_folder
from dlkit.run.model_files import load_state, save_state
from dlkit.run.scratch import Scratch
from dlkit.runtime import Runtime
from dlkit.settings import resolve
from dlkit.supervised.objective import known_rows

if TYPE_CHECKING:
    from dlkit.card import Card
    from dlkit.data import ImageData, Split
    from dlkit.technique import Technique

TRAINED_ON = 200_000
"""A judge is trained for as many epochs as show it so many images, at least 1 and at most 20."""
FEWEST = 20
"""Labelled training images per class (or label, or column), on average, that a judge is trained on."""


def can_be_learned(data: ImageData) -> bool:
    """Whether there are labels, and enough of them, to train a judge on."""
    known = known_rows(data.train)
    classes = len(data.spec.classes)
    if data.spec.target == "classes" and data.train.labels is not None:
        classes = len(torch.unique(data.train.labels[known]))
        return classes >= 2 and int(known.sum()) >= FEWEST * classes
    return classes > 0 and int(known.sum()) >= FEWEST * classes


def judge_classifier(data: ImageData, runtime: Runtime) -> Technique[Any]:
    """The classifier trained on the training images, on the device; predictor of labels or numbers where these are."""
    card, flags, options = _prepared(data.train)
    said = [flags, data.spec.fingerprint, torch.__version__, str(runtime.device.type)]
    folder = cache_home() / "judges" / hashlib.sha256(json.dumps(said).encode()).hexdigest()[:20]
    technique = _kept(folder, card, options, data)
    if technique is None:
        _tell(runtime, f"Training a classifier as the judge of images, {options.epochs} epochs, once for this data")
        technique = _trained(card, options, data, runtime)
        try:
            save_state(folder, technique.state(), {})
        except DlkitError as error:
            runtime.warn(f"The judge is not kept: {error.message}")
    runtime.prepare(technique.inference_module())
    return technique


def trained_on(train: Split, data: ImageData, runtime: Runtime) -> Technique[Any]:
    """The same classifier trained on other images of the data's spec, on the device; not kept."""
    card, _, options = _prepared(train)
    _tell(runtime, f"Training a classifier on {len(train):,} generated images, {options.epochs} epochs")
    nothing = data.val.subset(torch.arange(0))
    technique = _trained(card, options, dataclasses.replace(data, train=train, val=nothing), runtime)
    runtime.prepare(technique.inference_module())
    return technique


def answers(technique: Technique[Any], split: Split, runtime: Runtime) -> Tensor:
    """Its outputs for the images of a split: probabilities, scores or numbers, ``(N, K)`` on the CPU."""
    module = technique.inference_module()
    return runtime.collect(lambda images: module(images)[0], split)


def digest_of(technique: Technique[Any]) -> str:
    """Names its weights exactly."""
    digest = hashlib.sha256()
    for name, tensor in sorted(technique.state().tensors.items()):
        digest.update(
            name.encode() + tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()[:12]


def _prepared(train: Split) -> tuple[Card, dict[str, object], Any]:
    card = registry().technique("classifier")
    flags: dict[str, object] = {"net": "cnn", "epochs": max(1, min(20, TRAINED_ON // max(1, len(train))))}
    return card, flags, resolve(card, flags=flags).options


def _tell(runtime: Runtime, text: str) -> None:
    if runtime.display is not None:
        runtime.display.info(text)


def _kept(folder: Path, card: Card, options: Any, data: ImageData) -> Technique[Any] | None:
    if not folder.is_dir():
        return None
    try:
        return card.load().load(load_state(folder), options, data.spec)
    except (DlkitError, RuntimeError, KeyError):  # a broken file, or one of another version: made anew
        return None


def _trained(card: Card, options: Any, data: ImageData, runtime: Runtime) -> Technique[Any]:
    with torch.random.fork_rng(devices=[]), scratch_folder("judge") as scratch:
        own = Runtime(dataclasses.replace(runtime.options, seed=0, compile=False), None)
        technique = card.load()(options, data.spec)
        run: Any = Scratch(scratch)
        technique.train(data, own, run)
    return technique
