"""From labels to a loss: cross-entropy, one binary cross-entropy per label, or squared error, by what labels say.

With K outputs, ``z`` the logits of an image and ε the label smoothing, the loss of an image is

=============  ====================================================================================  =============
spec.target    loss of one image                                                                     activation
=============  ====================================================================================  =============
classes        ``−Σ_k q_k log softmax(z)_k``, q = (1 − ε) [k = y] + ε/K  (Szegedy et al. 2016, 7)     softmax
multi-label    ``−1/K Σ_k q_k log σ(z_k) + (1 − q_k) log σ(−z_k)``, q = (1 − ε) y + ε/2               sigmoid
number         ``1/K Σ_k (z_k − (y_k − μ_k) / σ_k)²``, μ and σ of the training images' numbers        μ + σ z
=============  ====================================================================================  =============

and the loss of a batch is the mean over its labelled images. Where augmentation mixes pairs of images, an image's
target is a distribution over classes, and its loss the mean of the classes' losses under that distribution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlkit.data.spec import LABEL_SAYS, DataSpec, TargetKind
from dlkit.errors import DataError, UsageError
from dlkit.supervised.options import SupervisedOptions
from dlkit.technique import OutputKind

if TYPE_CHECKING:
    from dlkit.data import Split
    from dlkit.runtime import Batch

OUTPUT_KINDS: dict[TargetKind, OutputKind] = {"classes": "probabilities", "multi-label": "scores", "number": "numbers"}
"""What a technique gives, by what labels say."""


class Objective(nn.Module):
    """The loss, and what turns logits ``(B, K)`` into outputs; made by :func:`objective`.

    Its buffers (``mean`` and ``std`` of numbers) belong to what is learned: make it a part of the technique's network,
    so that they travel with its state and its export.

    Attributes:
        target: what labels say.
        outputs: K, how many logits an image has.
        kind: what :meth:`activate` gives, for ``Technique.outputs``.
        weights: float32 ``(K,)``; a class's (or a label's positives') weight in the loss; not kept in the state.
    """

    mean: Tensor
    std: Tensor
    weights: Tensor

    def __init__(self, spec: DataSpec, options: SupervisedOptions) -> None:
        super().__init__()
        _refuse_misfits(spec, options)
        self.target = spec.target
        self.outputs = len(spec.classes)
        self.kind: OutputKind = OUTPUT_KINDS[spec.target]
        self.options = options
        if spec.target == "number":
            self.register_buffer("mean", torch.zeros(self.outputs))
            self.register_buffer("std", torch.ones(self.outputs))
        else:
            self.register_buffer("weights", torch.ones(self.outputs), persistent=False)

    def learn(self, train: Split) -> None:
        """Take weights, mean and standard deviation from the training images' labels.

        Raises:
            DataError: no image of the split is labelled.
        """
        if self.target == "classes":
            labels = train.labels
            known = torch.zeros(0, dtype=torch.int64) if labels is None else labels[labels >= 0]
            counts = torch.bincount(known, minlength=self.outputs).float()
            balanced = len(known) / (self.outputs * counts)  # weighs the classes alike, with mean 1 over the images
        else:
            targets = train.targets
            known = torch.zeros(0, self.outputs) if targets is None else targets[~targets.isnan().all(1)]
            positive = known.nansum(0)
            balanced = (len(known) - positive) / positive  # weighs a label's positives as all its negatives
        if len(known) == 0:
            raise DataError("No training image is labelled.", "Give labels, or another --data.")
        if self.target == "number":
            self._standardise(known)
        elif self.options.class_weights == "balanced":
            usable = balanced.isfinite() & (balanced > 0)  # what is in no image, or in all, has nothing to balance
            self.weights.copy_(torch.where(usable, balanced, 1.0))

    def _standardise(self, numbers: Tensor) -> None:
        mean = numbers.double().nanmean(0)
        std = (numbers.double() - mean).square().nanmean(0).sqrt()
        self.mean.copy_(torch.where(mean.isnan(), 0.0, mean))
        self.std.copy_(torch.where(std > 0, std, 1.0))  # NaN, or the same number everywhere

    def targets(self, batch: Batch) -> Tensor:
        """What :meth:`loss` compares with: labels int64 ``(B,)``, or targets float32 ``(B, K)``: several labels,
        numbers, or distributions over classes where pairs of images were mixed.

        Raises:
            ValueError: the batch has none.
        """
        targets = batch.labels if batch.targets is None else batch.targets
        if targets is None:
            raise ValueError(f"the batch has no {self.target} to learn from")
        return targets

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean loss over the labelled images of ``logits`` ``(B, K)``; 0 where there is none.

        To be the same whether or not an update is split, train on images that are labelled: :func:`labelled`.
        """
        losses, known = self._losses(logits.float(), targets)
        return losses.sum() / known.sum().clamp(min=1)

    def _losses(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of each image, 0 where it is unlabelled, and which are labelled; both ``(B,)``."""
        smoothing = self.options.label_smoothing
        if self.target == "classes" and targets.is_floating_point():
            each = -logits.log_softmax(1)  # of each class, were it the image's
            smooth = (1 - smoothing) * each + smoothing * each.mean(1, keepdim=True)
            return (targets * self.weights * smooth).sum(1), targets.sum(1) > 0
        if self.target == "classes":
            losses = F.cross_entropy(logits, targets, ignore_index=-1, reduction="none", label_smoothing=smoothing)
            return losses * self.weights[targets.clamp(min=0)], targets >= 0
        known = ~targets.isnan()
        targets = targets.nan_to_num()
        if self.target == "multi-label":
            soft = targets * (1 - smoothing) + smoothing / 2
            each = F.binary_cross_entropy_with_logits(logits, soft, pos_weight=self.weights, reduction="none")
        else:
            each = (logits - (targets - self.mean) / self.std).square()
        return (each * known).sum(1) / known.sum(1).clamp(min=1), known.any(1)

    def activate(self, logits: Tensor) -> Tensor:
        """Logits ``(B, K)`` → probabilities, a score in [0, 1] per label, or numbers in their own units."""
        if self.target == "classes":
            return logits.softmax(1)
        return logits.sigmoid() if self.target == "multi-label" else logits * self.std + self.mean


class Inference(nn.Module):
    """A network as it is used: pixels in; probabilities, scores or numbers out.

    Args:
        network: pixels → logits; ``objective`` is a part of it.
        objective: what logits mean.
    """

    def __init__(self, network: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.network = network
        self._activate = objective.activate  # a bound method: no second entry in the state, and copied along

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Pixels ``(B, C, H, W)`` → outputs ``(B, K)``."""
        return (self._activate(self.network(images)),)


def objective(spec: DataSpec, options: SupervisedOptions, train: Split | None = None) -> Objective:
    """The objective for what labels say.

    Args:
        spec: the data's.
        options: smoothing and weights.
        train: what weights and statistics come from. A technique that is built before it sees data leaves it out
            and calls :meth:`Objective.learn` when it trains.

    Raises:
        UsageError: an option that does not fit what labels say.
        DataError: no training image is labelled.
    """
    made = Objective(spec, options)
    if train is not None:
        made.learn(train)
    return made


def _refuse_misfits(spec: DataSpec, options: SupervisedOptions) -> None:
    number = spec.target == "number"
    for given, flag, fits in (
        (options.label_smoothing > 0, "--label-smoothing", not number),
        (options.class_weights != "none", "--class-weights balanced", not number),
        (options.sampling != "shuffled", "--sampling balanced", spec.target == "classes"),
    ):
        if given and not fits:
            raise UsageError(f"{flag} is about classes, but the labels of {spec.name} are {LABEL_SAYS[spec.target]}.",
                             "Leave it out." if number else "Use --class-weights balanced.")  # fmt: skip


def known_rows(split: Split) -> Tensor:
    """bool ``(N,)``: which images are labelled, at least in part."""
    if split.targets is not None:
        return ~split.targets.isnan().all(1)
    return torch.zeros(len(split), dtype=torch.bool) if split.labels is None else split.labels >= 0


def labelled(split: Split) -> Split:
    """The labelled images of a split; the split itself where all are."""
    known = known_rows(split)
    return split if bool(known.all()) else split.subset(known.nonzero()[:, 0])
