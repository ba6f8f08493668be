"""Estimators as bytes without pickle: skops, of which only known types are loaded."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dlkit.errors import DataError
from dlkit.trust import TRUST, trusted_names

_KNOWN = frozenset(
    {
        "sklearn.tree._tree.Tree",  # its indices are checked below: its C code would follow them anywhere
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    }
)
"""Types that scikit-learn's estimators hold and that skops leaves to its users to trust."""


def seal(estimator: Any) -> tuple[Tensor, list[str]]:
    """A fitted estimator as uint8 ``(N,)``, and the types in it that :func:`unseal` does not load unasked."""
    from skops import io

    content = io.dumps(estimator)
    return torch.frombuffer(bytearray(content), dtype=torch.uint8), _untrusted(content)


def unseal(sealed: Tensor) -> Any:
    """The estimator again. Nothing in the bytes is executed, and no type is imported that is not known.

    Raises:
        DataError: the bytes are damaged, or hold a type that is not known.
    """
    from skops import io

    content = sealed.cpu().numpy().tobytes()
    try:
        _check_size(content)
        unknown = _untrusted(content)
        if not unknown:
            estimator = io.loads(content, trusted=io.get_untrusted_types(data=content))
            _check_trees(estimator)
            return estimator
    except Exception as error:  # a damaged file breaks skops in many ways
        raise DataError(
            f"The estimator in the model cannot be read: {type(error).__name__}: {error}",
            "Was it made by a much older or newer scikit-learn? Then train again, or install that version.",
        ) from error
    raise DataError(
        f"The estimator in the model holds types that dlkit does not know: {', '.join(unknown)}.",
        f"If you trust who made the model and these packages, set {TRUST}={','.join(unknown)}.",
    )


def _untrusted(content: bytes) -> list[str]:
    from skops import io

    return sorted(set(io.get_untrusted_types(data=content)) - _KNOWN - trusted_names())


def _check_size(content: bytes) -> None:
    """Refuse an archive that unpacks to far more than it is: skops compresses nothing, a bomb does.

    Raises:
        ValueError: this one does.
    """
    with zipfile.ZipFile(BytesIO(content)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > 2 * len(content):
        raise ValueError(f"it unpacks to {size / 2**20:,.1f} MiB")


def _check_trees(estimator: Any) -> None:
    """Refuse trees whose nodes point out of the tree or of the features.

    Raises:
        ValueError: there is one.
    """
    for tree in _trees(estimator, set()):
        nodes = tree.__getstate__()["nodes"]
        inner = nodes["left_child"] != -1
        inside = (nodes["right_child"] > 0) & (nodes["left_child"] > 0) & (nodes["feature"] >= 0)
        inside &= np.maximum(nodes["left_child"], nodes["right_child"]) < tree.node_count
        inside &= nodes["feature"] < tree.n_features
        deeper = np.minimum(nodes["left_child"], nodes["right_child"]) > np.arange(len(nodes))  # so that it ends
        if len(nodes) != tree.node_count or not (inside & deeper)[inner].all():
            raise ValueError("a tree's nodes point out of it")


def _trees(value: Any, seen: set[int]) -> Iterator[Any]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if type(value).__name__ == "Tree" and type(value).__module__ == "sklearn.tree._tree":
        yield value
    elif isinstance(value, np.ndarray):
        for item in value.ravel() if value.dtype == object else ():
            yield from _trees(item, seen)
    elif isinstance(value, (list, tuple, set, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _trees(item, seen)
    elif hasattr(value, "__dict__"):
        yield from _trees(vars(value), seen)
