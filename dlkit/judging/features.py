"""What generated and genuine images are compared by: features of a network, with a hash that names them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dlkit.discovery import registry
from dlkit.errors import DlkitError
from dlkit.files import cache_home, scratch_folder
from dlkit.judging.options import AUTO, PIXELS
from dlkit.run.model_files import load_state, save_state
from dlkit.run.scratch import Scratch
from dlkit.runtime import Runtime
from dlkit.settings import resolve

if TYPE_CHECKING:
    from dlkit.card import Card
    from dlkit.data import ImageData
    from dlkit.technique import Technique

TRAINED_ON = 200_000
"""A judge is trained for as many epochs as show it so many images, at least 1 and at most 20."""
FEWEST = 20
"""Labelled training images per class, on average, that a judge is trained on."""


@dataclass(frozen=True)
class Features:
    """Images → vectors.

    Attributes:
        name: what they are, for people.
        digest: names them exactly: figures with different digests cannot be compared.
        of: pixels ``(B, C, H, W)`` on the device → ``(B, D)``.
    """

    name: str
    digest: str
    of: Callable[[Tensor], Tensor]


def features(wanted: str, data: ImageData, runtime: Runtime) -> Features:
    """The features that ``--features`` names.

    Raises:
        UsageError: there is no such backbone or run.
    """
    if wanted == AUTO:
        wanted = "classifier" if _can_be_learned(data) else PIXELS
        if wanted == "classifier":
            return _classifier(data, runtime)
    if wanted == PIXELS:
        return Features("pixels", "pixels", lambda images: images.flatten(1))
    from dlkit.backbones import BackboneOptions, build_backbone

    spec = data.spec
    backbone = runtime.prepare(build_backbone(BackboneOptions(backbone=wanted), (spec.height, spec.width))).eval()
    return Features(wanted, backbone.fingerprint()[:12], backbone)


def _can_be_learned(data: ImageData) -> bool:
    labels = data.train.labels
    if labels is None or data.spec.target != "classes":
        return False
    known = labels[labels >= 0]
    classes = len(torch.unique(known))
    return classes >= 2 and len(known) >= FEWEST * classes


def _classifier(data: ImageData, runtime: Runtime) -> Features:
    """dlkit's own classifier with its default network, from seed 0 whatever the run's; trained once for a data set."""
    card = registry().technique("classifier")
    epochs = max(1, min(20, TRAINED_ON // len(data.train)))
    flags: dict[str, object] = {"net": "cnn", "epochs": epochs}
    options = resolve(card, flags=flags).options
    said = [flags, data.spec.fingerprint, torch.__version__, str(runtime.device.type)]
    folder = cache_home() / "judges" / hashlib.sha256(json.dumps(said).encode()).hexdigest()[:20]
    technique = _kept(folder, card, options, data)
    if technique is None:
        if runtime.display is not None:
            runtime.display.info(f"Training a classifier as the judge of images, {epochs} epochs, once for this data")
        technique = _trained(card, options, data, runtime)
        try:
            save_state(folder, technique.state(), {})
        except DlkitError as error:
            runtime.warn(f"The judge is not kept: {error.message}")
    runtime.prepare(technique.inference_module())
    digest = hashlib.sha256()
    for name, tensor in sorted(technique.state().tensors.items()):
        digest.update(
            name.encode() + tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        )
    encoder: Any = technique
    return Features("a classifier of this data", digest.hexdigest()[:12], encoder.encode)


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
