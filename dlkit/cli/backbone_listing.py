"""`dlkit list backbones` and `dlkit info BACKBONE`; torch and timm are imported when they are called."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from dlkit.options.values import Size

BATCHES = (1, 8, 32, 64)


def list_backbones(pattern: str, as_json: bool) -> None:
    """Print the backbones whose names match, one per line."""
    from dlkit.backbones.catalog import COUNTED, entries

    found = entries(pattern)
    if as_json:
        click.echo(json.dumps([entry.to_json() for entry in found], indent=2, ensure_ascii=False))
        return
    if not found:
        click.echo(f"There are no backbones like {pattern!r}.", err=True)
        return
    counted = len(found) <= COUNTED
    rows = [("name", "parameters", "activations", "features", "input", "licence", "cached")]
    for entry in found:
        channels, height, width = entry.input
        cached = {True: "yes", False: "no", None: "-"}[entry.cached]
        numbers = (millions(entry.parameters), millions(entry.activations), str(entry.features or "-"))
        size = f"{height}x{width}" + ("" if channels == 3 else f"x{channels}")
        rows.append((entry.name, *numbers, size, entry.licence or "-", cached))
    shown = rows if counted else [(row[0], *row[4:]) for row in rows]
    _print_table(shown, numeric={1, 2, 3} if counted else set())
    if not counted:
        click.echo(
            f"{len(found)} backbones; parameters, activations and features are counted where at most {COUNTED} match: "
            "give a narrower PATTERN.",
            err=True,
        )


def describe_backbone(reference: str, arguments: Sequence[str], size: Size | None, as_json: bool) -> None:
    """Print what a backbone costs, and the stages that can be tapped; nothing is downloaded."""
    facts = backbone_facts(reference, arguments, size)
    if as_json:
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    height, width = facts["image_size"]
    click.echo(f"{facts['name']}: a backbone, for images of {height} × {width}\n")
    activations = f"{millions(facts['activations'])} per image: outputs of convolutions and matrix products"
    everything = (
        f"{millions(facts['activations'] + facts['sums'])} with residual sums, "
        f"{millions(facts['all_outputs'])} over all operations"
    )
    _print_table(
        [
            ("parameters", millions(facts["parameters"])),
            ("activations", activations),
            ("", everything),
            ("multiply-adds", f"{facts['multiply_adds'] / 1e9:.2f} G per image"),
            ("preprocessing", _preprocessing(facts["preprocessing"])),
        ],
        indent=2,
    )
    click.echo("\nMemory in float32, as counted (workspace and the framework itself come on top):")
    rows = [("batch", "weights", "forward", "training with Adam")]
    for batch, memory in facts["memory"].items():
        weights, forward, training = (_megabytes(memory[key]) for key in ("weights", "forward", "training"))
        rows.append((str(batch), weights, forward, training))
    _print_table(rows, numeric={0, 1, 2, 3}, indent=2)
    click.echo("\nStages:")
    stages = [("name", "channels", "pixels per place", "map")]
    for stage in facts["stages"]:
        shape = "x".join(map(str, stage["map"])) or "-"
        stages.append((stage["name"], str(stage["channels"]), str(stage["reduction"] or "-"), shape))
    _print_table(stages, numeric={1, 2}, indent=2)


def backbone_facts(reference: str, arguments: Sequence[str], size: Size | None) -> dict[str, Any]:
    """What `dlkit info` says of a backbone, as JSON can hold it.

    Raises:
        UsageError: there is no such backbone, its arguments do not fit, or it takes no images of that size.
    """
    from dlkit.backbones import BackboneOptions
    from dlkit.backbones.build import arguments_of
    from dlkit.backbones.measure import costs, draft_on_meta, stage_maps
    from dlkit.errors import UsageError

    try:
        options = BackboneOptions(backbone=reference, backbone_arg=tuple(arguments))
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    sides = (size.height, size.width) if size else None
    draft = draft_on_meta(reference, arguments_of(options), sides)
    stages = stage_maps(reference, draft, sides)  # first, since it says what is wrong with a size
    counted = costs(draft_on_meta(reference, arguments_of(options), sides), sides)
    return {
        "name": reference,
        "kind": "backbone",
        "image_size": list(counted.size),
        "parameters": counted.parameters,
        "activations": counted.activations,
        "sums": counted.sums,
        "all_outputs": counted.all_outputs,
        "multiply_adds": counted.multiply_adds,
        "preprocessing": draft.preprocessing.to_json(),
        "memory": {str(batch): counted.memory(batch) for batch in BATCHES},
        "stages": stages,
    }


def millions(number: int | None) -> str:
    """``25557032`` → ``25.56 M``."""
    return "-" if number is None else f"{number / 1e6:.2f} M"


def _megabytes(number: int) -> str:
    return f"{number / 1e6:,.0f} MB"


def _preprocessing(plain: dict[str, Any]) -> str:
    form = plain["form"]
    mean, std = (", ".join(f"{value:.4g}" for value in plain[key]) for key in ("mean", "std"))
    size = f"{form['height']} × {form['width']}"
    return f"{size}, {form['crop']:.1%} of the side kept, {form['interpolation']}; mean {mean}; std {std}"


def _print_table(rows: Sequence[tuple[str, ...]], numeric: Sequence[int] | set[int] = (), indent: int = 0) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if column in numeric else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo((" " * indent + "  ".join(cells)).rstrip())
