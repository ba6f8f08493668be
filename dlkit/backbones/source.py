"""What a source of backbones provides: a network as its builder makes it, and what is known about its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import nn

from dlkit.backbones.preprocessing import Preprocessing

Size = tuple[int, int]
"""Height and width, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A network before its source classifier is detached, in eval mode.

    Attributes:
        network: from ``(B, C, H, W)`` to the source's logits, features or a map.
        preprocessing: what its weights were trained with.
        weights: in words; ``random`` where they are.
        arguments: all that the builder was given, as JSON can hold it, so that it builds the same again.
        names: by which a weights file may call this architecture.
        package: of these names: ``timm``, ``torchvision``.
        licence: of the weights, where it is known.
        classes: that the classifier's outputs stand for, where they are known.
        notices: what the user should know.
        headed: whether the weights are those of its classifier too, where it has one.
    """

    network: nn.Module
    preprocessing: Preprocessing
    weights: str = "random"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    package: str = ""
    licence: str = ""
    classes: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    headed: bool = True


class Source(Protocol):
    """Where ``--backbone`` leads; made from the name and ``--backbone-arg``'s pairs, which builds nothing yet."""

    def preprocessing(self) -> Preprocessing:
        """Of its published weights; needs no network.

        Raises:
            UsageError: there is no such backbone.
        """
        ...

    def fetch(self) -> None:
        """Bring its published weights into the cache, where it has any.

        Raises:
            DataError: they cannot be had.
        """
        ...

    def draft(self, *, pretrained: bool, size: Size | None) -> Draft:
        """Build the network.

        Args:
            pretrained: with its published weights; else with random ones.
            size: of the images, where that is another than the weights'; a network of fixed size adapts if it can.

        Raises:
            UsageError: there is no such backbone, or the arguments do not fit.
            DataError: the weights cannot be had.
        """
        ...
