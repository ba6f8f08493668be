"""What a conditional network is told of each image, as a vector ``(B, K)`` whose numbers have a mean square of one.

=============  ==================================================  =================
labels say     vector                                              K
=============  ==================================================  =================
classes        √K at the class's place, else 0                     number of classes
multi-label    1 where the label is there, −1 where it is not      number of labels
number         (y − μ) / σ of the training images                  number of columns
=============  ==================================================  =================
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from dlkit.data.spec import LABEL_WORDS, DataSpec
from dlkit.errors import DataError

if TYPE_CHECKING:
    from dlkit.data import Split

KEPT = 1024
"""So many training images' labels are kept, spread evenly over all, some twice where there are fewer images; from them
conditions are drawn."""

SHOWN = 10
"""Classes that examples are of."""
_STRIDE = 633
"""The golden ratio's share of KEPT, made odd: however few multiples of it are taken, they lie spread, and none is met
twice before all have been."""


class Conditions(nn.Module):
    """Labels → vectors; part of a technique's state.

    Attributes:
        target: what labels say.
        size: K.
        mean, std: of numbers, ``(K,)``; 0 and 1 for the others.
        kept: labels of training images: int64 ``(KEPT,)`` classes or float32 ``(KEPT, K)``.
    """

    mean: Tensor
    std: Tensor
    kept: Tensor

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.target, self.size = spec.target, len(spec.classes)
        self.register_buffer("mean", torch.zeros(self.size))
        self.register_buffer("std", torch.ones(self.size))
        rows = torch.zeros(KEPT, dtype=torch.int64) if self.target == "classes" else torch.zeros(KEPT, self.size)
        self.register_buffer("kept", rows)

    def learn(self, train: Split) -> None:
        """Look at the labels of the training images, all of which have some (see :func:`complete`)."""
        if train.targets is not None and self.target == "number":
            self.mean = train.targets.double().mean(0).float().to(self.mean.device)
            std = train.targets.double().std(0, correction=0).float()
            self.std = torch.where(std > 0, std, torch.ones_like(std)).to(self.mean.device)
        labels = train.targets if train.targets is not None else train.labels
        assert labels is not None  # noqa: S101 - complete() has looked
        self.kept = labels[torch.arange(KEPT) * len(labels) // KEPT].to(self.mean.device)

    def forward(self, labels: Tensor) -> Tensor:
        """int64 ``(B,)`` classes, or float32 ``(B, K)`` labels or numbers → ``(B, K)``."""
        if self.target == "classes":
            return F.one_hot(labels, self.size).to(self.mean.dtype) * math.sqrt(self.size)
        return 2 * labels - 1 if self.target == "multi-label" else (labels - self.mean) / self.std

    def draw(self, count: int, generator: Generator) -> Tensor:
        """Labels of training images drawn at random; as :meth:`forward` takes them."""
        places = torch.randint(len(self.kept), (count,), generator=generator, device=generator.device)
        return self.kept[places.to(self.kept.device)]

    def examples(self, count: int) -> Tensor:
        """The first ten classes again and again; of other labels, what training images have, spread over all.

        Fewer examples are the first ones of more.
        """
        places = torch.arange(count, device=self.mean.device)
        return places % min(self.size, SHOWN) if self.target == "classes" else self.kept[places * _STRIDE % KEPT]

    def recognition(self, answers: Tensor, given: Tensor) -> Tensor:
        """How wrong a network's answers ``(B, K)`` about vectors ``(B, K)`` are: cross-entropy, or squared error."""
        if self.target == "classes":
            return F.cross_entropy(answers, given.argmax(1))
        if self.target == "multi-label":
            return F.binary_cross_entropy_with_logits(answers, (given > 0).to(answers.dtype))
        return F.mse_loss(answers, given)


def complete(split: Split, spec: DataSpec) -> Split:
    """The images of which everything is known that a condition tells.

    Raises:
        DataError: there are fewer than two.
    """
    if split.targets is not None:
        known = ~split.targets.isnan().any(1)
    else:
        known = torch.zeros(len(split), dtype=torch.bool) if split.labels is None else split.labels >= 0
    if int(known.sum()) < 2:
        raise DataError(
            f"{int(known.sum())} of {len(split):,} training images of {spec.name} have their "
            f"{LABEL_WORDS[spec.target]}; cgan needs at least two.",
            "Label more images, or use gan, which needs no labels.",
        )
    return split if bool(known.all()) else split.subset(known.nonzero()[:, 0])
