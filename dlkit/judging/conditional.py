"""Whether images are what they were asked to be.

=================  ==========================================================================  =======================
figure             what it says                                                                source
=================  ==========================================================================  =======================
GAN-test           a classifier trained on genuine images recognises what generated ones       Shmelkov et al. 2018,
                   were asked to be                                                            section 3.2
GAN-train          a classifier trained on generated images is right about genuine ones        the same, section 3.1
FID within         mean over classes of the FID between generated and genuine images of it     Miyato and Koyama 2018,
classes                                                                                        intra-FID, section 4
least coverage     smallest over classes: coverage (Naeem et al. 2020) within the class
=================  ==========================================================================  =======================

"Right" is accuracy for classes, the mean share of labels that are right for several labels per image, and R², the mean
over columns, for numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dlkit.baselines import wilson_interval
from dlkit.baselines.limits import affordable
from dlkit.data import Split
from dlkit.data.data import Resident
from dlkit.judging.classifier import FEWEST, answers, can_be_learned, digest_of, judge_classifier, trained_on
from dlkit.judging.options import JudgeOptions
from dlkit.judging.verdict import CHUNK, Generate
from dlkit.metrics import Metric, Metrics
from dlkit.supervised.objective import known_rows

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.data.spec import TargetKind
    from dlkit.runtime import Runtime

LEARNED_FROM = 20_000
"""GAN-train's classifier learns from as many generated images as there are genuine ones, at most so many."""
CHANCE, GENUINE, FROM_GENUINE = "the commonest answer", "held-out genuine images", "trained on genuine images"


def judge_conditions(generate: Generate, data: ImageData, runtime: Runtime, options: JudgeOptions) -> Metrics:
    """GAN-test and GAN-train.

    Args:
        generate: ``generate(count, generator, labels) → pixels``, labels int64 ``(count,)`` or float32 ``(count, K)``.
        data: what was trained on; conditions are the labels of training images, in their proportions.
        runtime: where.
        options: how many images are judged.

    Returns:
        A notice where there are too few labels to train a judge on.
    """
    if not can_be_learned(data):
        needed = f"A judge learns from {FEWEST} labelled training images of a class or label, on average."
        return Metrics(
            (), notices=(f"Whether generated images are what they were asked to be is not measured. {needed}",)
        )
    judge, held_out, target = judge_classifier(data, runtime), _known(data.held_out), data.spec.target
    truth = labels_of(held_out) if len(held_out) else None
    asked = _asked(data, options.judged, runtime, "GAN-test")
    recognised = answers(judge, made(generate, asked, data, runtime, "GAN-test"), runtime)
    by_judge = {} if truth is None else {GENUINE: rightness(answers(judge, held_out, runtime), truth, target)}
    note = f"{len(asked):,} images, by a classifier of this data ({digest_of(judge)})"
    test = _row("gan_test", "GAN-test", recognised, asked, target, by_judge, "train", note)
    if truth is None or held_out.name == data.train.name:
        return Metrics((test,))
    count = affordable(min(int(known_rows(data.train).sum()), LEARNED_FROM), data.spec.shape)
    learned = made(generate, _asked(data, count, runtime, "GAN-train"), data, runtime, "GAN-train")
    said = answers(trained_on(learned, data, runtime), held_out, runtime)
    note = f"a classifier trained on {count:,} generated images"
    beside = {FROM_GENUINE: by_judge[GENUINE]}
    return Metrics((test, _row("gan_train", "GAN-train", said, truth, target, beside, held_out.name, note)))


def made(generate: Generate, labels: Tensor, data: ImageData, runtime: Runtime, name: str) -> Split:
    """Generated images with the labels that were asked for, as a split that classifiers learn from; always the same
    ones for a name."""
    generator = runtime.generator(name)
    parts = []
    with runtime.inference():
        for part in torch.split(labels, CHUNK):
            images = generate(len(part), generator, part.to(runtime.device)).float().clamp(0, 1).cpu()
            parts.append((images * 255).round().byte() if data.spec.pixel_type == "uint8" else images)
    pixels = Resident(torch.cat(parts))
    if data.spec.target == "classes":
        return Split("train", pixels, labels, None)
    return Split("train", pixels, None, None, targets=labels)


def rightness(outputs: Tensor, truth: Tensor, target: TargetKind) -> float:
    """How right outputs ``(N, K)`` are: see the module's docstring.

    Args:
        outputs: probabilities, scores or numbers.
        truth: int64 ``(N,)`` classes; float32 ``(N, K)`` of 0 and 1, or numbers.
        target: which of these.
    """
    if target == "classes":
        return float((outputs.argmax(1) == truth).double().mean())
    if target == "multi-label":
        return float(((outputs > 0.5) == (truth > 0.5)).double().mean())
    errors = (outputs.double() - truth.double()).square().sum(0)
    spread = (truth.double() - truth.double().mean(0)).square().sum(0)
    return float((1 - errors / spread.clamp(min=1e-12)).mean())


def commonest(truth: Tensor, target: TargetKind) -> float:
    """How right one who always gives the same answer is, at best."""
    if target == "classes":
        return float(torch.bincount(truth).max() / len(truth))
    share = truth.double().mean(0)
    return float(torch.maximum(share, 1 - share).mean()) if target == "multi-label" else 0.0


def labels_of(split: Split) -> Tensor:
    """Classes int64 ``(N,)``, or targets float32 ``(N, K)``."""
    labels = split.labels if split.targets is None else split.targets
    assert labels is not None  # noqa: S101 - asked of labelled splits only
    return labels


def _known(split: Split) -> Split:
    """The images of which everything is known."""
    rows = known_rows(split) if split.targets is None else ~split.targets.isnan().any(1)
    return split if bool(rows.all()) else split.subset(rows.nonzero()[:, 0])


def _asked(data: ImageData, count: int, runtime: Runtime, name: str) -> Tensor:
    """Labels of ``count`` training images, drawn at random."""
    labels = labels_of(_known(data.train))
    places = torch.randint(len(labels), (count,), generator=runtime.generator("asked", name, device="cpu"))
    return labels[places]


def _row(
    name: str, label: str, outputs: Tensor, truth: Tensor, target: TargetKind, beside: dict[str, float], split: str,
    note: str,
) -> Metric:  # fmt: skip
    value = rightness(outputs, truth, target)
    fields: dict[str, Any] = {"interval": wilson_interval(value, len(truth))} if target == "classes" else {}
    return Metric(
        name=name, label=f"{label}, R²" if target == "number" else label, value=value, split=split, better="higher",
        baselines={**beside, CHANCE: commonest(truth, target)}, note=note, bounds=tuple(beside),
        **fields,
    )  # fmt: skip
