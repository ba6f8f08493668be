"""`dlkit search`: similar images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlkit.cli.shared import DEVICE, make_display, make_runtime, opened, output_flags, run_argument
from dlkit.errors import UsageError
from dlkit.files import new_file, user_path

if TYPE_CHECKING:
    from dlkit.search import Hit


@click.command("search")
@run_argument
@click.argument("query", required=False, metavar="QUERY")
@click.option("--in", "within", metavar="NAME|PATH", help="Search in these images; by default in the run's own data.")
@click.option("-k", "--k", "k", type=click.IntRange(min=1), default=12, show_default=True, metavar="N",
              help="How many images to find.")  # fmt: skip
@click.option("--out", metavar="FILE.png", help="Where to draw them; by default in the run's folder searches/.")
@click.option("--recall", is_flag=True, help="How well it finds images of the same class, beside raw pixels.")
@DEVICE
@output_flags
def search(
    run: str,
    runs: str,
    query: str | None,
    within: str | None,
    k: int,
    out: str | None,
    recall: bool,
    device: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Find the images that are most similar to QUERY, an image file, by the codes of RUN.

    They are ranked by the cosine distance of their codes. With --recall, QUERY may be left out.
    """
    if query is None and not recall:
        raise UsageError("There is nothing to search for: QUERY is missing.", "Name an image file, or say --recall.")
    target = None if out is None else new_file(out, ".png")
    from dlkit.search import Search

    display = make_display(quiet, as_json)
    opened_run = opened(run, runs)
    images = Search(opened_run, display, within=within, runtime=make_runtime(opened_run, device, display))
    told: dict[str, Any] = {"run": opened_run.path, "in": within or opened_run.spec.source}
    if query is not None:
        path = user_path(query)
        pixels, found = images.find(path, k)
        target = target or opened_run.path / "searches" / f"{path.stem}.png"
        _draw(images.picture((query, pixels), found), target)
        display.table(_rows(found, own=within is None), f"Most similar to {query}")
        display.text(f"Picture: {target}")
        told |= {"query": query, "found": found, "picture": target}
    if recall:
        figures = images.recall()
        display.metrics_table(figures)
        told["metrics"] = figures.to_json()
    display.result(told)


def _rows(found: list[Hit], *, own: bool) -> list[dict[str, object]]:
    """``own``: from the run's own data. What other data call a split says nothing about the run."""
    return [
        {
            "rank": rank,
            "distance": hit.distance,
            "label": hit.label,
            "split": hit.split if own else "",
            "file": hit.file,
        }
        for rank, hit in enumerate(found, start=1)
    ]


def _draw(figure: Any, target: Path) -> None:
    from dlkit.files import atomic_path
    from dlkit.report.picture import png

    with atomic_path(target) as temporary:
        temporary.write_bytes(png(figure))
