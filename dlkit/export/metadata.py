"""What an exported file says about itself: written by `dlkit export`, read by `dlkit predict`; light.

All values are strings, since ONNX and safetensors hold nothing else: ``dlkit_version``, ``technique`` (its
name), ``spec`` (the :class:`DataSpec` as JSON), ``outputs`` (name → kind, JSON, in order); and, where the graph takes
no images, ``inputs`` (name → kind, shape of one without the batch, what it means; JSON, in order).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import dlkit
from dlkit.data.spec import DataSpec, Normalization
from dlkit.errors import DataError, PluginError

if TYPE_CHECKING:
    from dlkit.technique import GraphInput, OutputKind

OUTPUT_KINDS = ("image", "code", "probabilities", "scores", "numbers", "values")
"""The values of :data:`dlkit.technique.OutputKind`, which lives in a heavy module."""

KEYS = ("dlkit_version", "technique", "spec", "outputs")
INPUTS = "inputs"

_OUTPUT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Description:
    """An exported model's description, as read back.

    Attributes:
        version: the dlkit that wrote it.
        technique: the technique's name.
        spec: of the images that it takes; without the normalisation, which is inside the graph.
        outputs: name → kind, in the graph's order.
    """

    version: str
    technique: str
    spec: DataSpec
    outputs: Mapping[str, OutputKind]


def describe(
    name: str,
    spec: DataSpec,
    outputs: Mapping[str, OutputKind],
    extra: Mapping[str, str],
    inputs: Mapping[str, GraphInput] | None = None,
) -> dict[str, str]:
    """The metadata of an export.

    The normalisation's arrays are left out, since the graph holds them, and so is the path of the data, since
    a file that is handed on should not tell where its maker keeps things.

    Raises:
        ValueError: ``extra`` uses one of :data:`KEYS`.
    """
    if reserved := set(extra) & {*KEYS, INPUTS}:
        raise ValueError(f"metadata keys {sorted(reserved)} are dlkit's own")
    taken = {} if inputs is None else {INPUTS: json.dumps({key: asdict(each) for key, each in inputs.items()})}
    portable = replace(spec, normalization=Normalization(), source=spec.name)
    return {
        **extra,
        "dlkit_version": dlkit.__version__,
        "technique": name,
        "spec": json.dumps(portable.to_json(), allow_nan=False),
        "outputs": json.dumps(dict(outputs)),
        **taken,
    }


def check_outputs(outputs: Mapping[str, OutputKind]) -> None:
    """Output names become graph names, column names and parts of file names, so they must be plain.

    Raises:
        PluginError: there is none, or a name or kind is not allowed.
    """
    problem = _outputs_problem(outputs)
    if problem:
        raise PluginError(f"The technique's outputs() cannot be exported: {problem}.")


def parse(metadata: Mapping[str, str], source: str) -> Description:
    """Read the metadata of a file that may come from anyone.

    Args:
        metadata: as :func:`describe` made it.
        source: the file's name, for messages.

    Raises:
        DataError: a key is missing or what it says makes no sense.
    """
    missing = [key for key in KEYS if key not in metadata]
    if missing:
        raise DataError(
            f"{source!r} was not exported by dlkit: its metadata lacks {', '.join(missing)}.",
            "Make one with `dlkit export RUN --format onnx`.",
        )
    if INPUTS in metadata:
        raise DataError(
            f"{source!r} takes no images but {', '.join(_names(metadata[INPUTS]))}.",
            "It is a generator: use `dlkit generate RUN`, or ONNX Runtime as docs/commands/export.md shows.",
        )
    try:
        spec = DataSpec.from_json(json.loads(metadata["spec"]))
        outputs = dict(json.loads(metadata["outputs"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _broken(metadata, source, f"{type(error).__name__}: {error}") from error
    problem = _outputs_problem(outputs)
    if problem:
        raise _broken(metadata, source, problem)
    return Description(metadata["dlkit_version"], metadata["technique"], spec, outputs)


def _names(inputs: str) -> list[str]:
    try:
        found = json.loads(inputs)
    except (ValueError, RecursionError):
        found = {}
    return [str(name)[:40] for name in found][:8] if isinstance(found, dict) and found else ["something else"]


def _broken(metadata: Mapping[str, str], source: str, problem: str) -> DataError:
    return DataError(
        f"The metadata of {source!r} cannot be understood ({problem[:200]}).",
        f"It says it was written by dlkit {metadata['dlkit_version'][:40]!r}; this is {dlkit.__version__}.",
    )


def _outputs_problem(outputs: Mapping[Any, Any]) -> str:
    if not outputs:
        return "there are none"
    for name, kind in outputs.items():
        if not (isinstance(name, str) and _OUTPUT_NAME.fullmatch(name)):
            return f"the output name {name!r} is not made of letters, digits, _ and -"
        if kind not in OUTPUT_KINDS:
            return f"output {name!r} is of the kind {kind!r}, expected one of {', '.join(OUTPUT_KINDS)}"
    return ""
