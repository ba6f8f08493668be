"""One of the processes that :mod:`dlkit.launch` starts: ``python -m dlkit.worker FOLDER``.

It ends with 0 where training has ended well, or in a way that starting again does not mend. Other exit codes, and
death, make the launcher start all processes again.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from dlkit import ranks
from dlkit.discovery import registry
from dlkit.errors import DlkitError, Interrupted, LostProcess
from dlkit.files import read_json, write_json, write_text
from dlkit.launch import CONFIG, ERROR, JOB, RESTARTS, RUN, SAVED
from dlkit.settings import settings_from_toml

if TYPE_CHECKING:
    from dlkit.display import Display

_PARENT_DIED = 1  # PR_SET_PDEATHSIG


def main(folder: Path) -> int:
    """Do the job that the folder describes, and write down how it ended; the exit code."""
    if (folder / ERROR).exists():
        return 0
    launcher = os.getppid()
    _follow_parent()
    try:
        _work(folder)
    except LostProcess:
        return 1  # the one that is lost has more to tell
    except Interrupted as stop:
        signal.signal(stop.signum, signal.SIG_IGN)  # on its way out
        if ranks.rank() == 0:
            write_text(folder / SAVED, stop.hint)
        if ranks.local_rank() == 0 and ranks.local_count() < ranks.count() and os.getppid() == launcher:
            os.kill(launcher, stop.signum)  # the signal may have come to another machine's
        return stop.exit_code
    except DlkitError as error:
        _tell(folder, type(error).__name__, error.message, error.hint)
    except Exception:
        message = f"{traceback.format_exc()}\nThis is a bug in dlkit or in a plugin."
        _tell(folder, "DlkitError", message, "Please report it with the lines above.")
    else:
        return 0
    return 1


def _work(folder: Path) -> None:
    from dlkit import session
    from dlkit.display import Display
    from dlkit.run import Run
    from dlkit.runtime.processes import leave

    job, settings = read_json(folder / JOB), settings_from_toml(folder / CONFIG, registry())
    display = Display(quiet=job["quiet"], mute=ranks.rank() > 0)
    if ranks.restarts():
        _say_again(display)

    def begun(run: Run) -> None:
        if ranks.local_rank() == 0:
            write_text(folder / RUN, str(run.path))

    if job["run"] is None:
        session.train(settings, display, begun=begun)
    else:
        session.go_on(Run(Path(job["run"])), settings, display, begun=begun)
    leave()


def _say_again(display: Display) -> None:
    display.warn(
        f"A process has died; all {ranks.count()} go on from the last checkpoint "
        f"(restart {ranks.restarts()} of at most {RESTARTS})."
    )


def _tell(folder: Path, kind: str, message: str, hint: str) -> None:
    """Write an error down; the first one counts."""
    if not (folder / ERROR).exists():
        write_json(folder / ERROR, {"kind": kind, "message": message, "hint": hint})


def _follow_parent() -> None:
    """Save and stop where the launcher dies (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DIED, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
