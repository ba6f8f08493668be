"""A third party's backbone: the light card that the hook ``dlkit_backbones`` yields."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class BackboneCard:
    """A network that ``--backbone NAME`` can name.

    Attributes:
        name: kebab-case. A name that dlkit, timm or torchvision has stays theirs.
        summary: one line.
        builder: ``"package.module:function"``; called with ``--backbone-arg``'s pairs, it gives a module that takes
            ``(B, C, H, W)``.
        pretrained: whether what it builds has trained weights; where not, users must say ``--random-init``.
        image_size: height and width, in pixels, that the weights were trained for.
        mean, std: of the pixels in [0, 1], per channel.
        licence: of the weights.
    """

    name: str
    summary: str
    builder: str
    pretrained: bool = True
    image_size: tuple[int, int] = (224, 224)
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    licence: str = ""
