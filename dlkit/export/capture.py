"""The model as a graph: torch.export with a dynamic batch, quietly, with its errors in our words."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO

import torch
from torch.export import Dim, ExportedProgram

from dlkit.errors import DlkitError
from dlkit.export.exporting import MODEL, ExportModel


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Keep a converter's chatter from the user, and turn what it raises into a DlkitError."""
    disabled = logging.root.manager.disable
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            logging.disable(logging.CRITICAL)
            yield
    except (DlkitError, OSError, MemoryError):
        raise
    except Exception as error:
        raise DlkitError(
            f"The model cannot be {what}: {type(error).__name__}: {_cause(error)}",
            "Its inference_module() does something that a static graph cannot hold (a branch or a loop that depends "
            "on the data, an operation that the format lacks). `--format safetensors` keeps the weights alone; "
            "--debug shows the whole message.",
        ) from error
    finally:
        logging.disable(disabled)


def capture(model: ExportModel) -> ExportedProgram:
    """``model.module`` as a program with a dynamic batch dimension.

    Raises:
        DlkitError: the module cannot be captured.
    """
    with translated("captured as a graph"), torch.no_grad():
        batch = {0: Dim("batch", min=1)}
        shapes = tuple(batch for _ in model.examples)
        program = torch.export.export(
            model.module, (*model.examples.values(),), dynamic_shapes=(shapes,) if model.part != MODEL else shapes
        )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # holds paths of this machine, which the file need not tell
    return program


def _cause(error: BaseException) -> str:
    # torch.onnx wraps what happened in several layers of advice to its own developers.
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])[:400]
