"""Clusters of a run's codes: scikit-learn's on the same codes, files, and errors that say what is wrong."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from dlkit.cli.main import main
from dlkit.cluster import Clustering, Groups, choose_k
from dlkit.coded import CodedImages
from dlkit.display import Display
from dlkit.errors import DataError
from dlkit.run import open_run

QUIET = Display(quiet=True)


@pytest.fixture(scope="module")
def run_path(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(trained, tmp_path_factory.mktemp("cluster") / trained.name))


@pytest.fixture(scope="module")
def images(run_path: Path) -> CodedImages:
    return CodedImages(open_run(str(run_path)), QUIET)


def test_clusters_are_those_of_the_training_codes(images: CodedImages) -> None:
    clustering = Clustering(images, "kmeans", None, 0, QUIET)
    assert clustering.k == 3  # as many as classes
    theirs = KMeans(3, n_init=10, random_state=0).fit(images.codes["train"].double().numpy())
    for each in clustering.assigned:
        codes = images.codes[each.split.name].double().numpy()
        assert np.array_equal(each.clusters, theirs.predict(codes))
        assert each.distances == pytest.approx(theirs.transform(codes).min(1))
    labels = images.data.test.labels.numpy()
    test = theirs.predict(images.codes["test"].double().numpy())
    figures = clustering.figures()
    assert figures.get("ari", "test").value == pytest.approx(adjusted_rand_score(labels, test))
    flat = [split.pixels().flatten(1).double().numpy() for split in (images.data.train, images.data.test)]
    pixels = KMeans(3, n_init=10, random_state=0).fit(flat[0]).predict(flat[1])
    raw = figures.get("ari", "test").baselines["raw pixels"]
    assert raw == pytest.approx(adjusted_rand_score(labels, pixels))


@pytest.mark.parametrize(("count", "shape"), [(300, "full"), (50, "diag")])
def test_a_mixture_measures_in_its_own_units(count: int, shape: str) -> None:
    vectors = make_blobs(count, 3, centers=3, cluster_std=[0.5, 1, 2], random_state=0)[0].astype(np.float32)
    groups = Groups(vectors, 3, "gmm", 0)
    assert groups.shape == shape
    chosen, distances, sure = groups.assign(vectors)
    theirs: GaussianMixture = groups._model
    assert np.array_equal(chosen, theirs.predict(vectors.astype(float)))
    assert sure == pytest.approx(theirs.predict_proba(vectors.astype(float)).max(1))
    covariances = theirs.covariances_ if shape == "full" else [np.diag(each) for each in theirs.covariances_]
    away = vectors - theirs.means_[chosen]
    expected = [np.sqrt(a @ np.linalg.inv(covariances[c]) @ a) for a, c in zip(away, chosen, strict=True)]
    assert distances == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("method", ["kmeans", "gmm"])
def test_k_is_found_where_it_is_plain(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlkit.cluster.LARGEST_K", 6)
    vectors = make_blobs(120, 2, centers=4, cluster_std=0.3, random_state=1)[0]
    k, scores = choose_k(vectors, method, 0)
    assert k == 4
    assert [row["k"] for row in scores] == [2, 3, 4, 5, 6]


def test_the_command(run_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    random = np.random.default_rng(0)
    for number in range(6):
        name = "=cmd.png" if number == 0 else f"image-{number}.png"
        Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(tmp_path / "in" / name)
    words = ["cluster", str(run_path)]
    assert main([*words, "--in", str(tmp_path / "in"), "-k", "2", "--out", str(tmp_path / "out"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["k"] == 2
    assert told["metrics"] == []  # no classes
    rows = list(csv.DictReader((tmp_path / "out" / "assignments.csv").open()))
    assert rows[0]["file"] == "'=cmd.png"
    assert {row["cluster"] for row in rows} == {"0", "1"}
    assert Image.open(tmp_path / "out" / "clusters.png").width > 100
    assert sum(row["images"] for row in told["clusters"]) == 6
    assert main([*words, "--method", "gmm", "-k", "2"]) == 0
    assert "clustering accuracy" in capsys.readouterr().out
    folder = run_path / "clusters" / "001"
    assert json.loads((folder / "clusters.json").read_text())["metrics"][0]["baselines"].keys() == {"raw pixels"}
    assert float(next(csv.DictReader((folder / "assignments.csv").open()))["probability"]) <= 1
    assert (folder / "cluster-1.png").is_file()
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    assert "exists, and nothing is overwritten" in capsys.readouterr().err


def test_more_clusters_than_images(images: CodedImages) -> None:
    with pytest.raises(DataError, match="65 clusters of 64 images"):
        Clustering(images, "kmeans", 65, 0, QUIET)
    with pytest.raises(DataError, match="1 different codes"):
        choose_k(torch.zeros(5, 2).numpy(), "kmeans", 0)
