"""What the contract's checks need before an ensemble can be tried out: two runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import dlkit


def two_small_runs(data: str, runs: Path) -> Mapping[str, object]:
    """Train two small classifiers on the data, and name them as members."""
    made = [
        dlkit.train("classifier", net="mlp", data=data, epochs=2, seed=seed, runs=runs, threads=1) for seed in (0, 1)
    ]
    return {"members": [str(model.run.path) for model in made]}
