"""The way of the data: options → data → technique → run → figures → report. The CLI and the Python API call this."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from dlkit import ranks
from dlkit.augment.training import for_training, warn_of_unused
from dlkit.capabilities import capabilities_of
from dlkit.data.describe import problems
from dlkit.data.load import list_data
from dlkit.discovery import registry
from dlkit.errors import DataError, DlkitError, Interrupted, UsageError
from dlkit.files import write_json
from dlkit.launch import as_launched, begun_before, launch, wanted
from dlkit.loading import load_to_evaluate, load_training_data
from dlkit.metrics import Metrics
from dlkit.options import TrainOptions
from dlkit.pictures import TWO_WAY, code_pictures, pictures_of
from dlkit.places import anchored, tell_of_runs
from dlkit.report import save_pictures, write_report
from dlkit.run import Run
from dlkit.run.changes import changed
from dlkit.run.environment import describe_environment
from dlkit.runtime import Runtime
from dlkit.runtime.processes import Processes, join
from dlkit.runtime.room import free_room
from dlkit.runtime.signals import interruptible, unmasked
from dlkit.technique import Advises

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.data.spec import DataSpec
    from dlkit.display import Display
    from dlkit.settings import Settings
    from dlkit.technique import Technique

Begun = Callable[[Run], None]


def _nothing(_: Run) -> None:
    """Nobody wants to be told."""


def train(settings: Settings, display: Display, *, data: ImageData | None = None, begun: Begun = _nothing) -> Run:
    """Train from the beginning, in a new run directory; evaluate, draw and report.

    Args:
        settings: all options.
        display: where progress is shown.
        data: what the settings name, where it has been loaded already.
        begun: told of the run as soon as there is one.

    Raises:
        DlkitError: see :mod:`dlkit.errors`; a run that has begun says in its ``status.json`` how it ended.
    """
    with interruptible():
        settings = as_launched(anchored(settings))
        tell_of_runs(settings, display.warn)
        if wanted(settings.runtime):
            return launch(settings, display)
        processes = join()
        before = processes.first(lambda: begun_before(settings))
        if before is not None:
            return go_on(Run(Path(before)), settings, display, processes=processes, begun=begun)
        runtime = Runtime(settings.runtime, display, processes)
        data = _loaded(settings, display, processes) if data is None else data
        technique = build_technique(settings, data.spec, runtime)
        run = Run(Path(processes.first(lambda: _created(settings, data))))
        begun(run)
        display.info(f"Run {run.path}")
        with run.locked() if processes.leads else nullcontext():
            _carry_out(run, technique, data, runtime, display)
    return run


def _loaded(settings: Settings, display: Display, processes: Processes) -> ImageData:
    """The data, of which the first process fetches what must be fetched before the others look."""
    if processes.count > 1:
        processes.first(lambda: list_data(settings.data, display) and None)
    return load_training_data(settings, display)


def _created(settings: Settings, data: ImageData) -> str:
    run = Run.create(settings, data.spec)
    write_json(run.path / "data-problems.json", problems(data))
    return str(run.path)


def resume(run: Run, display: Display, *, changes: Mapping[str, object] | None = None) -> Run:
    """Go on with a run that was interrupted, or train a finished one for longer.

    Args:
        run: the run.
        changes: option name → new value: ``epochs``, ``schedule``, ``max_time``, ``patience``…

    Raises:
        DataError: the data is not what the run was trained on.
        UsageError: another process trains the run, or a changed option does not fit.
    """
    settings = as_launched(changed(run, changes or {}))
    if wanted(settings.runtime):
        return launch(settings, display, run)
    return go_on(run, settings, display)


def go_on(
    run: Run, settings: Settings, display: Display, *, processes: Processes | None = None, begun: Begun = _nothing
) -> Run:
    """Go on with a run as ``settings`` say; see :func:`resume`.

    Args:
        run: the run.
        settings: its own, but for what may change.
        display: where progress is shown.
        processes: those that train together, where they have met already.
        begun: told of the run.
    """
    with ExitStack() as stack:
        stack.enter_context(interruptible())
        processes = processes or join()
        if processes.leads:
            stack.enter_context(run.locked())
        begun(run)
        runtime = Runtime(settings.runtime, display, processes)
        data = _loaded(settings, display, processes)
        if data.spec.fingerprint != run.spec.fingerprint:
            raise DataError(
                f"The data {settings.data.data!r} is not what {run.name} was trained on: images, labels or splits "
                f"changed (fingerprint {data.spec.fingerprint[:12]}, expected {run.spec.fingerprint[:12]}).",
                "Bring the data back to what it was, or train a new run.",
            )
        technique = build_technique(settings, run.spec, runtime)
        if processes.leads:
            run.write_settings(settings)
            run.become_latest()
        display.info(f"Resuming {run.path}")
        _carry_out(run, technique, data, runtime, display)
    return run


def advise(settings: Settings, display: Display) -> None:
    """What the technique would do with the data, and why; no run is made.

    Raises:
        UsageError: the technique gives no advice.
    """
    if not settings.card.advises:
        raise UsageError(f"{settings.card.name} gives no advice.", "--dry-run shows what training is going to be.")
    with interruptible():
        settings = anchored(settings)
        runtime = Runtime(settings.runtime, display)
        data = load_training_data(settings, display)
        technique = cast(Advises, build_technique(settings, data.spec, runtime))
        try:
            display.result(technique.advise(data, runtime))
        except Interrupted as stop:
            stop.hint = "Advice makes no run: nothing of it is kept but features."
            raise


def build_technique(settings: Settings, spec: DataSpec, runtime: Runtime) -> Technique[Any]:
    """A technique before training; its weights depend on the seed and nothing else.

    Raises:
        UsageError: there is no such optimizer, or not the memory for the weights; told before a run begins.
    """
    if isinstance(settings.options, TrainOptions):
        runtime.optimizer([nn.Parameter(torch.zeros(2, 2))], settings.options)
    torch.manual_seed(runtime.seed)
    with free_room():
        return settings.card.load()(settings.options, spec)


def evaluate(run: Run, display: Display, *, data: str | None = None, runtime: Runtime | None = None) -> Metrics:
    """The run's figures on its own data, or on other data brought into the same form.

    Args:
        run: a trained run.
        display: where progress is shown.
        data: what ``--data`` takes; by default the run's own. Of other data the held-out images are evaluated;
            the baselines are fitted on the run's own training images.
        runtime: by default one with the run's options.

    Raises:
        DataError: the data does not fit, or the run has no model yet.
    """
    runtime = runtime or Runtime(run.settings.runtime, display)
    technique = ready(run, runtime)
    loaded, own = load_to_evaluate(run, display, data)
    metrics = _figures(run, technique, loaded, runtime)
    return metrics if own else dataclasses.replace(metrics, rows=tuple(row for row in metrics if row.split == "test"))


def ready(run: Run, runtime: Runtime) -> Technique[Any]:
    """A run's trained technique, on the runtime's device.

    Raises:
        DataError: the run has no model yet, or it cannot be read.
    """
    technique = run.load_technique()
    runtime.prepare(technique.inference_module())
    return technique


def _carry_out(run: Run, technique: Technique[Any], data: ImageData, runtime: Runtime, display: Display) -> None:
    """Train, keep the model, conclude; whatever happens, the run's status says so."""
    run.warn = display.warn
    try:
        with unmasked():
            _train_and_conclude(run, technique, data, runtime, display)
    except Interrupted as stop:
        if runtime.processes.leads:
            run.set_status("interrupted", signal=stop.signum)
        stop.hint = f"Everything up to here is saved; go on with: dlkit resume {shlex.quote(str(run.path))}"
        raise
    except BaseException as error:
        if runtime.processes.leads:
            _note_failure(run, error)
        raise
    finally:
        run.close()


