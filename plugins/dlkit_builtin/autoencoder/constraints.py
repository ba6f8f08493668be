"""What a code is asked for besides reconstruction: to be quiet (sparse), and to move little (contractive).

With z = f(x) the code of an image x of n pixel values, and Z units:

    kl:ρ    β Σⱼ KL(ρ ‖ ρ̂ⱼ),  KL = ρ log ρ/ρ̂ⱼ + (1 − ρ) log (1 − ρ)/(1 − ρ̂ⱼ)     Ng 2011, section 3
            ρ̂ⱼ the mean of zⱼ over the images of a batch
    l1      λ Σⱼ |zⱼ|, mean over images
    contractive  λ/n ‖∂f/∂x‖²_F, mean over images                                 Rifai et al. 2011, equation 1

Sums over pixels are means here, as the reconstruction error is: λ of the contraction is what it is in the paper,
where both are sums. Sums over code units stay sums.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dlkit_builtin.autoencoder.networks import DenseEncoder
from dlkit_builtin.autoencoder.sparsity import Sparsity

SMALLEST = 1e-6
"""Mean activations are kept this far from 0 and 1, where the divergence is infinite."""

SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": torch.ones_like,
    "relu": lambda z: (z > 0).to(z.dtype),
    "leaky-relu": lambda z: torch.where(z > 0, 1.0, 0.2),
    "elu": lambda z: torch.where(z > 0, torch.ones_like(z), z + 1),
    "tanh": lambda z: 1 - z.square(),
    "sigmoid": lambda z: z * (1 - z),
}
"""Non-linearity s → its derivative in terms of its value z = s(a), where that says all."""


def sparsity(code: Tensor, sparse: Sparsity) -> Tensor:
    """The penalty on codes ``(B, Z)``, weighted; a scalar."""
    if sparse.kind == "l1":
        return sparse.weight * code.float().abs().sum(1).mean()
    return sparse.weight * kl_bernoulli(sparse.target, code.float().mean(0)).sum()


def kl_bernoulli(target: float, means: Tensor) -> Tensor:
    """KL(Bernoulli(target) ‖ Bernoulli(mean)) in nats for each of some means in [0, 1], same shape."""
    means = means.clamp(SMALLEST, 1 - SMALLEST)
    return torch.xlogy(target, target / means) + torch.xlogy(1 - target, (1 - target) / (1 - means))


def closed_form(encoder: nn.Module, unit: str) -> bool:
    """Whether the derivative of the code can be written down: one layer, and a slope that its value tells."""
    return isinstance(encoder, DenseEncoder) and len(encoder.linears) == 1 and unit in SLOPES


def squared_jacobian(encoder: nn.Module, unit: str, code: Tensor, inputs: Tensor, probes: Tensor | None) -> Tensor:
    """‖∂f/∂x‖²_F for each image: exactly where :func:`closed_form` says so, else an unbiased estimate of it.

    Of one layer z = s(a), a = W x + b it is Σⱼ s'(aⱼ)² ‖Wⱼ‖² (Rifai et al. 2011, of the sigmoid). Else it
    is ‖vᵀ ∂f/∂x‖² for random signs v, whose mean is the norm (Hutchinson 1990): one vector-Jacobian product whatever
    the size of the code. It is exact where the gradients of different code units are at right angles.

    Args:
        encoder: f.
        unit: the name of s, of the code units.
        code: z, ``(B, Z)``, computed from ``inputs`` image by image.
        inputs: ``(B, …)``; requires grad where there are probes.
        probes: v, ``(B, Z)`` as :func:`signs` draws them; None for the closed form.

    Returns:
        ``(B,)``, differentiable.
    """
    if probes is None:
        assert isinstance(encoder, DenseEncoder)  # noqa: S101 - closed_form was asked
        return SLOPES[unit](code.float()).square() @ encoder.code.weight.square().sum(1)
    [products] = torch.autograd.grad(code, inputs, probes.to(code.dtype), create_graph=True)  # vᵀ ∂f/∂x, a row each
    return products.float().flatten(1).square().sum(1)


def signs(count: int, size: int, generator: torch.Generator) -> Tensor:
    """−1 and 1 at random, float32 ``(count, size)``, on the generator's device."""
    drawn = torch.randint(0, 2, (count, size), generator=generator, device=generator.device)
    return drawn.float().mul_(2).sub_(1)
