"""`dlkit augment`: what is written, what the manifest says of it, and what another process can go on with."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dlkit.augment import Draws, Policy, Scenes, apply
from dlkit.augment.cards import augmenters
from dlkit.augment.training import with_copies
from dlkit.cli.main import main
from dlkit.data import load_data
from dlkit.data.data import to_pixels
from dlkit.options import DataOptions, RuntimeOptions
from dlkit.runtime import Runtime

POLICY = "rotate:20 noise:gaussian:0.1@0.5"


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def enlarged(data: object, out: Path, *words: str, policy: str = POLICY) -> Path:
    assert main(["augment", str(data), "--augment", policy, "--out", str(out), "--quiet", *words]) == 0
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*")) if path.is_file()}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photographs of different sizes in two classes, without splits; two of them of one name."""
    random = np.random.default_rng(0)
    for number in range(20):
        folder = tmp_path / "photos" / ("cat" if number % 2 else "dog") / ("old" if number < 2 else "new")
        folder.mkdir(parents=True, exist_ok=True)
        size = (20, 24, 3) if number % 3 else (16, 30, 3)
        name = "same.png" if number in (1, 3) else f"{number}.png"
        Image.fromarray(random.integers(0, 256, size, dtype=np.uint8)).save(folder / name)
    return tmp_path / "photos"


def test_classes_that_a_spreadsheet_would_compute(photos: Path, tmp_path: Path) -> None:
    """They were written as they are called: opening the manifest ran them. Read again they are what they were."""
    names = ("=HYPERLINK(1)", "@SUM(1)")
    for old, new in zip(("cat", "dog"), names, strict=True):
        (photos / old).rename(photos / new)
    folder = enlarged(photos, tmp_path / "larger", "--copies", "1")
    assert {row["label"] for row in rows(folder)} == {f"'{name}" for name in names}
    assert (
        load_data(DataOptions(data=str(folder))).spec.classes == load_data(DataOptions(data=str(photos))).spec.classes
    )


def test_train_images_are_copied_and_everything_else_stays(photos: Path, tmp_path: Path) -> None:
    before = contents(photos)
    folder = enlarged(photos, tmp_path / "larger", "--copies", "3")
    assert contents(photos) == before
    plain, larger = load_data(DataOptions(data=str(photos))), load_data(DataOptions(data=str(folder)))
    assert larger.spec.classes == plain.spec.classes
    assert dict(larger.spec.counts) == {**plain.spec.counts, "train": 4 * plain.spec.counts["train"]}
    for one, other in ((plain.val, larger.val), (plain.test, larger.test)):
        assert torch.equal(one.tensor, other.tensor)
        assert one.labels is not None
        assert other.labels is not None
        assert torch.equal(one.labels, other.labels)
    written = rows(folder)
    assert {row["split"] for row in written if row["origin"] == "augmented"} == {"train"}
    assert all((folder / row["image_path"]).is_file() for row in written)
    originals = [row for row in written if row["origin"] == "original"]
    assert all((folder / row["image_path"]).read_bytes() == Path(row["source"]).read_bytes() for row in originals)


