"""Registers ensembles."""

from __future__ import annotations

from collections.abc import Iterable

from dlkit.card import Card, Trial
from dlkit.hookspecs import hookimpl
from dlkit_builtin.ensemble.options import EnsembleOptions

DLKIT_API = 1

ENSEMBLE = Card(
    name="ensemble",
    summary="Average the outputs of several trained runs.",
    description="""\
Members that err on different images correct one another: the averaged probabilities of several runs are as a rule
better than those of the best of them, and better calibrated. Nothing is trained. Members may be of any techniques that
predict the same classes (or labels, or numbers), which are matched by name, and take images of the same form.

The ensemble holds all its members, so that their runs may be deleted; it is evaluated beside each of them, and
exported as one file. Give the data that the members were trained on with --data, so that its test split is new to all
of them.""",
    sources=(
        "Hansen and Salamon 1990, Neural network ensembles",
        "Lakshminarayanan et al. 2017, Simple and scalable predictive uncertainty estimation using deep ensembles",
    ),
    task="classification",
    options=EnsembleOptions,
    implementation="dlkit_builtin.ensemble.technique:Ensemble",
    augments=lambda _: "never",
    capabilities=lambda _: frozenset({"classify"}),
    needs_labels=True,
    targets=("classes", "multi-label", "number"),
    image_form="dlkit_builtin.ensemble.members:image_form",
    examples=("dlkit train ensemble --members photos-001,photos-002 --data photos",),
    trial=Trial(prepare="dlkit_builtin.ensemble.trial:two_small_runs"),
)


@hookimpl
def dlkit_techniques() -> Iterable[Card]:
    """One technique."""
    return [ENSEMBLE]
