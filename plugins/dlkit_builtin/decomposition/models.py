"""From pixels to codes and back, in torch: what scikit-learn's ``transform`` and ``inverse_transform`` compute.

Each model is a list of atoms (components, parts, centres), a mean, and a way to a code:

    linear    z = (x − m) Wᵀ                                   pca, svd, ica
    nearest   zⱼ = ‖x − aⱼ‖                                     kmeans
    pursuit   z = argmin ½‖x − m − zA‖² + α‖z‖₁                 sparse; nmf with α = 0 and z ≥ 0

and back: x̂ = zA + m; for k-means x̂ = aⱼ with the smallest zⱼ.

Rows are flat images in the units that the model works in (pixels, or normalised pixels).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Model(nn.Module):
    """A mean and atoms; the way back.

    Args:
        code: K, how many atoms.
        size: D, values of an image.
    """

    mean: Tensor
    atoms: Tensor

    def __init__(self, code: int, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("atoms", torch.zeros(code, size))

    def encode(self, rows: Tensor) -> Tensor:
        """``(B, D)`` → ``(B, K)``."""
        raise NotImplementedError

    def decode(self, codes: Tensor) -> Tensor:
        """``(B, K)`` → ``(B, D)``."""
        return codes @ self.atoms + self.mean


class Linear(Model):
    """z = (x − m) Wᵀ. For PCA and SVD W is A; for ICA it is the unmixing matrix, A the mixing matrix's transpose."""

    analysis: Tensor

    def __init__(self, code: int, size: int) -> None:
        super().__init__(code, size)
        self.register_buffer("analysis", torch.zeros(code, size))

    def encode(self, rows: Tensor) -> Tensor:
        """See :class:`Model`."""
        return F.linear(rows - self.mean, self.analysis)


class Nearest(Model):
    """Distances to centres, and the nearest centre."""

    def encode(self, rows: Tensor) -> Tensor:
        """See :class:`Model`. In float64: ‖x‖² − 2x·a + ‖a‖² cancels where an image is a centre."""
        exact = rows.dtype if rows.device.type == "mps" else torch.float64
        x, a = (rows - self.mean).to(exact), (self.atoms - self.mean).to(exact)
        squares = x.square().sum(1, keepdim=True) - 2 * x @ a.T + a.square().sum(1)
        return squares.clamp_min(0).sqrt().to(rows.dtype)

    def decode(self, codes: Tensor) -> Tensor:
        """See :class:`Model`."""
        return self.atoms[codes.argmin(1)]


class Pursuit(Model):
    """The lasso, or non-negative least squares, by a fixed number of steps of ADMM (Boyd et al. 2011, section 6.4):

        w ← (b + ρ(z − u)) (AAᵀ + ρI)⁻¹,   z ← shrink(w + u),   u ← u + w − z,       b = (x − m) Aᵀ

    where shrink pulls each value towards 0 by α/ρ, or cuts off what is negative. A step is one product with a matrix
    that does not depend on the image.

    Args:
        code, size: see :class:`Model`.
        alpha: α.
        nonnegative: z ≥ 0.
        steps: how many; :func:`steps_needed` says.
    """

    inverse: Tensor
    rho: Tensor

    def __init__(self, code: int, size: int, alpha: float, nonnegative: bool, steps: int) -> None:
        super().__init__(code, size)
        self.alpha, self.nonnegative, self.steps = alpha, nonnegative, steps
        self.register_buffer("inverse", torch.zeros(code, code))
        self.register_buffer("rho", torch.ones(()))

    def prepare(self) -> None:
        """Compute what the steps need from the atoms, whose norms are at most 1."""
        atoms = self.atoms.double()
        gram = atoms @ atoms.T
        spectrum = torch.linalg.eigvalsh(gram)
        # √(λ₁λ_K) is best for least squares alone (Ghadimi et al. 2015, theorem 4); bounded, for dependent atoms.
        rho = (spectrum[-1] * spectrum[0].clamp_min(0)).sqrt().clamp(0.1, 1)
        self.inverse.copy_(torch.linalg.inv(gram + rho * torch.eye(len(gram), dtype=gram.dtype)))
        self.rho.copy_(rho)

    def encode(self, rows: Tensor) -> Tensor:
        """See :class:`Model`."""
        target = (rows - self.mean) @ self.atoms.T
        code, dual = torch.zeros_like(target), torch.zeros_like(target)
        if torch.compiler.is_exporting():
            return self._as_one_loop(target, code, dual)
        for _ in range(self.steps):
            code, dual = self._step(target, code, dual)
        return code

    def _step(self, target: Tensor, code: Tensor, dual: Tensor) -> tuple[Tensor, Tensor]:
        free = (target + self.rho * (code - dual)) @ self.inverse + dual
        code = self._shrink(free)
        return code, free - code

    def _as_one_loop(self, target: Tensor, code: Tensor, dual: Tensor) -> Tensor:
        """The same steps as one operator of the graph: unrolled, hundreds of them take minutes to export."""
        # Not public yet, but what torch.export documents for loops; also in torch 2.11.
        from torch._higher_order_ops import while_loop

        def step(done: Tensor, code: Tensor, dual: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return done + 1, *self._step(target, code, dual)

        def more(done: Tensor, *_: Tensor) -> Tensor:
            return done < self.steps

        found: tuple[Tensor, Tensor, Tensor] = while_loop(  # type: ignore[no-untyped-call]
            more, step, (torch.tensor(0), code, dual)
        )
        return found[1]

    def _shrink(self, values: Tensor) -> Tensor:
        if self.nonnegative:
            return values.relu()
        threshold = self.alpha / self.rho
        return (values - threshold).relu() - (-values - threshold).relu()


STEPS = (25, 50, 100, 200, 400, 800)
"""Candidates for :attr:`Pursuit.steps`."""
CLOSE = 2e-5
"""Codes are computed when twice the steps change none of them by more than this."""


def steps_needed(model: Pursuit, rows: Tensor) -> bool:
    """Set ``model.steps`` to the first candidate that is enough for these images.

    Args:
        model: prepared.
        rows: ``(n, D)``, some training images.

    Returns:
        Whether one is enough; else the most are taken.
    """
    for steps in STEPS:
        model.steps = 2 * steps
        twice = model.encode(rows)
        model.steps = steps
        if float((model.encode(rows) - twice).abs().max()) <= CLOSE:
            return True
    return False


def build(method: str, code: int, size: int, alpha: float, steps: int = STEPS[0]) -> Model:
    """The model of a method, all zeros."""
    if method in ("pca", "svd", "ica"):
        return Linear(code, size)
    if method == "kmeans":
        return Nearest(code, size)
    return Pursuit(code, size, alpha if method == "sparse" else 0.0, method == "nmf", steps)
