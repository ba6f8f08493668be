from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from dlkit import display as display_module
from dlkit.display import Display, Progress
from dlkit.metrics import Metric, Metrics

METRICS = Metrics(
    (
        Metric(
            name="psnr", label="PSNR", value=20.93, split="test", better="higher", unit="dB", interval=(20.7, 21.1),
            baselines={"noisy input": 10.5, "Gaussian filter, sigma = 0.8 px [red]": 25.0, "PCA": 20.95},
        ),
        Metric(name="mse", label="Reconstruction\x1b[2J error", value=0.012, split="val", better="lower",
               baselines={"PCA, 32 components": 0.02}),
    )
)  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_information_goes_to_stderr_and_results_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Display()
    shown.info("reading")
    shown.warn("odd")
    shown.text("42")
    out, err = capsys.readouterr()
    assert out == "42\n"
    assert err == "reading\nwarning: odd\n"


def test_quiet_leaves_warnings_errors_and_results(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Display(quiet=True)
    shown.info("reading")
    with shown.progress("train", total=10) as progress:
        progress.advance(10, loss=0.1)
        progress.note("epoch 1")
    shown.warn("odd")
    shown.text("42")
    assert type(progress) is Progress
    assert capsys.readouterr() == ("42\n", "warning: odd\n")


def test_long_lines_are_not_wrapped_and_markup_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    line = "file [bold]x[/bold] :smile: " + "very-long-name " * 30
    Display().info(line)
    assert capsys.readouterr().err == line + "\n"


@pytest.mark.parametrize("evil", ["\x1b[31mred", "a\rb", "\x9b2J", "\u202egnp.exe", "\udcff", "\x00", "a\u2028b"])
def test_names_cannot_command_the_terminal(evil: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = Display()
    shown.info(evil)
    shown.table([{"name": evil}])
    shown.text(evil)
    with shown.progress(evil, total=1) as progress:
        progress.note(evil)
    out, err = capsys.readouterr()
    for character in evil:
        if not character.isprintable():
            assert character not in out + err
    assert "\\" in out
    assert "\\" in err


def test_json_prints_exactly_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass
    class Answer:
        where: Path
        figures: Metrics
        value: float

    shown = Display(json=True)
    shown.info("working")
    shown.metrics_table(METRICS)
    shown.table([{"a": 1}])
    shown.runs_table([{"a": 1}])
    shown.text("text")
    shown.result({"answer": Answer(Path("a/b"), METRICS, float("nan")), "names": ("x\x1b", "\udcff")})
    document = json.loads(capsys.readouterr().out)  # fails on anything before or after it
    assert document["answer"]["where"] == "a/b"
    assert document["answer"]["value"] == "nan"
    assert Metrics.from_json(document["answer"]["figures"]) == METRICS
    with pytest.raises(RuntimeError, match="second"):
        shown.result({})


def test_a_result_that_has_no_json_form_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Display(json=True)
    with pytest.raises(TypeError):
        shown.result({"x": object()})
    assert capsys.readouterr().out == ""


def test_results_are_silent_without_json(capsys: pytest.CaptureFixture[str]) -> None:
    Display().result({"a": 1})
    assert capsys.readouterr().out == ""


def test_metrics_piped_are_whole_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    Display().metrics_table(METRICS)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "…" not in out
    assert re.search(r"PSNR +test +20\.93 dB ↑ +✓ +10\.50 noisy input", out)
    assert re.search(r"✗ +25\.00 Gaussian filter, sigma = 0\.8 px \[red\]", out)  # one line, markup as text
    assert re.search(r"≈ +20\.95 PCA\b", out)  # within the interval
    assert "20.70 – 21.10" in out
    assert re.search(r"Reconstruction\\x1b\[2J error +val +0\.01200 ↓ +✓ +0\.02000 PCA, 32", out)


def test_piped_metrics_are_no_wider_than_they_need(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    alone = Metric(name="trainable", label="trainable parameters", value=291.0, split="train", better="lower")
    Display().metrics_table(Metrics((*METRICS, alone)))
    assert max(map(len, capsys.readouterr().out.splitlines())) < 150


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_metrics_in_a_terminal_lose_nothing_and_break_no_word(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    Display().metrics_table(METRICS)
    out = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    assert max(map(len, out.splitlines())) <= columns
    words = set(re.split(r"[ \n]+|, ", out)) | set(out.split())
    for name in ("Gaussian", "filter,", "sigma", "px", "[red]", "components", "20.93", "noisy", "input", "PSNR"):
        assert name in words


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_no_color_is_honoured(no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("COLORTERM", raising=False)
    monkeypatch.setenv("NO_COLOR", no_color)
    Display().warn("odd")
    assert ("33m" in terminal.getvalue()) is coloured  # yellow


def test_table_aligns_and_leaves_out_empty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    Display().table([{"name": "a", "n": 1_200, "none": None}, {"name": "bb", "n": 7, "none": ""}], "Title [x]")
    out = capsys.readouterr().out
    assert "none" not in out
    assert "Title [x]" in out
    assert re.search(r"a +1,200", out)
    assert re.search(r"bb +7 ", out)


def test_runs_table_shows_the_held_out_figure(capsys: pytest.CaptureFixture[str]) -> None:
    Display().runs_table([{"run": "digits-001", "status": "finished", "result": METRICS}, {"run": "digits-002"}])
    assert re.search(r"digits-001 +finished +PSNR 20\.93 dB \(test\)", capsys.readouterr().out)


RUNS = [
    {"run": f"{technique}/digits-001", "data": "digits", "status": "interrupted", "since": "2026-11-21 15:32",
     "epochs": 20, "figure": METRICS}
    for technique in ("autoencoder", "decomposition")
]  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "shown", "left_out"),
    [(120, "data since epochs", ""), (84, "since", "data epochs"), (60, "status figure", "data since epochs")],
)
def test_a_narrow_table_breaks_no_words_and_spares_columns(
    columns: int, shown: str, left_out: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    Display().runs_table(RUNS)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= columns
    assert all(word in out.split() for word in (*shown.split(), "decomposition/digits-001", "interrupted", "PSNR"))
    assert not set(left_out.split()) & set(out.split())


@pytest.mark.parametrize(("columns", "whole"), [(60, "12.50 15.54 1,234,567 image (dB)"), (30, "")])
def test_a_table_is_never_cut(
    columns: int, whole: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    Display().table([{"bytes per image": 12.5, "PSNR (dB)": 15.54, "of the same code size": 1_234_567, "name": "x y"}])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= columns
    assert not Counter("bytesperimagePSNR(dB)ofthesamecodesize12.5015.541,234,567xy") - Counter(out)
    assert set(whole.split()) <= set(out.split())


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_piped_progress_is_sparse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    monkeypatch.setattr(display_module, "time", clock)
    with Display().progress("train", total=60_000, unit="img") as progress:
        for step in range(600):  # 60 s
            clock.now += 0.1
            progress.advance(100, loss=0.5)
            if step == 299:
                progress.note("epoch 1/2  loss 0.5")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "train    8%  loss 0.5000  1,000 img/s  55 s left"
    assert "train  epoch 1/2  loss 0.5" in lines
    assert 3 <= len(lines) <= 6


def test_work_without_notes_ends_with_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    monkeypatch.setattr(display_module, "time", clock)
    with Display().progress("checking", unit="files", done=100) as progress:
        clock.now += 4
        progress.advance(200)
    with Display().progress("short", unit="files") as progress:
        progress.advance(200)
    assert capsys.readouterr().err == "checking  200 files in 4.0 s, 50 files/s\n"


def test_threads_lose_no_count(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    monkeypatch.setattr(display_module, "time", clock)
    with Display().progress("reading", unit="files") as progress:
        threads = [
            threading.Thread(target=lambda: [progress.advance() for _ in range(5_000)])  # type: ignore[func-returns-value]
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        clock.now = 4
    assert "reading  20,000 files" in capsys.readouterr().err


def test_advance_costs_microseconds() -> None:
    """The figure is 2 µs; three times that, the best of many, so that a busy machine does not fail the test."""
    with Display().progress("train", total=10**9, unit="img") as progress:
        best = min(_seconds_per_call(progress) for _ in range(20))
    assert best < 6e-6


def _seconds_per_call(progress: Progress) -> float:
    start = time.perf_counter()
    for _ in range(1_000):
        progress.advance(128, loss=0.1)
    return (time.perf_counter() - start) / 1_000


PROGRAM = """
import sys, time
from dlkit.display import Display
display = Display()
with display.progress("train", total=300, unit="img") as outer:
    for epoch in range(3):
        with display.progress("checking", unit="files") as inner:
            for _ in range(20):
                outer.advance(5, loss=0.25); inner.advance(); time.sleep(0.02)
        outer.note(f"epoch {epoch + 1}/3")
display.text("result")
"""


def test_live_bar_on_a_terminal_leaves_the_notes() -> None:
    parent, child = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM], stderr=child, stdout=subprocess.PIPE, env=environment, check=True, timeout=60
    )
    os.close(child)
    seen = b""
    while True:
        try:
            chunk = os.read(parent, 65536)
        except OSError:  # Linux says so when the other side is closed
            break
        if not chunk:
            break
        seen += chunk
    os.close(parent)
    assert process.stdout == b"result\n"
    text = seen.decode()
    assert "img/s" in text
    assert "left" in text
    assert "loss 0.2500" in text
    for epoch in (1, 2, 3):
        assert f"train  epoch {epoch}/3" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")  # the cursor is back


def test_importing_display_is_light() -> None:
    code = "import sys, dlkit.display; print({'rich', 'torch', 'numpy', 'matplotlib', 'jinja2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
