"""Augmented copies of training images, the same for the same seed however the work is parted."""

from __future__ import annotations

import io
import json

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dlkit.augment import Draws, History, Policy, Scenes, apply, sample_keys
from dlkit.data.data import to_pixels
from dlkit.data.listing import Ints
from dlkit.enlarge.masks import Masks
from dlkit.errors import UsageError
from dlkit.predict.writers import png
from dlkit.runtime import Runtime

Operations = list[tuple[str, dict[str, float | str]]]
"""What was done to an image, in order: augmenters' names and their parameters."""


class Copying:
    """So many augmented copies of each training image; those of ``--augment-copies`` with the same seed.

    Args:
        policy: what is done.
        copies: of each image, at least 1.
        train: the numbers of the training images, int64 ``(N,)``, ascending.
        runtime: of the seed and the device.
        masks: of the images, which are transformed along; None: there are none.

    Raises:
        UsageError: a policy that mixes pairs of images, or needs masks where there are none.
    """

    def __init__(self, policy: Policy, copies: int, train: Ints, runtime: Runtime, masks: Masks | None = None) -> None:
        for step in policy.steps:
            if step.card.pairs:
                raise UsageError(
                    f"--augment: {step.name} mixes labels too, which files in classes cannot say.",
                    "Give it to training instead: dlkit train NAME --augment …",
                )
            if step.card.needs_masks and masks is None:
                raise UsageError(
                    f"--augment: {step.name} needs masks of the images.", "Give their folder: --masks DIR."
                )
        self.policy, self.copies, self.masks = policy, copies, masks
        self._train, self._runtime = train, runtime
        self._seed = runtime.derive("augment", "copies")

    def keys(self, images: Ints, copy: int) -> Tensor:
        """What the draws of these images' copies come from, int64 ``(n,)``: their seeds, in the manifest."""
        places = torch.from_numpy(np.searchsorted(self._train, images))
        return sample_keys(self._seed, places + copy * len(self._train))

    def made(
        self, raw: Tensor, keys: Tensor, masks: Tensor | None = None
    ) -> tuple[Tensor, list[Operations], Tensor | None]:
        """Raw images ``(n, C, H, W)`` → their copies, of the same type, on the CPU; what was done to each; and the
        masks ``(n, 1, H, W)``, where some were given, after the same movements."""
        device = self._runtime.device
        history = History.of(len(raw))
        scenes = Scenes(to_pixels(raw.to(device)), None if masks is None else masks.to(device))
        with torch.inference_mode():
            scenes = apply(self.policy, scenes, Draws(keys, device), history)
            images = scenes.images
            if raw.dtype is torch.uint8:
                images = images.mul(255).round_().clamp_(0, 255).to(torch.uint8)
        return images.cpu(), history.images, None if scenes.masks is None else scenes.masks.cpu()


def encoded(raw: Tensor) -> bytes:
    """A raw image ``(C, H, W)`` as a PNG file's content: 8 bits; 16 where it is deeper, and grey."""
    if raw.dtype is torch.uint8 or len(raw) != 1:
        return png(to_pixels(raw).numpy())
    values = np.rint(raw[0].clamp(0, 1).numpy() * 65535).astype(np.uint16)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


def names_of(operations: Operations) -> str:
    """``rotate flip``; empty where nothing was drawn."""
    return " ".join(name for name, _ in operations)


def parameters_of(operations: Operations) -> str:
    """Their parameters as JSON, one object for each operation."""
    plain = [
        {key: value if isinstance(value, str) else float(f"{value:.6g}") for key, value in values.items()}
        for _, values in operations
    ]
    return json.dumps(plain) if plain else ""
