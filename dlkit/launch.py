"""Starting several processes that train together, by PyTorch's elastic launcher.

The launcher starts workers (:mod:`dlkit.worker`), watches them, and starts all of them again where one has died; they
go on from the last checkpoint. What they tell lies in a folder of the launch: ``run`` (the run's path), ``saved``
(how to go on after a signal), ``error.json`` (what starting again does not mend).
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlkit import errors, meeting, ranks
from dlkit.errors import DlkitError, Interrupted, TrainingError, UsageError
from dlkit.files import read_json, scratch_folder, user_path, write_json, write_text
from dlkit.trust import TRUST, trusted_names

if TYPE_CHECKING:
    from torch.distributed.launcher.api import LaunchConfig

    from dlkit.display import Display
    from dlkit.options import RuntimeOptions
    from dlkit.run import Run
    from dlkit.settings import Settings

RESTARTS = 3
"""So often all processes are started again where one has died."""

_LATEST = 50  # runs among which one is looked for that was begun just now

JOB, CONFIG, RUN, SAVED, ERROR = "job.json", "config.toml", "run", "saved", "error.json"
"""The files in the folder of a launch."""


def wanted(options: RuntimeOptions) -> bool:
    """Whether this process is to start others, rather than to train itself.

    Raises:
        UsageError: several nodes, and no place where they meet, or one that cannot be.
    """
    if ranks.count() > 1:
        return False
    if options.rendezvous is not None:
        meeting.host_and_port(options.rendezvous)
    if options.nodes > 1 and options.rendezvous is None:
        raise UsageError(
            f"--nodes {options.nodes}: the nodes' processes must find one another.",
            "Name a port of the first node on each of them: --rendezvous first-node:29500. To train on this machine "
            "alone: --nodes 1.",
        )
    return options.devices * options.nodes > 1


def as_launched(settings: Settings) -> Settings:
    """The settings with as many processes as torchrun has started, so that the run's record says it."""
    if ranks.count() == 1:
        return settings
    beside = ranks.local_count()
    several = replace(settings.runtime, devices=beside, nodes=ranks.count() // beside)
    return replace(settings, runtime=several)


def begun_before(settings: Settings) -> str | None:
    """The run that these processes were training before the launcher started them again."""
    from dlkit.run import Run
    from dlkit.run.directory import list_runs

    if ranks.launch() is None:
        return None
    runs = [Run(path) for path in list_runs(user_path(settings.run.runs))[-_LATEST:]]
    begun = [run for run in runs if any(each.get("launch") == ranks.launch() for each in run.environments)]
    unfinished = [
        run for run in begun if run.status.get("status") != "finished" and run.technique == settings.card.name
    ]
    return str(unfinished[-1].path) if unfinished else None


def launch(settings: Settings, display: Display, run: Run | None = None) -> Run:
    """Train a new run, or go on with one, in as many processes as ``settings`` say.

    Raises:
        UsageError: there are fewer devices than processes; the machines' meeting place is none, or only a file's.
        DlkitError: what ended the training, as in one process.
    """
    from dlkit.run import Run
    from dlkit.runtime.device import check_devices

    check_devices(settings.runtime.device, settings.runtime.devices)
    if settings.runtime.nodes > 1:
        _check_trusted(settings)
        display.info(f"Waiting for {settings.runtime.nodes} machines to meet at {settings.runtime.rendezvous}")
    with scratch_folder("launch") as folder:
        write_text(folder / CONFIG, settings.to_toml())
        write_json(folder / JOB, {"run": None if run is None else str(run.path), "quiet": display.quiet})
        failure = _started(settings.runtime, folder)
        begun = Run(Path((folder / RUN).read_text(encoding="utf-8"))) if (folder / RUN).exists() else None
        if failure is not None:
            if begun is not None:
                begun.set_status("failed", error=f"{type(failure).__name__}: {failure}")
            raise failure
    if begun is None:
        raise TrainingError("The processes that train together ended without a run.")
    return begun


def _check_trusted(settings: Settings) -> None:
    """The launcher unpickles what it is told where machines meet, and so does whatever another machine there says."""
    place = str(settings.runtime.rendezvous)
    if "rendezvous" in settings.from_file and place not in trusted_names():
        raise UsageError(
            f"rendezvous: only a file names {place}, and who answers there can have any code run here.",
            f"Where you know that machine: --rendezvous {place} on the command line, or {TRUST}={place}.",
        )


def _started(options: RuntimeOptions, folder: Path) -> DlkitError | None:
    """Start the workers, and wait until all have ended; what went wrong with them.

    Raises:
        Interrupted: by a signal, which they were told.
    """
    from torch.distributed import DistError
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous.api import RendezvousError
    from torch.distributed.launcher.api import elastic_launch

    _quieten()
    with _left_as_found():
        if options.nodes > 1:  # a store for each start: in the last one's lies where processes listened that have ended
            os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
        try:
            elastic_launch(_config(options, folder), sys.executable)("-P", "-m", "dlkit.worker", str(folder))
        except SignalException as stop:
            raise _interrupted(int(stop.sigval), folder) from None
        except ChildFailedError as error:
            if not (folder / ERROR).exists():
                return _died(error, folder)
        except (RendezvousError, DistError) as error:
            if not (folder / ERROR).exists():
                return _not_met(error, str(options.rendezvous), folder)
    return _told(read_json(folder / ERROR)) if (folder / ERROR).exists() else None


def _config(options: RuntimeOptions, folder: Path) -> LaunchConfig:
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, Std
    from torch.distributed.launcher.api import LaunchConfig

    alone = options.nodes == 1
    place = "127.0.0.1:0" if alone else str(options.rendezvous)  # 0: a port that is free
    part = meeting.Part("127.0.0.1") if alone else meeting.come(place)
    return LaunchConfig(
        min_nodes=options.nodes,
        max_nodes=options.nodes,
        nproc_per_node=options.devices,
        run_id=uuid.uuid4().hex if alone else ranks.UNNAMED,  # the same on all of them
        rdzv_backend="c10d",
        rdzv_endpoint=place,
        rdzv_configs={"join_timeout": meeting.PATIENCE, "is_host": part.listens},
        local_addr=part.address,
        max_restarts=RESTARTS,
        monitor_interval=0.1,
        logs_specs=DefaultLogsSpecs(
            log_dir=str(folder / "logs"), redirects=dict.fromkeys(range(1, options.devices), Std.ALL)
        ),
    )


def _quieten() -> None:
    """What the launcher has to say, dlkit says."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("torch.distributed.elastic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def _left_as_found() -> Iterator[None]:
    """The launcher sets handlers of signals and variables, and leaves them."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    before = {number: signal.getsignal(number) for number in numbers}
    variables = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - variables.keys():
            del os.environ[name]
        for number, handler in before.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def _told(found: Mapping[str, Any]) -> DlkitError:
    """The error that a worker has written down."""
    kind = getattr(errors, found["kind"], DlkitError)
    error: DlkitError = (kind if kind is not Interrupted else DlkitError)(found["message"], found["hint"])
    return error


def _interrupted(signum: int, folder: Path) -> Interrupted:
    if (folder / SAVED).exists():
        return Interrupted(signum, (folder / SAVED).read_text(encoding="utf-8"))
    return Interrupted(signum, _go_on(folder))


def _died(error: Any, folder: Path) -> TrainingError:
    """What to say where processes die again and again."""
    rank, failure = min(error.failures.items(), key=lambda item: item[1].timestamp)
    how = failure.signal_name() if failure.exitcode < 0 else f"with exit code {failure.exitcode}"
    return TrainingError(
        f"Process {rank} of those that train together died ({how}), {RESTARTS + 1} times over.",
        f"Memory may be too small for so many processes. {_go_on(folder)}".strip(),
    )


def _not_met(error: Exception, place: str, folder: Path) -> TrainingError:
    """What to say where launchers wait in vain, or lose one another."""
    why = str(error.__cause__ or error).partition("\n")[0] or "the others did not come in ten minutes, or have ended"
    return TrainingError(
        f"The machines that train together have not met at {place}, or have lost one another: {why}",
        f"The same command must run on each, and all must reach that port of the first. {_go_on(folder)}".strip(),
    )


def _go_on(folder: Path) -> str:
    if not (folder / RUN).exists():
        return ""
    import shlex

    run = (folder / RUN).read_text(encoding="utf-8")
    return f"Go on from the last checkpoint with: dlkit resume {shlex.quote(run)}"
