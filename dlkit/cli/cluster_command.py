"""`dlkit cluster`: images in groups."""

from __future__ import annotations

import click

from dlkit.cli.shared import DEVICE, make_display, make_runtime, opened, output_flags, run_argument
from dlkit.files import new_folder


@click.command("cluster")
@run_argument
@click.option("--in", "within", metavar="NAME|PATH", help="Cluster these images; by default the run's own data.")
@click.option("--method", type=click.Choice(("kmeans", "gmm")), default="kmeans", show_default=True,
              help="k-means, or a mixture of Gaussians.")  # fmt: skip
@click.option("-k", "--k", "k", type=click.IntRange(min=1), metavar="N", help="How many clusters; by default as many "
              "as there are classes, or chosen by silhouette (kmeans) or BIC (gmm).")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Of the starts; by default the run's own.")
@click.option("--out", metavar="DIR", help="A new folder; by default in the run's folder clusters/.")
@DEVICE
@output_flags
def cluster(
    run: str,
    runs: str,
    within: str | None,
    method: str,
    k: int | None,
    seed: int | None,
    out: str | None,
    device: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Group images by the codes of RUN: a table, contact sheets and, where there are classes, how well they agree."""
    folder = None if out is None else new_folder(out)
    from dlkit.capabilities import require
    from dlkit.cluster import Clustering, Method, write_clusters
    from dlkit.coded import CodedImages
    from dlkit.metrics import Metrics

    display = make_display(quiet, as_json)
    opened_run = opened(run, runs)
    require(opened_run, "encode")
    runtime = make_runtime(opened_run, device, display, seed)
    images = CodedImages(opened_run, display, within=within, runtime=runtime)
    chosen: Method = "gmm" if method == "gmm" else "kmeans"
    told = write_clusters(Clustering(images, chosen, k, runtime.seed, display), folder)
    display.table(told["clusters"], f"{told['k']} clusters, {told['k_is']}")
    display.metrics_table(Metrics.from_json(told["metrics"]))
    display.text(f"Wrote {told['folder']}: assignments.csv, {len(told['sheets'])} contact sheets, clusters.json")
    display.result({"run": opened_run.path, "in": within or opened_run.spec.source, **told})
