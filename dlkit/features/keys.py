"""What kept features depend on, as one key: network, weights, tap, the images' form and the arithmetic."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        facts = [
            VERSION, self.fingerprint, origin.reference, sorted((str(k), repr(v)) for k, v in origin.arguments.items()),
            _code_version(type(self.backbone.network)), stage.module, stage.axis, tap.pool, self.image, variant,
        ]  # fmt: skip
        key = hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()
        about = {
            "backbone": origin.reference, "weights": origin.weights, "tap": str(tap), "arithmetic": variant,
            "image": list(self.image),
        }  # fmt: skip
        return Entry(key, about, warn)


def _code_version(kind: type) -> str:
    """The version of the package that defines a network, or a digest of its file: a forward pass is code too."""
    package = sys.modules.get(kind.__module__.partition(".")[0])
    version = getattr(package, "__version__", None)
    if isinstance(version, str):
        return version
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    try:
        return hashlib.sha256(Path(str(file)).read_bytes()).hexdigest()
    except OSError:
        return ""
