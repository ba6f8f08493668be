"""Registers transfer learning."""

from __future__ import annotations

from collections.abc import Iterable

from dlkit.card import Card, Trial
from dlkit.hookspecs import hookimpl
from dlkit_builtin.transfer.catalog import ON_FEATURES, STRATEGIES
from dlkit_builtin.transfer.options import TransferOptions

DLKIT_API = 1

_STRATEGIES = "\n\n".join(f"{name}: {facts.words}." for name, facts in STRATEGIES.items())

TRANSFER = Card(
    name="transfer",
    summary="Reuse a pretrained network for your own classes; it finds out which way is best for your data.",
    description=f"""\
A network that was trained on a large data set has features that tell many other things apart. Which way of reusing
it is best depends on how many images there are and on how like the source's they look. Courses teach a table for it
(Stanford CS231n); --strategy auto measures where your data stands in it, estimates probes on every stage by
cross-validation, tries out the strategies that may win, each as long as it may, and says why it chose. It looks at
training images only. `--advise` stops before training.

The strategies, the cheapest first:

{_STRATEGIES}

Labels may be classes, several per image, or numbers. Features of frozen backbones are computed once and kept.""",
    sources=(
        "Donahue et al. 2014, DeCAF: a deep convolutional activation feature for generic visual recognition",
        "Yosinski et al. 2014, How transferable are features in deep neural networks?",
        "Kornblith et al. 2019, Do better ImageNet models transfer better?",
        "Kumar et al. 2022, Fine-tuning can distort pretrained features and underperform out-of-distribution",
        "Howard and Ruder 2018, Universal language model fine-tuning for text classification",
        "Li, Grandvalet and Davoine 2018, Explicit inductive bias for transfer learning with convolutional networks",
        "You et al. 2021, LogME: practical assessment of pre-trained models for transfer learning",
    ),
    task="classification",
    options=TransferOptions,
    implementation="dlkit_builtin.transfer.technique:Transfer",
    augments=lambda options: "copies" if options.strategy in ON_FEATURES else "batches",
    mixes=lambda options: options.strategy not in ("auto", *ON_FEATURES),
    capabilities=lambda _: frozenset({"classify", "encode"}),
    needs_labels=True,
    targets=("classes", "multi-label", "number"),
    advises=True,
    image_form="dlkit_builtin.transfer.scratch:image_form",
    examples=(
        "dlkit transfer --data photos",
        "dlkit transfer --data photos --advise",
        "dlkit transfer --backbone resnet50 --strategy linear-probe --data photos",
        "dlkit transfer --backbone torchvision/mobilenet_v2 --strategy lp-ft --label-smoothing 0.1 --data photos",
    ),
    trial=Trial(
        needs={"backbone": "test_resnet", "random_init": True, "image_size": "16"},
        small={"strategy": "finetune"},
        exceptions={
            "two_processes:equal": "batch normalisation sees the images of one process",
            "metrics_have_baselines:trainable_parameters": "a cost, which stands beside the accuracy that it buys",
            "metrics_have_baselines:training_seconds": "a cost, which stands beside the accuracy that it buys",
        },
    ),
)


@hookimpl
def dlkit_techniques() -> Iterable[Card]:
    """One technique."""
    return [TRANSFER]
