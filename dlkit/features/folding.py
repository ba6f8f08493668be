"""Batch norm folded into the convolution before it: in evaluation both are linear, so one convolution does for two.

    γ (W∗x + b − μ) / √(σ² + ε) + β  =  W'∗x + b'

Pairs are found by what a forward pass does, not by names: the very tensor that a convolution gave is what a batch
norm got, and nobody else looked at it. So it works for timm, torchvision and anybody's own network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode

from dlkit.backbones import Backbone

_PLAIN = {"Conv2d", "Conv2dSame"}
"""Convolutions that are linear in their weight; others (standardised, parametrised) are left alone."""


class _Uses(TorchFunctionMode):
    """Counts how often each tensor is given to a function."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[int] = Counter()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(True for _ in _tensors(result)):  # asking x.shape or x.dim() is no use of x
            self.count.update(id(tensor) for tensor in _tensors((args, list((kwargs or {}).values()))))
        return result


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)


def fold_batch_norm(backbone: Backbone, images: Tensor) -> int:
    """Fold every batch norm that can be, in place; what the stages give stays the same.

    Args:
        backbone: in eval mode; a copy that nobody else uses.
        images: pixels ``(B, C, H, W)`` for the one forward pass that is watched.

    Returns:
        How many were folded.
    """
    pairs = _pairs(backbone, images)
    for conv, norm in pairs:
        _absorb(conv, norm)
    rest = {norm: _rest(norm) for _, norm in pairs}
    for parent in list(backbone.network.modules()):
        for name, child in list(parent._modules.items()):
            if child in rest:
                parent._modules[name] = rest[child]
    return len(pairs)


def _pairs(backbone: Backbone, images: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions and the batch norms that alone use their outputs."""
    uses, shown = _Uses(), list[Tensor]()
    made: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # the tensor is kept, so that no other gets its id
    met: list[tuple[nn.BatchNorm2d, int]] = []

    def from_conv(module: nn.Module, _: Any, output: Tensor) -> None:
        made[id(output)] = module, output  # type: ignore[assignment]
        uses.count[id(output)] = 0

    def into_norm(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        source = id(inputs[0])
        met.append((module, source if source in made else 0))  # type: ignore[arg-type] # asked now: ids are given again

    def from_stage(_: nn.Module, __: Any, output: Tensor) -> None:
        shown.append(output)

    stages = {stage.module for stage in backbone.stages if stage.module}
    hooks = []
    for path, module in backbone.network.named_modules():
        if _foldable_conv(module) and path not in stages:
            hooks.append(module.register_forward_hook(from_conv))
        if _foldable_norm(module):
            hooks.append(module.register_forward_pre_hook(into_norm))
        if path in stages:
            hooks.append(module.register_forward_hook(from_stage))
    try:
        with torch.inference_mode(), uses:
            shown.extend(_tensors(backbone.network(backbone.normalized(images))))
    finally:
        for hook in hooks:
            hook.remove()
    seen = {id(output) for output in shown}
    once = _once(conv for conv, _ in made.values()) | _once(norm for norm, _ in met)
    return [
        (made[source][0], norm)
        for norm, source in met
        if source in made and uses.count[source] == 1 and source not in seen and {made[source][0], norm} <= once
    ]


def _once(modules: Iterable[nn.Module]) -> set[nn.Module]:
    return {module for module, count in Counter(modules).items() if count == 1}


def _foldable_conv(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and type(module).__name__ in _PLAIN and not module._forward_pre_hooks


def _foldable_norm(module: nn.Module) -> bool:
    """Plain, or timm's with an activation after it; with statistics of its own."""
    kind = type(module) is nn.BatchNorm2d or type(module).__name__ == "BatchNormAct2d"
    return kind and isinstance(module, nn.BatchNorm2d) and module.running_var is not None


def _absorb(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    if norm.running_mean is None or norm.running_var is None:
        raise RuntimeError("a batch norm without statistics cannot be folded")
    conv.weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    conv.bias = bias


def _rest(norm: nn.BatchNorm2d) -> nn.Module:
    """What a batch norm does after normalising; hooks on it (a stage that is tapped here) move along."""
    parts = [getattr(norm, name) for name in ("drop", "act") if isinstance(getattr(norm, name, None), nn.Module)]
    rest = nn.Sequential(*parts) if parts else nn.Identity()
    for hook in norm._forward_hooks.values():
        rest.register_forward_hook(hook)
    return rest.eval()
