"""`dlkit plugins new`: a package to begin with."""

from __future__ import annotations

import json

import click

from dlkit.scaffold.making import KINDS, make_plugin


@click.command("new")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default="technique", show_default=True, help="What it brings.")
@click.option("--out", metavar="DIR", help="The folder to make; by default dlkit-NAME here.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def new(name: str, kind: str, out: str | None, as_json: bool) -> None:
    """Write a new plugin package: card, implementation, tests, README, CI; it installs and works at once.

    NAME is that of what it brings, in kebab-case: mean-image gives the distribution dlkit-mean-image.
    """
    made = make_plugin(name, kind, out)
    if as_json:
        plain = {"folder": str(made.folder), "files": [str(path) for path in made.files], "next": made.commands}
        click.echo(json.dumps(plain, indent=2))
        return
    click.echo(f"Wrote {made.folder}:")
    for path in made.files:
        click.echo(f"  {path.relative_to(made.folder)}")
    click.echo("Next:")
    for command in made.commands:
        click.echo(f"  {command}")
