"""Random numbers that belong to a sample, not to a place in a stream: the same however samples come into batches.

Every sample has a key; every quantity a name. A number is a function of (key, name, position) alone: SplitMix64
(Steele, Lea and Flood 2014, figure 15) where few are wanted, a generator of PyTorch seeded with it for whole fields.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256

import torch
from torch import Tensor

_GAMMA, _FIRST, _SECOND = -7046029254386353131, -4658895280553007687, -7723592293110705685
_FEW = 64  # numbers per sample; beyond, seeding a generator per sample costs less


class Draws:
    """The draws of a batch.

    Args:
        keys: int64 ``(B,)`` on the CPU, one per sample; :func:`sample_keys` makes them.
        device: where numbers are wanted.
    """

    def __init__(self, keys: Tensor, device: torch.device | str = "cpu") -> None:
        self.keys = keys
        self.device = torch.device(device)

    def __len__(self) -> int:
        return len(self.keys)

    def fork(self, *name: object) -> Draws:
        """Draws that have nothing to do with these: for a step of a policy, say."""
        return Draws(_mix(self.keys ^ _word(*name)), self.device)

    def at(self, rows: Tensor) -> Draws:
        """Those of some samples, int64 ``(n,)`` on the CPU."""
        return Draws(self.keys[rows], self.device)

    def on_cpu(self) -> Draws:
        """The same, with numbers on the CPU: what decides about rows and sizes, so that no device is waited for."""
        return Draws(self.keys)

    def uniform(self, name: str, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """float32 ``(B, *shape)``, even in [low, high)."""
        if _count(shape) > _FEW:
            return self._fields(name, shape, lambda out, generator: out.uniform_(low, high, generator=generator))
        numbers = (self._integers(name, shape) >> 40 & 0xFFFFFF).to(torch.float32) * 2.0**-24
        scaled: Tensor = low + (high - low) * numbers
        return scaled.to(self.device, non_blocking=True)

    def normal(self, name: str, *shape: int) -> Tensor:
        """float32 ``(B, *shape)`` with mean 0 and variance 1."""
        if _count(shape) > _FEW:
            return self._fields(name, shape, lambda out, generator: out.normal_(generator=generator))
        uniform = (self._integers(name, shape) >> 11 & 0x1FFFFFFFFFFFFF).double() + 0.5
        drawn: Tensor = torch.special.ndtri(uniform * 2.0**-53)
        return drawn.float().to(self.device, non_blocking=True)

    def integers(self, name: str, count: int, *shape: int) -> Tensor:
        """int64 ``(B, *shape)``, even in 0 … count − 1."""
        few: Tensor = (self._integers(name, shape) >> 33 & 0x7FFFFFFF) * count >> 31
        return few.to(self.device, non_blocking=True)

    def chosen(self, name: str, probability: float) -> Tensor:
        """The rows of the samples that a probability hits, int64 ``(n,)`` on the CPU."""
        return (self.on_cpu().uniform(name) < probability).nonzero()[:, 0]

    def generators(self, name: str) -> list[torch.Generator]:
        """A generator for each sample, on the device."""
        return [torch.Generator(self.device).manual_seed(seed) for seed in self._seeds(name)]

    def _integers(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """64 random bits each, ``(B, *shape)`` on the CPU."""
        places = torch.arange(_count(shape)) * _GAMMA
        return _mix(_mix(self.keys ^ _word(name))[:, None] + places).reshape(len(self), *shape)

    def _seeds(self, name: str) -> list[int]:
        seeds: list[int] = (_mix(self.keys ^ _word(name)) >> 1 & 0x3FFFFFFFFFFFFFFF).tolist()
        return seeds

    def _fields(self, name: str, shape: tuple[int, ...], fill: Callable[[Tensor, torch.Generator], Tensor]) -> Tensor:
        fields = torch.empty(len(self), *shape, device=self.device)
        generator = torch.Generator(self.device)
        for field, seed in zip(fields, self._seeds(name), strict=True):
            fill(field, generator.manual_seed(seed))
        return fields


def sample_keys(seed: int, samples: Tensor) -> Tensor:
    """A key for each sample.

    Args:
        seed: of all of them, up to 63 bits; ``runtime.derive("augment", phase, epoch)``.
        samples: int64 ``(B,)`` on the CPU, what tells them apart.
    """
    return _mix(_mix(samples + torch.tensor(seed)) ^ _GAMMA)


def _mix(numbers: Tensor) -> Tensor:
    """The finaliser of SplitMix64; int64 wraps as its unsigned numbers do. NumPy takes less time for so few."""
    bits = numbers.numpy() + _GAMMA
    bits = (bits ^ (bits >> 30 & 0x3FFFFFFFF)) * _FIRST
    bits = (bits ^ (bits >> 27 & 0x1FFFFFFFFF)) * _SECOND
    return torch.from_numpy(bits ^ (bits >> 31 & 0x1FFFFFFFF))


@lru_cache(maxsize=1024, typed=True)
def _word(*name: object) -> int:
    """A signed 64-bit number for a name."""
    return int.from_bytes(sha256(repr(name).encode()).digest()[:8], "big", signed=True)


def _count(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())
