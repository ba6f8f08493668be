"""Registers the autoencoder."""

from __future__ import annotations

from collections.abc import Iterable

from dlkit.card import Card, Trial
from dlkit.hookspecs import hookimpl
from dlkit_builtin.autoencoder.options import AutoencoderOptions, capabilities

DLKIT_API = 1

AUTOENCODER = Card(
    name="autoencoder",
    summary="Learn a code from which images can be reconstructed; denoising, sparse, contractive, tied, greedy.",
    description="""\
An encoder turns an image x into a code z = f(x), a decoder turns the code back into an image g(z), and both
are trained to make g(f(x)) close to x. What the code cannot hold must be left out, so it keeps what the images
have in common: a non-linear relative of PCA, beside which it is always evaluated.

With --denoise the encoder sees a corrupted image and the target stays the clean one. The corruption is drawn
afresh for each batch. To undo it the network must know what images look like, which gives more useful codes
(Vincent et al. 2008) and a denoiser, evaluated beside the noisy input and the best classical filter.

More can be asked of the code, each by itself or together: --sparse keeps its units quiet (Ng 2011), --contractive
makes it move little when the input does (Rifai et al. 2011), --tied lets the decoder use the encoder's weights.
--greedy trains a deep one layer by layer before all of it (Bengio et al. 2007). Without hidden layers, linear and
with squared error it learns PCA's subspace: --layers 0 --output linear.""",
    sources=(
        "Hinton and Salakhutdinov 2006, Reducing the dimensionality of data with neural networks",
        "Bengio et al. 2007, Greedy layer-wise training of deep networks",
        "Vincent et al. 2008, Extracting and composing robust features with denoising autoencoders",
        "Ng 2011, Sparse autoencoder (CS294A lecture notes)",
        "Rifai et al. 2011, Contractive auto-encoders: explicit invariance during feature extraction",
        "Masci et al. 2011, Stacked convolutional auto-encoders for hierarchical feature extraction",
    ),
    task="representation",
    options=AutoencoderOptions,
    implementation="dlkit_builtin.autoencoder.technique:Autoencoder",
    augments=lambda options: "copies" if options.greedy else "batches",  # layers learn from codes of all images
    capabilities=capabilities,
    learns_layers="dlkit_builtin.autoencoder.greedy:learn_layer",
    examples=(
        "dlkit train autoencoder --denoise",
        "dlkit train autoencoder --net conv --denoise mask:0.5 --data fashion-mnist",
        "dlkit train autoencoder --layers 1000,500,250 --code 30 --data mnist",
        "dlkit train autoencoder --layers 0 --code 100 --sparse kl:0.05 --tied",
        "dlkit train autoencoder --greedy --denoise mask:0.25 --contractive",
    ),
    trial=Trial(small={"layers": "16", "code": "4"}),
)


@hookimpl
def dlkit_techniques() -> Iterable[Card]:
    """One technique."""
    return [AUTOENCODER]
