"""Registers the generative adversarial networks."""

from __future__ import annotations

from collections.abc import Iterable

from dlkit.card import Card, Trial
from dlkit.hookspecs import hookimpl
from dlkit_builtin.gan.options import CganOptions, GanOptions, capabilities, told

DLKIT_API = 1

GAN = Card(
    name="gan",
    summary="Generate new images: a generator learns to make what a discriminator takes for genuine.",
    description="""\
Two networks compete. The generator turns noise into images; the discriminator learns to tell them from genuine ones,
and the generator to be taken for genuine. Nobody says what a good image is: the discriminator finds out.

--loss says what they play for. With z ~ N(0, I), the discriminator D and the generator G minimise

minimax (the original game): −E log σ(D(x)) − E log(1 − σ(D(G(z)))), and E log(1 − σ(D(G(z))))

non-saturating: the same, and −E log σ(D(G(z))), which has gradients where G is bad

hinge: E max(0, 1 − D(x)) + E max(0, 1 + D(G(z))), and −E D(G(z))

lsgan: ½ E (D(x) − 1)² + ½ E D(G(z))², and ½ E (D(G(z)) − 1)²

wgan-gp: E D(G(z)) − E D(x) + 10 E (‖∇D‖ − 1)², between genuine and generated images, and −E D(G(z))

For each network and loss the published settings are the default: rates, number of discriminator updates, spectral
normalisation, gradient penalties.

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
    trial=Trial(
        small={"width": "4", "latent": "4"},
        exceptions={
            "loss_falls": "two players, whose losses rise and fall against each other",
            "two_processes:equal": "batch normalisation sees the images of one process",
        },
    ),
)


CGAN = Card(
    name="cgan",
    summary="Generate images of a class, or with given attributes: both networks are told what an image is to be.",
    description="""\
As gan, but generator and discriminator are told the class of each image, so that images of a class can be asked for
(`dlkit generate RUN --class NAME`). Labels may also be several per image, or numbers: columns of a manifest
(--label smiling,age), or a vector for each image in an .npz.

--condition says how the discriminator hears it. concat: beside the features. projection: by its inner product with the
features. acgan: it is not told, and must recognise the class as well. matching: as concat, but it has to say 1 only
for genuine images with their own label, and 0 for generated ones and for genuine ones with a wrong label.

Rates are the published ones, as gan's, but for convolutional and residual networks: their generator learns five times
as fast as the discriminator, except with wgan-gp. --lr gives both the same rate.

Beside the figures of gan, a classifier trained on genuine images says how often it recognises the class of generated
ones (GAN-test), and one trained on generated images how often it is right about genuine ones (GAN-train).""",
    sources=(
        "Mirza and Osindero 2014, Conditional generative adversarial nets",
        "Reed et al. 2016, Generative adversarial text to image synthesis",
        "Odena, Olah and Shlens 2017, Conditional image synthesis with auxiliary classifier GANs",
        "Miyato and Koyama 2018, cGANs with projection discriminator",
        "Shmelkov, Schmid and Alahari 2018, How good is my GAN?",
    ),
    task="generation",
    options=CganOptions,
    implementation="dlkit_builtin.gan.cgan:Cgan",
    capabilities=told,
    needs_labels=True,
    targets=("classes", "multi-label", "number"),
    examples=("dlkit train cgan", "dlkit train cgan --condition matching", "dlkit train cgan --data mnist"),
    trial=Trial(
        small={"width": "4", "latent": "4"},
        exceptions={
            "loss_falls": "two players, whose losses rise and fall against each other",
            "two_processes:equal": "batch normalisation sees the images of one process",
        },
    ),
)


@hookimpl
def dlkit_techniques() -> Iterable[Card]:
    """Two techniques."""
    return [GAN, CGAN]
