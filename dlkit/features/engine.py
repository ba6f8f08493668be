"""A backbone made fast for inference, on a copy of its own, each step only where it is safe.

1. Batch norm is folded into convolutions, if the features of real images stay the same.
2. channels_last, and small batches that stay in the processor's cache.
3. bf16 weights where the processor has bf16 arithmetic, if the features of 32 real images keep their direction.
4. torch.compile with frozen weights, where ``--compile`` asks for it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dlkit.backbones import Backbone, Tap
from dlkit.features.folding import fold_batch_norm
from dlkit.features.options import FeatureOptions

if TYPE_CHECKING:
    from dlkit.runtime import Runtime

CHECKED = 32
"""So many images are computed in fp32 and bf16, and compared."""
LEAST_COSINE = 0.999
"""Between bf16 and fp32 features, of every tap and every image."""
WORTH_CHECKING = 2 * CHECKED
"""With fewer images the check takes longer than bf16 saves."""
_FOLD_ERROR = 1e-4  # of the features' norm
_PIXELS = {"cpu": 8 * 224**2, "cuda": 256 * 224**2, "mps": 64 * 224**2}  # of a batch


@dataclass
class Engine:
    """Computes features of batches.

    Attributes:
        network: takes pixels ``(B, C, H, W)`` on its device.
        taps: which features.
        variant: how they are computed, as their key in the cache says it: ``plain``, ``fp32``, ``bf16``.
        words: the same for people.
        compiled: batches must then all have the same size.
    """

    network: Backbone
    taps: tuple[Tap, ...]
    variant: str
    words: str
    compiled: Callable[[Tensor], list[Tensor]] | None = field(default=None)

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Pixels ``(B, C, H, W)`` → for each tap float32 ``(B, D)``."""
        with torch.inference_mode():
            found = self.network.features(images, self.taps) if self.compiled is None else self.compiled(images)
            return [values.float() for values in found]

    def compile(self, images: Tensor) -> str:
        """Compile for batches of this size; returns what went wrong, or an empty text."""
        network, taps = self.network, self.taps
        self.compiled = torch.compile(
            lambda batch: network.features(batch, taps), dynamic=False, options={"freezing": True}
        )
        try:
            self(images)
        except Exception as error:  # whatever the compiler raises, features can be computed without it
            self.compiled = None
            return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        self.words += ", compiled"
        return ""


