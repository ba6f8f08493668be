"""What a training is shown by: samples over time as a GIF, the game's course, copies first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dlkit_builtin.gan.cgan import Cgan
from dlkit_builtin.gan.conditions import KEPT, Conditions
from dlkit_builtin.gan.course import course
from dlkit_builtin.gan.options import CganOptions, GanOptions
from dlkit_builtin.gan.pictures import columns_told, pictures, rows_told
from dlkit_builtin.gan.snapshots import write_over_time
from PIL import Image, ImageSequence

import dlkit
from dlkit.cli.main import main
from dlkit.data.spec import DataSpec


def test_a_frame_for_each_moment(tmp_path: Path) -> None:
    moments = {epoch: torch.full((16, 3, 5, 7), level) for epoch, level in ((1, 0.0), (4, 0.5), (9, 1.0))}
    write_over_time(moments, tmp_path / "time.gif")
    with Image.open(tmp_path / "time.gif") as gif:
        frames = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(gif)]
        assert gif.info["loop"] == 0
    assert [float(frame[0, 0]) for frame in frames] == pytest.approx([0, 127.5, 255], abs=1)
    assert frames[0].shape[1] / frames[0].shape[0] == 8 / 6  # a pixel between images
    assert frames[0][-1, -1] == pytest.approx(127.5, abs=1)
    write_over_time({}, tmp_path / "none.gif")
    assert not (tmp_path / "none.gif").exists()


def test_the_course_shows_what_was_recorded() -> None:
    rows: list[dict[str, Any]] = [
        {"epoch": epoch, "train_discriminator_loss": 1.0, "train_generator_loss": 0.5 * epoch, "train_d_genuine": 0.1,
         "train_d_generated": "nan", "val_diversity": 0.9}
        for epoch in (1, 2, 3)
    ]  # fmt: skip
    losses, outputs, diversity = course(rows).axes
    lines = {line.get_label(): list(line.get_ydata()) for line in (*losses.lines, *outputs.lines, *diversity.lines)}
    assert lines["generator"] == [0.5, 1.0, 1.5]
    assert lines["discriminator"] == [1, 1, 1]
    assert lines["samples"] == [0.9] * 3
    assert np.isnan(lines["D(G(z)), generated"]).all()


@pytest.mark.parametrize("name", ["gan", "cgan"])
def test_the_pictures_of_a_run(
    name: str, shapes_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [name, "--data", str(shapes_npz), "--net", "mlp", "--width", "4", "--latent", "3", "--epochs", "3"]
    shown: list[Any] = []

    def recorded(technique: Any, data: Any, runtime: Any) -> list[Any]:
        shown.extend(pictures(technique, data, runtime))
        return []

    monkeypatch.setattr("dlkit_builtin.gan.pictures.pictures", recorded)
    assert main([*words, "--threads", "1", "--quiet", "--features", "pixels", "--runs", str(tmp_path)]) == 0
    assert [picture.name for picture in shown] == ["generated", "over-time", "game", "walk", "nearest"]
    run = dlkit.load("latest", runs=tmp_path).run
    for told in (capsys.readouterr().err, (run.path / "report.html").read_text()):
        assert "FID and the other distances are of 32 images of each" in told
    with Image.open(run.path / "samples" / "over-time.gif") as gif:
        assert gif.n_frames == 3
    assert isinstance(run.settings.options, CganOptions if name == "cgan" else GanOptions)
    texts = {each.name: [text.get_text() for text in each.figure.axes[0].texts] for each in shown if each.figure.axes}
    epochs = [f"epoch {epoch}" for epoch in (1, 2, 3)]
    if name == "gan":
        assert (texts["over-time"], texts["walk"]) == (epochs, [""] * 4)
    else:  # three classes, again and again
        names = ["down", "across", "square"]
        assert texts["over-time"] == [*epochs, *(names[place % 3] for place in range(16))]
        assert texts["walk"] == [*names, "down"]


@pytest.mark.parametrize(
    ("target", "labels", "titles", "row"),
    [
        ("classes", [2, 0], ["two of man…", "nought"], "two of many words"),
        ("multi-label", [[1, 0, 1], [0, 0, 0]], ["nought\ntwo of man…", "none"], "nought, two of many words"),
        ("number", [[1.5, 0, 2000], [0, 0, 0]],
         ["nought 1.5\none 0\ntwo of man…", "nought 0\none 0\ntwo of man…"], "nought 1.5, one 0, two of m…"),
    ],
)  # fmt: skip
def test_what_examples_are_told(
    target: Any, labels: list[Any], titles: list[str], row: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = DataSpec(source="", name="", channels=1, height=8, width=8, target=target,
                    classes=("nought", "one", "two of many words"))  # fmt: skip
    technique = Cgan(CganOptions(net="mlp", width=4, latent=2), spec)
    monkeypatch.setattr(technique.conditions, "examples", lambda count: torch.tensor(labels)[:count])
    assert columns_told(technique, 2) == titles
    assert rows_told(technique, 1) == [row]


def test_examples_are_spread_however_few() -> None:
    """Sorted by a number, as data often is, sixteen of the images shown have numbers from all over."""
    spec = DataSpec(source="", name="", channels=1, height=8, width=8, target="number", classes=("size",))
    conditions = Conditions(spec)
    conditions.kept = torch.arange(KEPT)[:, None] / KEPT
    few, all_of_them = conditions.examples(16)[:, 0], conditions.examples(KEPT)[:, 0]
    assert torch.equal(few, all_of_them[:16])
    assert len(set(all_of_them.tolist())) == KEPT
    assert float(few.sort().values.diff().max()) < 2 / 16
