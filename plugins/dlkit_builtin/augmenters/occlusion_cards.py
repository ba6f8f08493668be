"""Cards of what covers parts of images. Light."""

from __future__ import annotations

from dlkit.augment import AugmenterCard, Parameter

OCCLUSION = (
    AugmenterCard(
        name="cut-out",
        summary="Cover a square at a place drawn at random with grey.",
        family="occlusion",
        implementation="dlkit_builtin.augmenters.occlusion:cut_out",
        sources=("DeVries and Taylor 2017, Improved regularization of convolutional neural networks with cutout",),
        parameters=(
            Parameter(name="share", help="The square's side.", unit="of the shorter side", default=0.5, min=0, max=1,
                      strong=0.6),
            Parameter(name="grey", help="What it is covered with; 0: black, 1: white.", default=0.5, min=0, max=1),
        ),
    ),
)  # fmt: skip
