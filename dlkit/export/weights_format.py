"""The format ``safetensors``: what was learned, with all that dlkit needs to load it again.

The header's metadata holds what every export says about itself, ``plain`` (the state's plain part, JSON)
and the spec with its normalisation, since there is no graph to hold it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dlkit.data.spec import DataSpec
from dlkit.errors import DataError
from dlkit.export.exporting import ExportModel, part_module
from dlkit.technique import State


def write(model: ExportModel, path: Path) -> None:
    """Save ``technique.state()``.

    Raises:
        DlkitError: the file cannot be written.
    """
    state = model.technique.state()
    # Clones, since safetensors refuses tensors that share memory, which tied weights do.
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in state.tensors.items()
    }
    metadata = {
        **model.metadata,
        "spec": json.dumps(replace(model.spec, source=model.spec.name).to_json(), allow_nan=False),
        "plain": json.dumps(dict(state.plain), allow_nan=False),
    }
    path.write_bytes(save(tensors, metadata))  # save_file would make a file that only its owner can read


def reload(model: ExportModel, path: Path) -> Callable[..., Sequence[Tensor]]:
    """A second technique, built from the file."""
    state, spec, _ = read_weights(path)
    module = part_module(type(model.technique).load(state, model.options, spec), model.part)

    def run(*inputs: Tensor) -> Sequence[Tensor]:
        outputs: Sequence[Tensor] = module(*inputs)
        return outputs

    return run


def read_weights(path: Path) -> tuple[State, DataSpec, Mapping[str, str]]:
    """What an exported ``.safetensors`` file holds: the state, the data's spec and all metadata.

    Raises:
        DataError: the file is missing, broken, or was not exported by dlkit.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is not a mapping
        spec = DataSpec.from_json(json.loads(metadata["spec"]))
        return State(tensors, json.loads(metadata["plain"])), spec, metadata
    except (OSError, SafetensorError) as error:
        raise DataError(f"Cannot read {str(path)!r}: {error}.") from error
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"{str(path)!r} was not exported by dlkit: its metadata lacks or garbles {error}.",
            "Make one with `dlkit export RUN --format safetensors`.",
        ) from error
