"""Weights files: reading them without executing anything, and matching their keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from dlkit.errors import DataError


def read_weights(path: str) -> Mapping[str, Tensor]:
    """The tensors of a safetensors file."""
    if not Path(path).is_file():
        raise DataError(f"No such file of weights: {path!r}")
    return load_file(path)


def load_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Copy weights into the network; what did not match is told."""
    missing, unexpected = network.load_state_dict(dict(weights), strict=False)
    return tuple([f"missing: {missing}"] * bool(missing) + [f"unexpected: {unexpected}"] * bool(unexpected))
