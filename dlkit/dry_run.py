"""`--dry-run`: what a training is going to be, without doing it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dlkit.data.spec import LABEL_WORDS
from dlkit.loading import load_training_data
from dlkit.options import TrainOptions
from dlkit.places import anchored
from dlkit.runtime import Runtime, count_parameters, estimate_memory
from dlkit.session import build_technique

if TYPE_CHECKING:
    from dlkit.data.spec import DataSpec
    from dlkit.display import Display
    from dlkit.settings import Settings
    from dlkit.technique import PhasePlan


def dry_run(settings: Settings, display: Display) -> None:
    """Show the resolved options, the data, the phases with their parameters, and the memory to expect.

    Raises:
        DlkitError: whatever would stop the training before it starts.
    """
    settings = anchored(settings)
    runtime = Runtime(settings.runtime, display)
    data = load_training_data(settings, display)
    technique = build_technique(settings, data.spec, runtime)
    phases = [_phase(phase, data.spec, settings) for phase in technique.plan()]
    display.text(settings.to_toml())
    display.table([{"data": key, "is": value} for key, value in _data(data.spec).items()], "Data")
    display.table([_row(phase) for phase in phases], f"Phases on {runtime.device}, {runtime.precision}")
    display.result(
        {
            "options": settings.to_plain(),
            "data": data.spec.to_json() | {"normalization": data.spec.normalization.mode},
            "device": str(runtime.device),
            "precision": runtime.precision,
            "phases": phases,
            "notices": list(data.notices),
        }
    )


def _phase(phase: PhasePlan, spec: DataSpec, settings: Settings) -> dict[str, Any]:
    options = settings.options
    counts = {name: count_parameters(module) for name, module in phase.modules.items()}
    plain: dict[str, Any] = {
        "phase": phase.name,
        "epochs": phase.epochs,
        "modules": {name: {"trainable": count[0], "frozen": count[1]} for name, count in counts.items()},
        "trainable": sum(count[0] for count in counts.values()),
        "frozen": sum(count[1] for count in counts.values()),
    }
    if isinstance(options, TrainOptions):
        micro_batch = -(-options.batch_size // options.accumulate)
        memory = estimate_memory(phase.modules.values(), spec.shape, micro_batch, options)
        plain["memory_bytes"] = asdict(memory) | {"total": memory.total}
    return plain


def _row(phase: dict[str, Any]) -> dict[str, object]:
    memory = phase.get("memory_bytes")
    row: dict[str, object] = {key: phase[key] for key in ("phase", "epochs")}
    row |= {key: f"{phase[key]:,}" for key in ("trainable", "frozen")}
    if memory is not None:
        row |= {key: _megabytes(value) for key, value in memory.items()}
    return row


def _megabytes(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 2**20:,.1f} MiB"


def _data(spec: DataSpec) -> dict[str, str]:
    return {
        "source": spec.source,
        "images": ", ".join(f"{count:,} {split}" for split, count in spec.counts.items() if count),
        "shape": f"{spec.channels} × {spec.height} × {spec.width}, {spec.pixel_type}",
        LABEL_WORDS[spec.target]: f"{len(spec.classes)}: {', '.join(spec.classes)}" if spec.classes else "none",
        "normalisation": spec.normalization.mode,
        "fingerprint": spec.fingerprint[:16],
    }
