"""Predictions averaged over augmented views of an image (`--tta`): of itself, and of a few draws of a policy."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dlkit.augment import Draws, Policy, Scenes, apply, sample_keys
from dlkit.data.data import to_pixels
from dlkit.data.spec import DataSpec
from dlkit.errors import UsageError
from dlkit.loading import load_to_evaluate
from dlkit.metrics import Metrics
from dlkit.predict.predictors import Arrays, Predictor
from dlkit.session import ready
from dlkit.supervised.metrics import supervised_metrics, supervised_tables
from dlkit.supervised.objective import OUTPUT_KINDS
from dlkit.technique import OutputKind, Technique

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.display import Display
    from dlkit.run import Run
    from dlkit.runtime import Runtime

VIEWS = 8
"""Beside the image itself."""
DEFAULT = "rotate:5:edge translate:0.05:fill=edge"
_FLIP = "flip"
_AVERAGED = ("probabilities", "scores", "numbers")


def default_policy(run: Run) -> Policy:
    """Turned by up to 5° and shifted by up to 5 %; also mirrored where the run was trained on mirrored images."""
    trained = run.settings.augment.augment
    flips = trained is not None and any(step.name == _FLIP for step in trained.steps)
    return Policy.parse(f"{DEFAULT} {_FLIP}" if flips else DEFAULT)


class Views:
    """Augmented views, which depend on the image's pixels only: the same in every batch and in every command.

    Args:
        policy: what is done to a view.
        spec: of the images; views of 8-bit images have 8 bits.
        count: views beside the image itself.

    Raises:
        UsageError: a policy that mixes pairs of images or needs masks.
    """

    def __init__(self, policy: Policy, spec: DataSpec, count: int = VIEWS) -> None:
        for step in policy.steps:
            if step.card.pairs or step.card.needs_masks:
                why = "mixes images" if step.card.pairs else "needs masks"
                raise UsageError(f"--tta: {step.name} {why}, so it makes no views of an image.", "Leave it out.")
        self.policy, self.count, self._round = policy, count, spec.pixel_type == "uint8"

    def mean(self, predict: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """The mean of ``predict`` over an image and its views.

        Args:
            predict: pixels ``(B, C, H, W)`` → ``(B, K)``.
            images: pixels, on the device.
        """
        total = predict(images)
        keys = _keys(images)
        for view in range(self.count):
            total = total + predict(self.view(images, keys, view))
        return total / (self.count + 1)

    def view(self, images: Tensor, keys: Tensor, view: int) -> Tensor:
        """The view with this number, of each image."""
        draws = Draws(sample_keys(view, keys), images.device)
        seen = apply(self.policy, Scenes(images), draws).images
        return seen.mul(255).round().clamp(0, 255) / 255 if self._round else seen


def _keys(images: Tensor) -> Tensor:
    """A number for each image, from its pixels."""
    plain = images.cpu().contiguous().numpy()
    digests = [hashlib.sha256(image.tobytes()).digest() for image in plain]
    return torch.tensor([int.from_bytes(digest[:8], "big", signed=True) for digest in digests])


class ViewingPredictor:
    """A predictor whose probabilities, scores and numbers are averaged over views; see :class:`Predictor`.

    Raises:
        UsageError: it has no such output.
    """

    def __init__(self, predictor: Predictor, views: Views) -> None:
        if not any(kind in _AVERAGED for kind in predictor.outputs.values()):
            raise _nothing_to_average("The model", predictor.outputs)
        self.spec, self.outputs = predictor.spec, predictor.outputs
        self._predictor, self._views = predictor, views

    def predict(self, images: Tensor) -> Arrays:
        """Raw images ``(B, C, H, W)`` → the outputs; those that are no predictions are those of the image itself."""
        plain = self._predictor.predict(images)
        names = [name for name, kind in self.outputs.items() if kind in _AVERAGED]
        widths = [plain[name].shape[1] for name in names]

        def predict(pixels: Tensor) -> Tensor:
            raw = pixels.mul(255).round().byte() if images.dtype is torch.uint8 else pixels
            found = self._predictor.predict(raw)
            return torch.cat([torch.from_numpy(found[name]) for name in names], 1)

        means = np.split(self._views.mean(predict, to_pixels(images)).numpy(), np.cumsum(widths)[:-1], 1)
        return plain | dict(zip(names, means, strict=True))


def evaluate_views(technique: Technique[Any], data: ImageData, runtime: Runtime, views: Views) -> Metrics:
    """The figures of averaged predictions, each beside that of the plain ones.

    Raises:
        UsageError: the technique does not predict.
    """
    kinds = list(technique.outputs().values())
    wanted = OUTPUT_KINDS[data.spec.target]
    if wanted not in kinds or not data.spec.classes:
        raise _nothing_to_average("The run", technique.outputs())
    module = runtime.prepare(technique.inference_module())

    def predict(images: Tensor) -> Tensor:
        answer: Tensor = module(images)[kinds.index(wanted)]
        return answer.float()

    plain = supervised_metrics(runtime.collect(predict, data.held_out), data, runtime)
    outputs = runtime.collect(lambda images: views.mean(predict, images), data.held_out)
    before = {row.name: row.value for row in plain}
    rows = supervised_metrics(outputs, data, runtime)
    beside = (dataclasses.replace(row, baselines={"without views": before[row.name], **row.baselines}) for row in rows)
    return Metrics(tuple(beside), tuple(supervised_tables(outputs, data)))


def evaluate_run(
    run: Run, runtime: Runtime, display: Display, *, policy: Policy | None, count: int = VIEWS, data: str | None = None
) -> Metrics:
    """The figures of a run's predictions, averaged over views.

    Args:
        run: a trained run of a technique that predicts.
        runtime: where to compute.
        display: where progress is shown.
        policy: how views are made; None: :func:`default_policy`.
        count: views beside the image itself.
        data: other data than the run's own.
    """
    views = Views(policy or default_policy(run), run.spec, count)
    display.info(f"Averaging over the image and {count} views: {views.policy}")
    technique = ready(run, runtime)
    loaded, _ = load_to_evaluate(run, display, data)
    return evaluate_views(technique, loaded, runtime, views)


def _nothing_to_average(what: str, outputs: Mapping[str, OutputKind]) -> UsageError:
    given = ", ".join(dict.fromkeys(outputs.values()))
    return UsageError(f"--tta averages predictions. {what} gives {given}.", "It is for techniques that predict.")
