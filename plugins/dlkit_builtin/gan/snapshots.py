"""What the generator makes of the same noise at moments of its training, kept in the run as small PNG files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from dlkit.files import atomic_path
from dlkit.morphing import write_gif
from dlkit.plane import tiled

if TYPE_CHECKING:
    from dlkit.data import Split
    from dlkit.runtime import Runtime
    from dlkit.runtime.phase import RunLike

FOLDER = "samples"
SHOWN = 16
MOMENTS = 12
PAIRS = 64
"""Images whose pairwise distances tell how diverse samples are."""
_MOMENT = 400
"""Milliseconds that a moment is shown."""
COLLAPSED = 0.2
"""Share of the genuine images' diversity below which a generator is said to have collapsed: where it was above, or half
of the training has passed. Before, it has learned too little to be judged."""


def moments(epochs: int) -> frozenset[int]:
    """The epochs after which samples are kept: 1 and the last, the others with equal ratios between them."""
    steps = torch.linspace(0, math.log(epochs), min(MOMENTS, epochs), dtype=torch.float64)
    return frozenset(round(float(step)) for step in steps.exp())


class Watch:
    """For ``runtime.fit(validate=…)``: keeps samples at some moments, and measures diversity after each epoch.

    Args:
        make: noise ``(B, Z)`` → pixels ``(B, C, H, W)``.
        genuine: for comparison, training images: see :func:`comparable`.
        epoch: how many have passed.
        epochs: how many there are going to be.
        latent: Z.
        runtime: draws the noise, warns.
        run: keeps the samples.
        classes: int64 ``(PAIRS,)``, of what is made, where it is made by class: then diversity is that within classes,
            since a generator that always makes the same image of a class has collapsed too.
    """

    def __init__(
        self,
        make: Callable[[Tensor], Tensor],
        genuine: Split,
        epoch: Callable[[], int],
        epochs: int,
        latent: int,
        runtime: Runtime,
        run: RunLike,
        classes: Tensor | None = None,
    ) -> None:
        self.make, self.epoch, self.runtime, self.folder = make, epoch, runtime, run.path / FOLDER
        self.moments, self.half = moments(epochs), max(1, epochs / 2)
        device = runtime.device
        self.noise = torch.randn(PAIRS, latent, generator=runtime.generator("fixed noise"), device=device)
        self.classes = classes
        self.usual = diversity(genuine.pixels(), None if classes is None else genuine.labels)
        if self.usual == 0:  # no two images of a class
            self.classes, self.usual = None, diversity(genuine.pixels())
        self.highest, self.warned = 0.0, False

    def __call__(self) -> Mapping[str, float]:
        """``diversity``: that of the samples over that of the genuine images."""
        with self.runtime.inference():
            images = self.make(self.noise).float().cpu()
        if self.epoch() in self.moments:
            keep(images[:SHOWN], self.folder / f"{self.epoch():06d}.png")
        share = diversity(images, self.classes) / max(self.usual, 1e-12)
        self.highest = max(self.highest, share)
        if share < COLLAPSED and not self.warned and (self.highest >= COLLAPSED or self.epoch() > self.half):
            self.warned = True
            self._warn(share)
        return {"diversity": share}

    def _warn(self, share: float) -> None:
        of = "" if self.classes is None else " of a class"
        fell = f", and had been at {self.highest:.0%}" if self.highest >= COLLAPSED else ""
        self.runtime.warn(
            f"Epoch {self.epoch()}: samples{of} differ from each other by {share:.0%} of what genuine images do{fell}: "
            "the generator may have collapsed. More --epochs, another --loss, --diffaug color,translation or lower "
            "--lr may help."
        )


def comparable(train: Split, classes: Tensor | None) -> Split:
    """The first :data:`PAIRS` training images, or as many of each class as ``classes`` ``(PAIRS,)`` names."""
    if classes is None or train.labels is None:
        return train.subset(torch.arange(min(len(train), PAIRS)))
    counts = torch.bincount(classes.cpu())
    chosen = [(train.labels == label).nonzero()[:count, 0] for label, count in enumerate(counts.tolist())]
    return train.subset(torch.cat(chosen))


def diversity(images: Tensor, classes: Tensor | None = None) -> float:
    """Mean distance between two images of ``(n, C, H, W)``, n ≥ 2, of the same class where ``classes`` ``(n,)`` are
    given; root mean square over pixels."""
    distances = torch.pdist(images.flatten(1).double())
    if classes is not None:
        first, second = torch.triu_indices(len(images), len(images), 1)
        distances = distances[(classes[first] == classes[second]).to(distances.device)]
    return float(distances.mean()) / math.sqrt(images[0].numel()) if len(distances) else 0.0


def keep(images: Tensor, target: Path) -> None:
    """Images ``(n, C, H, W)`` in a row, as a PNG file."""
    row = (images.clamp(0, 1) * 255).round().to(torch.uint8).permute(2, 0, 3, 1).flatten(1, 2)  # (H, n W, C)
    picture = Image.fromarray(row.squeeze(2).numpy() if row.shape[2] == 1 else row.numpy())
    target.parent.mkdir(exist_ok=True)
    with atomic_path(target) as temporary:
        picture.save(temporary, format="PNG")


def kept(folder: Path, width: int) -> dict[int, Tensor]:
    """Epoch → images ``(n, C, H, W)`` in [0, 1], as :func:`keep` wrote them; ``width`` is that of an image."""
    found = {}
    for path in sorted(folder.glob("[0-9]*.png")):
        with Image.open(path) as picture:
            row = torch.from_numpy(np.array(picture)).float() / 255
        row = row[:, :, None] if row.ndim == 2 else row
        found[int(path.stem)] = torch.stack(torch.split(row, width, dim=1)).permute(0, 3, 1, 2)
    return found


def write_over_time(moments: Mapping[int, Tensor], target: Path) -> None:
    """A GIF with a frame for each moment, as :func:`kept` gives them: sixteen images in a square."""
    if not moments:
        return
    side = math.isqrt(SHOWN)
    # A pixel of grey between them; images are small.
    padded = [F.pad(images[: side * side], (0, 1, 0, 1), value=0.5) for images in moments.values()]
    frames = [tiled(images.view(side, -1, *images.shape[1:])) for images in padded]
    write_gif(torch.stack(frames), target, frame=_MOMENT, back=False)
