"""Images in groups: k-means or a Gaussian mixture on the codes of a run."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from sklearn.mixture import GaussianMixture

from dlkit.agreement import agreement_metrics, contingency
from dlkit.coded import CodedImages, name_of
from dlkit.data.spread import evenly
from dlkit.errors import DataError, UsageError
from dlkit.metrics import Metrics
from dlkit.report.figures import clean
from dlkit.supervised.pixels import small_pixels

if TYPE_CHECKING:
    from dlkit.data import Split
    from dlkit.display import Display

Method = Literal["kmeans", "gmm"]
Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]

FIT_IMAGES = 20_000
"""At most so many images are clustered; the others go to the cluster that is nearest."""
MEASURED = 10_000
"""At most so many held-out images are compared with their classes."""
CHOOSING_IMAGES = 2_000
LARGEST_K = 20
FULL = 10
"""A mixture has full covariances where there are so many images for each dimension of each component."""


class Groups:
    """Clusters of vectors.

    Args:
        vectors: ``(N, Z)`` to fit on, N ≥ k.
        k: how many.
        method: k-means (Lloyd 1982, started by k-means++), or a mixture of Gaussians by expectation maximisation
            (Dempster et al. 1977).
        seed: of the starts.

    Attributes:
        shape: of a mixture's covariances, ``full`` or ``diag``; else empty.
    """

    def __init__(self, vectors: Floats, k: int, method: Method, seed: int) -> None:
        self.shape = ""
        given = vectors.astype(np.float64)
        if method == "kmeans":
            self._model: Any = KMeans(k, n_init=10, random_state=seed).fit(given)
            self._means, self._scales = self._model.cluster_centers_, None
            return
        self.shape = "full" if len(given) >= FULL * k * given.shape[1] else "diag"
        floor = 1e-4 * float(given.var(0).mean()) or 1e-6  # so that no component shrinks to a point
        self._model = GaussianMixture(k, covariance_type=self.shape, reg_covar=floor, n_init=2, random_state=seed)
        self._model.fit(given)
        self._means, self._scales = self._model.means_, self._model.precisions_cholesky_

    def assign(self, vectors: Floats) -> tuple[Ints, Floats, Floats | None]:
        """The cluster of each vector, its distance to that cluster's centre (a mixture's in its own units:
        Mahalanobis), and in a mixture the probability of that cluster; each ``(N,)``."""
        given = vectors.astype(np.float64)
        chosen = np.asarray(self._model.predict(given), dtype=np.int64)
        away = given - self._means[chosen]
        if self._scales is None:
            return chosen, np.linalg.norm(away, axis=1), None
        if self.shape == "diag":
            away = away * self._scales[chosen]
        else:
            for cluster in np.unique(chosen):
                away[chosen == cluster] = away[chosen == cluster] @ self._scales[cluster]
        sure = self._model.predict_proba(given)[np.arange(len(given)), chosen]
        return chosen, np.linalg.norm(away, axis=1), sure

    def bic(self, vectors: Floats) -> float:
        """Of a mixture (Schwarz 1978); lower is better."""
        return float(self._model.bic(vectors.astype(np.float64)))


def choose_k(vectors: Floats, method: Method, seed: int) -> tuple[int, list[dict[str, float]]]:
    """From 2 … 20: the k of the largest silhouette (Rousseeuw 1987), or of a mixture's lowest BIC.

    Returns:
        k, and what was found for each.

    Raises:
        DataError: fewer than three different images.
    """
    scores: list[dict[str, float]] = []
    different = len(np.unique(vectors, axis=0))
    for k in range(2, min(LARGEST_K, different - 1) + 1):
        groups = Groups(vectors, k, method, seed)
        if method == "gmm":
            scores.append({"k": k, "bic": groups.bic(vectors)})
        else:
            scores.append({"k": k, "silhouette": float(silhouette_score(vectors, groups.assign(vectors)[0]))})
    if not scores:
        raise DataError(f"There are {different} different codes; clusters need at least 3.", "Name more images.")
    best = min(scores, key=lambda row: row["bic"] if method == "gmm" else -row["silhouette"])
    return int(best["k"]), scores


@dataclass(frozen=True)
class Assigned:
    """Images of a split in their clusters; ``probabilities`` are those of a mixture."""

    split: Split
    clusters: Ints
    distances: Floats
    probabilities: Floats | None


class Clustering:
    """A run's images in clusters of their codes.

    Fitted on the training images, or on all where there are none (other data has no splits of its own).

    Args:
        images: with codes.
        method: of :data:`Method`.
        k: how many; None: as many as there are classes, else chosen by :func:`choose_k`.
        seed: of the starts and draws.
        display: where it is said what was chosen.

    Attributes:
        assigned: the images of each split.
        why: how k came about.
        scores: what :func:`choose_k` found.

    Raises:
        DataError: fewer images than clusters.
        UsageError: k < 1.
    """

    def __init__(self, images: CodedImages, method: Method, k: int | None, seed: int, display: Display) -> None:
        self.images, self.method, self.seed = images, method, seed
        self.scores: list[dict[str, float]] = []
        self.fitted = images.data.train if len(images.data.train) else images.data.held_out
        codes = images.codes[self.fitted.name]
        self._rows = evenly(len(codes), FIT_IMAGES)
        vectors = codes[self._rows].numpy()
        self.k, self.why = self._chosen(vectors, k)
        if k is None:
            display.info(f"{self.k} clusters: {self.why}")
        if self.k > len(vectors):
            raise DataError(f"{self.k} clusters of {len(vectors):,} images: there must be more images than clusters.")
        display.info(f"Clustering {len(vectors):,} codes of {vectors.shape[1]:,} numbers")
        self.groups = Groups(vectors, self.k, method, seed)
        self.assigned = [
            Assigned(split, *self.groups.assign(images.codes[split.name].numpy())) for split in images.splits
        ]

    def _chosen(self, vectors: Floats, k: int | None) -> tuple[int, str]:
        if k is not None:
            if k < 1:
                raise UsageError(f"-k {k}: there must be at least one cluster.")
            return k, "as asked for"
        if self._labelled():
            count = len(self.images.data.spec.classes)
            return count, "as many as there are classes"
        some = vectors[evenly(len(vectors), CHOOSING_IMAGES).numpy()]
        k, self.scores = choose_k(some, self.method, self.seed)
        by = "the largest silhouette" if self.method == "kmeans" else "the lowest BIC"
        return k, f"{by} among {int(self.scores[0]['k'])} to {int(self.scores[-1]['k'])}"

    def _labelled(self) -> bool:
        spec, labels = self.images.data.spec, self.images.data.held_out.labels
        return spec.target == "classes" and len(spec.classes) > 1 and labels is not None and bool((labels >= 0).any())

    def figures(self) -> Metrics:
        """NMI, ARI and clustering accuracy on held-out images, beside the same clustering of raw pixels (shrunk to
        32 × 32 at most); nothing where there are no classes."""
        if not self._labelled():
            return Metrics(())
        held_out = self.images.data.held_out
        assert held_out.labels is not None  # noqa: S101 - labelled
        known = torch.nonzero(held_out.labels >= 0).flatten()
        rows = known[evenly(len(known), MEASURED)]
        truth = held_out.labels[rows].numpy()
        shape = (len(self.images.data.spec.classes), self.k)
        own = next(each for each in self.assigned if each.split is held_out).clusters[rows.numpy()]
        raw = Groups(small_pixels(self.fitted, self._rows.numpy()), self.k, self.method, self.seed)
        pixels = raw.assign(small_pixels(held_out, rows.numpy()))[0]
        return Metrics(tuple(agreement_metrics(
            contingency(truth, own, shape), {"raw pixels": contingency(truth, pixels, shape)},
            split=held_out.name, note=f"{len(rows):,} images, clustered with {len(self._rows):,}", seed=self.seed,
        )))  # fmt: skip

    def table(self) -> list[dict[str, Any]]:
        """A row for each cluster: images, the commonest class and its share of the labelled ones, mean distance."""
        clusters = np.concatenate([each.clusters for each in self.assigned])
        distances = np.concatenate([each.distances for each in self.assigned])
        labels = np.concatenate([
            np.full(len(each.split), -1) if each.split.labels is None else each.split.labels.numpy()
            for each in self.assigned
        ])  # fmt: skip
        names, rows = self.images.data.spec.classes, []
        for cluster in range(self.k):
            inside = clusters == cluster
            known = labels[inside & (labels >= 0)]
            row: dict[str, Any] = {"cluster": cluster, "images": int(inside.sum())}
            if len(known) and len(names):
                common = int(np.bincount(known).argmax())
                row |= {"mostly": names[common], "share": float((known == common).mean())}
            rows.append(row | {"distance": float(distances[inside].mean()) if inside.any() else 0.0})
        return rows

    def csv(self) -> str:
        """A line for each image: file, split, number in it, label, cluster, distance, and a mixture's probability."""
        from dlkit.data.text import csv_text

        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        more = self.method == "gmm"
        writer.writerow(["file", "split", "index", "label", "cluster", "distance", *(["probability"] if more else [])])
        for each in self.assigned:
            for index, (cluster, distance) in enumerate(zip(each.clusters, each.distances, strict=True)):
                names = (name_of(each.split, index), self.images.label(each.split, index))
                file, label = (csv_text(clean(name)) for name in names)
                sure = [] if each.probabilities is None else [f"{each.probabilities[index]:.6g}"]
                writer.writerow([file, each.split.name, index, label, cluster, f"{distance:.6g}", *sure])
        return text.getvalue()

    def plain(self) -> Mapping[str, Any]:
        """How it was done, as plain JSON."""
        return {
            "method": self.method, "k": self.k, "k_is": self.why, "scores": self.scores, "seed": self.seed,
            "covariances": self.groups.shape or None,
            "fitted_on": {"split": self.fitted.name, "images": len(self._rows)},
        }  # fmt: skip


def write_clusters(clustering: Clustering, folder: Path | None) -> dict[str, Any]:
    """Write the table of images, a contact sheet for each cluster and one over all, and the figures.

    Args:
        clustering: see there.
        folder: a new folder; by default the next number in the run's folder ``clusters/``.

    Returns:
        ``{"folder", "table", "sheets", "metrics", "clusters", …}``, which is in the folder's ``clusters.json`` too.
    """
    from dlkit.cluster_sheets import sheets
    from dlkit.files import atomic_path, made_folder, write_json, write_text
    from dlkit.report.picture import png

    figures, table, rows = clustering.figures(), clustering.csv(), clustering.table()
    target = made_folder(folder, clustering.images.run.path / "clusters")
    write_text(target / "assignments.csv", table)
    written = []
    for name, figure in sheets(clustering, rows):
        with atomic_path(target / f"{name}.png") as temporary:
            temporary.write_bytes(png(figure))
        written.append(target / f"{name}.png")
    told = {**clustering.plain(), "metrics": figures.to_json(), "clusters": rows}
    write_json(target / "clusters.json", told)
    return {"folder": target, "table": target / "assignments.csv", "sheets": written, **told}
