"""What the report says, section by section, as plain values for the template."""

from __future__ import annotations

import base64
import math
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dlkit.capabilities import capabilities_of
from dlkit.discovery import registry
from dlkit.errors import DataError, DlkitError
from dlkit.metrics import Metric, Metrics
from dlkit.opening import read_text, regular_file
from dlkit.options import to_plain
from dlkit.report.figures import between, headline, judged, number, strongest, time_span, verdict, with_unit
from dlkit.report.picture import DPI, png, png_size, read_index
from dlkit.run.directory import CONFIG
from dlkit.run.reading import read_object
from dlkit.run.run import Run
from dlkit.settings import option_groups

_CSS_DPI = 96  # a CSS pixel is 1/96 inch
_CHANCE = 0.05
_MOST_BYTES = 64 << 20  # of a picture, which the page holds whole
_WORDS = {
    "better": "better than the strongest baseline",
    "worse": "worse than the strongest baseline",
    "even": "not to be told from the strongest baseline",
    "unknown": "not comparable to the strongest baseline",
}


@dataclass(frozen=True)
class Image:
    """A picture inside the page; ``width`` and ``height`` in CSS pixels."""

    name: str
    title: str
    caption: str
    source: str
    width: int
    height: int


@dataclass(frozen=True)
class Bar:
    """A figure as text, judged, with its bar's length in percent (None: no bar)."""

    name: str
    text: str
    verdict: str
    length: float | None


def title_section(run: Run) -> dict[str, Any]:
    """Technique, when, how long, and the result in a sentence."""
    config = _config(run)
    technique = str(config.get("technique", run.path.parent.name))
    try:
        summary = registry().technique(technique).summary
    except DlkitError:  # its plugin is not installed here; the run's files say enough
        summary = ""
    sessions, status = run.environments, run.status
    started = str(sessions[0].get("started", "")) if sessions else ""
    seconds = status.get("trained_seconds")
    return {
        "technique": technique,
        "summary": summary,
        "name": run.path.name,
        "started": _moment(started),
        "duration": time_span(seconds) if isinstance(seconds, int | float) and seconds > 0 else "",
        "sessions": len(sessions),
        "status": status.get("status", ""),
        "sentence": _sentence(run),
        "notices": _notices(run),
        "commands": _commands(run, technique),
    }


def metrics_section(run: Run) -> list[dict[str, Any]]:
    """The run's figures."""
    return metric_rows(run.load_evaluation() or ())


def metric_rows(metrics: Iterable[Metric]) -> list[dict[str, Any]]:
    """Figures, each with its baselines as bars on one scale."""
    return [
        {
            "metric": metric,
            "value": with_unit(metric.value, metric.unit),
            "interval": between(metric),
            "bars": _bars(metric),
        }
        for metric in metrics
    ]


def curves_section(run: Run) -> dict[str, Any] | None:
    """Learning curves as one picture, with a line on each phase; None where nothing was recorded."""
    from dlkit.report.curves import best_epoch, learning_curves, panels  # matplotlib: not before it is needed

    rows = run.metrics()
    found = panels(rows)
    if not found:
        return None
    phases = []
    for phase in dict.fromkeys(phase for phase, _ in found):
        epochs = [epoch for (of, _), lines in found.items() if of == phase for line in lines.values() for epoch in line]
        best = best_epoch(found.get((phase, "loss"), {}))
        phases.append({"name": phase, "epochs": f"{max(epochs):g}", "best": "" if best is None else f"{best:g}"})
    image = _image(png(learning_curves(rows)), "learning curves", "", "")
    return {"image": image, "phases": phases}


def pictures_section(run: Run) -> list[Image]:
    """The pictures that ``plots/index.json`` lists and that are there as PNG files."""
    plots = run.path / "plots"
    images = []
    for entry in read_index(plots):
        try:
            with regular_file(plots / Path(entry["file"]).name, _MOST_BYTES) as stream:
                content = stream.read()
        except (OSError, ValueError):  # gone; a name that no file can have
            continue
        if png_size(content) is not None:
            images.append(_image(content, entry["name"], entry["title"], entry["caption"]))
    return images


def data_section(run: Run) -> dict[str, Any] | None:
    """Shape, counts per split and class; None where the run does not know its data."""
    if not (run.path / "data.json").is_file():
        return None
    spec = run.spec
    splits = [split for split, count in spec.counts.items() if count]
    classes: list[dict[str, Any]] = []
    for index, name in enumerate(spec.classes if spec.class_counts else ()):  # numbers are not counted
        counts = [spec.class_counts[split][index] if split in spec.class_counts else 0 for split in splits]
        classes.append({"name": name, "counts": counts, "total": sum(counts)})
    most = max((row["total"] for row in classes), default=0)
    for row in classes:
        row["length"] = 100 * row["total"] / most if most else 0
    return {"spec": spec, "splits": splits, "classes": classes, "total": sum(spec.counts.values())}


