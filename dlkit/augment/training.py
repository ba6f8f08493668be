"""Augmentation in training: batches that ``runtime.fit`` augments anew in each epoch, or copies that are made once."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dlkit import __version__
from dlkit.augment.applying import apply
from dlkit.augment.draws import Draws, sample_keys
from dlkit.augment.policy import Policy
from dlkit.augment.scenes import Scenes
from dlkit.data.data import Pixels, Resident, Split, to_pixels
from dlkit.data.memory import fits_in_memory
from dlkit.errors import UsageError

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.data.spec import DataSpec
    from dlkit.runtime.batches import Batch, Cuts
    from dlkit.runtime.runtime import Runtime
    from dlkit.settings import Settings

Digests = NDArray[np.uint8]

COPIES = 4
"""Of each image, where a technique needs all images at once and the user does not say."""
_CHUNK = 256


@dataclass
class Augmentation:
    """What ``runtime.fit`` does to the batches of a split that has this.

    Attributes:
        policy: the augmenters.
        classes: how many there are, where labels are classes and pairs of images are mixed.
        used: a ``fit`` took it.
    """

    policy: Policy
    classes: int = 0
    used: bool = False


def check_augmentation(settings: Settings) -> None:
    """See that ``--augment`` fits the technique, before there is a run.

    Raises:
        UsageError: it does not.
    """
    policy, copies = settings.augment.augment, settings.augment.augment_copies
    card, options = settings.card, settings.options
    if policy is None:
        if copies is not None:
            raise UsageError(f"--augment-copies {copies}: nothing says how they are made.", "Add --augment.")
        return
    way = card.augments(options)
    if way == "never":
        raise UsageError(
            f"--augment: {card.name} does not learn from the images themselves.", "Augment where its parts are trained."
        )
    if any(step.card.needs_masks for step in policy.steps):
        names = ", ".join(step.name for step in policy.steps if step.card.needs_masks)
        raise UsageError(f"--augment: {names} needs masks, which training data has none of.", "Leave it out.")
    if policy.mixes:
        _check_mixing(settings, way == "copies" or copies is not None)


def check_images(policy: Policy | None, spec: DataSpec) -> None:
    """See that a policy fits the images.

    Raises:
        UsageError: colours are to be varied, and there are none.
    """
    idle = [step.name for step in policy.steps if step.card.needs_colour] if policy and spec.channels == 1 else []
    if idle:
        raise UsageError(f"--augment: {', '.join(idle)} needs colours, but the images of {spec.name} are grey.",
                         "Leave it out.")  # fmt: skip


def _check_mixing(settings: Settings, copies: bool) -> None:
    card, policy = settings.card, settings.augment.augment
    names = ", ".join(step.name for step in policy.steps if step.card.pairs) if policy else ""
    if copies:
        raise UsageError(
            f"--augment: {names} mixes images of a batch, but {card.name} learns from copies here.",
            "Leave it out, or choose options with which the images are learned from in batches.",
        )
    if not card.mixes(settings.options):
        raise UsageError(f"--augment: {names} mixes labels too, which {card.name} cannot learn from here.",
                         "Leave it out.")  # fmt: skip
    if getattr(settings.options, "mixup", 0) > 0:
        raise UsageError(f"--mixup and --augment {names} both mix pairs of images.", "Give one of them.")


def for_training(data: ImageData, settings: Settings, runtime: Runtime) -> ImageData:
    """The data as the technique is to learn from it; what is evaluated is the data as it was."""
    policy, copies = settings.augment.augment, settings.augment.augment_copies
    if policy is None:
        return data
    if settings.card.augments(settings.options) == "copies":
        copies = copies or COPIES
    if copies:
        return dataclasses.replace(data, train=with_copies(data.train, data.spec, policy, copies, runtime))
    classes = len(data.spec.classes) if data.spec.target == "classes" else 0
    return dataclasses.replace(data, train=data.train.augmented(Augmentation(policy, classes)))


def warn_of_unused(data: ImageData, name: str, runtime: Runtime) -> None:
    """Tell of a technique that was to augment its batches and made none by ``runtime.fit``."""
    augmentation = data.train.augmentation
    if augmentation is not None and not augmentation.used:
        runtime.warn(f"{name} did not use --augment: it learned from the images as they are. "
                     "Use --augment-copies, which gives any technique augmented images.")  # fmt: skip


def augmented_batches(batches: Iterable[Batch], split: Split, order: Tensor, cuts: Cuts, seed: int) -> Iterable[Batch]:
    """Batches of a split, augmented on the device where they are; as they are where the split says nothing of it.

    Args:
        batches: as ``Feed.batches`` gives them for this order and these cuts.
        split: whose images they are.
        order: int64 ``(N,)`` on the CPU, the images of the epoch, perhaps with repeats.
        cuts: where batches start and stop in it.
        seed: of the epoch.
    """
    if split.augmentation is None:
        return batches
    samples, augmentation = sample_ids(order, len(split)), split.augmentation
    return (
        augmented_batch(batch, sample_keys(seed, samples[start:end]), augmentation)
        for (start, end), batch in zip(cuts, batches, strict=True)
    )


def augmented_batch(batch: Batch, keys: Tensor, augmentation: Augmentation) -> Batch:
    """The batch with other images and, where pairs are mixed, with mixed ``targets``: for classes distributions
    ``(B, K)`` beside the labels."""
    mixes = augmentation.policy.mixes
    labels = _distributions(batch, augmentation.classes) if mixes else None
    draws = Draws(keys, batch.images.device)
    scenes = apply(augmentation.policy, Scenes(batch.images, labels=labels), draws)
    return dataclasses.replace(batch, images=scenes.images, targets=scenes.labels if mixes else batch.targets)


def _distributions(batch: Batch, classes: int) -> Tensor | None:
    if batch.targets is not None or batch.labels is None or not classes:
        return batch.targets
    return F.one_hot(batch.labels.clamp(min=0), classes).float() * (batch.labels >= 0)[:, None]


def sample_ids(order: Tensor, count: int) -> Tensor:
    """What tells the images of an epoch apart: their numbers, and of one that is drawn again the turn.

    Args:
        order: int64 ``(N,)``, the images of the epoch, perhaps with repeats.
        count: how many images there are.
    """
    ordered, places = order.sort(stable=True)
    turns = torch.arange(len(order)) - torch.searchsorted(ordered, ordered)
    return order + count * torch.empty_like(turns).scatter_(0, places, turns)


def with_copies(split: Split, spec: DataSpec, policy: Policy, copies: int, runtime: Runtime) -> Split:
    """The images of a split, then augmented copies of all of them, then further copies.

    Each copy has a digest of its own, so that what is kept by image (features) is never mistaken for another's; it
    depends on the image, its place, the policy and the seed.

    Args:
        split: the images.
        spec: of the data.
        policy: what is done.
        copies: of each image.
        runtime: of the seed, and of the display.
    """
    if not len(split):
        return split
    seed = runtime.derive("augment", "copies")
    pixels: Pixels = Copies(split, policy, seed, torch.arange((copies + 1) * len(split)))
    if runtime.display is not None:
        runtime.display.info(f"Learning from {len(split):,} images and {copies} augmented copies of each: {policy}")
    if split.in_memory and fits_in_memory(spec, len(pixels), "auto"):
        pixels = Resident(pixels.raw(None))
    turns, own = range(copies + 1), split.digests
    files = split.files and [f"{name} (copy {turn})" if turn else name for turn in turns for name in split.files]
    return Split(
        split.name,
        pixels,
        None if split.labels is None else split.labels.repeat(copies + 1),
        files,
        None if own is None else np.concatenate([own, *_digests(own, policy, copies, seed)]),
        None if split.targets is None else split.targets.repeat(copies + 1, 1),
        sources=torch.arange(len(split)).repeat(copies + 1),
    )


def _digests(own: Digests, policy: Policy, copies: int, seed: int) -> Iterator[Digests]:
    for turn in range(1, copies + 1):
        facts = f"{__version__} {policy.to_toml()} {seed} {turn}".encode()
        each = (hashlib.sha256(digest.tobytes() + f"{place} ".encode() + facts) for place, digest in enumerate(own))
        yield np.stack([np.frombuffer(made.digest(), np.uint8) for made in each])


class Copies:
    """Raw images and augmented copies of them, made when they are asked for; always the same.

    Args:
        split: N images.
        policy: what is done to copies.
        seed: of the draws.
        places: int64 ``(n,)``: copy × N + image, copy 0 being the image itself.
    """

    def __init__(self, split: Split, policy: Policy, seed: int, places: Tensor) -> None:
        self._split, self._policy, self._seed, self._places = split, policy, seed, places

    def __len__(self) -> int:
        return len(self._places)

    def raw(self, indices: Tensor | None) -> Tensor:
        """Some, or all; ``(n, C, H, W)`` of the split's own type."""
        places = self._places if indices is None else self._places[indices]
        return torch.cat([self._made(part) for part in torch.split(places, _CHUNK)])

    def subset(self, indices: Tensor) -> Copies:
        """Some of them."""
        return Copies(self._split, self._policy, self._seed, self._places[indices])

    def _made(self, places: Tensor) -> Tensor:
        raw = self._split.raw(places % len(self._split))
        rows = (places >= len(self._split)).nonzero()[:, 0]
        draws = Draws(sample_keys(self._seed, places[rows]))
        images = apply(self._policy, Scenes(to_pixels(raw[rows])), draws).images
        if raw.dtype is torch.uint8:
            images = images.mul(255).round_().clamp_(0, 255).to(torch.uint8)
        return raw.index_copy(0, rows, images)
