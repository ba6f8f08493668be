"""The export of a run: its technique, its data, its name, nothing retyped."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from dlkit.data import load_data
from dlkit.discovery import registry
from dlkit.display import Display
from dlkit.errors import PluginError, UsageError
from dlkit.export.exporting import MODEL, ExportReport, check_target, export, parts_of
from dlkit.export.formats import ExportFormat, choose_format
from dlkit.export.verify import MAX_IMAGES
from dlkit.options import RunOptions
from dlkit.places import portable
from dlkit.run import Run


def export_run(
    run: Run,
    format: str | None = None,
    target: Path | None = None,
    *,
    display: Display | None = None,
    part: str | None = None,
    data: str | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Export a run's model and prove it on held-out images of the run's own data, or on drawn inputs.

    Args:
        run: a trained run.
        format: ``onnx``, ``torch``, ``safetensors`` or a plugin's format; by default by the suffix of ``target``,
            else ``onnx``.
        target: the file; by default ``exports/TECHNIQUE-RUN.SUFFIX`` in the run's directory.
        display: where progress is shown.
        part: what of it: ``model`` takes images; by default the first of the technique's graphs, where it has any.
        data: what ``--data`` takes, for images to compare on where the run's own data is not at hand.
        overwrite: replace an existing file.

    Raises:
        DlkitError: as :func:`dlkit.export.export`; DataError where the run has no model or no data.
    """
    display = display or Display(quiet=True)
    chosen = choose_format(format, target, _formats())
    if target is not None:
        check_target(target, overwrite=overwrite)  # before the data is read, which may take long
    technique = run.load_technique()
    parts = parts_of(technique)
    part = part or next(iter(parts))
    if part not in parts:
        raise UsageError(f"A run of {run.technique} has no part {part!r}; it has {', '.join(parts)}.")
    name = f"{run.technique.replace('/', '-')}-{run.name}{'' if part == MODEL else f'-{part}'}"
    target = target or run.path / "exports" / f"{name}{chosen.suffix}"
    check_target(target, overwrite=overwrite)
    images = _images(run, data, display) if part == MODEL else None
    display.info(
        f"Exporting {part} and comparing on drawn inputs"
        if images is None
        else f"Exporting and comparing on {len(images)} images"
    )
    return export(
        technique,
        run.spec,
        images,
        name=run.technique,
        options=run.settings.options,
        target=target,
        format=chosen,
        part=part,
        metadata=_metadata(run),
        overwrite=overwrite,
    )


def _formats() -> list[ExportFormat]:
    """What plugins bring, dlkit's own among them."""
    found = list(registry().listed("exporters").values())
    for card in found:
        if not isinstance(card, ExportFormat):
            raise PluginError(f"dlkit_exporters gave {card!r}; expected dlkit.export.formats.ExportFormat.")
    return cast(list[ExportFormat], found)


def _images(run: Run, data: str | None, display: Display) -> Tensor:
    options = run.settings.data if data is None else dataclasses.replace(run.settings.data, data=data)
    split = load_data(options, like=run.spec, progress=display).held_out
    return split.raw(torch.arange(min(len(split), MAX_IMAGES)))


def _metadata(run: Run) -> Mapping[str, str]:
    # Paths of this machine stay here, as they do in the spec (see dlkit.export.metadata.describe).
    told = dataclasses.replace(portable(run.settings), run=RunOptions())
    return {"run": run.name, "options": told.to_toml()}
