"""`dlkit cache`: the features that are kept; show them, remove them."""

from __future__ import annotations

from typing import Any

import click

from dlkit.cli.shared import make_display, output_flags


@click.group("cache", invoke_without_command=True)
@output_flags
@click.pass_context
def cache(ctx: click.Context, quiet: bool, as_json: bool) -> None:
    """Show the features that are kept: of which backbone and stage, how many, how large; `clear` removes them."""
    ctx.obj = {"quiet": quiet, "as_json": as_json}
    if ctx.invoked_subcommand is not None:
        return
    from dlkit.features.limits import size_limit
    from dlkit.features.store import features_folder

    display = make_display(quiet, as_json)
    found = _found(None)
    total = sum(entry["bytes"] for entry in found)
    display.table([_row(entry) for entry in found])
    display.text(f"{_size(total)} of at most {_size(size_limit())} in {features_folder()}")
    display.result({"folder": features_folder(), "bytes": total, "limit": size_limit(), "entries": found})


@cache.command("clear")
@click.argument("pattern", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_flags
@click.pass_obj
def clear(group: dict[str, Any], pattern: str | None, yes: bool, quiet: bool, as_json: bool) -> None:
    """Remove kept features, after asking: all, or those whose backbone matches PATTERN (resnet*)."""
    from dlkit.features.store import features_folder, remove

    display = make_display(quiet or group["quiet"], as_json or group["as_json"])
    found = _found(pattern)
    size = sum(entry["bytes"] for entry in found)
    if not found:
        display.info("No features are kept." if pattern is None else f"No features are kept that match {pattern!r}.")
    elif yes or click.confirm(f"Remove {_count(found)} ({_size(size)})? They can be computed again.", err=True):
        for entry in found:
            remove(features_folder() / entry["key"])
        display.info(f"Removed {_count(found)} ({_size(size)}).")
    else:
        display.info("Kept them.")
        found, size = [], 0
    display.result({"removed": [entry["key"] for entry in found], "bytes": size})


def _found(pattern: str | None) -> list[dict[str, Any]]:
    """The entries whose backbone matches, the last used first."""
    from fnmatch import fnmatchcase

    from dlkit.features.store import describe, entries

    described = [describe(path) for path in entries()]
    chosen = [entry for entry in described if pattern is None or fnmatchcase(str(entry.get("backbone", "")), pattern)]
    return sorted(chosen, key=lambda entry: entry["used"], reverse=True)


def _row(entry: dict[str, Any]) -> dict[str, object]:
    import time

    image = entry.get("image") or []
    return {
        "backbone": entry.get("backbone", "?"),
        "weights": entry.get("weights", ""),
        "tap": entry.get("tap", "?"),
        "input": "x".join(str(side) for side in image[1:3]),
        "arithmetic": entry.get("arithmetic", ""),
        "images": entry["images"],
        "size": _size(entry["bytes"]),
        "last used": time.strftime("%Y-%m-%d %H:%M", time.localtime(entry["used"])) if entry["used"] else "",
    }


def _count(found: list[dict[str, Any]]) -> str:
    images = sum(entry["images"] for entry in found)
    return f"{len(found)} {'entry' if len(found) == 1 else 'entries'} of {images:,} feature vectors"


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}" if unit != "bytes" else f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
