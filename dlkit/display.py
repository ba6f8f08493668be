"""What a command shows: results on standard output, everything else on standard error.

On a terminal a live bar with throughput and time left; plain lines when piped; ``quiet`` leaves warnings and
results (errors are told in :mod:`dlkit.cli.main`); ``json`` makes standard output one JSON document. ``rich`` is
imported on first use.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, SupportsFloat

from dlkit.metrics import Metrics
from dlkit.report.figures import clean, number, time_span

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

_LIVE_SECONDS = 0.1  # how often a live bar gets new figures
_FIRST_LINE_SECONDS = 5.0  # when piped: pause before the first line; it doubles up to the longest
_LONGEST_SECONDS = 60.0
_WORTH_A_LINE_SECONDS = 2.0  # work without notes that took longer ends with a summary line
_UNBOUNDED = 10_000  # piped tables are as wide as they need, so that nothing is cut


class Progress:
    """How far some work has come. This one shows nothing: it is what a quiet display hands out."""

    def advance(self, n: int = 1, **figures: SupportsFloat) -> None:
        """Add ``n`` units; ``figures`` (``loss=0.0123``) are shown beside the bar.

        May be called from any thread, for each step: below a microsecond unless something is due to be shown.
        A figure may be a tensor; it becomes a number only when it is shown.
        """

    def describe(self, title: str) -> None:
        """Change the title (``epoch 3/20``)."""

    def note(self, text: str) -> None:
        """Leave a line that stays: the end of an epoch, of a layer."""


class _Shown(Progress):
    """A progress that is shown, as a live bar where ``bars`` is given, else as lines."""

    def __init__(
        self, display: Display, title: str, total: int | None, unit: str, done: int, bars: Bars | None
    ) -> None:
        self._display, self._title, self._total, self._unit = display, clean(title), total, clean(unit)
        self._done, self._began_at = done, done
        self._figures: dict[str, SupportsFloat] = {}
        self._lock = threading.Lock()
        self._start = self._now = time.monotonic()
        # (time, done) about once a second: throughput is that of the last ten seconds
        self._marks = deque([(self._start, done)], maxlen=11)
        self._noted = False
        self._pause = _LIVE_SECONDS if bars else _FIRST_LINE_SECONDS
        self._due = self._start + self._pause
        self._bars = bars
        self._task: TaskID | None = bars.add_task(self._title, total=total, completed=done, tail="") if bars else None

    def advance(self, n: int = 1, **figures: SupportsFloat) -> None:
        with self._lock:
            self._done += n
            if figures:
                self._figures = figures
            now = time.monotonic()
            if now >= self._due:
                self._show(now)

    def describe(self, title: str) -> None:
        with self._lock:
            self._title = clean(title)

    def note(self, text: str) -> None:
        with self._lock:
            self._noted = True
            self._due = time.monotonic() + self._pause
        self._display.info(f"{self._title}  {text}" if self._title else text)

    def end(self) -> None:
        """Called when the work has ended well: one line for long work that left none itself."""
        seconds = time.monotonic() - self._start
        if not self._noted and seconds >= _WORTH_A_LINE_SECONDS:
            done = self._done - self._began_at
            self._display.info(
                f"{self._title}  {done:,} {self._unit} in {time_span(seconds)}, {self._rate_text(done / seconds)}"
            )

    def _show(self, now: float) -> None:
        self._now = now
        if now - self._marks[-1][0] >= 1:
            self._marks.append((now, self._done))
        tail = "  ".join(self._tail())
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=self._done, description=self._title, tail=tail)
        else:
            self._display.info(f"{self._title}  {tail}")
            self._pause = min(2 * self._pause, _LONGEST_SECONDS)
        self._due = now + self._pause

    def _tail(self) -> Iterator[str]:
        yield f"{self._done / self._total:4.0%}" if self._total else f"{self._done:,} {self._unit}"
        for name, value in self._figures.items():
            yield f"{clean(name)} {number(float(value))}"
        since, done = self._marks[0]
        if self._now <= since or self._done <= done:
            return
        rate = (self._done - done) / (self._now - since)
        yield self._rate_text(rate)
        if self._total is not None:
            yield f"{time_span(math.ceil(max(0, self._total - self._done) / rate))} left"

    def _rate_text(self, rate: float) -> str:
        return f"{rate:,.0f} {self._unit}/s" if rate >= 10 else f"{rate:.2g} {self._unit}/s"


class Display:
    """What one command shows.

    Args:
        quiet: no information, no progress; warnings and results stay.
        json: standard output carries exactly the document given to :meth:`result`; tables are left out.
        mute: nothing at all: another process speaks.
    """

    def __init__(self, *, quiet: bool = False, json: bool = False, mute: bool = False) -> None:
        self.quiet = quiet or mute
        self.json = json
        self.mute = mute
        self._answered = False
        self._bars: Bars | None = None
        self._open = 0

    def info(self, text: str) -> None:
        """A line for people, on standard error."""
        if not self.quiet:
            self._say("", text)

    def warn(self, text: str) -> None:
        """A line that people should not miss; shown even when quiet."""
        self._say("warning: ", text, "bold yellow")

    def result(self, document: Any) -> None:
        """With ``json``: print the command's one document (dataclasses, paths and metrics become plain JSON, figures
        that are not finite become strings). Otherwise nothing: people get tables and text.

        Raises:
            RuntimeError: the command has given its document already.
            TypeError: something in it has no JSON form.
        """
        if not self.json or self.mute:
            return
        if self._answered:
            raise RuntimeError("a command gives one JSON document; this is the second")
        text = json.dumps(_plain(document), indent=2, allow_nan=False)
        self._answered = True
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def text(self, text: str) -> None:
        """A result as text, on standard output; left out with ``json``."""
        if not self.json:
            self._print(clean(text, lines=True))

    def metrics_table(self, metrics: Metrics) -> None:
        """Figures beside their baselines, on standard output; left out with ``json``."""
        if not self.json and metrics:
            from dlkit.report.tables import metrics_table

            self._print(metrics_table(metrics, _console(sys.stdout).width))

    def table(self, rows: Sequence[Mapping[str, object]], title: str = "") -> None:
        """Rows as a table, on standard output; left out with ``json``.

        Columns are the keys in the order in which they first appear; numbers are aligned right, and a
        column that is empty in all rows is left out.
        """
        if not self.json and rows:
            from dlkit.report.tables import table

            self._print(table(rows, clean(title), _console(sys.stdout).width))

    def runs_table(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Runs, one a row; a cell may be :class:`Metrics`, of which the first held-out figure is shown."""
        if not self.json and rows:
            from dlkit.report.tables import runs_table

            self._print(runs_table(rows, _console(sys.stdout).width))

    @contextmanager
    def progress(self, title: str, total: int | None = None, unit: str = "it", *, done: int = 0) -> Iterator[Progress]:
        """Show progress while the context lasts; several may be open at once.

        Args:
            title: what is being done.
            total: how many units there are, where that is known.
            unit: what is counted (``img``, ``files``, ``B``).
            done: units done before, by an earlier process; they do not count for the throughput.
        """
        if self.quiet:
            yield Progress()
            return
        shown = _Shown(self, title, total, unit, done, self._open_bars())
        try:
            yield shown
        finally:
            self._close_bars(shown)
        shown.end()

    def _open_bars(self) -> Bars | None:
        if not _is_terminal(sys.stderr):
            return None
        if self._bars is None:
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bars

            self._bars = Bars(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[tail]}", markup=False),
                console=_console(sys.stderr),
                refresh_per_second=5,
                transient=True,
                redirect_stdout=False,  # results must reach a pipe untouched
            )
            self._bars.start()
        self._open += 1
        return self._bars

    def _close_bars(self, shown: _Shown) -> None:
        if self._bars is None or shown._task is None:
            return
        self._bars.remove_task(shown._task)
        self._open -= 1
        if self._open == 0:
            self._bars.stop()
            self._bars = None

    def _say(self, label: str, text: str, style: str = "") -> None:
        if self.mute:
            return
        from rich.text import Text

        console = self._bars.console if self._bars is not None else _console(sys.stderr)
        console.print(Text.assemble((label, style), clean(text, lines=True)), soft_wrap=True)

    def _print(self, renderable: RenderableType) -> None:
        if self.mute:
            return
        if isinstance(renderable, str):
            sys.stdout.write(renderable + "\n")
        else:
            _console(sys.stdout).print(renderable)
        sys.stdout.flush()


def _is_terminal(stream: Any) -> bool:
    # Not rich's own test: FORCE_COLOR asks for colour, not for cursor movements in a log file.
    return bool(stream.isatty()) and os.environ.get("TERM") not in ("dumb", "unknown")


def _console(stream: Any) -> Console:
    from rich.console import Console

    width = None if stream.isatty() or "COLUMNS" in os.environ else _UNBOUNDED
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Metrics):
        return value.to_json()
    if hasattr(value, "to_json"):
        return _plain(value.to_json())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value) if isinstance(value, (set, frozenset)) else value
        return [_plain(item) for item in items]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return str(value) if isinstance(value, PurePath) else value
