"""Registers greedy layer-wise training."""

from __future__ import annotations

from collections.abc import Iterable

from dlkit.card import Card, Trial
from dlkit.hookspecs import hookimpl
from dlkit_builtin.stacked.options import StackedOptions

DLKIT_API = 1

STACKED = Card(
    name="stacked",
    summary="Teach a deep network layer by layer without labels, then all of it with the labels that there are.",
    description="""\
Five steps: the first layer learns from the images alone; it is frozen, and the next one learns from its outputs; and so
on. Then an output layer learns the labels on the frozen features, and last all layers are tuned together. Only the
last two steps need labels, so that thousands of unlabelled images can help a few labelled ones.

--pretrain chooses what a layer learns by: an autoencoder, a denoising one, a Boltzmann machine, or labels with an
output layer of its own. With --pretrain none the same network starts from random weights, and with one of --layers it
is shallow: these are what the others are compared with.

--labels 100 hides all labels but 100, to see how few are enough.""",
    sources=(
        "Hinton, Osindero and Teh 2006, A fast learning algorithm for deep belief nets",
        "Bengio et al. 2007, Greedy layer-wise training of deep networks",
        "Vincent et al. 2010, Stacked denoising autoencoders",
        "Erhan et al. 2010, Why does unsupervised pre-training help deep learning?",
    ),
    task="classification",
    options=StackedOptions,
    implementation="dlkit_builtin.stacked.technique:Stacked",
    augments=lambda options: "batches" if options.pretrain == "none" else "copies",
    mixes=lambda _: True,
    capabilities=lambda _: frozenset({"classify", "encode"}),
    needs_labels=True,
    targets=("classes", "multi-label", "number"),
    examples=(
        "dlkit train stacked --labels 100",
        "dlkit train stacked --pretrain rbm --layers 500,500,2000 --data mnist",
        "dlkit train stacked --pretrain none --seeds 3",
    ),
    trial=Trial(
        small={"layers": "12,8", "pretrain_epochs": "2", "head_epochs": "2"},
        exceptions={
            "metrics_have_baselines:trainable_parameters": "a cost, which stands beside the accuracy that it buys",
            "metrics_have_baselines:training_seconds": "a cost, which stands beside the accuracy that it buys",
        },
    ),
)


@hookimpl
def dlkit_techniques() -> Iterable[Card]:
    """One technique."""
    return [STACKED]
