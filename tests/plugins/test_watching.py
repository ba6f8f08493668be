"""The watch over what code writes: folders that are removed through descriptors are known by their paths."""

from __future__ import annotations

import shutil
from pathlib import Path

from dlkit.testing.watch import watching


def test_removed_folders_are_told_by_their_paths(tmp_path: Path) -> None:
    for name in ("own", "other"):
        (tmp_path / name / "below").mkdir(parents=True)
        (tmp_path / name / "below" / "file").write_text("1")
    with watching([tmp_path / "own"], tmp_path) as seen:
        shutil.rmtree(tmp_path / "own" / "below")
    assert not seen.writes
    with watching([tmp_path / "own"], tmp_path) as seen:
        shutil.rmtree(tmp_path / "other" / "below")
    assert str(tmp_path / "other" / "below" / "file") in seen.writes
