"""The formats that a trained model can be exported to; light, for help and validation.

A format's implementation is a module with the two functions of :class:`Exporter`: ``write`` makes the file,
``reload`` opens it again and returns what computes its outputs. The core does the rest: the comparison on
real images, the atomic write, the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from dlkit.errors import PluginError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from dlkit.export.exporting import ExportModel


class Exporter(Protocol):
    """What the implementation of a format provides; a module with these functions does."""

    def write(self, model: ExportModel, path: Path) -> None:
        """Write ``model`` to ``path``, one self-contained file."""
        ...

    def reload(self, model: ExportModel, path: Path) -> Callable[..., Sequence[Tensor]]:
        """Open the file written, independently of ``model``'s tensors.

        Returns:
            A function from the inputs, as ``model.examples`` has them in order (raw images ``(B, C, H, W)``, uint8 or
            float32, where it has none of its own), to the outputs in their order, on the CPU. It works for any
            ``B`` ≥ 1.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class ExportFormat:
    """A format's light card.

    Attributes:
        name: what ``--format`` takes.
        suffix: of the files, with the dot.
        summary: one line for the help.
        implementation: the module that is imported when an export is made.
    """

    name: str
    suffix: str
    summary: str
    implementation: str

    def load(self) -> Exporter:
        """Import the implementation (heavy).

        Raises:
            PluginError: it cannot be imported.
        """
        try:
            return cast(Exporter, import_module(self.implementation))
        except Exception as error:
            raise PluginError(
                f"Export format {self.name!r}: its implementation {self.implementation!r} cannot be imported: "
                f"{type(error).__name__}: {error}",
                "Reinstall or update the package that ships it, or report this to its authors.",
            ) from error


BUILTIN_FORMATS = (
    ExportFormat(
        name="onnx",
        suffix=".onnx",
        summary="ONNX graph, pre-processing inside, for onnxruntime and `dlkit predict`.",
        implementation="dlkit.export.onnx_format",
    ),
    ExportFormat(
        name="torch",
        suffix=".pt2",
        summary="PyTorch program (torch.export), pre-processing inside, for PyTorch without dlkit.",
        implementation="dlkit.export.program_format",
    ),
    ExportFormat(
        name="safetensors",
        suffix=".safetensors",
        summary="The weights alone, with what dlkit needs to load them again.",
        implementation="dlkit.export.weights_format",
    ),
)


def find_format(name: str, formats: Iterable[ExportFormat] = BUILTIN_FORMATS) -> ExportFormat:
    """The format of that name.

    Raises:
        UsageError: there is none.
    """
    known = {each.name: each for each in formats}
    if name not in known:
        raise UsageError(f"Unknown export format {name!r}; expected one of {', '.join(known)}.")
    return known[name]


def choose_format(
    name: str | None, target: Path | None, formats: Iterable[ExportFormat] = BUILTIN_FORMATS
) -> ExportFormat:
    """The format of that name; without a name the one whose suffix ``target`` has, or ONNX.

    Raises:
        UsageError: there is no such format, or ``target`` has the suffix of another one.
    """
    known = list(formats)
    of_suffix = next((each for each in known if target is not None and target.suffix.lower() == each.suffix), None)
    chosen = of_suffix if name is None and of_suffix is not None else find_format(name or "onnx", known)
    if of_suffix is not None and of_suffix is not chosen:
        raise UsageError(
            f"{str(target)!r} has the suffix of the format {of_suffix.name}, not of {chosen.name}.",
            f"Say --format {of_suffix.name}, or name the file *{chosen.suffix}.",
        )
    return chosen
