"""What generated and genuine images are compared by: features of a network, with a hash that names them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from dlkit.judging.classifier import can_be_learned, digest_of, judge_classifier
from dlkit.judging.options import AUTO, INCEPTION, PIXELS, JudgeOptions

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime


@dataclass(frozen=True)
class Features:
    """Images → vectors.

    Attributes:
        name: what they are, for people.
        digest: names them exactly: figures with different digests cannot be compared.
        of: pixels ``(B, C, H, W)`` on the device → ``(B, D)``.
        resizer: what it does to an image's size first.
    """

    name: str
    digest: str
    of: Callable[[Tensor], Tensor]
    resizer: str = "not resized"


def features(options: JudgeOptions, data: ImageData, runtime: Runtime) -> Features:
    """The features that ``--features`` names.

    Raises:
        UsageError: there is no such backbone or run, or no weights for the Inception network.
    """
    wanted = options.features
    if wanted == AUTO:
        if data.spec.target == "classes" and can_be_learned(data):
            return _classifier(data, runtime)
        wanted = PIXELS
    if wanted == PIXELS:
        return Features("pixels", "pixels", lambda images: images.flatten(1))
    if wanted == INCEPTION:
        from dlkit.judging.inception import RESIZER, inception

        network, digest = inception(None if options.inception_weights is None else Path(options.inception_weights))
        return Features("Inception v3", digest, runtime.prepare(network), RESIZER)
    from dlkit.backbones import BackboneOptions, build_backbone

    spec = data.spec
    backbone = runtime.prepare(build_backbone(BackboneOptions(backbone=wanted), (spec.height, spec.width))).eval()
    return Features(wanted, backbone.fingerprint()[:12], backbone)


def _classifier(data: ImageData, runtime: Runtime) -> Features:
    technique: Any = judge_classifier(data, runtime)
    return Features("a classifier of this data", digest_of(technique), technique.encode)
