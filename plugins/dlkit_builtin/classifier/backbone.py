"""The residual network of ``--net resnet`` as a backbone, for whoever wants a small network without pretraining."""

from __future__ import annotations

from torch import nn

from dlkit_builtin.classifier.networks import build
from dlkit_builtin.classifier.options import ClassifierOptions


def small_resnet(side: int = 64, blocks: int = 3) -> nn.Sequential:
    """He et al. 2016, section 4.2, with 6n + 1 convolutions of 16, 32 and 64 maps.

    Args:
        side: of the images, in pixels; larger ones than 64 are scaled down by strides first.
        blocks: n, residual blocks per stage.

    Returns:
        ``(B, 3, H, W)`` → ``(B, 64)``.
    """
    return build(ClassifierOptions(net="resnet", blocks=blocks), (3, side, side))[0]
