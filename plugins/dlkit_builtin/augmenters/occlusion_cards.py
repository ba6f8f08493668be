"""Cards of what covers parts of images. Light."""

from __future__ import annotations

from dlkit.augment import AugmenterCard, Parameter

_HOME = "dlkit_builtin.augmenters.occlusion"
_GREY = Parameter(name="grey", help="What it is covered with; 0: black, 1: white.", default=0.5, min=0, max=1)

OCCLUSION = (
    AugmenterCard(
        name="cut-out",
        summary="Cover a square at a place drawn at random with grey.",
        family="occlusion",
        implementation=f"{_HOME}:cut_out",
        sources=("DeVries and Taylor 2017, Improved regularization of convolutional neural networks with cutout",),
        parameters=(
            Parameter(name="share", help="The square's side.", unit="of the shorter side", default=0.5, min=0, max=1,
                      strong=0.6),
            _GREY,
        ),
    ),
    AugmenterCard(
        name="bars",
        summary="Cover with bars, as a fence or blinds do.",
        family="occlusion",
        implementation=f"{_HOME}:bars",
        parameters=(
            Parameter(name="share", help="How much they cover together.", unit="of the image", default=0.25, min=0,
                      max=1, strong=0.6),
            Parameter(name="count", help="How many.", default=4, min=1, max=64, whole=True),
            Parameter(name="axis", help="Upright as a fence, or level as blinds.", default="upright",
                      choices=("upright", "level")),
            _GREY,
        ),
        sources=("Chen et al. 2020, GridMask data augmentation",),
    ),
    AugmenterCard(
        name="erasing",
        summary="Replace a box of any shape by noise.",
        family="occlusion",
        implementation=f"{_HOME}:erasing",
        probability=0.5,
        parameters=(
            Parameter(name="area", help="The largest box.", unit="of the image", default=0.2, min=0, max=1, strong=0.4,
                      spread="up-to"),
        ),
        sources=("Zhong et al. 2020, Random erasing data augmentation",),
    ),
)  # fmt: skip
