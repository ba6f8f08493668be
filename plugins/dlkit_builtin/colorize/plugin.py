"""Registers colorization."""

from __future__ import annotations

from collections.abc import Iterable

from dlkit.card import Card, Trial
from dlkit.hookspecs import hookimpl
from dlkit_builtin.colorize.options import ColorizeOptions

DLKIT_API = 1

COLORIZE = Card(
    name="colorize",
    summary="Learn to give grey images their colours; needs colour images and no labels.",
    description="""\
Every colour image is its own teacher: the network sees its lightness, L of CIE Lab, and learns to predict the colour of
each pixel, a and b. What it gives has exactly the lightness of the image that it is given. It is a convolutional
encoder and decoder with skip connections (U-Net), and works on images of any size and on grey files.

--mode regression predicts one colour, which for things that may have several is a dull mean of these. --mode bins
predicts how probable each of 261 bins of colours is, with rare colours weighted up, and takes a sharpened mean: more
colourful, and often further from the truth. Both are evaluated beside the grey image and mean colours.

To say what colour a thing has, one must see what it is. So colorization is also a way of learning features without
labels: the mean over its smallest maps is a code, for `dlkit encode`, `dlkit search` and --backbone run:RUN.""",
    sources=(
        "Zhang, Isola and Efros 2016, Colorful image colorization",
        "Ronneberger, Fischer and Brox 2015, U-Net: convolutional networks for biomedical image segmentation",
        "Larsson, Maire and Shakhnarovich 2017, Colorization as a proxy task for visual understanding",
    ),
    task="image to image",
    options=ColorizeOptions,
    implementation="dlkit_builtin.colorize.technique:Colorize",
    capabilities=lambda _: frozenset({"encode"}),
    data="photo-tiles",
    examples=(
        "dlkit train colorize",
        "dlkit train colorize --mode bins --data cifar10",
        "dlkit train colorize --data photos --image-size 128 --max-time 1h",
    ),
    trial=Trial(
        small={"channels": "3", "layers": "8"},
        exceptions={
            "grey_and_colour:1": "grey images have no colours to learn",
            "two_processes:equal": "batch normalisation sees the images of one process",
        },
    ),
)


@hookimpl
def dlkit_techniques() -> Iterable[Card]:
    """One technique."""
    return [COLORIZE]
