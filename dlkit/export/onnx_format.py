"""The format ``onnx``: one file that onnxruntime runs, here or anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor

from dlkit.errors import DlkitError
from dlkit.export.capture import capture, translated
from dlkit.export.exporting import ExportModel
from dlkit.export.foreign import mark_parts
from dlkit.export.graph_parts import put_in

OPSET = 18
"""torch's own choice for its exporter, which needs no conversion; onnxruntime has it since 1.14 (2023)."""

_LIMIT = 2**31 - 1  # a protobuf cannot be larger


def write(model: ExportModel, path: Path) -> None:
    """Convert the captured module to ONNX, one file without external data.

    Raises:
        DlkitError: an operation has no ONNX counterpart, or the model is beyond protobuf's 2 GB.
    """
    size = sum(each.nbytes for each in (*model.module.parameters(), *model.module.buffers()))
    if size >= _LIMIT:
        raise DlkitError(
            f"The model's weights take {size / 2**30:.1f} GiB; one ONNX file holds less than 2 GiB.",
            "Use `--format torch` or `--format safetensors`.",
        )
    parts = mark_parts(model.module)
    program = capture(model)
    with translated("converted to ONNX"):
        converted = torch.onnx.export(
            program,
            (*model.examples.values(),),
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=list(model.examples),
            output_names=list(model.outputs),
            verbose=False,
        )
        if converted is None:
            raise RuntimeError("torch.onnx.export returned nothing")
        proto = converted.model_proto
        if parts:
            put_in(proto, parts, OPSET)
        _tidy(proto)
        onnx.helper.set_model_props(proto, dict(model.metadata))
        onnx.checker.check_model(proto, full_check=True)
    path.write_bytes(proto.SerializeToString())


def reload(model: ExportModel, path: Path) -> Callable[..., Sequence[Tensor]]:
    """The file in onnxruntime."""
    names = list(model.outputs)
    with translated("loaded by onnxruntime"):
        opened = session(path.read_bytes(), torch.get_num_threads())

    def run(*inputs: Tensor) -> Sequence[Tensor]:
        given = {name: values.numpy() for name, values in zip(model.examples, inputs, strict=True)}
        return [torch.from_numpy(array) for array in opened.run(names, given)]

    return run


def session(model: bytes, threads: int = 0) -> Any:
    """An onnxruntime session on the CPU.

    Args:
        model: the serialised graph. Bytes, not a path, so that no file beside it is ever opened.
        threads: 0 lets onnxruntime choose.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # its warnings are about its own optimisations; errors are raised
    # Its threads would spin between calls and take the cores from torch in the same process.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _tidy(proto: Any) -> None:
    """Name the batch dimension, and drop what torch notes for its developers (names of this machine's code)."""
    graph = proto.graph
    symbol = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*graph.input, *graph.output, *graph.value_info):
        del value.metadata_props[:]
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param == symbol:
                dim.dim_param = "batch"
    for part in (graph, *graph.node, *graph.initializer, *proto.functions):
        del part.metadata_props[:]
    for node in graph.node:
        node.doc_string = ""
