"""Similar images: ranked as scikit-learn ranks their codes, and errors that say what is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.neighbors import NearestNeighbors

from dlkit.cli.main import main
from dlkit.display import Display
from dlkit.errors import DataError, UsageError
from dlkit.run import open_run
from dlkit.runtime import Runtime
from dlkit.search import Search

QUIET = Display(quiet=True)


@pytest.fixture(scope="module")
def run_path(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(trained, tmp_path_factory.mktemp("search") / trained.name))


@pytest.fixture(scope="module")
def found(run_path: Path) -> Search:
    return Search(open_run(str(run_path)), QUIET)


def save(pixels: np.ndarray, path: Path) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def codes(search: Search) -> np.ndarray:
    """All codes, computed without any of the code under test."""
    technique = search.run.load_technique()
    with torch.no_grad():
        return torch.cat([technique.encode(split.pixels()) for split in search.splits]).numpy()


def test_images_are_ranked_by_the_cosine_distance_of_their_codes(found: Search, tmp_path: Path) -> None:
    pixels = found.splits[0].raw()[7, 0].numpy().copy()
    pixels[0, 0] ^= 1  # not the very image
    query, hits = found.find(save(pixels, tmp_path / "q.png"), 9)
    technique = found.run.load_technique()
    with torch.no_grad():
        code = technique.encode(query[None]).numpy()
    theirs = NearestNeighbors(n_neighbors=9, metric="cosine").fit(codes(found))
    distances, places = theirs.kneighbors(code)
    assert [hit.distance for hit in hits] == pytest.approx(distances[0].tolist(), abs=1e-5)
    where = [(split.name, index) for split in found.splits for index in range(len(split))]
    assert {(hit.split, hit.index) for hit in hits} == {where[place] for place in places[0]}
    assert (hits[0].split, hits[0].index) == ("train", 7)
    assert hits[0].label == found.data.spec.classes[found.data.train.labels[7]]


def test_the_query_itself_is_left_out(found: Search, tmp_path: Path) -> None:
    query = save(found.splits[0].raw()[7, 0].numpy(), tmp_path / "q.png")
    everything = found.find(query, 1000)[1]
    assert ("train", 7) not in {(hit.split, hit.index) for hit in everything}
    assert len(everything) == 95


def test_recall_is_that_of_nearest_neighbours(found: Search) -> None:
    train, test = found.data.train, found.data.test
    every = codes(found)
    neighbours = NearestNeighbors(n_neighbors=10, metric="cosine").fit(every[: len(train)])
    near = neighbours.kneighbors(every[-len(test) :], return_distance=False)
    hits = train.labels.numpy()[near] == test.labels.numpy()[:, None]
    flat = [split.pixels().flatten(1).numpy() for split in (train, test)]
    raw = NearestNeighbors(n_neighbors=10, metric="cosine").fit(flat[0]).kneighbors(flat[1], return_distance=False)
    raw_hits = train.labels.numpy()[raw] == test.labels.numpy()[:, None]
    figures = found.recall()
    for k in (1, 5, 10):
        row = figures.get(f"recall_at_{k}", "test")
        assert row.value == pytest.approx(hits[:, :k].any(1).mean())
        assert row.baselines["raw pixels"] == pytest.approx(raw_hits[:, :k].any(1).mean())
    random = np.random.default_rng(0)
    drawn = [(train.labels.numpy()[random.permutation(64)[:5]] == label).any() for label in test.labels.tolist() * 300]
    assert figures.get("recall_at_5", "test").baselines["chance"] == pytest.approx(np.mean(drawn), abs=0.02)


def test_codes_are_kept_until_the_model_changes(run_path: Path, found: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    collect = Runtime.collect
    monkeypatch.setattr(Runtime, "collect", lambda *words: calls.append(1) or collect(*words))
    again = Search(open_run(str(run_path)), QUIET)
    assert not calls
    assert all(torch.equal(again.codes[name], code) for name, code in found.codes.items())
    (kept,) = (run_path / "codes").iterdir()
    content = kept.read_bytes()
    kept.write_bytes(content[: len(content) // 2])  # a crash
    Search(open_run(str(run_path)), QUIET)
    assert len(calls) == 3
    content = kept.read_bytes()
    model = json.loads((run_path / "model.json").read_text())
    kept.write_bytes(content.replace(model["sha256"].encode(), b"0" * 64))  # of another model
    Search(open_run(str(run_path)), QUIET)
    assert len(calls) == 6


def test_the_command(run_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    random = np.random.default_rng(0)
    for number in range(4):
        save(random.integers(0, 256, (12, 12), dtype=np.uint8), tmp_path / "in" / f"image-{number}.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"\x89PNG")
    query, out = tmp_path / "in" / "image-2.png", tmp_path / "found.png"
    words = ["search", str(run_path), str(query), "--in", str(tmp_path / "in"), "-k", "2"]
    assert main([*words, "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["found"]) == 2
    assert all("image-2" not in hit["file"] for hit in told["found"])
    assert Image.open(out).width > 200
    assert main([*words, "--out", str(out)]) == 2
    assert "exists, and nothing is overwritten" in capsys.readouterr().err
    assert main([*words[:3], "--recall"]) == 0
    shown = capsys.readouterr().out
    assert "Most similar to" in shown
    assert "recall@5" in shown
    assert (run_path / "searches" / "image-2.png").is_file()


def test_what_cannot_be(run_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.png").write_text("not an image")
    for words, code, message in (
        ([], 2, "QUERY is missing"),
        ([str(tmp_path / "none.png")], 3, "There is no image"),
        ([str(tmp_path / "text.png")], 3, "not an image that can be read"),
        ([str(tmp_path / "text.png"), "--out", "x.jpg"], 2, "not the name of a .png file"),
        ([str(tmp_path / "text.png"), "-k", "0"], 2, "is not in the range"),
    ):
        assert main(["search", str(run_path), *words]) == code
        assert message in capsys.readouterr().err


def test_a_technique_without_codes_is_told(run_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlkit.coded.Encodes", int)
    with pytest.raises(UsageError, match="does not encode"):
        Search(open_run(str(run_path)), QUIET)


def test_recall_needs_classes(run_path: Path, tmp_path: Path) -> None:
    save(np.zeros((8, 8), np.uint8), tmp_path / "one.png")
    search = Search(open_run(str(run_path)), QUIET, within=str(tmp_path))
    with pytest.raises((UsageError, DataError)):
        search.recall()
