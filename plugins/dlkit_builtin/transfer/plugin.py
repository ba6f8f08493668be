"""Registers transfer learning."""

from __future__ import annotations

from collections.abc import Iterable

from dlkit.card import Card
from dlkit.hookspecs import hookimpl
from dlkit_builtin.transfer.options import TransferOptions

DLKIT_API = 1

TRANSFER = Card(
    name="transfer",
    summary="Reuse a pretrained network for your own classes: a probe on its features, or fine-tuning.",
    description="""\
A network that was trained on a large data set has features that tell many other things apart.""",
    sources=("Kornblith et al. 2019, Do better ImageNet models transfer better?",),
    task="classification",
    options=TransferOptions,
    implementation="dlkit_builtin.transfer.technique:Transfer",
    capabilities=lambda _: frozenset({"classify", "encode"}),
    needs_labels=True,
    image_form="dlkit.backbones:image_form",
    examples=("dlkit transfer --backbone resnet50 --strategy linear-probe --data photos",),
)


@hookimpl
def dlkit_techniques() -> Iterable[Card]:
    """One technique."""
    return [TRANSFER]
