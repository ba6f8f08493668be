"""Registers the decompositions."""

from __future__ import annotations

from collections.abc import Iterable

import click

from dlkit.card import Card, Trial
from dlkit.hookspecs import hookimpl
from dlkit_builtin.decomposition.command import approximate
from dlkit_builtin.decomposition.options import DecompositionOptions, capabilities

DLKIT_API = 1

DECOMPOSITION = Card(
    name="decomposition",
    summary="Images as sums of a few parts: PCA, truncated SVD, ICA, NMF, k-means, sparse coding.",
    description="""\
An image is written as x ≈ m + Σ zⱼ aⱼ: a mean and a few atoms aⱼ, learned from all images, weighted by a code z of the
image's own. Principal components and the truncated SVD are the best linear code of a size; independent components turn
them until the codes are as independent as can be; NMF allows only additions, which gives parts; k-means describes an
image by the nearest of k typical ones; sparse coding uses few of many atoms.

No gradients, no network: scikit-learn fits, in mini-batches where the images are many. What every deep technique is
compared with.""",
    sources=(
        "Eckart and Young 1936, The approximation of one matrix by another of lower rank",
        "Hyvärinen and Oja 2000, Independent component analysis: algorithms and applications",
        "Lee and Seung 1999, Learning the parts of objects by non-negative matrix factorization",
        "Arthur and Vassilvitskii 2007, k-means++: the advantages of careful seeding",
        "Mairal et al. 2009, Online dictionary learning for sparse coding",
    ),
    task="representation",
    options=DecompositionOptions,
    implementation="dlkit_builtin.decomposition.technique:Decomposition",
    augments=lambda _: "copies",
    capabilities=capabilities,
    examples=(
        "dlkit train decomposition --code 16",
        "dlkit train decomposition --method nmf --code 32 --data fashion-mnist",
        "dlkit train decomposition --method sparse --alpha 0.1 --data mnist",
    ),
    trial=Trial(small={"code": "4"}),
)


@hookimpl
def dlkit_techniques() -> Iterable[Card]:
    """One technique."""
    return [DECOMPOSITION]


@hookimpl
def dlkit_commands() -> Iterable[click.Command]:
    """A single picture's approximations."""
    return [approximate]
