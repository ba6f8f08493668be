"""Registers the variational autoencoder."""

from __future__ import annotations

from collections.abc import Iterable

from dlkit.card import Card, Trial
from dlkit.hookspecs import hookimpl
from dlkit_builtin.vae.options import VaeOptions, capabilities

DLKIT_API = 1

VAE = Card(
    name="vae",
    summary="Learn a code and a distribution of images: encode, decode, and generate new ones; with --conditional, "
    "of a class.",
    description="""\
A generative model: a code z is drawn from a standard normal, and a decoder says how likely each image is given z. An
encoder learns at the same time which codes may have made an image, as a Gaussian with a mean and a variance for each
unit. Both maximise the ELBO, a lower bound of the log-likelihood of the training images. It has two parts: how well
images are reconstructed from codes that the encoder draws, minus the KL divergence of these from the standard normal.

A trained one encodes (the mean), decodes, reconstructs, and makes new images from codes drawn at random. It is
evaluated by its ELBO, by an importance-weighted estimate of the log-likelihood, by how many code units it uses, and
beside PCA and a model of independent pixels.

With --conditional both networks are told the class: the code is left with what the class does not say, and images of
any class can be generated.""",
    sources=(
        "Kingma and Welling 2014, Auto-encoding variational Bayes",
        "Rezende, Mohamed and Wierstra 2014, Stochastic backpropagation and approximate inference in deep generative "
        "models",
        "Burda, Grosse and Salakhutdinov 2016, Importance weighted autoencoders",
        "Sohn, Lee and Yan 2015, Learning structured output representation using deep conditional generative models",
        "Higgins et al. 2017, β-VAE: learning basic visual concepts with a constrained variational framework",
        "Kingma et al. 2016, Improved variational inference with inverse autoregressive flow",
    ),
    task="generation",
    options=VaeOptions,
    implementation="dlkit_builtin.vae.technique:Vae",
    capabilities=capabilities,
    examples=(
        "dlkit train vae",
        "dlkit train vae --conditional",
        "dlkit train vae --net conv --likelihood gaussian --data fashion-mnist",
        "dlkit train vae --layers 400 --code 40 --binarize dynamic --data mnist --epochs 50",
    ),
    trial=Trial(small={"layers": "16", "code": "4", "nll_samples": "5"}),
)


@hookimpl
def dlkit_techniques() -> Iterable[Card]:
    """One technique."""
    return [VAE]
