"""The format ``torch``: a torch.export program (.pt2), for PyTorch without dlkit.

Loading such a file is not safe where it comes from a stranger: ``torch.export.load`` unpickles its example
inputs (``weights_only=True`` first, but when that fails ``weights_only=False``), opaque constants, and weights
that say they are pickled, and gives its symbolic shapes to ``sympy.sympify``, which evaluates them (read in torch
2.14; that an altered example input executes was tried). So dlkit loads only what it has just written itself.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from dlkit.errors import UsageError
from dlkit.export.capture import capture, translated
from dlkit.export.exporting import ExportModel
from dlkit.export.foreign import foreign_parts


def write(model: ExportModel, path: Path) -> None:
    """Save the captured module, with the metadata as extra files.

    Raises:
        DlkitError: the module cannot be captured or saved.
    """
    if foreign_parts(model.module):
        raise UsageError(
            "The model has a part that is no torch module (an estimator of scikit-learn), which a torch program "
            "cannot hold.",
            "Export it with --format onnx. Linear estimators (softmax, linear-svm, ridge, lda) fit into every format.",
        )
    program = capture(model)
    # In memory: given a path, torch would insist on its suffix and name the archive's folder after it; given a file
    # on a full disk, its writer ends the process.
    buffer = io.BytesIO()
    with translated("saved as a torch.export program"):
        torch.export.save(program, buffer, extra_files=dict(model.metadata))
    path.write_bytes(buffer.getbuffer())


def reload(model: ExportModel, path: Path) -> Callable[..., Sequence[Tensor]]:  # noqa: ARG001 - a format's interface
    """Load the file that :func:`write` has just written (see the module's docstring)."""
    with translated("loaded again"), path.open("rb") as file:
        module = torch.export.load(file).module()
    return lambda *inputs: tuple(module(*inputs))