def test_the_manifest_tells_how_a_file_is_made_again(photos: Path, tmp_path: Path) -> None:
    folder = enlarged(photos, tmp_path / "larger", "--copies", "2", "--seed", "3")
    for row in (row for row in rows(folder) if row["origin"] == "augmented"):
        image = torch.from_numpy(np.array(Image.open(row["source"]))).permute(2, 0, 1)[None]
        made = apply(Policy.parse(POLICY), Scenes(to_pixels(image)), Draws(torch.tensor([int(row["seed"])]))).images
        kept = np.array(Image.open(folder / row["image_path"]))
        assert np.array_equal(made[0].mul(255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy(), kept)
        told = dict(zip(row["operations"].split(), json.loads(row["parameters"]), strict=True))
        assert -20 <= told["rotate"]["angle"] <= 20
        assert told.get("noise:gaussian", {"std": 0.1}) == {"std": 0.1}


def test_files_are_the_copies_that_training_makes(shapes_npz: Path, tmp_path: Path) -> None:
    folder = enlarged(shapes_npz, tmp_path / "larger", "--copies", "2")
    data = load_data(DataOptions(data=str(shapes_npz)))
    copied = with_copies(data.train, data.spec, Policy.parse(POLICY), 2, Runtime(RuntimeOptions(device="cpu")))
    expected = copied.raw().reshape(3, 64, 1, 8, 8)
    files = [row["image_path"] for row in rows(folder) if row["split"] == "train"]
    found = np.stack([np.array(Image.open(folder / file)) for file in files]).reshape(64, 3, 1, 8, 8)
    assert np.array_equal(found.swapaxes(0, 1), expected.numpy())


def test_what_was_stopped_goes_on_to_the_same_files(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from dlkit.enlarge.folder import Folder

    whole = enlarged(photos, tmp_path / "whole")
    part, note, left = tmp_path / "part", Folder.note, [3]

    def stopped(self: Folder, noted: Any) -> None:
        note(self, noted)
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(Folder, "note", stopped)
    assert main(["augment", str(photos), "--augment", POLICY, "--out", str(part)]) == 130
    assert not (part / "manifest.csv").exists()
    journal = part / ".journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-4])  # a machine that fell: half a line, and a file cut off
    file = json.loads(journal.read_bytes().split(b"\n")[0])["file"]
    (part / file).write_bytes(b"half")
    monkeypatch.setattr(Folder, "note", note)
    enlarged(photos, part)
    assert contents(part) == contents(whole)
    capsys.readouterr()
    enlarged(photos, part)
    assert capsys.readouterr().out.startswith(f"Everything is there already, in {part}: ")
    assert contents(part) == contents(whole)


def test_another_command_is_refused(photos: Path, tmp_path: Path, capsys: Any) -> None:
    folder = enlarged(photos, tmp_path / "larger", "--copies", "1")
    before = contents(folder)
    for words in (["--copies", "2"], ["--copies", "1", "--seed", "1"]):
        assert main(["augment", str(photos), "--augment", POLICY, "--out", str(folder), *words]) == 2
        assert "was made otherwise" in capsys.readouterr().err
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["DATA", "--out", "new"], "Nothing says what is to be added"),
        (["DATA", "--augment", "flip"], "--out DIR"),
        (["DATA", "--augment", "flp", "--out", "new"], "^^^"),
        (["DATA", "--augment", "flip", "--out", "DATA/new"], "lies within"),
        (["DATA", "--augment", "flip", "--out", "full"], "nothing is overwritten"),
        (["DATA", "--augment", "flip", "--per-class", "3", "--out", "new"], "--from RUN"),
        (["DATA", "--copies", "3", "--out", "new"], "add --augment"),
        (["--augment", "flip", "--out", "new"], "There is no DATA"),
        (["DATA", "--preview", "--from", "latest"], "--from has no meaning there"),
        (["DATA", "--preview", "--augment", "flip", "--from", "latest"], "--from has no meaning there"),
        (["--gallery", "--image-size", "32"], "--image-size has no meaning there"),
        (["--gallery", "-n", "3"], "-n has no meaning there"),
        (["nothing-here", "--augment", "flip", "--out", "new"], "neither a data set's name"),
    ],
)
def test_what_does_not_fit_is_told(
    words: list[str], said: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    assert main(["augment", *(word.replace("DATA", str(photos)) for word in words)]) in (2, 3)
    assert said in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert contents(tmp_path / "full") == {"mine.txt": b"mine"}


def test_broken_images_stop_it_or_are_left_out(photos: Path, tmp_path: Path, capsys: Any) -> None:
    whole = sorted((photos / "cat" / "new").glob("*.png"))[2]
    whole.write_bytes(whole.read_bytes()[:-200])  # its header can be read
    (photos / "dog" / "new" / "none.png").write_bytes(b"no image")
    words = ["augment", str(photos), "--augment", "flip", "--copies", "1", "--out", str(tmp_path / "larger")]
    assert main(words) == 3
    assert "none.png" in capsys.readouterr().err
    assert main([*words, "--on-bad-image", "skip"]) == 0
    assert "none.png" in capsys.readouterr().err
    assert not any("none" in row["image_path"] for row in rows(tmp_path / "larger"))


def test_labels_of_every_kind_come_back(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    lines = ["image_path,label,age,height"]
    for number in range(12):
        Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{('hat', 'hat;beard', ';')[number % 3]},{20.5 + number},{number or ''}")
    data = tmp_path / "people.csv"
    data.write_text("\n".join(lines) + "\n")
    several = enlarged(data, tmp_path / "several", "--copies", "2", policy="rotate:5")
    plain, larger = (load_data(DataOptions(data=str(path))) for path in (data, several))
    assert plain.spec.target == larger.spec.target == "multi-label"
    assert larger.spec.classes == plain.spec.classes
    assert plain.train.targets is not None
    assert larger.train.targets is not None
    assert torch.equal(larger.train.targets[::3], plain.train.targets)
    numbers = enlarged(data, tmp_path / "numbers", "--copies", "2", "--label", "age,height", policy="rotate:5")
    options = [DataOptions(data=str(path), label=("age", "height")) for path in (data, numbers)]
    plain, larger = map(load_data, options)
    assert plain.train.targets is not None
    assert larger.train.targets is not None
    assert torch.equal(larger.train.targets[::3].nan_to_num(-1), plain.train.targets.nan_to_num(-1))


def test_copies_are_neither_tested_nor_learned_from_beside_a_tested_image(photos: Path, tmp_path: Path) -> None:
    folder = enlarged(photos, tmp_path / "larger", "--copies", "2")
    source = {row["image_path"]: row["source"] for row in rows(folder)}
    kind = {row["image_path"]: row["origin"] for row in rows(folder)}
    for number in range(1, 4):
        options = {"fold": f"{number}/3", "data": str(folder), "val_fraction": 0.2}
        from dlkit.options.values import Fold

        data = load_data(DataOptions(**{**options, "fold": Fold(number, 3)}))  # type: ignore[arg-type]
        assert all(kind[file] == "original" for split in (data.val, data.test) for file in split.files or ())
        held = {source[file] for split in (data.val, data.test) for file in split.files or ()}
        assert not held & {source[file] for file in data.train.files or ()}
        assert data.train.sources is not None
        assert len(set(data.train.sources.tolist())) == len({source[file] for file in data.train.files or ()})


def test_without_leaves_the_added_images_out(shapes_npz: Path, tmp_path: Path, capsys: Any) -> None:
    folder = enlarged(shapes_npz, tmp_path / "larger", "--copies", "2")
    data = load_data(DataOptions(data=str(folder), without=("augmented",)))
    plain = load_data(DataOptions(data=str(shapes_npz)))
    assert torch.equal(data.train.tensor, plain.train.tensor)
    assert main(["train", "classifier", "--data", str(shapes_npz), "--without", "augmented"]) == 3
    assert "does not say which of its images were added" in capsys.readouterr().err


def test_a_hidden_label_is_hidden_from_copies_too(shapes_npz: Path, tmp_path: Path) -> None:
    from dlkit.options.values import LabelBudget

    folder = enlarged(shapes_npz, tmp_path / "larger", "--copies", "2")
    data = load_data(DataOptions(data=str(folder), labels=LabelBudget.parse("10")))
    assert data.train.labels is not None
    assert data.val.labels is not None
    known = data.train.labels.reshape(64, 3) >= 0
    assert bool((known == known[:, :1]).all())
    assert int(known[:, 0].sum() + (data.val.labels >= 0).sum()) == 10


def test_a_folder_with_somebodys_manifest_is_still_a_folder(photos: Path) -> None:
    (photos / "manifest.csv").write_text("name,breed\nRex,poodle\n")
    assert sum(load_data(DataOptions(data=str(photos))).spec.counts.values()) == 20


def test_previews_and_galleries(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main(["augment", str(photos), "--augment", POLICY, "--preview", "--quiet"]) == 0
    assert Image.open("preview.png").size == Image.open("preview-2.png").size
    few = {name: card for name, card in augmenters().items() if name in ("rotate", "flip", "trivial", "mixup")}
    monkeypatch.setattr("dlkit.enlarge.sheets.augmenters", lambda: few)
    photo = shutil.copy(next((photos / "cat" / "new").glob("*.png")), tmp_path / "one.png")
    assert main(["augment", "--gallery", "--image", str(photo), "--out", "all.png", "--quiet"]) == 0
    assert Image.open("all.png").height > 400
