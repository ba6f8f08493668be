"""Skipping what is frozen: the map below the first stage that trains is computed once per image, not once per epoch.

Nothing is cut out of the network, since a network's ``forward`` may do anything between its modules. Rather, while
training lasts, the frozen modules are made to return at once: the last of them gives the map that was kept, those
before it a tensor of the right shape full of NaN, which takes no memory. If anything above the cut looked at what is
below it in another way (a skip connection across it, a tap), NaN would reach the logits: a trial tells, and then the
shortcut is not taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dlkit.backbones import Tap
from dlkit.data import Split
from dlkit.data.data import Resident
from dlkit.data.memory import available_memory
from dlkit_builtin.transfer.levels import Call, Level, evaluating, watch
from dlkit_builtin.transfer.network import Network

if TYPE_CHECKING:
    from dlkit.runtime import Runtime

_SHARE, _MOST = 4, 4 << 30
"""Maps may take a quarter of the memory that is free, and 4 GiB, as images may."""
_BATCH = 8  # the best size for a forward pass on a CPU
_TRIAL = 2  # images


class Shortcut(nn.Module):
    """The part of a network above its frozen stages, from the maps that they give to logits.

    Args:
        network: with the modes that training is going to have.
        stages: its levels.
        first: the first level that trains; ``len(stages)``: only the head does.
        shape: ``(C, H, W)`` of an image.
    """

    def __init__(self, network: Network, stages: Sequence[Level], first: int, shape: Sequence[int]) -> None:
        super().__init__()
        self.network, self.shape = network, tuple(shape)
        self.head_only = first == len(stages)
        self.stubs: dict[nn.Module, Callable[..., Tensor]] = {}
        self.possible = first > 0
        self.size: tuple[int, ...] = ()
        if self.head_only:
            self.size = (network.size(network.taps),)
        elif self.possible:
            self._cut_at(first, stages)

    def _cut_at(self, first: int, stages: Sequence[Level]) -> None:
        """Find what returns at once."""
        backbone = self.network.backbone
        calls = watch(backbone, self.shape)
        modules = dict(backbone.network.named_modules())
        self.stage = backbone.stage(stages[first - 1].name)
        shape = calls[self.stage.module].shape
        frozen = {path for level in stages[:first] for path in level.paths}
        found = dict(_outermost("", modules, frozen, calls))
        cut = next((path for path in found if f"{self.stage.module}.".startswith(f"{path}.")), None)
        self.possible = cut is not None and shape is not None and shape[0] == 1 and found[cut] == shape
        self.size = (shape or (1,))[1:]
        self.stubs = {modules[path]: _blank(shape) for path, shape in found.items()}
        self._given = torch.empty(0)
        if cut is not None:
            self.stubs[modules[cut]] = lambda *_, **__: self._given

    def maps(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → what the frozen stages give for them."""
        if self.head_only:
            return self.network.features(images)
        flat = self.network.backbone.features(images, (Tap(self.stage.name, "flat"),))[0]
        return flat.view(-1, *self.size) if len(self.size) > 1 else flat

    def forward(self, maps: Tensor) -> Tensor:
        """Maps → logits ``(B, K)``, without the work below. Only within :meth:`taken`."""
        if self.head_only:
            found: Tensor = self.network.head(maps)
        else:
            # The layout that a convolution would have left them in decides which kernels run above.
            self._given = maps.contiguous(memory_format=torch.channels_last) if maps.ndim == 4 else maps
            found = self.network(maps.new_zeros(1, dtype=torch.float32).expand(len(maps), *self.shape))
            self._given = torch.empty(0)
        return found

    @contextmanager
    def taken(self) -> Iterator[None]:
        """While this lasts, the frozen modules return at once."""
        before = {module: vars(module).get("forward") for module in self.stubs}
        for module, stub in self.stubs.items():
            vars(module)["forward"] = stub
        try:
            yield
        finally:
            for module, forward in before.items():
                if forward is None:
                    del vars(module)["forward"]
                else:
                    vars(module)["forward"] = forward

    def works(self, split: Split, runtime: Runtime) -> bool:
        """Whether a trial on a few images gives the logits of the whole network."""
        if not self.possible:
            return False
        images = next(iter(runtime.batches(split, _TRIAL))).images
        try:
            with evaluating(self.network), runtime.inference():
                expected, maps = self.network(images), self.maps(images)
                with self.taken():
                    return torch.allclose(self(maps), expected, rtol=1e-3, atol=1e-4)
        except (RuntimeError, TypeError, ValueError, AssertionError, IndexError, AttributeError):
            return False  # a network that looks at its maps in a way that blanks do not stand

    def fits(self, count: int) -> bool:
        """Whether the maps of so many images fit in memory."""
        return 4 * count * torch.Size(self.size).numel() <= min(_MOST, available_memory() // _SHARE)

    def split(self, split: Split, runtime: Runtime) -> Split:
        """The same split with maps in place of images."""
        kept: Tensor | None = None
        start = 0
        with evaluating(self.network), runtime.inference():
            for batch in runtime.batches(split, _BATCH):
                maps = self.maps(batch.images)
                if kept is None:
                    with torch.inference_mode(False):  # a tensor of inference mode could not be learned from
                        kept = torch.empty(len(split), *maps.shape[1:], dtype=maps.dtype)
                kept[start : start + len(maps)] = maps.cpu()
                start += len(maps)
        pixels = Resident(torch.empty(0, *self.size) if kept is None else kept)
        return Split(split.name, pixels, split.labels, split.files, split.digests, split.targets)


def _outermost(
    path: str, modules: Mapping[str, nn.Module], frozen: set[str], calls: Mapping[str, Call]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The outermost modules under ``path`` that are frozen with all that is in them, were called once, and gave a
    tensor; with its shape."""
    call, inside = calls.get(path), f"{path}." if path else ""
    whole = all(other in frozen for other in modules if other == path or other.startswith(inside))
    if path and whole and call is not None and call.count == 1 and call.shape is not None:
        yield path, call.shape
        return
    for name, child in modules[path].named_children():
        if child is modules.get(inside + name):
            yield from _outermost(inside + name, modules, frozen, calls)


def _blank(shape: tuple[int, ...]) -> Callable[..., Tensor]:
    """A stand-in for ``forward``: NaN in the shape that it gives for a batch like its input's."""

    def forward(inputs: Tensor, *_: Any, **__: Any) -> Tensor:
        count = inputs.shape[0] * shape[0]
        return inputs.new_full((1,), torch.nan).expand(count, *shape[1:])

    return forward
