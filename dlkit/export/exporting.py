"""From a trained technique to a file that is proved to compute the same."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
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
from dlkit.export.verify import MAX_IMAGES, Difference, compare
from dlkit.files import atomic_path
from dlkit.options import Options
from dlkit.technique import Graph, HasGraphs, OutputKind, Technique

INPUT_NAME = "images"
MODEL = "model"
"""The part that takes images: the inference module."""


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


class RawOutput(nn.Module):
    """A graph's module whose pixels leave as files hold them.

    Args:
        module: ``forward(*inputs)`` → a tuple of outputs.
        outputs: name → kind; those that are images are pixels float32 in [0, 1] inside, and uint8 outside.
    """

    def __init__(self, module: nn.Module, outputs: Mapping[str, OutputKind]) -> None:
        super().__init__()
        self.module = module
        self.images = tuple(kind == "image" for kind in outputs.values())

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Inputs → outputs, with images uint8 ``(B, C, H, W)``, white = 255."""
        outputs = zip(self.module(*inputs), self.images, strict=True)
        return tuple((255 * one.clamp(0, 1)).round().to(torch.uint8) if image else one for one, image in outputs)


def raw_module(technique: Technique[Any], device: torch.device | str = "cpu") -> RawInput:
    """A copy of the technique's inference module on ``device`` that takes raw images.

    Raises:
        PluginError: the module is in training mode, or ``outputs()`` is not usable.
    """
    outputs = technique.outputs()
    check_outputs(outputs)
    return RawInput(_copied(technique.inference_module(), "inference_module()", device), len(outputs)).eval()


def parts_of(technique: Technique[Any]) -> Mapping[str, Graph | None]:
    """What of it can be exported: the first is what is exported where nobody says; None: the inference module."""
    graphs = technique.graphs() if isinstance(technique, HasGraphs) else {}
    return {**graphs, MODEL: None}


def part_module(technique: Technique[Any], part: str) -> nn.Module:
    """What is written of a part: from raw inputs to raw outputs, on the CPU.

    Raises:
        PluginError: as :func:`raw_module`.
    """
    graph = parts_of(technique)[part]
    if graph is None:
        return raw_module(technique)
    check_outputs(graph.outputs)
    return RawOutput(_copied(graph.module, f"graphs()[{part!r}].module", "cpu"), graph.outputs).eval()


def _copied(module: nn.Module, said: str, device: torch.device | str) -> nn.Module:
    if any(part.training for part in module.modules()):
        raise PluginError(f"{said} must be in eval mode: call .eval() on what it returns.")
    return copy.deepcopy(module).to(device)  # a copy, so that a technique on a GPU stays there


@dataclass(frozen=True)
class ExportModel:
    """What a format gets to write.

    Attributes:
        technique: the trained technique.
        options: its options.
        spec: of the data that it was trained on.
        part: the part of it, :data:`MODEL` or one of its graphs.
        outputs: name → kind, in order.
        module: the part on the CPU, from raw inputs to raw outputs.
        examples: name of each input → zeros of its type and shape for two images, to trace with. The part
            :data:`MODEL` has the one input ``images``, raw images ``(2, C, H, W)``.
        metadata: what the file says about itself.
    """

    technique: Technique[Any]
    options: Options
    spec: DataSpec
    part: str
    outputs: Mapping[str, OutputKind]
    module: nn.Module
    examples: Mapping[str, Tensor]
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class ExportReport:
    """A file that was written and found equal to the model.

    Attributes:
        path: the file.
        format: its format's name.
        size: bytes.
        images: how many real images it was compared on; of a part that takes none: how many drawn inputs.
        difference: the largest absolute difference to the model over all outputs; of images as uint8: beyond what
            rounding makes, in [0, 1].
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
    part: str = MODEL

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
            "part": self.part,
        }


def export(
    technique: Technique[Any],
    spec: DataSpec,
    images: Tensor | None,
    *,
    name: str,
    options: Options,
    target: Path,
    format: str | ExportFormat = "onnx",
    part: str = MODEL,
    metadata: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Write a trained technique to ``target``, reload the file and compare it with the model.

    The file appears under its name only after the comparison succeeded.

    Args:
        technique: trained, on any device.
        spec: of its data.
        images: real raw images ``(n, C, H, W)`` as ``spec`` says, to compare on; the first 256 are used. A part that
            takes no images needs none.
        name: the technique's name.
        options: the technique's options.
        target: the file to write; its directory is made where it does not exist.
        format: ``onnx``, ``torch``, ``safetensors`` or a plugin's format.
        part: which part of the technique.
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
    graph = parts_of(technique)[part]
    inputs = {INPUT_NAME: _checked(images, spec)} if graph is None else _drawn(graph)
    outputs = technique.outputs() if graph is None else graph.outputs
    module = part_module(technique, part)
    model = ExportModel(
        technique=technique,
        options=options,
        spec=spec,
        part=part,
        outputs=outputs,
        module=module,
        examples={key: torch.zeros(2, *value.shape[1:], dtype=value.dtype) for key, value in inputs.items()},
        metadata=describe(name, spec, outputs, metadata or {}, None if graph is None else graph.inputs),
    )
    exporter = chosen.load()
    # Of a graph with images, what is compared with is the model before it rounds, see verify.
    reference = module.module if isinstance(module, RawOutput) else module
    with torch.no_grad(), atomic_path(target) as temporary:
        exporter.write(model, temporary)
        found = compare(reference, exporter.reload(model, temporary), [*inputs.values()], outputs, edges(module))
        size = temporary.stat().st_size
    return _report(target, chosen.name, size, found, part)


def check_target(target: Path, *, overwrite: bool) -> None:
    """Refuse a target that exists.

    Raises:
        UsageError: it is a folder, or a file that is not to be overwritten.
    """
    if target.is_dir():
        raise UsageError(f"{str(target)!r} is a folder; the export is one file.", "Choose another name with --out.")
    if target.exists() and not overwrite:
        raise UsageError(f"{str(target)!r} exists.", "Choose another name with --out, or replace it with --overwrite.")


def _report(target: Path, format: str, size: int, found: Difference, part: str) -> ExportReport:
    difference = max(found.by_output.values())
    return ExportReport(target, format, size, found.images, difference, found.by_output, found.edges, part)


def _checked(images: Tensor | None, spec: DataSpec) -> Tensor:
    expected = cast(torch.dtype, getattr(torch, spec.pixel_type))
    if images is None or len(images) == 0:
        raise DataError(
            "There are no images to compare the export with the model on.",
            "Every export is proved on real images: make the run's data available again.",
        )
    if images.ndim != 4 or tuple(images.shape[1:]) != spec.shape or images.dtype != expected:
        raise DataError(
            f"The images to compare on are {images.dtype} {tuple(images.shape)}; expected {expected} "
            f"(n, {', '.join(map(str, spec.shape))})."
        )
    return images.cpu()


def _drawn(graph: Graph) -> dict[str, Tensor]:
    """Inputs to compare a graph on, checked.

    Raises:
        PluginError: they are not what the graph declares.
    """
    drawn: Sequence[Tensor] = graph.draw(MAX_IMAGES, torch.Generator().manual_seed(0))
    for (name, declared), values in zip(graph.inputs.items(), drawn, strict=True):
        expected = (MAX_IMAGES, *declared.shape)
        if tuple(values.shape) != expected or values.dtype != getattr(torch, declared.kind):
            raise PluginError(
                f"The graph's draw() gives {name!r} as {values.dtype} {tuple(values.shape)}; expected {declared.kind} "
                f"{expected}."
            )
    return dict(zip(graph.inputs, drawn, strict=True))