def batch_size(height: int, width: int, device: torch.device) -> int:
    """How many images of a size are best computed at once."""
    return max(4, min(512, _PIXELS.get(device.type, _PIXELS["cpu"]) // (height * width)))


def variants(options: FeatureOptions) -> tuple[str, ...]:
    """The ways of computing whose features the options accept, the exact one first."""
    if not options.fast:
        return ("plain",)
    # Features in bf16 that were asked for were not checked: they are no substitute for those that were.
    return {"fp32": ("fp32",), "bf16": ("bf16-unchecked",), "auto": ("fp32", "bf16")}[options.feature_precision]


def build_engine(
    backbone: Backbone, taps: tuple[Tap, ...], sample: Tensor, count: int, runtime: Runtime, options: FeatureOptions
) -> Engine:
    """Decide how features are computed, and prepare it.

    Args:
        backbone: in eval mode; it is not changed.
        taps: which features.
        sample: pixels of up to :data:`CHECKED` of the images, ``(n, C, H, W)`` on the device.
        count: how many images will be computed.
        runtime: device, ``--compile``.
        options: precision, and whether any of this may be done.
    """
    if not options.fast:
        return Engine(backbone, taps, "plain", "as it is, fp32")
    exact, folding = _folded(backbone, taps, sample, runtime)
    engine = _precise(exact, taps, sample, count, runtime, options)
    if folding:
        engine.words = f"{folding}, {engine.words}"
    if runtime.options.compile:
        size = batch_size(sample.shape[-2], sample.shape[-1], sample.device)
        trouble = engine.compile(sample.repeat(-(-size // len(sample)), 1, 1, 1)[:size])
        if trouble:
            runtime.warn(f"Features are computed without compiling: {trouble}")
    return engine


def _folded(backbone: Backbone, taps: tuple[Tap, ...], sample: Tensor, runtime: Runtime) -> tuple[Backbone, str]:
    """A copy with batch norm folded, and that in words; proved on some images, or not folded."""
    few = sample[:4]
    private = _private(backbone)
    expected = Engine(private, taps, "plain", "")(few)
    if not any(isinstance(module, nn.BatchNorm2d) for module in private.modules()):
        return private, ""
    if not fold_batch_norm(private, few[:1]):
        return private, "batch norm not folded"
    error = max(
        float(((found - wanted).norm(dim=1) / wanted.norm(dim=1).clamp_min(1e-12)).max())
        for found, wanted in zip(Engine(private, taps, "fp32", "")(few), expected, strict=True)
    )
    if not error <= _FOLD_ERROR:  # also where it is no number
        runtime.warn(f"Batch norm is not folded: features would change by {error:.1e}.")
        return _private(backbone), "batch norm not folded"
    return private, "batch norm folded"


def _private(backbone: Backbone) -> Backbone:
    private = copy.deepcopy(backbone).eval().requires_grad_(False)
    return private.to(memory_format=torch.channels_last) if _convolves(private) else private


def _convolves(module: nn.Module) -> bool:
    return any(isinstance(part, nn.Conv2d) for part in module.modules())


def _precise(
    exact: Backbone, taps: tuple[Tap, ...], sample: Tensor, count: int, runtime: Runtime, options: FeatureOptions
) -> Engine:
    """fp32, or bf16 where it is asked for, or pays and is proved."""
    fp32 = Engine(exact, taps, "fp32", "fp32")
    if options.feature_precision == "fp32":
        return fp32
    if options.feature_precision == "bf16":
        return Engine(_in_bf16(exact), taps, "bf16-unchecked", "bf16 as asked for")
    if not has_bf16(runtime.device) or count < WORTH_CHECKING:
        return fp32
    bf16 = Engine(_in_bf16(copy.deepcopy(exact)), taps, "bf16", "")
    try:
        cosine = least_cosine(fp32, bf16, sample)
    except (RuntimeError, NotImplementedError) as error:  # a layer that has no bf16
        return Engine(exact, taps, "fp32", f"fp32 (bf16 fails: {str(error).strip().splitlines()[0]})")
    if not cosine >= LEAST_COSINE:
        return Engine(exact, taps, "fp32", f"fp32 (bf16 would differ: cosine {cosine:.3f})")
    bf16.words = f"bf16 (cosine to fp32 {cosine:.5f})"
    return bf16


def _in_bf16(private: Backbone) -> Backbone:
    """bf16 weights; pixels are normalised in float32 before they are rounded."""
    private.network.to(torch.bfloat16)
    private.network.register_forward_pre_hook(_round)
    return private


def _round(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(images.to(torch.bfloat16) for images in inputs)


def least_cosine(one: Engine, other: Engine, sample: Tensor) -> float:
    """The least cosine between two engines' features, over all taps and images; two zero vectors agree."""
    size, least = batch_size(sample.shape[-2], sample.shape[-1], sample.device), 1.0
    for start in range(0, len(sample), size):
        part = sample[start : start + size]
        for a, b in zip(one(part), other(part), strict=True):
            same = torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=1, eps=1e-30)
            both_zero = (a == 0).all(1) & (b == 0).all(1)
            value = float(same.masked_fill(both_zero, 1.0).min())
            if not value >= least:
                least = value
    return least


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes in bf16, rather than imitating it.

    Measured: 1.5 to 2.3 times as fast as fp32 on AVX-512 bf16 for every network tried; what only imitates it is slower.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    has: dict[str, Any] = dict(getattr(torch.cpu, "get_capabilities", dict)())
    return any(has.get(name) for name in ("avx512_bf16", "amx_bf16", "sve_bf16"))
