"""The published settings for each combination of network and loss, with their sources.

=================  ======  ==============  ======  ==============  =====  ==========================================
net                loss    rate            n_dis   β1, β2          extra  source
=================  ======  ==============  ======  ==============  =====  ==========================================
dcgan, mlp         GAN     2e-4            1       0.5, 0.999      R1     Radford et al. 2016, section 4
resnet             GAN     1e-4            1       0, 0.99         R1     Mescheder et al. 2018, section 5
any                LSGAN   2e-4            1       0.5, 0.999             Radford et al. 2016, as Mao et al. 2017 do
dcgan, mlp         hinge   2e-4            1       0.5, 0.999      SN     Miyato et al. 2018, table 1, setting C
resnet             hinge   2e-4            5       0, 0.9          SN     Miyato et al. 2018, table 1, setting F
any                WGAN    1e-4            5       0, 0.9          GP 10  Gulrajani et al. 2017, algorithm 1
=================  ======  ==============  ======  ==============  =====  ==========================================

With a condition, a convolutional generator (dcgan, resnet) learns five times as fast as the table says, but for WGAN.
That is not published but measured: on MNIST, at equal rates, the discriminator was certain of every image for the first
hundreds of updates, and the generator far from any digit. Of residual networks, see ``docs/techniques/cgan.md``.

GAN is ``minimax`` and ``non-saturating``. The weight γ of R1 is the 10 that Mescheder et al. 2018, section 5, take for
images of 256 × 256, in proportion to the number of pixels, as Karras et al. 2020 (limited data, appendix C) scale it:
with 10 on 8 × 8 images the discriminator stays flat and nothing is learned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dlkit_builtin.gan.options import CganOptions, GanOptions

_PUBLISHED_PIXELS = 256 * 256


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a combination is trained.

    Attributes:
        lr: of the generator.
        lr_discriminator: of the discriminator.
        n_dis: updates of the discriminator per update of the generator.
        betas: of Adam.
        spectral_norm: in the discriminator.
        r1: weight γ of the gradient penalty on genuine images; of the published ones, at 256 × 256.
    """

    lr: float = 2e-4
    lr_discriminator: float = 2e-4
    n_dis: int = 1
    betas: tuple[float, float] = (0.5, 0.999)
    spectral_norm: bool = False
    r1: float = 0.0


FASTER = 5
"""The generator's rate over the discriminator's, with a condition."""


def published(options: GanOptions) -> Recipe:
    """The row of the table above."""
    row = _row(options)
    if isinstance(options, CganOptions) and options.net != "mlp" and options.loss != "wgan-gp":
        return replace(row, lr=FASTER * row.lr)
    return row


def _row(options: GanOptions) -> Recipe:
    residual = options.net == "resnet"
    if options.loss == "wgan-gp":
        return Recipe(lr=1e-4, lr_discriminator=1e-4, n_dis=5, betas=(0.0, 0.9))
    if options.loss == "hinge":
        return Recipe(n_dis=5, betas=(0.0, 0.9), spectral_norm=True) if residual else Recipe(spectral_norm=True)
    if options.loss == "lsgan":
        return Recipe()
    if residual:
        return Recipe(lr=1e-4, lr_discriminator=1e-4, betas=(0.0, 0.99), r1=10.0)
    return Recipe(r1=10.0)


def recipe(options: GanOptions, pixels: int) -> Recipe:
    """The published settings, but for what the user says, for images of so many pixels."""
    base = published(options)
    betas = base.betas if options.betas is None else (options.betas[0], options.betas[1])
    return Recipe(
        lr=options.lr or base.lr,
        lr_discriminator=options.lr_discriminator or options.lr or base.lr_discriminator,
        n_dis=options.n_dis or base.n_dis,
        betas=betas,
        spectral_norm=base.spectral_norm if options.spectral_norm == "auto" else options.spectral_norm == "yes",
        r1=base.r1 * pixels / _PUBLISHED_PIXELS if options.r1 is None else options.r1,
    )
