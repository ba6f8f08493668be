"""Pieces of networks that techniques build themselves: what follows a layer, initialisation, penalties, max-norm."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from dlkit.options import LayerOptions

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky-relu": lambda: nn.LeakyReLU(0.2),
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def after(width: int, options: LayerOptions, *, maps: bool) -> list[nn.Module]:
    """What follows a hidden layer's weights: batch norm, activation, dropout (whole maps in conv nets).

    Args:
        width: units, or maps.
        options: which of them.
        maps: the layer gives maps ``(B, width, H, W)``, not ``(B, width)``.
    """
    modules: list[nn.Module] = []
    if options.batch_norm:
        modules.append(nn.BatchNorm2d(width) if maps else nn.BatchNorm1d(width))
    modules.append(ACTIVATIONS[options.activation]())
    if options.dropout > 0:
        modules.append(nn.Dropout2d(options.dropout) if maps else nn.Dropout(options.dropout))
    return modules


def initialise(network: nn.Module, scheme: str) -> None:
    """Draw the weights of all layers with torch's global generator; biases start at 0.

    ``he``: N(0, 2 / fan_in), He et al. 2015, equation 10; ``xavier``: N(0, 2 / (fan_in + fan_out)), Glorot and
    Bengio 2010, equation 16; ``gaussian``: N(0, 0.01²), Krizhevsky et al. 2012, section 5.
    """
    for layer in _weighted(network):
        fan_in, fan_out = _fans(layer)
        std = {
            "he": math.sqrt(2 / fan_in),
            "xavier": math.sqrt(2 / (fan_in + fan_out)),
            "gaussian": 0.01,
        }[scheme]
        nn.init.normal_(layer.weight, 0.0, std)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def penalised(network: nn.Module) -> list[Tensor]:
    """The weight tensors that penalties act on: of linear and convolution layers, no biases, no batch norm."""
    return [layer.weight for layer in _weighted(network)]


def l1_penalty(network: nn.Module, options: LayerOptions) -> Tensor | float:
    """``--l1`` times the sum of the absolute weights, to be added to a loss; 0 without it."""
    return options.l1 * torch.stack([w.abs().sum() for w in penalised(network)]).sum() if options.l1 > 0 else 0.0


@torch.no_grad()
def limit_norm(network: nn.Module, largest: float) -> None:
    """Scale down the weights into each unit whose norm exceeds ``largest``; in place."""
    for layer in _weighted(network):
        units = 1 if isinstance(layer, nn.ConvTranspose2d) else 0  # the axis of the weight that counts units
        layer.weight.copy_(torch.renorm(layer.weight, 2, units, largest))


Weighted = nn.Linear | nn.Conv2d | nn.ConvTranspose2d


def _weighted(network: nn.Module) -> Iterator[Weighted]:
    return (module for module in network.modules() if isinstance(module, Weighted))


def _fans(layer: Weighted) -> tuple[float, float]:
    """Inputs that reach an output unit, and outputs that an input unit reaches."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    area = math.prod(layer.kernel_size)
    if isinstance(layer, nn.ConvTranspose2d):
        # With stride s an output sees only every s-th tap of the kernel in each direction.
        return layer.in_channels * area / math.prod(layer.stride), layer.out_channels * area
    return layer.in_channels * area, layer.out_channels * area / math.prod(layer.stride)
