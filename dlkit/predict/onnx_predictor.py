"""An exported ONNX file as a predictor; the file may come from a stranger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from torch import Tensor

from dlkit.errors import DataError
from dlkit.export.exporting import INPUT_NAME
from dlkit.export.metadata import parse
from dlkit.export.onnx_format import session
from dlkit.opening import regular_file
from dlkit.predict.predictors import Arrays

_MOST_BYTES = 1 << 31  # of one protobuf message
_ELEMENT = {"uint8": onnx.TensorProto.UINT8, "float32": onnx.TensorProto.FLOAT}


class OnnxPredictor:
    """An ONNX file that `dlkit export` wrote, run by onnxruntime on the CPU.

    The file is data: no custom operator library is loaded and no file beside it is read. What it computes is
    nonetheless its maker's choice, and so are the time and the memory that it takes.

    Args:
        path: the file.
        threads: 0 lets onnxruntime choose.

    Raises:
        DataError: the file is missing, broken, or was not exported by dlkit.
    """

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        self._path = path
        content = _read(path)
        model = _parse_graph(content, path)
        self.technique, self.spec, self.outputs = _description(model, path)
        _check_signature(model, path, self.spec.pixel_type, self.spec.shape)
        try:
            self._session: Any = session(content, threads)
        except Exception as error:  # onnxruntime's own exceptions have no common base but this
            raise DataError(f"onnxruntime cannot load {str(path)!r}: {_one_line(error)}") from error
        declared = [each.name for each in self._session.get_outputs()]
        if declared != list(self.outputs):
            raise DataError(f"{str(path)!r} has the outputs {declared}, its metadata says {list(self.outputs)}.")

    def predict(self, images: Tensor) -> Arrays:
        """See :class:`dlkit.predict.Predictor`.

        Raises:
            DataError: the graph fails on these images, or returns something else than it declares.
        """
        try:
            arrays = self._session.run(list(self.outputs), {INPUT_NAME: images.numpy()})
        except Exception as error:
            raise DataError(f"{str(self._path)!r} fails on {len(images)} images: {_one_line(error)}") from error
        for name, array in zip(self.outputs, arrays, strict=True):
            if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.shape[:1] != (len(images),):
                raise DataError(f"{str(self._path)!r}: output {name!r} is not one row of numbers for each image.")
        return dict(zip(self.outputs, arrays, strict=True))


def _read(path: Path) -> bytes:
    try:
        with regular_file(path, _MOST_BYTES) as stream:
            return stream.read()
    except OSError as error:
        raise DataError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
    except ValueError as error:
        raise DataError(f"Cannot read {str(path)!r}: {error}.") from error


def _parse_graph(content: bytes, path: Path) -> Any:
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's DecodeError, whose home moves between its versions
        raise DataError(
            f"{str(path)!r} is not an ONNX model: {_one_line(error)}", "Is it complete? Export it again."
        ) from error
    if not model.graph.input or not model.graph.output:
        raise DataError(f"{str(path)!r} is not an ONNX model: it has no graph.", "Is it complete? Export it again.")
    parts = [*_tensors(model.graph.initializer, model.graph.node)]
    parts += [tensor for function in model.functions for tensor in _tensors((), function.node)]
    if model.graph.sparse_initializer or any(each.data_location == onnx.TensorProto.EXTERNAL for each in parts):
        raise DataError(
            f"{str(path)!r} keeps weights in another file or in a sparse form, which dlkit does not open.",
            "`dlkit export` writes one file.",
        )
    return model


def _tensors(initializers: Iterable[Any], nodes: Iterable[Any]) -> Iterator[Any]:
    """Every tensor that a graph holds, also those in the branches and loops of its nodes."""
    yield from initializers
    for attribute in (each for node in nodes for each in node.attribute):
        yield from (attribute.t, *attribute.tensors, *(part.values for part in attribute.sparse_tensors))
        for graph in (attribute.g, *attribute.graphs):
            yield from _tensors(graph.initializer, graph.node)


def _description(model: Any, path: Path) -> tuple[str, Any, Any]:
    found = parse({each.key: each.value for each in model.metadata_props}, str(path))
    return found.technique, found.spec, found.outputs


def _check_signature(model: Any, path: Path, pixel_type: str, shape: tuple[int, int, int]) -> None:
    inputs = model.graph.input
    dims = [dim.dim_value or None for dim in inputs[0].type.tensor_type.shape.dim]
    fits = inputs[0].name == INPUT_NAME and inputs[0].type.tensor_type.elem_type == _ELEMENT[pixel_type]
    if len(inputs) != 1 or not fits or dims != [None, *shape]:
        raise DataError(
            f"The graph of {str(path)!r} does not take what its metadata says: {pixel_type} images "
            f"(batch, {', '.join(map(str, shape))}).",
            "Export the model again with `dlkit export RUN --format onnx`.",
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
