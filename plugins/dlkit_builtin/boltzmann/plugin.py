"""Registers the Boltzmann machines."""

from __future__ import annotations

from collections.abc import Iterable

from dlkit.card import Card, Trial
from dlkit.hookspecs import hookimpl
from dlkit_builtin.boltzmann.options import DbnOptions, RbmOptions

DLKIT_API = 1

CAPABILITIES = frozenset({"encode", "decode", "reconstruct", "generate"})

RBM = Card(
    name="rbm",
    summary="Learn a distribution over images with one layer of hidden units: a restricted Boltzmann machine.",
    description="""\
Visible units (the pixels) and hidden units are joined by symmetric weights, and never among themselves. The machine
gives every image an energy, and with it a probability; contrastive divergence lowers the energy of training images and
raises that of what the machine itself makes of them. The hidden units become detectors of strokes, their
probabilities a code; Gibbs sampling draws new images.

How good it is as a distribution is said in nats: the log-likelihood, exact where a layer is small enough to sum over,
else by annealed importance sampling, beside a model of independent pixels.""",
    sources=(
        "Hinton 2002, Training products of experts by minimizing contrastive divergence",
        "Tieleman 2008, Training restricted Boltzmann machines using approximations to the likelihood gradient",
        "Salakhutdinov and Murray 2008, On the quantitative analysis of deep belief networks",
        "Hinton 2010, A practical guide to training restricted Boltzmann machines",
    ),
    task="representation",
    options=RbmOptions,
    implementation="dlkit_builtin.boltzmann.rbm:Rbm",
    capabilities=lambda _: CAPABILITIES,
    learns_layers="dlkit_builtin.boltzmann.learning:learn_layer",
    examples=(
        "dlkit train rbm",
        "dlkit train rbm --persistent --cd 5 --lr 0.02",
        "dlkit train rbm --visible gaussian --data fashion-mnist",
    ),
    trial=Trial(small={"hidden": "12", "gibbs": "20", "ais": "20", "lr": "0.2", "epochs": "4"}, falls="reconstruction"),
)

DBN = Card(
    name="dbn",
    summary="Stack Boltzmann machines into a deep belief network, layer by layer: a deep code, and a generator.",
    description="""\
The first restricted Boltzmann machine learns the images; the next one learns what the hidden units of the first one do
when they see them; and so on. The way up is a deep encoder. Images are drawn by Gibbs sampling in the top machine and
one way down, and each layer can only raise a lower bound on the log-likelihood, which is evaluated beside the first
machine alone.

The layers are learned without labels; `dlkit train stacked --pretrain rbm` goes on to fine-tune them with labels.""",
    sources=(
        "Hinton, Osindero and Teh 2006, A fast learning algorithm for deep belief nets",
        "Bengio et al. 2007, Greedy layer-wise training of deep networks",
        "Salakhutdinov and Murray 2008, On the quantitative analysis of deep belief networks",
    ),
    task="generation",
    options=DbnOptions,
    implementation="dlkit_builtin.boltzmann.dbn:Dbn",
    augments=lambda _: "copies",  # layers learn from codes of all images
    capabilities=lambda _: CAPABILITIES,
    examples=(
        "dlkit train dbn",
        "dlkit train dbn --layers 500,500,2000 --data mnist",
    ),
    trial=Trial(
        small={"layers": "12,8", "gibbs": "20", "ais": "20", "lr": "0.2", "epochs": "4"}, falls="reconstruction"
    ),
)


@hookimpl
def dlkit_techniques() -> Iterable[Card]:
    """The machine, and the network of machines."""
    return [RBM, DBN]
