"""Taking a network apart: its source classifier, and the stages whose outputs can be tapped.

One forward pass with hooks shows what runs, in which order, with which shapes. It is done on the meta device, where
shapes are computed and nothing else; a network that cannot run there is run in earnest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from dlkit.backbones.backbone import TOP, Stage

MOST_STAGES = 6
"""Of a network with a stage per block, so many are kept."""

_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout2d)

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Trace:
    """What one forward pass showed.

    Attributes:
        outputs: path of a module → shape of its (last) output; in the order in which the modules ended.
        output: shape of the network's own.
        size: height and width of the image.
    """

    outputs: Mapping[str, Shape]
    output: Shape
    size: tuple[int, int]


def trace(network: nn.Module, shape: tuple[int, int, int]) -> Trace:
    """Run the network on one image of ``(C, H, W)``.

    Raises:
        Exception: whatever the network raises for an image of this size.
        TypeError: its output is not one tensor of images' features.
    """
    outputs: dict[str, Shape] = {}

    def note(name: str, output: Any) -> None:
        outputs.pop(name, None)  # a module that is used again counts where it is used last
        if isinstance(output, Tensor):
            outputs[name] = tuple(output.shape)

    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: note(name, output))
        for name, module in network.named_modules()
        if name
    ]
    try:
        output = run_once(network, (1, *shape))
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(output, Tensor) or output.ndim not in (2, 3, 4) or len(output) != 1:
        raise TypeError("its output is not one tensor (B, D), (B, N, D) or (B, C, H, W)")
    return Trace(outputs, tuple(output.shape), shape[1:])


def run_once(network: nn.Module, shape: Shape) -> Any:
    """The output for an empty batch of images; on the meta device where the network can run there."""
    tensors = dict(chain(network.named_parameters(), network.named_buffers()))
    device = next((tensor.device for tensor in tensors.values()), torch.device("cpu"))
    try:
        ghosts = {name: tensor.to("meta") for name, tensor in tensors.items()}
        with torch.no_grad():
            return functional_call(network, ghosts, (torch.empty(shape, device="meta"),))
    except Exception:  # a wrong size fails again below, and a tensor that is no buffer does not
        if device.type == "meta":
            raise
        with torch.no_grad():
            return network(torch.zeros(shape, device=device))


def find_classifier(network: nn.Module, traced: Trace) -> str:
    """Path of the source classifier: the network's own where it says so as timm's do, else a last linear layer.

    A linear layer, or a 1 × 1 convolution, counts where no other weights come after it, and its outputs are as many
    as the network's. Empty where there is none.
    """
    if hasattr(network, "get_classifier") and hasattr(network, "reset_classifier"):
        head = cast(Any, network).get_classifier()
        return next((name for name, module in network.named_modules() if module is head and name), "")
    if len(traced.output) != 2:
        return ""
    weighted = [
        name for name in traced.outputs if next(network.get_submodule(name).parameters(recurse=False), None) is not None
    ]
    last = network.get_submodule(weighted[-1]) if weighted else network
    linear = isinstance(last, nn.Linear) and last.out_features == traced.output[-1]
    pointwise = isinstance(last, nn.Conv2d) and last.kernel_size == (1, 1) and last.out_channels == traced.output[-1]
    return weighted[-1] if linear or pointwise else ""


def is_before_pooling(network: nn.Module, path: str) -> bool:
    """Whether the classifier is a convolution whose map the network goes on with, as SqueezeNet's: ReLU, then a mean.

    The same weights on averaged features give about, not exactly, the same logits (80 % the same first class on
    photographs of ants and bees). timm's convolutions of that kind come after the pooling.
    """
    return isinstance(network.get_submodule(path), nn.Conv2d) and not hasattr(network, "reset_classifier")


def detach_classifier(network: Any, path: str) -> nn.Module | None:
    """Take the source classifier out, so that the network's output is what it saw; give it back, for ``(B, D)``."""
    if hasattr(network, "get_classifier") and hasattr(network, "reset_classifier"):
        head = network.get_classifier()
        network.reset_classifier(0)
        return _on_vectors(head) if isinstance(head, nn.Module) else None
    if not path:
        return None
    head = network.get_submodule(path)
    network.set_submodule(path, nn.Identity())
    return _on_vectors(head)


def _on_vectors(head: nn.Module) -> nn.Module | None:
    """A 1 × 1 convolution as the linear layer that it is on one place."""
    if isinstance(head, nn.Identity):
        return None
    if not isinstance(head, nn.Conv2d):
        return head
    if head.kernel_size != (1, 1) or head.groups != 1:
        return None
    linear = nn.Linear(head.in_channels, head.out_channels, bias=head.bias is not None, device=head.weight.device)
    with torch.no_grad():
        linear.weight.copy_(head.weight.flatten(1))
        if head.bias is not None:
            linear.bias.copy_(head.bias)
    return linear


