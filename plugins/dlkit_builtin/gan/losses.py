"""What the two networks play for. D(x) is the discriminator's output before any activation, σ the logistic function.

===============  =======================================================  ===========================  ============
loss             the discriminator minimises                              the generator minimises      source
===============  =======================================================  ===========================  ============
minimax          −E log σ(D(x)) − E log(1 − σ(D(G(z))))                    E log(1 − σ(D(G(z))))        [1] eq. 1
non-saturating   the same                                                 −E log σ(D(G(z)))            [1] section 3
hinge            E max(0, 1 − D(x)) + E max(0, 1 + D(G(z)))                −E D(G(z))                   [2] eq. 16, 17
lsgan            ½ E (D(x) − 1)² + ½ E D(G(z))²                            ½ E (D(G(z)) − 1)²           [3] eq. 9
wgan-gp          −E D(x) + E D(G(z)) + 10 E (‖∇D(x̂)‖ − 1)²                 −E D(G(z))                   [4] eq. 3
===============  =======================================================  ===========================  ============

x̂ lies at a random place between a genuine and a generated image. With R1 (Mescheder et al. 2018, equation 9) the
discriminator also pays γ/2 E ‖∇D(x)‖² on genuine images. One-sided label smoothing s (Salimans et al. 2016, section
3.4) turns −log σ(D(x)) into −(1 − s) log σ(D(x)) − s log(1 − σ(D(x))).

[1] Goodfellow et al. 2014; [2] Miyato et al. 2018; [3] Mao et al. 2017; [4] Gulrajani et al. 2017.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from dlkit_builtin.gan.options import Loss

WGAN_PENALTY = 10.0
"""λ of Gulrajani et al. 2017, algorithm 1."""


def genuine_loss(loss: Loss, outputs: Tensor, smooth: float = 0.0) -> Tensor:
    """What the discriminator pays for each genuine image: the table's second column, its first term.

    Args:
        loss: its row.
        outputs: D(x), ``(B,)``.
        smooth: of labels.

    Returns:
        ``(B,)``.
    """
    if loss == "hinge":
        return F.relu(1 - outputs)
    if loss == "lsgan":
        return (outputs - 1).square() / 2
    if loss == "wgan-gp":
        return -outputs
    return F.softplus(-outputs) + smooth * outputs


def generated_loss(loss: Loss, outputs: Tensor) -> Tensor:
    """What it pays for each generated image, D(G(z)) ``(B,)``: the second term, ``(B,)``."""
    if loss == "hinge":
        return F.relu(1 + outputs)
    if loss == "lsgan":
        return outputs.square() / 2
    return outputs if loss == "wgan-gp" else F.softplus(outputs)


def generator_loss(loss: Loss, generated: Tensor) -> Tensor:
    """The table's third column; ``generated`` is D(G(z)), ``(B,)``."""
    if loss == "minimax":
        return -F.softplus(generated).mean()
    if loss == "non-saturating":
        return F.softplus(-generated).mean()
    if loss == "lsgan":
        return (generated - 1).square().mean() / 2
    return -generated.mean()


def squared_gradients(outputs: Tensor, images: Tensor) -> Tensor:
    """‖∇D(x)‖² of each image, ``(B,)``; it can be differentiated.

    Args:
        outputs: D(x), ``(B,)``.
        images: x, which required gradients before D looked.
    """
    (gradient,) = torch.autograd.grad(outputs.sum(), images, create_graph=True)
    return gradient.flatten(1).square().sum(1)


def wgan_penalty(
    discriminator: Callable[[Tensor], Tensor], genuine: Tensor, generated: Tensor, places: Tensor
) -> Tensor:
    """λ E (‖∇D(x̂)‖ − 1)², x̂ = ε x + (1 − ε) G(z).

    Args:
        discriminator: D.
        genuine, generated: ``(B, C, H, W)``.
        places: ε ~ U(0, 1), ``(B,)``.
    """
    between = torch.lerp(generated, genuine, places[:, None, None, None]).detach().requires_grad_()
    squares = squared_gradients(discriminator(between), between)
    # The root's slope at zero is infinite; a norm of 1e-6 is as far from 1 as one of 0.
    return WGAN_PENALTY * ((squares + 1e-12).sqrt() - 1).square().mean()
