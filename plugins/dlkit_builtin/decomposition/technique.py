"""Decompositions: an image as a sum of a few atoms, x ≈ m + Σⱼ zⱼ aⱼ, without gradients.

Fitted by scikit-learn (:mod:`.fitting`), used as torch modules (:mod:`.models`), so that devices, ONNX and
``--backbone run:RUN`` are those of every technique.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from dlkit.data.spec import DataSpec
from dlkit.errors import DataError, UsageError
from dlkit.metrics import Metrics
from dlkit.runtime import Normalize
from dlkit.technique import OutputKind, PhasePlan, State
from dlkit_builtin.decomposition.models import STEPS, Pursuit, build, steps_needed
from dlkit_builtin.decomposition.options import DecompositionOptions

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.report import Picture
    from dlkit.run import Run
    from dlkit.runtime import Runtime

LARGEST_DEFAULT_CODE = 128
PROBED = 256
"""So many training images choose the number of steps of a pursuit."""


def code_size(options: DecompositionOptions, spec: DataSpec) -> int:
    """``--code``, or half the pixel values but at most 128 and the number of training images.

    Raises:
        UsageError: more than there can be: principal and independent components span the images, centres are images.
    """
    size, images = math.prod(spec.shape), spec.counts.get("train", 0)
    bounds = {"kmeans": images, "nmf": size * 16, "sparse": size * 16}
    most = bounds.get(options.method, min(size, images))
    if options.code is not None and options.code > most > 0:
        raise UsageError(
            f"--code {options.code}: {options.method} of {images:,} training images of {size:,} values has at most "
            f"{most:,} components.",
            f"Say --code {most} or less.",
        )
    return options.code or max(1, min(LARGEST_DEFAULT_CODE, size // 2, most))


class Network(nn.Module):
    """Normalisation, the model, and the way back to pixels."""

    def __init__(self, options: DecompositionOptions, spec: DataSpec, code: int, steps: int) -> None:
        super().__init__()
        self.shape = spec.shape
        self.normalize = Normalize(spec.normalization)
        self.model = build(options.method, code, math.prod(spec.shape), options.alpha, steps)

    def encode(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → codes ``(B, K)``."""
        return self.model.encode(self.normalize(images).flatten(1))

    def decode(self, codes: Tensor) -> Tensor:
        """Codes ``(B, K)`` → pixels ``(B, C, H, W)``, clipped to [0, 1]."""
        values: Tensor = self.normalize.inverse(self.model.decode(codes).view(-1, *self.shape))
        return values.clamp(0, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels ``(B, C, H, W)`` → reconstruction, same shape, and code ``(B, K)``."""
        codes = self.encode(images)
        return self.decode(codes), codes


class Decomposition:
    """See the module's docstring; capabilities: encode, decode, reconstruct.

    Attributes:
        shares: of the variance that each component explains (pca), or of the sum of squares (svd).
        learned: how: ``{"batches", "iterations", "seconds"}``.
    """

    def __init__(self, options: DecompositionOptions, spec: DataSpec, steps: int = 1) -> None:
        if options.method == "nmf" and spec.normalization.mode != "none":
            raise UsageError(
                f"--method nmf takes images that are nowhere negative; with --normalize {spec.normalization.mode} "
                "they are.",
                "Leave out --normalize, or choose another method.",
            )
        self.options = options
        self.spec = spec
        self.code = code_size(options, spec)
        self.network = Network(options, spec, self.code, steps).eval()
        self.shares: tuple[float, ...] = ()
        self.learned: dict[str, Any] = {}

    def plan(self) -> Sequence[PhasePlan]:
        """No gradients."""
        return []

    def train(self, data: ImageData, runtime: Runtime, run: Run) -> None:
        """Fit on the training images.

        Raises:
            DataError: more independent components than the images vary in.
        """
        from dlkit_builtin.decomposition.fitting import RankError, Task, default_iterations, fit, takes_batches
        from dlkit_builtin.decomposition.rows import TrainingRows

        start, method = time.monotonic(), self.options.method
        rows = TrainingRows(data.train, self.network.normalize, runtime)
        batches = takes_batches(rows, method, self.options.fit)
        iterations = self.options.iterations or default_iterations(method, batches, len(rows))
        self._say(f"Learning {self.code} {'centres' if method == 'kmeans' else 'components'} ({method}) "
                  + self._how(rows, batches), runtime, run)  # fmt: skip
        try:
            found = fit(rows, Task(method, self.code, self.options.alpha, iterations, runtime.seed), batches=batches)
        except RankError as error:
            raise DataError(
                f"The training images vary in {error} directions only; {self.code} independent components are wanted.",
                f"Say --code {error} or less.",
            ) from error
        for warning in found.warnings:
            runtime.warn(warning)
        self.shares = found.shares
        for name, values in found.arrays.items():
            self.network.model.get_buffer(name).copy_(torch.from_numpy(np.ascontiguousarray(values)))
        if isinstance(self.network.model, Pursuit):
            self._settle(self.network.model, torch.from_numpy(rows.sample(PROBED)), runtime)
        seconds = time.monotonic() - start
        self.learned = {"batches": batches, "iterations": iterations, "seconds": round(seconds, 2)}
        runtime.trained_seconds += seconds
        runtime.prepare(self.network)

    def _how(self, rows: Any, batches: bool) -> str:
        count = f"{len(rows):,} images"
        if not batches:
            return f"from {count} at once"
        why = "" if self.options.fit == "batches" or self.options.method == "sparse" else (
            ", as they are too many to do it at once" if rows.in_memory else ", as they are not in memory")  # fmt: skip
        return f"from {count} in mini-batches{why}"

    def _say(self, text: str, runtime: Runtime, run: Run) -> None:
        run.log(text)
        if runtime.display is not None:
            runtime.display.info(text)

    def _settle(self, model: Pursuit, rows: Tensor, runtime: Runtime) -> None:
        model.prepare()
        if not steps_needed(model, rows):
            runtime.warn(f"Codes are computed by {model.steps} steps, which is not quite enough for them to settle.")

    def evaluate(self, data: ImageData, runtime: Runtime) -> Metrics:
        """See :mod:`dlkit_builtin.decomposition.evaluation`."""
        from dlkit_builtin.decomposition.evaluation import evaluate

        return evaluate(self, data, runtime)

    def pictures(self, data: ImageData, runtime: Runtime) -> Iterable[Picture]:
        """See :mod:`dlkit_builtin.decomposition.pictures`."""
        from dlkit_builtin.decomposition.pictures import pictures

        return pictures(self, data, runtime)

    def encode(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → codes ``(B, K)``, in float32 whatever the precision."""
        with torch.autocast(images.device.type, enabled=False):
            return self.network.encode(images.float())

    def decode(self, codes: Tensor) -> Tensor:
        """Codes ``(B, K)`` → pixels ``(B, C, H, W)``.

        Raises:
            UsageError: codes of another size.
        """
        if codes.ndim != 2 or codes.shape[1] != self.code:
            raise UsageError(f"Codes have the shape {tuple(codes.shape)}; expected (B, {self.code}).")
        with torch.autocast(codes.device.type, enabled=False):
            return self.network.decode(codes.float())

    def reconstruct(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → pixels."""
        return self.decode(self.encode(images))

    def outputs(self) -> Mapping[str, OutputKind]:
        """The reconstruction and the code."""
        return {"reconstruction": "image", "code": "code"}

    def inference_module(self) -> nn.Module:
        """``forward(pixels) -> (reconstruction, code)``."""
        return self.network.eval()

    def state(self) -> State:
        """Mean, atoms and what codes are computed with; how they were learned."""
        model = self.network.model
        steps = model.steps if isinstance(model, Pursuit) else 1
        return State(
            self.network.state_dict(),
            {"code": self.code, "steps": steps, "shares": list(self.shares), "learned": self.learned},
        )

    @classmethod
    def load(cls, state: State, options: DecompositionOptions, spec: DataSpec) -> Self:
        """The inverse of :meth:`state`.

        Raises:
            ValueError: so many steps were never chosen, and would not end.
        """
        steps = int(state.plain["steps"])
        if not 1 <= steps <= STEPS[-1]:
            raise ValueError(f"{steps} steps, of at most {STEPS[-1]}")
        technique = cls(options, spec, steps)
        technique.network.load_state_dict(dict(state.tensors))
        technique.shares = tuple(state.plain["shares"])
        technique.learned = dict(state.plain["learned"])
        return technique
