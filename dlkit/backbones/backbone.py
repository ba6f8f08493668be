"""A backbone: a network with its pre-processing, the stages that can be tapped, and its source classifier.

Shapes: ``B`` images; a stage gives a map ``(B, C, H, W)``, ``(B, H, W, C)`` or tokens ``(B, N, C)``.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dlkit.data.spec import ImageForm

Pool = Literal["avg", "max", "flat"]
TOP = "top"
"""The stage that the network's own classifier saw: its features before the last linear layer, ``(B, D)``."""

_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601-2, as colour files are read where grey is wanted


@dataclass(frozen=True)
class Stage:
    """A place in the network whose output can be tapped.

    Attributes:
        name: as typed and shown: ``layer3``, ``top``.
        module: path of the module whose output it is; empty for the network's own output.
        channels: size of the output after pooling.
        axis: which axis of the output holds the channels.
        reduction: how many pixels of the image, along a side, one place of the map stands for; 0 where unknown.
    """

    name: str
    module: str
    channels: int
    axis: int = 1
    reduction: int = 0


@dataclass(frozen=True)
class Tap:
    """A stage's output made into one vector per image: ``avg`` and ``max`` over places, or ``flat``."""

    stage: str
    pool: Pool = "avg"

    def __str__(self) -> str:
        return self.stage if self.pool == "avg" else f"{self.stage}:{self.pool}"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a backbone comes from; plain, kept with every run.

    Attributes:
        reference: what ``--backbone`` said.
        arguments: what its builder was given.
        weights: in words: ``timm/resnet50.a1_in1k``, a file's name, ``random``.
        licence: of the weights, where it is known.
        recipe: whatever else is needed to build the same network again, as JSON can hold it.
        classes: names of the classes that its source classifier knows, in order, where they are known.
        notices: what the user should know (keys that did not match, a classifier that was dropped).
    """

    reference: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    weights: str = "random"
    licence: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


class _Catcher:
    """Keeps a module's output of the latest forward pass; a bound method of it is copied along with the network."""

    def __init__(self) -> None:
        self.output: Tensor | None = None

    def hook(self, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        self.output = output


class Backbone(nn.Module):
    """A network from pixels to features.

    Args:
        network: ``forward(x)`` gives the top features, ``(B, D)`` or a map that is averaged over its places.
        stages: in the order of the forward pass; the last one is :data:`TOP`.
        form: the images that the weights were trained for.
        mean, std: per channel, on pixels in [0, 1].
        origin: where all that comes from.
        classifier: from the top features to the source's logits, where the weights have one.

    Attributes:
        channels: how many the network takes.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        stages: Sequence[Stage],
        *,
        form: ImageForm,
        mean: Sequence[float],
        std: Sequence[float],
        origin: Origin,
        classifier: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.stages = tuple(stages)
        self.form = form
        self.origin = origin
        self.classifier = classifier
        self.channels = len(mean)
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))
        modules = dict(network.named_modules())
        self._catchers = {stage.name: _Catcher() for stage in self.stages if stage.module}
        for stage in self.stages:
            if stage.module:
                modules[stage.module].register_forward_hook(self._catchers[stage.name].hook)

    def stage(self, name: str) -> Stage:
        """The stage of that name.

        Raises:
            KeyError: there is none.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(name)

    @property
    def size(self) -> int:
        """D of the top features."""
        return self.stages[-1].channels

    def normalized(self, images: Tensor) -> Tensor:
        """Pixels ``(B, 1 or 3, H, W)`` → what the network takes: grey is repeated, colour made grey as files are."""
        if images.shape[1] != self.channels:
            if images.shape[1] == 3 and self.channels == 1:
                images = (images * images.new_tensor(_LUMA).view(3, 1, 1)).sum(1, keepdim=True)
            images = images.expand(-1, self.channels, -1, -1)
        return (images - self.mean) / self.std

    def forward(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → top features ``(B, D)``."""
        return self.features(images, (Tap(TOP),))[0]

    def features(self, images: Tensor, taps: Sequence[Tap]) -> list[Tensor]:
        """Pixels ``(B, C, H, W)`` → for each tap, features ``(B, D)``, in one forward pass."""
        top = self.network(self.normalized(images))
        caught = {name: catcher.output for name, catcher in self._catchers.items()} | {TOP: top}
        found = []
        for tap in taps:
            output = caught[tap.stage]
            if output is None:
                raise RuntimeError(f"the stage {tap.stage!r} was not reached in the forward pass")
            found.append(pooled(output, self.stage(tap.stage).axis, tap.pool))
        for catcher in self._catchers.values():
            catcher.output = None  # or the last batch's maps would stay in memory
        return found

    def fingerprint(self) -> str:
        """SHA-256 over all that its features depend on but the images: structure, weights, normalisation, versions.

        Structure is every module's class and plain attributes (padding, strides, flags), not only what it prints.
        """
        whole = hashlib.sha256(json.dumps([self.origin.reference, _versions(self.network)]).encode())
        for stage in self.stages:
            whole.update(repr(stage).encode())
        for name, module in self.named_modules():
            plain = {key: value for key, value in vars(module).items() if _is_plain(key, value)}
            whole.update(
                f"{name} {type(module).__module__}.{type(module).__qualname__} {sorted(plain.items())}".encode()
            )
        for name, tensor in sorted(self.state_dict().items()):
            whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            whole.update(memoryview(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()))
        return whole.hexdigest()


def _is_plain(key: str, value: Any) -> bool:
    """Whether an attribute of a module is a setting: a number, a text, or a tuple of them."""
    if key.startswith("_") or key == "training":
        return False
    if isinstance(value, (tuple, list)):
        return all(_is_plain("", item) for item in value)
    return value is None or isinstance(value, (bool, int, float, str))


def _versions(network: nn.Module) -> list[str]:
    """Of torch, and of the packages whose modules the network is made of: their arithmetic may change."""
    packages = {type(module).__module__.partition(".")[0] for module in network.modules()} | {"torch"}
    return sorted(f"{name} {getattr(sys.modules.get(name), '__version__', '')}" for name in packages)


def pooled(output: Tensor, axis: int, pool: Pool) -> Tensor:
    """A stage's output → ``(B, D)``: over all axes but the batch and the channels, or flattened."""
    if output.ndim == 2:
        return output
    if pool == "flat":
        return output.flatten(1)
    places = [dimension for dimension in range(1, output.ndim) if dimension != axis % output.ndim]
    return output.mean(places) if pool == "avg" else output.amax(places)
