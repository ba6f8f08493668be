"""Which part of a network belongs to which stage, and which stages a fine-tuning trains.

Two taps that follow one another enclose a *level*: the modules that begin after the first of them has been
computed, and before the second. Levels are found by watching one forward pass, so they hold for any network.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from dlkit.backbones import Backbone
from dlkit.backbones.backbone import TOP
from dlkit.errors import UsageError
from dlkit.options.suggest import did_you_mean
from dlkit_builtin.transfer.network import Network


@dataclass
class Call:
    """What one forward pass did with a module; times count the beginnings and ends of all modules.

    Attributes:
        began: when it first began.
        ended: when it last ended.
        count: how often it was called.
        shape: of what it gave for a single image, if that was a tensor.
    """

    began: int
    ended: int = 0
    count: int = 0
    shape: tuple[int, ...] | None = None


def watch(backbone: Backbone, shape: Sequence[int]) -> dict[str, Call]:
    """One forward pass of a blank image ``(C, H, W)``; path in ``backbone.network`` → what happened there.

    The network is in eval mode meanwhile, so nothing in it changes.
    """
    calls: dict[str, Call] = {}
    clock, handles = itertools.count(), list[RemovableHandle]()

    def hook(path: str, module: nn.Module) -> Iterator[RemovableHandle]:
        def begin(_module: nn.Module, _inputs: Any) -> None:
            calls.setdefault(path, Call(next(clock)))

        def end(_module: nn.Module, _inputs: Any, output: Any) -> None:
            call = calls[path]
            call.ended, call.count = next(clock), call.count + 1
            call.shape = tuple(output.shape) if isinstance(output, Tensor) else None

        yield module.register_forward_pre_hook(begin)
        yield module.register_forward_hook(end)

    try:
        for path, module in backbone.network.named_modules():
            handles += hook(path, module)
        # Not inference mode: what a network keeps of a pass would be unfit for training.
        with evaluating(backbone), torch.no_grad():
            backbone.features(torch.zeros(1, *shape, device=backbone.mean.device), ())
    finally:
        for handle in handles:
            handle.remove()
    return calls


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Eval mode while this lasts."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@dataclass(frozen=True)
class Level:
    """The part of a backbone's network between two taps.

    Attributes:
        name: of the stage that it ends with; ``top``: what follows the last tapped module.
        paths: of its modules in ``backbone.network``, containers that begin in it included.
        size: how many parameters it has.
    """

    name: str
    paths: tuple[str, ...]
    size: int

    def modules(self, network: Network) -> list[nn.Module]:
        """Its modules in ``network``, or in a copy of it."""
        found = dict(network.backbone.network.named_modules())
        return [found[path] for path in self.paths]

    def parameters(self, network: Network) -> list[nn.Parameter]:
        """Its parameters in ``network``, or in a copy of it."""
        return [parameter for module in self.modules(network) for parameter in module.parameters(recurse=False)]


def levels(network: Network, shape: Sequence[int]) -> tuple[Level, ...]:
    """The levels of a network in order, as far as its head sees them (those after its last tap are left out).

    Args:
        network: backbone, taps and head.
        shape: ``(C, H, W)`` of an image.
    """
    backbone = network.backbone
    calls = watch(backbone, shape)
    ends = [calls[stage.module].ended if stage.module else 1 << 62 for stage in backbone.stages]
    members: list[dict[str, nn.Module]] = [{} for _ in ends]
    for path, module in backbone.network.named_modules():
        began = _began(path, calls)
        members[next(index for index, end in enumerate(ends) if end > began)][path] = module
    deepest = max(index for index, stage in enumerate(backbone.stages) if stage.name in {t.stage for t in network.taps})
    counted: set[nn.Parameter] = set()
    found = []
    for stage, modules in zip(backbone.stages[: deepest + 1], members, strict=False):
        own = {parameter for module in modules.values() for parameter in module.parameters(recurse=False)} - counted
        counted |= own
        found.append(Level(stage.name, tuple(modules), sum(parameter.numel() for parameter in own)))
    return tuple(found)


def _began(path: str, calls: dict[str, Call]) -> int:
    """When a module began; of one that was not called itself (its parent uses its weights): when its parent did."""
    while path not in calls:
        path = path.rpartition(".")[0]
    return calls[path].began


def counted(stages: Sequence[Level]) -> list[int]:
    """Which levels count as a stage: those with parameters. What follows the last stage (a norm, a convolution)
    counts as a part of it, unless it is all there is."""
    return [i for i, level in enumerate(stages) if level.size and level.name != TOP] or [
        i for i, level in enumerate(stages) if level.size
    ]


@dataclass(frozen=True)
class Finetuning:
    """Which stages train beside the head, from the top down.

    Attributes:
        stage: train from this one on; None: ``count`` or ``share`` says it.
        count: the last so many stages.
        share: this share of the stages, rounded up.
    """

    stage: str | None = None
    count: int | None = None
    share: float = 1.0

    @classmethod
    def top(cls, depth: int | str = 1) -> Self:
        """The last ``depth`` stages, or everything from the stage of that name on; ``"3"`` is 3."""
        if isinstance(depth, str) and not depth.isdigit():
            return cls(stage=depth)
        return cls(count=int(depth))

    @classmethod
    def deep(cls) -> Self:
        """The last half of the stages."""
        return cls(share=0.5)

    @classmethod
    def all(cls) -> Self:
        """The whole network."""
        return cls()

    @classmethod
    def head_only(cls) -> Self:
        """No stage."""
        return cls(count=0)

    def first(self, stages: Sequence[Level]) -> int:
        """Index of the first level that trains; ``len(stages)`` if none does.

        Raises:
            UsageError: there is no such stage, or there are not as many.
        """
        names, numbered = [level.name for level in stages], counted(stages)
        if self.stage is not None:
            if self.stage not in names:
                hint = did_you_mean(self.stage, names) or f"Its stages: {', '.join(names)}."
                raise UsageError(f"--unfreeze {self.stage}: the backbone has no such stage.", hint)
            return names.index(self.stage)
        count = -int(-len(numbered) * self.share // 1) if self.count is None else self.count
        if count > len(numbered):
            raise UsageError(
                f"--unfreeze {count}: the backbone has {len(numbered)} stages with weights.",
                f"They are {', '.join(names[index] for index in numbered)}.",
            )
        if count == len(numbered):
            return 0
        return numbered[-count] if count else len(stages)
