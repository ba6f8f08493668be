"""What augmenters work on: a batch of images with all that belongs to their places, and their labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from dlkit.augment.draws import Draws


@dataclass(frozen=True)
class Scenes:
    """A batch; tensors are on one device and never written into.

    Coordinates are those of torchvision's tv_tensors: x to the right and y down, in pixels, from the image's upper left
    corner, so that the pixel in row i and column j covers [j, j + 1] × [i, i + 1].

    Attributes:
        images: float32 ``(B, C, H, W)`` in [0, 1]; their size stays.
        masks: ``(B, M, H, W)``, labels of pixels or bool; never interpolated, 0 where nothing was.
        boxes: float32 ``(B, N, 4)``, x1, y1, x2, y2; rows of NaN where an image has fewer.
        keypoints: float32 ``(B, N, 2)``, x, y; NaN likewise.
        labels: float32 ``(B, K)``, distributions over classes (or several labels, or numbers), for those who mix pairs.
    """

    images: Tensor
    masks: Tensor | None = None
    boxes: Tensor | None = None
    keypoints: Tensor | None = None
    labels: Tensor | None = None

    def __len__(self) -> int:
        return self.images.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.images.shape[-2], self.images.shape[-1]

    def with_images(self, images: Tensor) -> Scenes:
        """The same scenes with other colours."""
        return Scenes(images, self.masks, self.boxes, self.keypoints, self.labels)

    def at(self, rows: Tensor) -> Scenes:
        """Some of them; ``rows`` is int64 ``(n,)`` on the CPU."""
        here = rows.to(self.images.device, non_blocking=True)
        return self._each(lambda tensor, _name: tensor.index_select(0, here))

    def put(self, rows: Tensor, changed: Scenes) -> Scenes:
        """These scenes with others in the place of some."""
        return self.put_all([(rows, changed)])

    def put_all(self, parts: Sequence[tuple[Tensor, Scenes]]) -> Scenes:
        """These scenes with others in the places of several sets of rows, which do not overlap."""
        if not parts:
            return self

        def joined(tensor: Tensor, name: str) -> Tensor:
            each = list(tensor.unbind())
            for rows, changed in parts:
                for row, own in zip(rows.tolist(), getattr(changed, name).unbind(), strict=True):
                    each[row] = own
            return torch.stack(each)  # each image is copied once; index_copy_ takes twice as long on a CPU

        return self._each(joined)

    def _each(self, change: Callable[[Tensor, str], Tensor]) -> Scenes:
        parts: dict[str, Any] = {}
        for name in _PARTS:
            tensor = getattr(self, name)
            if tensor is not None:
                parts[name] = change(tensor, name)
        return Scenes(**parts)


_PARTS = tuple(part.name for part in fields(Scenes))


class Augmenter(Protocol):
    """An implementation that a card names.

    It draws from ``draws`` only (by name, the same whatever the batch), leaves its inputs as they are, and gives as
    many scenes of the same size. Numbers arrive as float32 ``(B,)`` on the images' device, one for each image, drawn
    already as the policy says; words as text.
    """

    def __call__(self, scenes: Scenes, draws: Draws, **values: Any) -> Scenes:
        """The changed scenes."""
        ...