def options_section(run: Run) -> list[dict[str, Any]]:
    """The resolved options in groups; those that differ from their defaults are marked."""
    config = _config(run)
    if not config:
        return []
    technique = str(config.pop("technique", ""))
    try:
        groups = option_groups(registry().technique(technique))
    except DlkitError:  # its plugin is not installed here: no defaults to compare with
        rows = [{"name": key, "value": _text(value), "changed": False, "help": ""} for key, value in config.items()]
        return [{"heading": "Options", "rows": rows}]
    return [
        {
            "heading": heading,
            "rows": [
                {
                    "name": option.name,
                    "value": _text(config[option.name]),
                    "changed": config[option.name] != to_plain(option, option.default),
                    "help": option.help,
                }
                for option in options
                if option.name in config
            ],
        }
        for heading, options in groups
    ]


def environment_section(run: Run) -> list[dict[str, Any]]:
    """What each session (a start, a resume) ran on."""
    sessions = []
    for session in run.environments:
        words = session.get("argv")
        rest = {key: value for key, value in session.items() if key not in ("started", "argv")}
        sessions.append(
            {
                "started": _moment(str(session.get("started", ""))),
                "device": " · ".join(str(session[key]) for key in ("device", "device_name") if session.get(key)),
                "command": shlex.join(["dlkit", *map(str, words[1:] if isinstance(words, list) else ())]),
                "rows": [(key.replace("_", " "), _text(value)) for key, value in rest.items() if value is not None],
            }
        )
    return sessions


def _config(run: Run) -> dict[str, Any]:
    path = run.path / CONFIG
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(read_text(path))
    except ValueError as error:
        raise DataError(f"{str(path)!r} is not valid TOML: {error}.", "Is it a complete dlkit run?") from error


def _notices(run: Run) -> list[str]:
    notices = read_object(run.path / "evaluation.json").get("notices")
    return [str(notice) for notice in notices] if isinstance(notices, list) else []


def _commands(run: Run, technique: str) -> list[tuple[str, str]]:
    path = shlex.quote(str(run.path))
    return [
        ("Train again, the same way", f"dlkit train {technique} --config {shlex.quote(str(run.path / CONFIG))}"),
        ("Go on where it stopped", f"dlkit resume {path}"),
        ("Evaluate it, here or on other data", f"dlkit evaluate {path}"),
        ("Export the model", f"dlkit export {path}"),
        *([("Make new images", f"dlkit generate {path}")] if _generates(run) else []),
    ]


def _generates(run: Run) -> bool:
    try:
        return "generate" in capabilities_of(run)
    except DlkitError:  # its plugin is not installed here
        return False


def _sentence(run: Run) -> str:
    metric = headline(run.load_evaluation() or Metrics(()))
    if metric is None:
        return ""
    text = f"{metric.label} {with_unit(metric.value, metric.unit)} on {metric.split} images"
    best = [
        f"{with_unit(value, metric.unit)} ({name})" for name, value in metric.baselines.items() if name in metric.bounds
    ]
    baseline, at_best = strongest(metric), f"; at best {', '.join(best)}" if best else ""
    if baseline is None:
        return f"{text}{at_best}."
    name, value = baseline
    return f"{text}: {_WORDS[verdict(metric, value)]}, {name} ({with_unit(value, metric.unit)}){at_best}."


def _bars(metric: Metric) -> list[Bar]:
    """The figure itself, then its baselines, on a scale that starts at zero; no bars where one is negative by more than
    what an unbiased estimate of nothing is."""
    figures = [("this model", metric.value, ""), *((n, metric.baselines[n], v) for n, v in judged(metric).items())]
    values = [value for _, value, _ in figures if math.isfinite(value)]
    most = max(values, default=0.0)
    drawn = len(figures) > 1 and most > 0 and min(values) >= -_CHANCE * most
    return [
        Bar(name, number(value), judged, 100 * max(value, 0) / most if drawn and math.isfinite(value) else None)
        for name, value, judged in figures
    ]


def _image(content: bytes, name: str, title: str, caption: str) -> Image:
    width, height = png_size(content) or (0, 0)
    source = "data:image/png;base64," + base64.b64encode(content).decode("ascii")
    return Image(name, title, caption, source, round(width * _CSS_DPI / DPI), round(height * _CSS_DPI / DPI))


def _moment(iso: str) -> str:
    try:
        return datetime.fromisoformat(iso).strftime("%-d %B %Y, %H:%M %Z").strip()
    except ValueError:
        return iso


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
