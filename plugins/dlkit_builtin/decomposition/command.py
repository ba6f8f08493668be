"""`dlkit approximate`: a single picture's approximations of rank k."""

from __future__ import annotations

from pathlib import Path

import click

from dlkit.cli.shared import make_display, output_flags
from dlkit.errors import UsageError
from dlkit.files import new_folder, user_path


@click.command("approximate")
@click.argument("picture", metavar="PICTURE")
@click.option("-k", "--k", "ranks", default="1,2,10,50", show_default=True, metavar="N,N,…", help="The ranks.")
@click.option("--out", metavar="DIR", help="A new folder; by default PICTURE-rank in the current directory.")
@output_flags
def approximate(picture: str, ranks: str, out: str | None, quiet: bool, as_json: bool) -> None:
    """Approximate a single picture, an image file, by matrices of rank k: as images, a strip, and figures."""
    wanted = _numbers(ranks)
    path = user_path(picture)
    folder = new_folder(out or f"{Path(picture).stem}-rank")
    from dlkit_builtin.decomposition.rank import write_approximations

    display = make_display(quiet, as_json)
    told = write_approximations(path, wanted, folder)
    channels, height, width = told["size"]
    display.table(told["approximations"], f"{picture}: {channels} × {height} × {width}, rank {told['rank']}")
    left_out = [k for k in wanted if k > told["rank"]]
    if left_out:
        display.info(f"Left out, as the rank is {told['rank']}: {', '.join(map(str, left_out))}")
    display.text(f"Strip: {told['strip']}")
    display.result({"picture": picture, **told})


def _numbers(text: str) -> list[int]:
    """The ranks.

    Raises:
        UsageError: something else.
    """
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = [0]
    if min(found) < 1:
        raise UsageError(f"-k {text!r}: expected whole numbers of at least 1.", "For example: -k 1,2,10,50")
    return found
