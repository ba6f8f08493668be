"""The report of a run: one HTML file that opens anywhere, with no network."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dlkit import __version__
from dlkit.files import write_text
from dlkit.report.figures import ARROWS, MARKS, clean, legend
from dlkit.report.plane_section import plane_section
from dlkit.report.sections import (
    curves_section,
    data_section,
    environment_section,
    metrics_section,
    options_section,
    pictures_section,
    title_section,
)
from dlkit.report.table_section import repeats_section, tables_section
from dlkit.run.run import Run


def write_report(run_path: Path) -> Path:
    """Write ``report.html`` into a run's directory, from the run's files only.

    What the run does not have yet (an evaluation, pictures, curves) is left out. Pictures, style and script are
    inside the file, and its content security policy lets it load nothing else and run no other script.

    Returns:
        The report's path.

    Raises:
        DataError: one of the run's JSON files is broken.
        DlkitError: the report cannot be written.
    """
    run = Run(run_path)
    pictures = pictures_section(run)
    plane = plane_section(run, pictures)
    apart = {"samples"} if plane is None else {"samples", "code-plane"}  # shown in sections of their own
    context = {
        "title": title_section(run),
        "metrics": metrics_section(run),
        "repeats": repeats_section(run),
        "tables": tables_section(run),
        "curves": curves_section(run),
        "plane": plane,
        "pictures": [picture for picture in pictures if picture.name not in apart],
        "samples": [picture for picture in pictures if picture.name == "samples"],
        "data": data_section(run),
        "options": options_section(run),
        "environment": environment_section(run),
    }
    target = run_path / "report.html"
    write_text(target, _render(context))
    return target


def _render(context: dict[str, Any]) -> str:
    loader = PackageLoader("dlkit.report")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.globals.update(ARROWS=ARROWS, MARKS=MARKS, legend=legend, version=__version__)
    style, script = (loader.get_source(environment, name)[0] for name in ("report.css", "report.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # Both files are the package's own; everything else is escaped.
    own = {"style": Markup(style), "script": Markup(script), "script_hash": digest}  # noqa: S704
    return environment.get_template("report.html.j2").render(**context, **own)


def _visible(value: Any) -> Any:
    """Control characters in names are shown, not obeyed."""
    return clean(value, lines=True) if isinstance(value, str) and not isinstance(value, Markup) else value
