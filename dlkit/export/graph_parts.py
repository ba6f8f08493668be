"""Putting the ONNX graphs of foreign parts (see :mod:`dlkit.export.foreign`) into the graph of a whole model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
from onnx import compose, version_converter

from dlkit.errors import DlkitError
from dlkit.export.foreign import DOMAIN, OPERATOR, Foreign


def put_in(model: onnx.ModelProto, parts: Mapping[str, Foreign], opset: int) -> None:
    """Replace each operator that stands for a part by the part's own graph, in place.

    Raises:
        DlkitError: a part has no such graph, or one that needs a later version of ONNX's operators.
    """
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        if (node.domain, node.op_type) != (DOMAIN, OPERATOR):
            model.graph.node.append(node)
            continue
        mark = next(each.s.decode() for each in node.attribute if each.name == "mark")
        _splice(model, parts[mark].onnx_graph(), node, opset)
    kept = [each for each in model.opset_import if each.domain != DOMAIN]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _splice(model: onnx.ModelProto, part: onnx.ModelProto, node: Any, opset: int) -> None:
    part = _at_version(part, opset)
    # every use of the part has names of its own, also where one part is used twice
    graph = compose.add_prefix_graph(part.graph, prefix=f"{node.output[0]}/")
    _rename(graph.node, {graph.input[0].name: node.input[0], graph.output[0].name: node.output[0]})
    model.graph.node.extend(graph.node)
    model.graph.initializer.extend(graph.initializer)
    versions = {each.domain: each.version for each in model.opset_import}
    for each in part.opset_import:
        if each.domain not in ("", "ai.onnx"):  # what ai.onnx.ml has means the same in its later versions
            versions[each.domain] = max(each.version, versions.get(each.domain, 1))
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in versions.items())


def _at_version(part: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The part with the model's version of ONNX's operators.

    Raises:
        DlkitError: it needs a later one.
    """
    own = max((each.version for each in part.opset_import if each.domain in ("", "ai.onnx")), default=opset)
    if own > opset:
        raise DlkitError(f"A part of the model needs ONNX's operator set {own}; the model has {opset}.")
    return part if own == opset else version_converter.convert_version(part, opset)


def _rename(nodes: Any, names: Mapping[str, str]) -> None:
    for node in nodes:
        for values in (node.input, node.output):
            values[:] = [names.get(name, name) for name in values]
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                _rename(graph.node, names)
