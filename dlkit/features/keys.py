"""What kept features depend on, as one key: network, weights, tap, the images' form and the arithmetic."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from dlkit.backbones import Backbone, Tap
from dlkit.features.store import Entry

VERSION = 1
"""Raised when the same key would mean other features."""


@dataclass(frozen=True)
class Subject:
    """A backbone and the form of its images; what all of its entries have in common.

    Attributes:
        backbone: the network.
        fingerprint: the backbone's own, over structure and weights.
        image: shape ``(C, H, W)`` and type of raw images. The pixels themselves are in each image's digest.
    """

    backbone: Backbone
    fingerprint: str
    image: tuple[object, ...]

    def entry(self, tap: Tap, variant: str, warn: Any) -> Entry:
        """Where features of one tap, computed in one way, are kept."""
        stage, origin = self.backbone.stage(tap.stage), self.backbone.origin
        arguments = sorted((name, repr(value)) for name, value in origin.arguments.items())
        place = (stage.module, stage.axis, tap.pool)
        facts = [VERSION, self.fingerprint, arguments, _own_code(self.backbone.network), place, self.image, variant]
        key = hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()
        about = {
            "backbone": origin.reference, "weights": origin.weights, "tap": str(tap), "arithmetic": variant,
            "image": list(self.image),
        }  # fmt: skip
        return Entry(key, about, warn)


def _own_code(network: nn.Module) -> list[str]:
    """Digests of the files that define a network outside of any package with a version: a forward pass is code too."""
    names = {type(module).__module__ for module in network.modules()}
    loaded = [sys.modules.get(name) for name in names if not _is_versioned(name)]
    files = {file for module in loaded if (file := getattr(module, "__file__", None))}
    return sorted(hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files if Path(file).is_file())


def _is_versioned(name: str) -> bool:
    return hasattr(sys.modules.get(name.partition(".")[0]), "__version__")
