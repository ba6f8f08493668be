"""The way of a prediction: paths → decoded images → the model → files or text."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np

from dlkit.display import Display
from dlkit.errors import DataError, DlkitError
from dlkit.predict.decoding import Decoded, decode_batches
from dlkit.predict.plan import plan_output
from dlkit.predict.predictors import Arrays, Predictor
from dlkit.predict.writers import open_writers
from dlkit.report.figures import clean

_SHOWN = 20  # bad files that an error lists


def predict(
    predictor: Predictor,
    paths: Sequence[Path],
    *,
    out: Path | None = None,
    format: str | None = None,
    top_k: int = 5,
    on_bad_image: Literal["stop", "skip"] = "stop",
    batch_size: int = 32,
    workers: int | None = None,
    display: Display | None = None,
    stdout: TextIO | None = None,
) -> dict[str, Any]:
    """Predict for image files and write what the model yields.

    Args:
        predictor: a :class:`TechniquePredictor` or an :class:`OnnxPredictor`.
        paths: image files (see :func:`collect_images`).
        out, format: see :func:`dlkit.predict.plan.plan_output`.
        top_k: how many of the most probable classes are named.
        on_bad_image: an unreadable image is an error, or is left out and reported.
        batch_size: images at once.
        workers: decoding threads; by default one per usable CPU.
        display: where progress and warnings go; by default nowhere.
        stdout: where tables go that have no file; by default standard output.

    Returns:
        ``images`` (how many predictions), ``skipped`` (a list of ``file`` and ``reason``), ``out`` (a path or None).

    Raises:
        UsageError: the format does not fit the outputs, or a file exists.
        DataError: an image cannot be read, or none can.
        DlkitError: a prediction that is not finite, or a file that cannot be written.
    """
    plan = plan_output(predictor.outputs, out, format)
    display = display or Display(quiet=True)
    bad: dict[Path, str] = {}
    done = 0
    with (
        open_writers(plan, predictor.outputs, predictor.spec, top_k, stdout or sys.stdout) as writers,
        display.progress("predict", len(paths), "images") as progress,
    ):
        for batch in decode_batches(paths, predictor.spec, batch_size=batch_size, workers=workers):
            bad |= batch.bad
            if batch.bad and on_bad_image == "stop":
                raise _unreadable(bad, "Repair or remove them, or say --on-bad-image skip.")
            if batch.paths:
                arrays = _predict(predictor, batch)
                for writer in writers:
                    writer.write(batch.paths, arrays)
            done += len(batch.paths)
            progress.advance(len(batch.paths) + len(batch.bad))
        if done == 0:
            raise _unreadable(bad, "No image could be read.")
    return {
        "images": done,
        "skipped": [{"file": clean(path), "reason": clean(reason)} for path, reason in bad.items()],
        "out": None if out is None else str(plan.npz or plan.png or plan.table_path),
    }


def _predict(predictor: Predictor, batch: Decoded) -> Arrays:
    arrays = predictor.predict(batch.images)
    for name, array in arrays.items():
        finite = np.isfinite(array.reshape(len(array), -1)).all(1)
        if not finite.all():
            path = batch.paths[int(finite.argmin())]
            raise DlkitError(
                f"Output {name!r} for {clean(path)} is not a finite number.",
                "The model's weights or the image's values are out of range; train longer, or with a lower --lr.",
            )
    return arrays


def _unreadable(bad: Mapping[Path, str], hint: str) -> DataError:
    lines = [f"  {clean(path)}: {clean(reason)}" for path, reason in list(bad.items())[:_SHOWN]]
    more = [f"  and {len(bad) - _SHOWN} more"] if len(bad) > _SHOWN else []
    return DataError("\n".join(["These images cannot be read:", *lines, *more]), hint)
