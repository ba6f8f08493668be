"""A run: the directory and what reads and writes it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dlkit.data.spec import DataSpec
from dlkit.discovery import registry
from dlkit.errors import DlkitError, UsageError
from dlkit.files import user_path, write_json, write_text, writing
from dlkit.metrics import Metrics
from dlkit.opening import to_append
from dlkit.run.directory import CONFIG, check_entries, create_directory, find_run, point_latest, safe_name
from dlkit.run.reading import read_distribution, read_figures, read_object, read_rows, read_sessions, read_spec
from dlkit.settings import Settings, all_options, settings_from_toml
from dlkit.trust import remember

if TYPE_CHECKING:
    from dlkit.technique import State, Technique

REPEATS = "repeats.json"
"""Figures over several runs that differ in their seed or fold, in the directory of each of them."""

ROBUSTNESS = "robustness.json"
"""Figures on corrupted images: what `dlkit evaluate --corrupt` measured last."""

FORMAT = 1
"""Version of the layout below; a run of a newer one is refused."""

Status = Literal["training", "interrupted", "failed", "trained", "finished"]


class Run:
    """A run directory::

        config.toml        the resolved options; feed it back with --config
        data.json          the data's spec: shape, classes, counts, normalisation, fingerprint
        data-problems.json files that were skipped, images in two splits, other notices
        environment.json   versions, device, commit, command line; one entry per session
        status.json        training, interrupted, failed, trained (model kept), finished (evaluated, reported)
        metrics.jsonl      a line per epoch
        checkpoints/PHASE/ last.safetensors (all that resuming needs), best.safetensors (weights)
        model.safetensors  what was learned, with model.json
        evaluation.json    figures beside their baselines, and tables
        repeats.json       the same over several seeds or folds, of which this run is one
        robustness.json    figures on corrupted images (`dlkit evaluate --corrupt`)
        comparisons/       runs without a part of the data (`dlkit evaluate --without`)
        plots/             pictures, with index.json
        codes/             codes of images, for `dlkit search` and `cluster`
        searches/, clusters/ what they find: pictures; tables and contact sheets
        decoded/, generated/, morphs/, grids/  what the commands of these names make
        report.html        all of it on one page
        log.txt            what happened when

    Args:
        path: the directory, which exists.

    Attributes:
        warn: how the user is told what should not be missed; set by who has a display.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warn: Callable[[str], None] = lambda _: None
        self._metrics_file: Any = None
        self._failed_hooks: set[str] = set()

    @classmethod
    def create(cls, settings: Settings, spec: DataSpec) -> Run:
        """Make the directory of a new run, with its config and data spec; ``latest`` names it from now on."""
        root = user_path(settings.run.runs)
        name = settings.run.name or safe_name(spec.name)
        options = all_options(settings.card)
        remember(options, {option.name: settings.value(option.name) for option in options})
        run = cls(create_directory(root, settings.card.name.replace("/", "-"), name).resolve())
        write_json(run.path / "data.json", spec.to_json())
        run.write_settings(settings)
        point_latest(root.resolve(), run.path)
        return run

    def become_latest(self) -> None:
        """Let ``latest`` name this run, where the directory of runs that it lies in has such a pointer."""
        home = self.path.parent.parent
        if (home / "latest").is_symlink():
            point_latest(home, self.path)

    def write_settings(self, settings: Settings) -> None:
        """Record the resolved options."""
        write_text(self.path / CONFIG, settings.to_toml())
        self.__dict__.pop("settings", None)

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.path.name

    @property
    def technique(self) -> str:
        """The technique's name."""
        return self.settings.card.name

    @cached_property
    def settings(self) -> Settings:
        """The resolved options of the run.

        Raises:
            UsageError: the technique's plugin is not installed, or the config was changed to something invalid.
        """
        return settings_from_toml(self.path / CONFIG, registry(), read_distribution(self.path / "environment.json"))

    @cached_property
    def spec(self) -> DataSpec:
        """The spec of the data that the run was trained on.

        Raises:
            DataError: ``data.json`` is missing or broken.
        """
        return read_spec(self.path / "data.json")

    # --- status, environment, log ---------------------------------------------------------------------------

    @property
    def status(self) -> dict[str, Any]:
        """``{"status": …, "since": …}`` and what else was recorded with it; empty before the first."""
        return read_object(self.path / "status.json")

    def set_status(self, status: Status, **details: Any) -> None:
        """Record what the run is now."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(self.path / "status.json", {"format": FORMAT, "status": status, "since": since, **details})
        self.log(status)

    def add_environment(self, environment: Mapping[str, Any]) -> None:
        """Record the surroundings of a session (a start or a resume)."""
        write_json(self.path / "environment.json", [*self.environments, dict(environment)])

    @property
    def environments(self) -> list[dict[str, Any]]:
        """One entry per session, oldest first."""
        return read_sessions(self.path / "environment.json")

    def log(self, message: str) -> None:
        """Append a line to ``log.txt``."""
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        path = self.path / "log.txt"
        with writing(path), to_append(path) as file:
            file.write(f"{stamp}  {message}\n".encode("utf-8", "backslashreplace"))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process trains a run at a time.

        Raises:
            UsageError: another process does.
            DlkitError: the directory cannot be written, or its file system has no locks.
        """
        path = self.path / ".lock"
        with writing(path):
            file = to_append(path)
        with file:
            try:
                with writing(path):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, whatever ends it
            except DlkitError as error:
                if not isinstance(error.__cause__, BlockingIOError):
                    raise
                raise UsageError(
                    f"Another process is training {str(self.path)!r}.", "Wait until it ends, or stop it first."
                ) from None
            yield

    # --- metrics --------------------------------------------------------------------------------------------

    def record(self, row: Mapping[str, Any]) -> None:
        """Append one line to ``metrics.jsonl``; figures that are not finite become strings."""
        path = self.path / "metrics.jsonl"
        plain = {key: value if not isinstance(value, float) or abs(value) < float("inf") else str(value)
                 for key, value in row.items()}  # fmt: skip
        with writing(path):
            if self._metrics_file is None:
                self._metrics_file = to_append(path)
            self._metrics_file.write(json.dumps(plain, allow_nan=False).encode() + b"\n")
            self._metrics_file.flush()

    def metrics_position(self) -> int:
        """Bytes of ``metrics.jsonl`` so far, all of them on disk."""
        if self._metrics_file is not None:
            os.fsync(self._metrics_file.fileno())
        path = self.path / "metrics.jsonl"
        return path.stat().st_size if path.exists() else 0

    def cut_metrics(self, position: int) -> None:
        """Forget what was written after a checkpoint: the resumed training writes it again."""
        self.close()
        path = self.path / "metrics.jsonl"
        if path.exists() and path.stat().st_size > position:
            with writing(path), to_append(path) as file:
                file.truncate(position)

    def metrics(self) -> list[dict[str, Any]]:
        """The rows of ``metrics.jsonl``; a last line that was cut off by a crash is left out.

        Raises:
            DataError: a whole line is not a JSON object.
        """
        return read_rows(self.path / "metrics.jsonl")

    def tell(self, hook: str, **facts: Any) -> None:
        """Call a hook of the loggers among the plugins; one that fails is reported once and stops nothing."""
        try:
            getattr(registry().hook, hook)(run=self, **facts)
        except Exception as error:  # a stranger's code
            message = f"A plugin's {hook} failed: {type(error).__name__}: {error}"
            self.log(message)
            if hook not in self._failed_hooks:
                self._failed_hooks.add(hook)
                self.warn(message)

    def epoch_ended(self, phase: str, row: Mapping[str, Any]) -> None:
        """Tell the loggers; ``runtime.fit`` calls this after each epoch."""
        self.tell("dlkit_epoch_ended", phase=phase, metrics=row)

    def close(self) -> None:
        """Close the metrics file; it opens again when needed."""
        if self._metrics_file is not None:
            self._metrics_file.close()
            self._metrics_file = None

    # --- checkpoints, model, evaluation -----------------------------------------------------------------------

    def checkpoint_path(self, phase: str, which: Literal["last", "best"]) -> Path:
        """Where a phase's checkpoint lies; its directory exists."""
        if safe_name(phase) != phase:  # two phases must not share a directory
            raise ValueError(f"a phase's name is made of letters, digits, '.', '_' and '-', not {phase!r}")
        directory = self.path / "checkpoints" / phase
        directory.mkdir(parents=True, exist_ok=True)
        return directory / f"{which}.safetensors"

    def save_model(self, state: State, *, distribution: str, version: str) -> None:
        """Keep what was learned as ``model.safetensors`` and ``model.json``."""
        from dlkit.run.model_files import save_state

        save_state(self.path, state, {"technique": self.technique, "distribution": distribution, "version": version})

    def load_technique(self) -> Technique[Any]:
        """The trained technique, on the CPU.

        Raises:
            DataError: the run has no model yet, its files are broken, or its config asks for far more than they hold.
        """
        from dlkit.run.model_files import BAD_STATE, load_state, room_for_model, unreadable

        settings, state = self.settings, load_state(self.path)
        implementation = settings.card.load()
        try:
            with room_for_model(self.path):
                return implementation.load(state, settings.options, self.spec)
        except BAD_STATE as error:
            raise unreadable(self.path, error) from error

    def save_evaluation(self, metrics: Metrics, notices: tuple[str, ...] = ()) -> None:
        """Keep the figures of the run's own data."""
        plain = {"metrics": metrics.to_json(), "tables": metrics.tables_json(), "notices": list(notices)}
        write_json(self.path / "evaluation.json", plain)

    def load_evaluation(self) -> Metrics | None:
        """The figures that were kept, if any.

        Raises:
            DataError: the file does not hold figures.
        """
        path = self.path / "evaluation.json"
        return read_figures(path) if path.is_file() else None


def open_run(reference: str, root: Path = Path("runs")) -> Run:
    """The run that a path, a name or ``latest`` refers to.

    Raises:
        UsageError: there is none, several have the name, or it was written by a newer dlkit.
        DataError: something in it leads out of it.
    """
    run = Run(find_run(reference, root))
    check_entries(run.path)
    found = run.status.get("format", FORMAT)
    if type(found) is not int or found > FORMAT:
        raise UsageError(
            f"{str(run.path)!r} has the layout {found!r}; this dlkit knows layouts up to {FORMAT}.", "Upgrade dlkit."
        )
    return run
