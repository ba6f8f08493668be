"""What a network costs: weights, activations, multiply-adds and memory, counted on the meta device without computing.

Words and definitions:

- *activations*: elements of the outputs of convolutions and matrix products for one image (Radosavovic et al. 2020,
  Designing network design spaces, section 3.1; timm's tables).
- *sums*: the same of additions, which is what residual connections are.
- *all outputs*: the same over every operation, normalisation, ReLU, sums and pooling too.
- *multiply-adds*: of convolutions and matrix products, half of what PyTorch's FLOP counter gives.
- *forward memory*: the largest sum of what is alive at any moment of a forward pass that needs no gradient.
- *training memory*: what autograd keeps for the backward pass, in float32, each storage once.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from dlkit.backbones.backbone import Backbone
from dlkit.backbones.build import assembled, run_draft, source_of
from dlkit.backbones.dissect import trace
from dlkit.backbones.source import Draft, Size
from dlkit.errors import UsageError

_PRODUCTS = ("convolution", "mm", "addmm", "bmm", "baddbmm", "linear", "matmul", "_scaled_dot_product")
OPTIMIZER_COPIES = 3
"""Beside the weights: their gradients and Adam's two moments."""


@dataclass(frozen=True)
class Costs:
    """Of a network with its source classifier, for one image of ``size``; bytes are those of float32."""

    size: Size
    parameters: int
    activations: int
    sums: int
    all_outputs: int
    multiply_adds: int
    weight_bytes: int
    forward_bytes: int
    training_bytes: int

    def memory(self, batch: int) -> dict[str, int]:
        """Bytes of weights; of a forward pass with them; of a training step with Adam, for a batch of images."""
        return {
            "weights": self.weight_bytes,
            "forward": self.weight_bytes + batch * self.forward_bytes,
            "training": (1 + OPTIMIZER_COPIES) * self.weight_bytes + batch * self.training_bytes,
        }


def draft_on_meta(reference: str, arguments: Mapping[str, Any], size: Size | None = None) -> Draft:
    """The network without any weights: shapes only. What cannot be built so is built on the CPU.

    Raises:
        UsageError: there is no such backbone, or its arguments do not fit.
    """
    if reference.startswith("run:"):
        return run_draft(reference)[0]
    source = source_of(reference, arguments)
    try:
        with torch.device("meta"):
            draft = source.draft(pretrained=False, size=size)
    except (NotImplementedError, RuntimeError, UsageError):  # it looks at values, or is wrong on the CPU too
        draft = source.draft(pretrained=False, size=size)
    return draft


def on_meta(reference: str, arguments: Mapping[str, Any], size: Size | None = None) -> Backbone:
    """The backbone without any weights, for its stages.

    Raises:
        UsageError: as :func:`draft_on_meta`; or it takes no images of that size.
    """
    draft = draft_on_meta(reference, arguments, size)
    return assembled(reference, draft, size, None, _encoder(reference), keep_classifier=False)


def _encoder(reference: str) -> dict[str, Any] | None:
    """What tells :func:`assembled` that there is no classifier to detach."""
    return {} if reference.startswith("run:") else None


def count(draft: Draft, size: Size | None = None) -> tuple[Outputs, int]:
    """What a forward pass of one image puts out, and its multiply-adds; the network is moved to the meta device."""
    network = draft.network.to("meta").eval()
    channels, *own = draft.preprocessing.shape
    outputs = Outputs(network)
    with outputs, FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, channels, *(size or own), device="meta"))
    return outputs, counter.get_total_flops() // 2


def costs(draft: Draft, size: Size | None = None) -> Costs:
    """Count; the network is moved to the meta device."""
    outputs, multiply_adds = count(draft, size)
    network, (channels, height, width) = draft.network, draft.preprocessing.shape
    height, width = size or (height, width)
    tensors = [*network.parameters(), *network.buffers()]
    return Costs(
        size=(height, width),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        activations=outputs.products,
        sums=outputs.sums,
        all_outputs=outputs.total,
        multiply_adds=multiply_adds,
        weight_bytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors),
        forward_bytes=outputs.peak,
        training_bytes=_kept_for_backward(network, (channels, height, width)),
    )


class Outputs(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts elements of operations' outputs, and the bytes of what is alive beside the weights.

    Attributes:
        products: elements that convolutions and matrix products put out.
        sums: elements that additions put out: residual connections.
        total: elements that any operation puts out.
        peak: bytes, at most, that were alive.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.products = self.sums = self.total = self.alive = self.peak = 0
        self._seen = _storages(network)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        first = result[0] if isinstance(result, (tuple, list)) and result else result
        view = any(item.alias_info and not item.alias_info.is_write for item in func._schema.returns)
        if isinstance(first, Tensor) and not view and not func._schema.name.startswith("aten::empty"):
            self.total += first.numel()
            name = func._schema.name.removeprefix("aten::")
            self.products += first.numel() * name.startswith(_PRODUCTS)
            self.sums += first.numel() * (name in ("add", "add_"))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, Tensor):
                self._note(tensor)
        return result

    def _note(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        address, size = storage._cdata, storage.nbytes()
        if address in self._seen:
            return
        self._seen.add(address)
        self.alive += size
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._freed, address, size)

    def _freed(self, address: int, size: int) -> None:
        self._seen.discard(address)
        self.alive -= size


def _storages(network: nn.Module) -> set[int]:
    """Addresses of the weights' storages, which live as long as the network."""
    return {tensor.untyped_storage()._cdata for tensor in [*network.parameters(), *network.buffers()]}


def _kept_for_backward(network: nn.Module, shape: tuple[int, int, int]) -> int:
    """Bytes per image; of two, since batch norm in training needs several."""
    weights = _storages(network)
    kept: dict[int, torch.UntypedStorage] = {}  # holding them, so that no address is used twice

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return tensor

    network.train()
    try:
        with saved_tensors_hooks(pack, lambda tensor: tensor), torch.enable_grad():
            network(torch.empty(2, *shape, device="meta"))
    finally:
        network.eval()
    return sum(storage.nbytes() for storage in kept.values()) // 2


def stage_maps(reference: str, draft: Draft, size: Size | None = None) -> list[dict[str, Any]]:
    """The stages with the height and width of their maps (the number of tokens; nothing for vectors), as plain JSON.

    Raises:
        UsageError: the network takes no images of that size.
    """
    backbone = assembled(reference, draft, size, None, _encoder(reference), keep_classifier=False)
    channels, *own = draft.preprocessing.shape
    height, width = size or own
    outputs = trace(backbone.network, (channels, height, width))
    found = []
    for stage in backbone.stages:
        shape = list(outputs.outputs[stage.module] if stage.module else outputs.output)[1:]
        shape.pop((stage.axis if stage.axis > 0 else len(shape)) - 1)
        found.append({"name": stage.name, "channels": stage.channels, "reduction": stage.reduction, "map": shape})
    return found