def find_stages(network: nn.Module, whole: Trace, headless: Trace, classifier: str) -> list[Stage]:
    """The stages in the order of the forward pass, the last one :data:`TOP`.

    Those that a network of timm's names itself, where the forward pass reaches them; else the last module at each
    resolution; else, where it never changes as with tokens, the blocks.

    Args:
        network: without its classifier.
        whole: a pass with the classifier.
        headless: one without it.
        classifier: path of the classifier, whose like and whatever comes after it is no stage.
    """
    axis = _axis(headless.output, headless.size)
    top = Stage(TOP, "", headless.output[axis], axis)
    named = _stages_of_info(getattr(network, "feature_info", None), headless)
    if named:
        return [*_thinned(named), top]
    names = list(whole.outputs)
    before = names[: names.index(classifier)] if classifier in names else names
    outputs = {name: whole.outputs[name] for name in before if name in headless.outputs}
    found = _last_at_each_resolution(network, outputs, whole.size)
    return [*_thinned(found if len(found) > 1 else _blocks(network, outputs) or found), top]


def _stages_of_info(info: Any, traced: Trace) -> list[Stage]:
    """timm's ``feature_info``; nothing where it does not tell what the forward pass shows."""
    stages = []
    for entry in info if isinstance(info, Sequence) else ():
        name, channels = entry["module"], entry["num_chs"]
        shape = traced.outputs.get(name, ())
        if len(shape) < 3 or channels not in shape[1:]:
            return []
        axis = _axis(shape, traced.size)
        if shape[axis] != channels:
            axis = len(shape) - shape[::-1].index(channels) - 1
        stages.append(Stage(name, name, channels, axis, int(entry["reduction"])))
    return stages


def _last_at_each_resolution(network: nn.Module, outputs: Mapping[str, Shape], size: tuple[int, int]) -> list[Stage]:
    maps = {}
    for name, shape in outputs.items():
        axis = _axis(shape, size)
        resolution = shape[2:] if axis == 1 else shape[1:3]
        # Not single places (squeeze and excitation), nor windows of attention, whose sides are not the image's.
        if len(shape) == 4 and resolution != (1, 1) and _proportional(resolution, size):
            maps[name] = Stage(name, name, shape[axis], axis, round(size[0] / resolution[0])), resolution
    latest: dict[Shape, Stage] = {}
    units = _units(network, {name: resolution for name, (_, resolution) in maps.items()})
    for name, (stage, resolution) in maps.items():
        inside = any(name.startswith(f"{unit}.") and resolution != maps[unit][1] for unit in units)
        if stage.reduction and not inside and not isinstance(network.get_submodule(name), _NOTHING):
            latest.pop(resolution, None)  # to the end, for the order
            latest[resolution] = stage
    return list(latest.values())


def _units(network: nn.Module, resolutions: Mapping[str, Shape]) -> list[str]:
    """Modules within which the resolution changes once at most, as in a block with a stride.

    What such a block computes before its stride is on the way to its output, not a stage.
    """
    return [
        name for name in resolutions
        if type(network.get_submodule(name)) is not nn.Sequential
        and len({resolution for inner, resolution in resolutions.items() if f"{inner}.".startswith(f"{name}.")}) <= 2
    ]  # fmt: skip


def _blocks(network: nn.Module, outputs: Mapping[str, Shape]) -> list[Stage]:
    """The members of the outermost row of equal modules that give tokens ``(B, N, C)``."""
    rows: dict[str, list[str]] = {}
    for name, shape in outputs.items():
        parent, _, _ = name.rpartition(".")
        if len(shape) == 3 and isinstance(network.get_submodule(parent), (nn.Sequential, nn.ModuleList)):
            rows.setdefault(parent, []).append(name)
    equal = [
        members for members in rows.values()
        if len(members) > 1 and len({type(network.get_submodule(name)) for name in members}) == 1
    ]  # fmt: skip
    outermost = min(equal, key=lambda members: members[0].count("."), default=[])
    return [Stage(name, name, outputs[name][2], 2) for name in outermost]


def _thinned(stages: list[Stage]) -> list[Stage]:
    """At most :data:`MOST_STAGES`, evenly spaced, always with the last."""
    count, kept = len(stages), min(len(stages), MOST_STAGES)
    return [stages[round((number + 1) * count / kept) - 1] for number in range(kept)]


def _axis(shape: Shape, size: tuple[int, int]) -> int:
    """Which axis holds the channels: the one that is not a side of the image, scaled down."""
    if len(shape) < 4:
        return len(shape) - 1

    return 3 if _proportional(shape[1:3], size) and not _proportional(shape[2:], size) else 1


def _proportional(resolution: Shape, size: tuple[int, int]) -> bool:
    """Whether these are the image's sides, scaled, but for rounding."""
    return abs(resolution[0] * size[1] - resolution[1] * size[0]) <= max(size)
