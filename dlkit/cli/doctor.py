"""`dlkit doctor`: what a bug report needs, and whether something is wrong with the installation."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from dlkit import __version__
from dlkit.discovery import NO_PLUGINS, registry
from dlkit.errors import PluginError

_VARIABLES = ("DLKIT_HOME", NO_PLUGINS, "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "NO_COLOR")


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Check the installation: versions, devices, plugins. Exits with 5 where something is wrong."""
    problems = registry().problems()
    facts = {
        "dlkit": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": platform.platform(),
        "packages": dict(_packages()),
        "devices": _devices(),
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "plugins": {f"{p.distribution}:{p.entry_point}": p.version for p in registry().plugins},
    }
    wrong = [f"{p.distribution} {p.version}, entry point {p.entry_point!r}: {p.reason}" for p in problems]
    wrong += _broken_packages(facts["packages"])  # type: ignore[arg-type]
    if as_json:
        plain = [asdict(problem) for problem in problems]
        click.echo(json.dumps(facts | {"plugin_problems": plain, "problems": wrong}, indent=2))
    else:
        click.echo(_as_text(facts), nl=False)
    if wrong:
        listed = "\n".join(f"- {reason}" for reason in wrong)
        raise PluginError(
            f"something is wrong:\n{listed}", f"{NO_PLUGINS}=1 or --no-plugins leaves strangers' plugins out."
        )
    if not as_json:
        click.echo("Everything works.")


def _packages() -> Iterator[tuple[str, str]]:
    """The versions of what dlkit depends on, without importing it."""
    import re
    from importlib.metadata import PackageNotFoundError, requires, version

    for requirement in requires("dlkit") or []:
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        if "extra ==" in requirement:
            continue
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, "missing"


def _broken_packages(packages: dict[str, str]) -> list[str]:
    return [f"the package {name} is not installed" for name, version in packages.items() if version == "missing"]


def _devices() -> list[str]:
    try:
        import torch
    except Exception as error:  # a broken PyTorch is what doctor is there to show
        return [f"PyTorch cannot be imported: {type(error).__name__}: {error}"]
    devices = [f"cpu ({torch.get_num_threads()} threads)"]
    devices += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    return devices + (["mps"] if torch.backends.mps.is_available() else [])


def _as_text(facts: dict[str, Any]) -> str:
    formatter = click.HelpFormatter(max_width=110)
    rows = []
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {item}" for key, item in value.items())
        elif isinstance(value, list):
            value = ", ".join(value)
        rows.append((name, value or "-"))
    formatter.write_dl(rows)
    return formatter.getvalue()
