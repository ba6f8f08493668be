"""The options of the decompositions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlkit.options import Options, option

Method = Literal["pca", "svd", "ica", "nmf", "kmeans", "sparse"]


@dataclass(frozen=True, kw_only=True)
class DecompositionOptions(Options):
    """Decomposition"""

    method: Method = option(
        "pca", "Principal components, truncated SVD (no mean subtracted), independent components, non-negative matrix "
        "factorisation, k-means, or sparse coding (dictionary learning).",
    )  # fmt: skip
    code: int | None = option(
        None, "Size of the code: how many components, parts, centres or atoms; by default half the pixel values, at "
        "most 128.", min=1,
    )  # fmt: skip
    alpha: float = option(0.2, "Sparse coding: penalty on Σ|z|; more gives sparser codes.", min=0, exclusive=True)
    fit: Literal["auto", "whole", "batches"] = option(
        "auto", "Learn from all training images at once, or in mini-batches (incremental PCA, mini-batch NMF and "
        "k-means). auto: at once where that takes seconds and the images are in memory; sparse coding in batches.",
    )  # fmt: skip
    iterations: int | None = option(
        None, "At most so many iterations; in batches, passes over the training images. By default what the method "
        "needs.", min=1, advanced=True,
    )  # fmt: skip


def capabilities(_: DecompositionOptions) -> frozenset[str]:
    """The same for each method."""
    return frozenset({"encode", "decode", "reconstruct"})
