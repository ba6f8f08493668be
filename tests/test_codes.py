"""`encode`: the codes of a run's data, or of other data, in an .npz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dlkit.codes import write_codes
from dlkit.data import load_data
from dlkit.display import Display
from dlkit.errors import DataError, UsageError
from dlkit.options import DataOptions
from dlkit.run import open_run

QUIET = Display(quiet=True)


def test_the_file_holds_the_techniques_codes(trained: Path, shapes_npz: Path, tmp_path: Path) -> None:
    run, target = open_run(str(trained)), tmp_path / "new" / "codes.npz"
    assert write_codes(run, target, QUIET) == {"path": target, "images": 96, "size": 6}
    data = load_data(DataOptions(data=str(shapes_npz)))
    technique = run.load_technique()
    with np.load(target, allow_pickle=False) as codes:
        assert sorted(codes.files) == ["classes", "codes", "labels", "split"]
        assert codes["codes"].dtype == np.float32
        with torch.inference_mode():
            expected = torch.cat([technique.encode(split.pixels()) for split in data.splits])  # type: ignore[attr-defined]
        np.testing.assert_array_equal(codes["codes"], expected.numpy())
        assert codes["split"].tolist() == ["train"] * 64 + ["val"] * 16 + ["test"] * 16
        assert codes["labels"].tolist() == [i % 3 for i in range(96)]
        assert codes["classes"].tolist() == ["down", "across", "square"]
    with pytest.raises(UsageError, match="exists, and nothing is overwritten"):
        write_codes(run, target, QUIET)


def test_other_data_without_labels(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for index in range(3):
        Image.fromarray(np.full((8, 8), 80 * index, dtype=np.uint8)).save(tmp_path / "images" / f"{index}.png")
    run, target = open_run(str(trained)), tmp_path / "codes"
    write_codes(run, target, QUIET, data=str(tmp_path / "images"))
    with np.load(target, allow_pickle=False) as codes:
        assert sorted(codes.files) == ["codes", "files", "split"]
        assert codes["split"].tolist() == ["test"] * 3
        assert [Path(name).name for name in codes["files"]] == ["0.png", "1.png", "2.png"]
        technique = run.load_technique()
        pixels = torch.tensor([0.0, 80.0, 160.0]).div(255).view(3, 1, 1, 1).expand(3, 1, 8, 8)
        with torch.inference_mode():
            expected = technique.encode(pixels)  # type: ignore[attr-defined]
        np.testing.assert_allclose(codes["codes"], expected.numpy(), rtol=1e-5, atol=1e-6)


def test_nothing_is_left_where_data_is_missing(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        write_codes(open_run(str(trained)), tmp_path / "codes.npz", QUIET, data="/nowhere")
    assert list(tmp_path.iterdir()) == []


def test_a_technique_that_does_not_encode_says_so(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mute:
        def inference_module(self) -> torch.nn.Module:
            return torch.nn.Identity()

    run = open_run(str(trained))
    monkeypatch.setattr(run, "load_technique", Mute)
    with pytest.raises(UsageError, match="does not encode"):
        write_codes(run, tmp_path / "codes.npz", QUIET)
