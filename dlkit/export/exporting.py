"""From a trained technique to a file that is proved to compute the same."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from dlkit.data.spec import DataSpec
from dlkit.errors import DataError, PluginError, UsageError
from dlkit.export.foreign import edges
from dlkit.export.formats import ExportFormat, find_format
from dlkit.export.metadata import check_outputs, describe
from dlkit.export.verify import Difference, compare
from dlkit.files import atomic_path
from dlkit.options import Options
from dlkit.technique import OutputKind, Technique

INPUT_NAME = "images"


class RawInput(nn.Module):
    """A technique's inference module behind raw images, as files hold them.

    Args:
        module: ``forward(pixels)`` with pixels float32 in [0, 1], ``(B, C, H, W)``, to a tuple of outputs.
        count: how many outputs there must be.
    """

    def __init__(self, module: nn.Module, count: int) -> None:
        super().__init__()
        self.module = module
        self.count = count

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Raw images ``(B, C, H, W)``, uint8 (white is 255) or float32 (white is 1) → the outputs.

        Raises:
            PluginError: the module does not return a tuple of as many tensors as the technique declares.
        """
        pixels = images.to(torch.float32) / 255 if images.dtype == torch.uint8 else images
        outputs = self.module(pixels)
        if not isinstance(outputs, (tuple, list)) or len(outputs) != self.count:
            raise PluginError(
                f"inference_module() must return a tuple of {self.count} tensors, one for each of outputs(); "
                f"it returned {type(outputs).__name__}."
            )
        return tuple(outputs)


def raw_module(technique: Technique[Any], device: torch.device | str = "cpu") -> RawInput:
    """A copy of the technique's inference module on ``device`` that takes raw images.

    Raises:
        PluginError: the module is in training mode, or ``outputs()`` is not usable.
    """
    outputs = technique.outputs()
    check_outputs(outputs)
    module = technique.inference_module()
    if any(part.training for part in module.modules()):
        raise PluginError("inference_module() must be in eval mode: call .eval() on what it returns.")
    # A copy, so that a technique on a GPU stays there.
    return RawInput(copy.deepcopy(module).to(device), len(outputs)).eval()


@dataclass(frozen=True)
class ExportModel:
    """What a format gets to write.

    Attributes:
        technique: the trained technique.
        options: its options.
        spec: of the data that it was trained on.
        outputs: name → kind, in order.
        module: the model on the CPU, from raw images to the outputs.
        example: raw images ``(2, C, H, W)`` to trace with. All black: torch.export keeps them in its file.
        metadata: what the file says about itself.
    """

    technique: Technique[Any]
    options: Options
    spec: DataSpec
    outputs: Mapping[str, OutputKind]
    module: RawInput
    example: Tensor
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class ExportReport:
    """A file that was written and found equal to the model.

    Attributes:
        path: the file.
        format: its format's name.
        size: bytes.
        images: how many real images it was compared on.
        difference: the largest absolute difference to the model over all outputs.
        differences: the same for each output.
        edges: images on the edge of a step of the model (of a tree, of nearest neighbours), where rounding decides
            which side is taken; they are not counted in the differences.
    """

    path: Path
    format: str
    size: int
    images: int
    difference: float
    differences: Mapping[str, float]
    edges: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "path": str(self.path),
            "format": self.format,
            "size": self.size,
            "images": self.images,
            "difference": self.difference,
            "differences": dict(self.differences),
            "edges": self.edges,
        }


def export(
    technique: Technique[Any],
    spec: DataSpec,
    images: Tensor,
    *,
    name: str,
    options: Options,
    target: Path,
    format: str | ExportFormat = "onnx",
    metadata: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Write a trained technique to ``target``, reload the file and compare it with the model.

    The file appears under its name only after the comparison succeeded.

    Args:
        technique: trained, on any device.
        spec: of its data.
        images: real raw images ``(n, C, H, W)`` as ``spec`` says, to compare on; the first 256 are used.
        name: the technique's name.
        options: the technique's options.
        target: the file to write; its directory is made where it does not exist.
        format: ``onnx``, ``torch``, ``safetensors`` or a plugin's format.
        metadata: further strings to keep in the file.
        overwrite: replace an existing file.

    Raises:
        UsageError: ``target`` exists, or the format is unknown.
        DataError: there are no images to compare on, or they are not as ``spec`` says.
        ExportMismatchError: the file computes something else than the model.
        DlkitError: the model cannot be expressed in this format, or the file cannot be written.
    """
    chosen = find_format(format) if isinstance(format, str) else format
    check_target(target, overwrite=overwrite)
    _check_images(images, spec)
    outputs = technique.outputs()
    module = raw_module(technique)
    model = ExportModel(
        technique=technique,
        options=options,
        spec=spec,
        outputs=outputs,
        module=module,
        example=torch.zeros(2, *spec.shape, dtype=images.dtype),
        metadata=describe(name, spec, outputs, metadata or {}),
    )
    exporter = chosen.load()
    with torch.no_grad(), atomic_path(target) as temporary:
        exporter.write(model, temporary)
        found = compare(module, exporter.reload(model, temporary), images.cpu(), outputs, edges(module))
        size = temporary.stat().st_size
    return _report(target, chosen.name, size, found)


def check_target(target: Path, *, overwrite: bool) -> None:
    """Refuse a target that exists.

    Raises:
        UsageError: it is a folder, or a file that is not to be overwritten.
    """
    if target.is_dir():
        raise UsageError(f"{str(target)!r} is a folder; the export is one file.", "Choose another name with --out.")
    if target.exists() and not overwrite:
        raise UsageError(f"{str(target)!r} exists.", "Choose another name with --out, or replace it with --overwrite.")


def _report(target: Path, format: str, size: int, found: Difference) -> ExportReport:
    return ExportReport(target, format, size, found.images, max(found.by_output.values()), found.by_output, found.edges)


def _check_images(images: Tensor, spec: DataSpec) -> None:
    expected = cast(torch.dtype, getattr(torch, spec.pixel_type))
    if images.ndim != 4 or tuple(images.shape[1:]) != spec.shape or images.dtype != expected:
        raise DataError(
            f"The images to compare on are {images.dtype} {tuple(images.shape)}; expected {expected} "
            f"(n, {', '.join(map(str, spec.shape))})."
        )
    if len(images) == 0:
        raise DataError(
            "There are no images to compare the export with the model on.",
            "Every export is proved on real images: make the run's data available again.",
        )
