"""What a technique gives besides models: texts, such as a policy that a search found."""

from __future__ import annotations

from pathlib import Path

from dlkit.errors import UsageError
from dlkit.export.exporting import check_target
from dlkit.files import write_text
from dlkit.run import Run
from dlkit.technique import HasTexts


def export_text(
    run: Run, target: Path | None = None, *, format: str | None = None, part: str | None = None, overwrite: bool = False
) -> Path | None:
    """Write a technique's text, where it has one and one is meant: by its name, or because neither a format nor a file
    of another suffix is named.

    Args:
        run: a trained run.
        target: the file; by default ``exports/NAME`` in the run's directory.
        format: of a model; then none of the texts is meant.
        part: the text's name without its suffix.
        overwrite: replace an existing file.

    Returns:
        The file; None where a model is meant.

    Raises:
        UsageError: the file exists, or is to have another suffix.
    """
    if format is not None or not hasattr(run.settings.card.load(), "texts"):
        return None
    technique = run.load_technique()
    if not isinstance(technique, HasTexts):
        return None
    names = technique.text_names()
    suffix = "" if target is None else target.suffix.lower()
    if part is None:
        chosen = next((name for name in names if target is None or Path(name).suffix == suffix), None)
    else:
        chosen = next((name for name in names if Path(name).stem == part), None)
    if chosen is None:
        return None
    if target is not None and suffix != Path(chosen).suffix:
        raise UsageError(f"--out {target}: the {Path(chosen).stem} is a {Path(chosen).suffix} file.",
                         f"For example --out {chosen}.")  # fmt: skip
    text = technique.texts()[chosen]
    target = target or run.path / "exports" / chosen
    check_target(target, overwrite=overwrite)
    write_text(target, text)
    return target
