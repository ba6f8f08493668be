"""Parts of a model that are no torch modules, such as scikit-learn's estimators, within one that is.

Within PyTorch such a part computes with NumPy. In an ONNX export an operator of ours stands for it until the graph is
made, and then its own ONNX graph takes the operator's place; so it may stand anywhere in a model, several times.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dlkit.export.verify import Edges

if TYPE_CHECKING:
    import onnx

DOMAIN, OPERATOR = "dlkit", "foreign"
_JITTERS = 32
_JITTER = 1e-5  # relative to the features' size; what a float32 network's rounding amounts to, and some more


class Foreign(nn.Module):
    """Base of such parts: float32 features ``(B, D)`` → float32 outputs ``(B, K)``.

    Args:
        outputs: K.
        steps: the outputs jump where features cross a threshold, as those of trees and nearest neighbours do. On the
            edge of a step rounding decides, here and in every other runtime (see :func:`jittered`).
    """

    def __init__(self, outputs: int, *, steps: bool = False) -> None:
        super().__init__()
        self.outputs = outputs
        self.steps = steps
        self.mark = ""
        self.jitter: torch.Generator | None = None

    def compute(self, features: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        """``(B, D)`` → ``(B, K)``."""
        raise NotImplementedError

    def onnx_graph(self) -> onnx.ModelProto:
        """The same as a graph with one float32 input ``(B, D)`` and one float32 output ``(B, K)``.

        Raises:
            DlkitError: there is none.
        """
        raise NotImplementedError

    def forward(self, features: Tensor) -> Tensor:
        """Features ``(B, D)`` → outputs ``(B, K)`` on the same device."""
        if torch.compiler.is_exporting():
            return self._placeholder(features)
        computed: Tensor = self._computed(features)
        return computed

    def _placeholder(self, features: Tensor) -> Tensor:
        attributes: dict[str, Any] = {"mark": self.mark}
        return torch.onnx.ops.symbolic(
            f"{DOMAIN}::{OPERATOR}", (features,), attributes, dtype=torch.float32,
            shape=(features.shape[0], self.outputs), version=1,
        )  # fmt: skip

    @torch.compiler.disable  # type: ignore[untyped-decorator, unused-ignore]
    def _computed(self, features: Tensor) -> Tensor:
        given = features.detach().float().cpu()
        if self.jitter is not None:
            size = given.abs().mean(0)
            given = given + _JITTER * size * (2 * torch.rand(given.shape, generator=self.jitter) - 1)
        found = np.ascontiguousarray(self.compute(given.numpy()), dtype=np.float32)
        return torch.from_numpy(found).to(features.device)


def foreign_parts(module: nn.Module) -> list[Foreign]:
    """Those of a model, in order."""
    return [part for part in module.modules() if isinstance(part, Foreign)]


@contextmanager
def jittered(module: nn.Module, seed: int) -> Iterator[None]:
    """Within the block, parts that step see their features moved by as much as rounding may move them."""
    parts = [part for part in foreign_parts(module) if part.steps]
    generator = torch.Generator().manual_seed(seed)
    try:
        for part in parts:
            part.jitter = generator
        yield
    finally:
        for part in parts:
            part.jitter = None


def edges(module: nn.Module) -> Edges | None:
    """How far rounding may move the outputs of a model that steps, by many small random moves; None where none does."""
    if not any(part.steps for part in foreign_parts(module)):
        return None

    def bounds(images: Tensor) -> list[tuple[Tensor, Tensor]]:
        runs = []
        for seed in range(_JITTERS):
            with jittered(module, seed):
                runs.append(module(images))
        stacked = [torch.stack(values) for values in zip(*runs, strict=True)]
        return [(values.amin(0), values.amax(0)) for values in stacked]

    return bounds


def mark_parts(module: nn.Module) -> dict[str, Foreign]:
    """Give each part a name of its own, before the model is captured; name → part."""
    marked = {f"part{number}": part for number, part in enumerate(foreign_parts(module))}
    for name, part in marked.items():
        part.mark = name
    return marked