def _train_and_conclude(
    run: Run, technique: Technique[Any], data: ImageData, runtime: Runtime, display: Display
) -> None:
    origin, processes = registry().techniques[run.technique], runtime.processes
    plugin = {"distribution": origin.distribution, "version": origin.version}
    if processes.leads:
        machine = describe_environment(
            **plugin,
            threads=runtime.threads,
            device=str(runtime.device),
            processes=processes.count,
            launch=ranks.launch(),
        )
        run.add_environment(machine)
        run.set_status("training")
        run.tell("dlkit_run_started")
    learned = for_training(data, run.settings, runtime)
    technique.train(learned, runtime, run)
    warn_of_unused(learned, run.technique, runtime)
    if processes.count > 1 and not processes.shared:
        display.warn(f"{run.technique} divides no work among processes: {processes.count} are no faster than one.")
    processes.first(lambda: _finish(run, technique, data, runtime, display, plugin))


def _finish(
    run: Run, technique: Technique[Any], data: ImageData, runtime: Runtime, display: Display, plugin: Mapping[str, str]
) -> None:
    """Keep the model, and conclude."""
    runtime.take_all_threads()
    run.save_model(technique.state(), **plugin)
    seconds = round(runtime.trained_seconds, 1)
    run.set_status("trained", trained_seconds=seconds)
    conclude(run, technique, data, runtime, display)
    run.set_status("finished", trained_seconds=seconds)
    run.tell("dlkit_run_ended")


def conclude(run: Run, technique: Technique[Any], data: ImageData, runtime: Runtime, display: Display) -> Metrics:
    """Evaluate, draw, and write the report; files of an earlier conclusion are replaced."""
    display.info("Evaluating")
    metrics = _figures(run, technique, data, runtime)
    run.save_evaluation(metrics, (*data.notices, *metrics.notices))
    pictures = chain(pictures_of(run, technique, data, runtime), code_pictures(run, technique, metrics, data, runtime))
    save_pictures(pictures, run.path / "plots")
    write_report(run.path)
    return metrics


def _figures(run: Run, technique: Technique[Any], data: ImageData, runtime: Runtime) -> Metrics:
    """The technique's own figures, and what its capabilities let the core measure."""
    metrics = technique.evaluate(data, runtime)
    for notice in metrics.notices:
        runtime.warn(notice)
    if not capabilities_of(run) >= TWO_WAY:
        return metrics
    from dlkit.rate_distortion import rate_distortion  # scikit-learn: not before it is needed

    return dataclasses.replace(metrics, tables=(*metrics.tables, *rate_distortion(technique, data, runtime)))


def _note_failure(run: Run, error: BaseException) -> None:
    try:
        run.set_status("failed", error=f"{type(error).__name__}: {error}")
    except DlkitError:
        return  # a full disk, say: the error under way tells more than that its record failed
