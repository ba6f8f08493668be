"""Registers the classifier."""

from __future__ import annotations

from collections.abc import Iterable

from dlkit.backbones.card import BackboneCard
from dlkit.card import Card, Trial
from dlkit.hookspecs import hookimpl
from dlkit_builtin.classifier.options import ClassifierOptions

DLKIT_API = 1

CLASSIFIER = Card(
    name="classifier",
    summary="Train a network from scratch: an MLP, LeNet-5, a CNN or a small ResNet.",
    description="""\
A network without any pretraining: what everything else is compared with, and with many images often all that is needed.
Its layers turn an image into features, and a linear layer turns the features into a score for each class.

It learns classes (cross-entropy, or the hinge of a support vector machine), several labels per image (one binary
cross-entropy each) and numbers (squared error), as the data's labels say.

With --loss svm the probabilities are the softmax of the scores. It orders the classes as the scores do, but a margin is
no likelihood: do not take these probabilities at their word.""",
    sources=(
        "LeCun et al. 1998, Gradient-based learning applied to document recognition",
        "He et al. 2016, Deep residual learning for image recognition",
        "Weston and Watkins 1999, Support vector machines for multi-class pattern recognition",
    ),
    task="classification",
    options=ClassifierOptions,
    implementation="dlkit_builtin.classifier.technique:Classifier",
    mixes=lambda _: True,
    capabilities=lambda _: frozenset({"classify", "encode"}),
    needs_labels=True,
    targets=("classes", "multi-label", "number"),
    examples=(
        "dlkit train classifier --data mnist",
        "dlkit train classifier --net mlp --layers 256,128,2 --epochs 30",
        "dlkit train classifier --net resnet --data cifar10 --schedule cosine",
        "dlkit train classifier --data people.csv --label age --target number",
    ),
    trial=Trial(
        exceptions={
            "metrics_have_baselines:trainable_parameters": "a cost, which stands beside the accuracy that it buys",
            "metrics_have_baselines:training_seconds": "a cost, which stands beside the accuracy that it buys",
        },
    ),
)


SMALL_RESNET = BackboneCard(
    name="small-resnet",
    summary="The classifier's residual network for small images, without pretraining (He et al. 2016, section 4.2).",
    builder="dlkit_builtin.classifier.backbone:small_resnet",
    pretrained=False,
    image_size=(64, 64),
)


@hookimpl
def dlkit_techniques() -> Iterable[Card]:
    """One technique."""
    return [CLASSIFIER]


@hookimpl
def dlkit_backbones() -> Iterable[BackboneCard]:
    """One network, for strategies that train from nothing."""
    return [SMALL_RESNET]
