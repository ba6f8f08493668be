"""The watch over what code writes, where it is removed, and where it is temporary."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

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


def test_temporary_files_count_where_they_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("own", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    with watching([], tmp_path / "own") as seen:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "file").write_text("1")
        (tmp_path / "tmp" / "torchinductor_me").mkdir()
    assert not seen.writes
    with watching([], tmp_path / "own") as seen:
        left = Path(tempfile.mkdtemp())
    assert seen.writes == {str(left)}
