"""Registers deep features with scikit-learn."""

from __future__ import annotations

from collections.abc import Iterable

from dlkit.card import Card, Trial
from dlkit.hookspecs import hookimpl
from dlkit_builtin.features.options import FeaturesOptions

DLKIT_API = 1

FEATURES = Card(
    name="features",
    summary="Features of a frozen pretrained network, into any classifier or regressor of scikit-learn.",
    description="""\
A network that was trained on a large data set is not changed; its features of your images are computed once, kept,
and given to a classifier that needs few images: a linear SVM, logistic regression, nearest neighbours, a forest…
Features come from any stage of one or several networks, rectified, normalised, standardised or reduced by PCA, and
--search chooses the classifier's parameters by cross-validation.

The result is one model from pixels to probabilities, which `dlkit export` writes as one ONNX file. With a numeric
label column it predicts numbers.""",
    sources=(
        "Donahue et al. 2014, DeCAF: a deep convolutional activation feature for generic visual recognition",
        "Sharif Razavian et al. 2014, CNN features off-the-shelf: an astounding baseline for recognition",
        "Guo et al. 2017, On calibration of modern neural networks (temperature scaling)",
    ),
    task="classification",
    options=FeaturesOptions,
    implementation="dlkit_builtin.features.technique:Features",
    augments=lambda _: "copies",
    capabilities=lambda _: frozenset({"classify", "encode"}),
    needs_labels=True,
    targets=("classes", "number"),
    image_form="dlkit_builtin.features.inputs:ready_form",
    examples=(
        "dlkit train features --backbone resnet50 --classifier linear-svm --data photos",
        "dlkit train features --classifier svm-rbf --search --pca 0.95 --data photos",
        "dlkit train features --backbone resnet50,mobilenetv2_100 --stage top --classifier knn --data photos",
    ),
    trial=Trial(
        needs={"backbone": "test_resnet", "random_init": True, "image_size": "16"},
        exceptions={
            "metrics_have_baselines:trainable_parameters": "a cost, which stands beside the accuracy that it buys",
            "metrics_have_baselines:training_seconds": "a cost, which stands beside the accuracy that it buys",
        },
    ),
)


@hookimpl
def dlkit_techniques() -> Iterable[Card]:
    """One technique."""
    return [FEATURES]
