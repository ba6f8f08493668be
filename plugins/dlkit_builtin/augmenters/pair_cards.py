"""Cards of what mixes pairs of images. Light."""

from __future__ import annotations

from dlkit.augment import AugmenterCard, Parameter

_HOME = "dlkit_builtin.augmenters.pairs"


def _alpha(default: float) -> tuple[Parameter, ...]:
    text = "Of the Beta distribution of shares; small: mostly one of the two images, 1: any share alike."
    return (Parameter(name="alpha", help=text, default=default, min=0, max=100, strong=1.0),)


PAIRS = (
    AugmenterCard(
        name="mixup",
        summary="Blend each image and its label with another.",
        family="pairs",
        implementation=f"{_HOME}:mixup",
        pairs=True,
        parameters=_alpha(0.2),
        sources=("Zhang et al. 2018, mixup: beyond empirical risk minimization",),
    ),
    AugmenterCard(
        name="cutmix",
        summary="Paste a box of another image, and mix labels by area.",
        family="pairs",
        implementation=f"{_HOME}:cutmix",
        pairs=True,
        parameters=_alpha(1.0),
        sources=("Yun et al. 2019, CutMix: regularization strategy to train strong classifiers",),
    ),
)
