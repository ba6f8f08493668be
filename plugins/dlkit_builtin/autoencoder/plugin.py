"""Registers the autoencoder."""

from __future__ import annotations

from collections.abc import Iterable

from dlkit.card import Card
from dlkit.hookspecs import hookimpl
from dlkit_builtin.autoencoder.options import AutoencoderOptions, capabilities

DLKIT_API = 1

AUTOENCODER = Card(
    name="autoencoder",
    summary="Learn a code from which images can be reconstructed; with --denoise, from corrupted ones.",
    description="""\
An encoder turns an image x into a code z = f(x), a decoder turns the code back into an image g(z), and both
are trained to make g(f(x)) close to x. What the code cannot hold must be left out, so it keeps what the images
have in common: a non-linear relative of PCA, beside which it is always evaluated.

With --denoise the encoder sees a corrupted image and the target stays the clean one. The corruption is drawn
afresh for each batch. To undo it the network must know what images look like, which gives more useful codes
(Vincent et al. 2008) and a denoiser, evaluated beside the noisy input and the best classical filter.""",
    sources=(
        "Hinton and Salakhutdinov 2006, Reducing the dimensionality of data with neural networks",
        "Vincent et al. 2008, Extracting and composing robust features with denoising autoencoders",
        "Masci et al. 2011, Stacked convolutional auto-encoders for hierarchical feature extraction",
    ),
    task="representation",
    options=AutoencoderOptions,
    implementation="dlkit_builtin.autoencoder.technique:Autoencoder",
    capabilities=capabilities,
    examples=(
        "dlkit train autoencoder --denoise",
        "dlkit train autoencoder --net conv --denoise mask:0.5 --data fashion-mnist",
        "dlkit train autoencoder --layers 1000,500,250 --code 30 --data mnist",
    ),
)


@hookimpl
def dlkit_techniques() -> Iterable[Card]:
    """One technique."""
    return [AUTOENCODER]
