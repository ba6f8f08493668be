"""Contact sheets: what a policy makes of some images, and what every augmenter makes of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from dlkit.augment import AugmenterCard, Draws, Policy, Scenes, Step, apply, sample_keys
from dlkit.augment.cards import augmenters
from dlkit.augment.exact import exactly
from dlkit.data import read_images
from dlkit.data.data import to_pixels
from dlkit.data.spec import DataSpec
from dlkit.data.spread import evenly
from dlkit.enlarge.copying import Copying
from dlkit.enlarge.material import Material
from dlkit.errors import DlkitError
from dlkit.files import atomic_path
from dlkit.report import plots
from dlkit.report.picture import png
from dlkit.runtime import Runtime

STRENGTHS = (0.2, 0.4, 0.6, 0.8, 1.0)
_ROWS, _SIDE = 8, 160


def preview(material: Material, copying: Copying) -> Figure:
    """Some training images, of different classes where there are any, with their copies beside them: those that
    would be written. What masks cover is tinted."""
    rows: list[Tensor] = []
    titles: list[str] = []
    for image in _some(material):
        good, raw = material.read(np.array([image]))
        if len(good) == 0:
            continue
        masks = None if copying.masks is None else copying.masks.read(good)
        turns = range(1, min(copying.copies, 7) + 1)
        copies, _, moved = zip(*(copying.made(raw, copying.keys(good, copy), masks) for copy in turns), strict=True)
        shown = to_pixels(torch.cat([raw, *copies]))
        rows.append(_padded(shown if masks is None else _tinted(shown, torch.cat([masks, *moved]))))
        titles.append(plots.short(", ".join(filter(None, material.label(image))), 16))
    columns = ["image", *(f"copy {copy}" for copy in range(1, min(copying.copies, 7) + 1))]
    return plots.image_grid(rows, titles, columns, cell=1.0)


def _some(material: Material) -> list[int]:
    """The first image of each class, then others, evenly spread; eight at most."""
    train, labels = material.train, material.listing.labels
    firsts: list[int] = []
    if labels is not None:
        _, places = np.unique(labels[train], return_index=True)
        firsts = train[places[evenly(len(places), _ROWS)]].tolist()
    others = [image for image in train[evenly(len(train), _ROWS)].tolist() if image not in firsts]
    return [*firsts, *others[: _ROWS - len(firsts)]]


def _tinted(images: Tensor, masks: Tensor) -> Tensor:
    """Pixels ``(n, C, H, W)``, in colour, towards red where masks ``(n, 1, H, W)`` are not 0."""
    red = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    return torch.where(masks != 0, images.lerp(red, 0.5), images)


def _padded(images: Tensor) -> Tensor:
    """``(n, C, H, W)`` with black around, so that images of different shapes fit into squares."""
    height, width = images.shape[-2:]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    padding = (left, side - width - left, top, side - height - top)
    return torch.nn.functional.pad(images, padding)


def gallery(image: Tensor, other: Tensor, runtime: Runtime) -> tuple[Figure, list[str]]:
    """All installed augmenters on one image, a row for each, weaker to stronger; of policies and pairs some draws.

    Args:
        image: pixels ``(C, H, W)``.
        other: of the same shape, for those that mix pairs.
        runtime: of the seed and the device.

    Returns:
        The picture, and the names of those that cannot be shown on an image alone (they need masks or folders).
    """
    rows, titles, left_out = [], [], []
    for card in sorted(augmenters().values(), key=lambda card: _families(card.family)):
        if not shown_alone(card):
            left_out.append(card.name)
            continue
        rows.append(torch.stack([image, *_row(card, image, other, runtime)]))
        titles.append(card.name + (" (five draws)" if _draws(card) else "" if card.strengths else " (one strength)"))
    columns = ["image", *(f"strength {strength:g}" for strength in STRENGTHS)]
    return plots.image_grid(rows, titles, columns, cell=1.0), left_out


def _families(family: str) -> int:
    order = list(dict.fromkeys(card.family for card in augmenters().values()))
    return order.index(family)


def shown_alone(card: AugmenterCard) -> bool:
    """Whether it works on an image without masks and without files of the user's."""
    return not card.needs_masks and not any(parameter.path for parameter in card.parameters)


def _draws(card: AugmenterCard) -> bool:
    """Whether it is different each time, beyond its strength."""
    return card.policy or card.pairs


def _row(card: AugmenterCard, image: Tensor, other: Tensor, runtime: Runtime) -> Iterator[Tensor]:
    """At each strength, with the same draws; five draws as they are by default; or what there is one of."""
    pair, plain = torch.stack([image, other]).to(runtime.device), Step(card.name, (), 1.0)
    several = [plain] * len(STRENGTHS) if _draws(card) else [exactly(card, strength) for strength in STRENGTHS]
    for number, step in enumerate(several if card.strengths or _draws(card) else [plain]):
        draw = number if _draws(card) else 0
        keys = sample_keys(runtime.derive("gallery", card.name), torch.tensor([draw, draw + 1000]))
        scenes = Scenes(pair if card.pairs else pair[:1])
        with torch.inference_mode():
            yield apply(Policy((step,)), scenes, Draws(keys[: len(scenes)], runtime.device)).images[0].cpu()


def gallery_images(path: Path | None) -> tuple[Tensor, Tensor]:
    """The image of a file, or a photograph of scikit-learn's; and another photograph.

    Raises:
        DataError: the file cannot be read.
        DlkitError: this scikit-learn has no photographs.
    """
    from sklearn import datasets

    spec = DataSpec(source="", name="gallery", channels=3, height=_SIDE, width=_SIDE)
    folder = Path(datasets.__file__).parent / "images"
    files: Sequence[Path] = [path or folder / "flower.jpg", folder / "china.jpg"]
    if not all(file.is_file() for file in files[path is not None :]):
        raise DlkitError("This scikit-learn has no photographs.", "Give an image: --image FILE.")
    one, two = to_pixels(read_images(list(files), spec))
    return one, two


def write_sheet(figure: Figure, target: Path) -> None:
    """Write a picture.

    Raises:
        DlkitError: it cannot be written.
    """
    with atomic_path(target) as temporary:
        temporary.write_bytes(png(figure))
