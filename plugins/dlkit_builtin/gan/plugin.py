"""Registers the generative adversarial network."""

from __future__ import annotations

from collections.abc import Iterable

from dlkit.card import Card
from dlkit.hookspecs import hookimpl
from dlkit_builtin.gan.options import GanOptions, capabilities

DLKIT_API = 1

GAN = Card(
    name="gan",
    summary="Generate new images: a generator learns to make what a discriminator takes for genuine.",
    description="""\
Two networks compete. The generator turns noise into images; the discriminator learns to tell them from genuine ones,
and the generator to be taken for genuine. Nobody says what a good image is: the discriminator finds out.

--loss says what they play for: minimax (the original game), non-saturating (the same, with gradients where the
generator is bad), hinge, lsgan and wgan-gp. For each network and loss the published settings are the default: rates,
number of discriminator updates, spectral normalisation, gradient penalties.

Samples are judged by the distance between features of generated and genuine images, beside the distance between two
halves of the genuine ones (the floor), a Gaussian in PCA space, and noise.""",
    sources=(
        "Goodfellow et al. 2014, Generative adversarial nets",
        "Radford, Metz and Chintala 2016, Unsupervised representation learning with deep convolutional generative "
        "adversarial networks",
        "Mao et al. 2017, Least squares generative adversarial networks",
        "Gulrajani et al. 2017, Improved training of Wasserstein GANs",
        "Miyato et al. 2018, Spectral normalization for generative adversarial networks",
        "Mescheder, Geiger and Nowozin 2018, Which training methods for GANs do actually converge?",
        "Zhao et al. 2020, Differentiable augmentation for data-efficient GAN training",
    ),
    task="generation",
    options=GanOptions,
    implementation="dlkit_builtin.gan.technique:Gan",
    capabilities=capabilities,
    examples=("dlkit train gan", "dlkit train gan --net mlp --loss hinge", "dlkit train gan --data mnist"),
)


@hookimpl
def dlkit_techniques() -> Iterable[Card]:
    """One technique."""
    return [GAN]
