"""Rows of predictions: the best of many classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dlkit.predict.tables import Rows

PATHS = [Path("a.png"), Path("b.png")]


def test_the_best_of_many_classes() -> None:
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(1000), 2).astype(np.float32)
    names = [f"class {number}" for number in range(1000)]
    rows = Rows({"probabilities": "probabilities"}, names, 5)
    for row, values in zip(rows.rows(PATHS, {"probabilities": probabilities}), probabilities, strict=True):
        best = np.argsort(-values)[:5]
        assert [each["class"] for each in row["probabilities"]] == [names[place] for place in best]
        assert [np.float32(each["probability"]) for each in row["probabilities"]] == list(values[best])
        cells = rows.cells(row)
        assert list(cells) == ["file", *(f"{word}{rank}" for rank in ("", "_2", "_3", "_4", "_5") for word in ("class", "probability"))]  # noqa: E501  # fmt: skip
