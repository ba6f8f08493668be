"""Every command and every Python block of the documentation runs, in order, page by page.

What is different from a reader's machine, to keep this short: training takes one epoch, the digits are the first 240,
pictures are not drawn, and a page's first training is copied where an earlier page began with the same one.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from doc_pages import PAGES, ROOT, Command, blocks, commands, name
from PIL import Image

from dlkit.cli.main import VERBS, cli, main
from dlkit.discovery import registry
from dlkit.options import options_of

NETWORK = "fetches from the network"
NOT_RUN: dict[str, str] = {
    r"pip install\b": NETWORK,
    r"python3 -m venv\b": "makes an environment",
    r"make (demo|test)": "installs; .ci/run runs it",
    r"python (benchmarks|campaigns)/": "takes minutes",
    r"(dlkit .*--data|dlkit data) (mnist|fashion-mnist|kmnist|cifar10|stl10|flowers102)\b": NETWORK,
    r"dlkit .*--device cuda": "needs a GPU",
    r"dlkit train features .*--backbone resnet50\b": NETWORK,
    r"dlkit transfer (?!.*(--random-init|run:))": NETWORK,
}
"""Start of a command → why it is not run. The options of dlkit's own are checked all the same."""

FIRST = ["train", "autoencoder", "--denoise", "--epochs", "1", "--threads", "1"]
"""The training with which most pages begin, as it is typed here."""

PARTS: dict[str, str] = {
    "docs/writing-a-plugin.md": "files of a package, and commands that need it installed",
}
"""Pages whose Python blocks are compiled only, and whose commands are checked only; each with the reason."""


def _runnable(page: Path) -> bool:
    return any(block.language in ("console", "python") for block in blocks(page))


@pytest.mark.parametrize("page", [page for page in PAGES if _runnable(page)], ids=name)
def test_page(page: Path, reader: Reader) -> None:
    namespace: dict[str, Any] = {"__name__": "docs"}
    for block in blocks(page):
        where = f"{name(page)}:{block.line}"
        if block.language == "console":
            for command in commands(block):
                reader.type(command, f"{name(page)}:{command.line}", only_check=name(page) in PARTS)
        elif block.language == "python":
            code = compile("\n" * block.line + block.text, str(page), "exec", dont_inherit=True)
            if name(page) not in PARTS:
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(code, namespace)
        assert not list(Path().glob("*.tmp")), where


def test_what_is_not_run_is_still_in_the_documentation() -> None:
    typed = [command.text for page in PAGES for block in blocks(page) if block.language == "console"
             for command in commands(block)]  # fmt: skip
    stale = [pattern for pattern in NOT_RUN if not any(re.match(pattern, _bare(text)) for text in typed)]
    assert not stale


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first_runs: Path) -> Reader:
    """Someone in an empty directory, but for the images that the pages speak of."""
    import sklearn.datasets

    from dlkit import session
    from dlkit.files import write_json

    home = tmp_path / "home"
    work = tmp_path / "work"
    (work / "photos").mkdir(parents=True)
    home.mkdir()
    random = np.random.default_rng(0)
    for stem in ("cat", "dog", *(f"photo-{number:02d}" for number in range(14))):
        Image.fromarray(random.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(work / "photos" / f"{stem}.png")
    Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(work / "scan.png")

    people = [
        f"photos/photo-{number:02d}.png,{20 + number},{'hat;beard' if number % 2 else 'hat'}" for number in range(14)
    ]
    (work / "people.csv").write_text("\n".join(["image_path,age,label", *people]) + "\n")

    whole = sklearn.datasets.load_digits()
    few = sklearn.utils.Bunch(data=whole.data[:240], images=whole.images[:240], target=whole.target[:240])
    monkeypatch.setattr(sklearn.datasets, "load_digits", lambda: few)
    monkeypatch.setattr(session, "save_pictures", lambda _, plots: write_json(plots / "index.json", []))
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("DLKIT_HOME", str(home / "dlkit"))
    for variable in ("XDG_CONFIG_HOME", "ZDOTDIR", "DLKIT_NO_PLUGINS"):
        monkeypatch.delenv(variable, raising=False)
    return Reader(monkeypatch, first_runs)


@pytest.fixture(scope="module")
def first_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of pages' first trainings are kept."""
    return tmp_path_factory.mktemp("first-runs")


class Reader:
    """Types commands: those of dlkit within this process, others into a shell."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, first_runs: Path) -> None:
        self.monkeypatch = monkeypatch
        self.first_runs = first_runs
        self.code = 0

    def type(self, command: Command, where: str, *, only_check: bool) -> None:
        """Run a command and compare what happened with what the page says.

        ``^C`` below a command: it is interrupted after an epoch. ``Error: …`` below it: it fails with this message.
        ``$ echo $?`` with a number below it: the exit code of the command before.
        """
        if command.text == "echo $?":
            assert command.output[0] == str(self.code), f"{where}: the exit code is {self.code}"
            return
        if only_check or any(re.match(pattern, _bare(command.text)) for pattern in NOT_RUN):
            _check(command.text, where)
            return
        interrupted = "^C" in command.output
        error = next((line for line in command.output if line.startswith("Error: ")), None)
        self.code, complaints = self._run(command.text, interrupted)
        if error is not None:
            assert self.code != 0, f"{where}: {command.text} succeeds"
            assert error in complaints, f"{where}: {complaints}"
        else:
            assert self.code == (130 if interrupted else 0), f"{where}: {command.text}\n{complaints}"

    def _run(self, text: str, interrupted: bool) -> tuple[int, str]:
        if "dlkit" not in re.split(r"\W+", _bare(text)):
            done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=60)
            return done.returncode, done.stderr
        line, _, target = _without_comment(text).partition(" > ")
        data = b""
        for part in line.split(" | "):
            words = shlex.split(part)
            if "dlkit" in words[:3]:
                code, data, complaints = self._dlkit(words, data, interrupted)
                if code:
                    return code, complaints
            else:
                data = subprocess.run(["bash", "-c", part], input=data, stdout=subprocess.PIPE, check=True).stdout
        if target:
            Path(target.strip()).write_bytes(data)
        return 0, ""

    def _dlkit(self, words: list[str], stdin: bytes, interrupted: bool) -> tuple[int, bytes, str]:
        at = words.index("dlkit")
        arguments = [path for word in words[at + 1 :] for path in _expanded(word)]
        arguments = arguments if interrupted else _shortened(arguments)
        if arguments == FIRST and not Path("runs").exists():
            return self._first_training(), b"", ""
        return self._main(arguments, words[:at], stdin, interrupted)

    def _first_training(self) -> int:
        kept = self.first_runs / "runs"
        code = 0
        if not kept.exists():
            code, _, _ = self._main(FIRST, [], b"", False)
            shutil.copytree("runs", kept, symlinks=True)
        else:
            shutil.copytree(kept, "runs", symlinks=True)
        return code

    def _main(
        self, arguments: list[str], settings: list[str], stdin: bytes, interrupted: bool
    ) -> tuple[int, bytes, str]:
        stdout, stderr = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
        with self.monkeypatch.context() as patch:
            for setting in settings:
                patch.setenv(*setting.split("=", 1))
            patch.setenv("DLKIT_NO_PLUGINS", os.environ.get("DLKIT_NO_PLUGINS", ""))  # as --no-plugins may set it
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
            patch.setattr(sys, "stdout", stdout)
            patch.setattr(sys, "stderr", stderr)
            if interrupted:
                patch.setattr("dlkit.run.run.Run.epoch_ended", lambda *_, **__: signal.raise_signal(signal.SIGINT))
            code = main(arguments)
            stdout.flush()
        return code, stdout.buffer.getvalue(), stderr.getvalue()  # type: ignore[attr-defined]


def _expanded(word: str) -> list[str]:
    """A pattern as the shell expands it; where nothing matches it stays as it is."""
    found = sorted(map(str, Path().glob(word))) if "*" in word else []
    return found or [word]


def _shortened(arguments: list[str]) -> list[str]:
    """Training for one epoch, with one thread (others run tests beside these), going on to two."""
    if not arguments or {"--help", "--help-all", "--dry-run", "--write-config"} & {*arguments}:
        return arguments
    if arguments[0] == "train" or arguments[0] in registry().techniques:
        name = arguments[arguments[0] == "train"]  # with --config in its place, the file says which
        known = registry().techniques
        trains = name not in known or any(each.name == "epochs" for each in options_of(known[name].card.options))
        trains = trains and not {"linear-probe", "stage-probe", "mlp-head"} & {*arguments}  # they take no --epochs
        return [*arguments, *(["--epochs", "1"] if trains else []), "--threads", "1"]
    if arguments[0] == "resume" and "--epochs" in arguments:
        return [*arguments, "--epochs", "2"]
    return arguments


def _check(text: str, where: str) -> None:
    """A command that is not run: its options are parsed, its make target exists."""
    words = shlex.split(_without_comment(text))
    if words[0] == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        targets = [word for word in words[1:] if "=" not in word]
        assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets), where
    if words[0] != "dlkit":
        return
    context = click.Context(cli, info_name="dlkit")
    verb, arguments = words[1], words[2:]
    if verb == "train" or verb not in VERBS:
        config = Path(f"checked-{len(list(Path().iterdir()))}.toml")
        technique = arguments[0] if verb == "train" else verb
        if technique in registry().techniques:  # not that of a page's own plugin
            assert main([*words[1:], "--write-config", str(config)]) == 0, where
        return
    command = cli.get_command(context, verb)
    assert command is not None, where
    command.make_context(verb, arguments, parent=context)


def _bare(text: str) -> str:
    """A command without the settings of variables before it, and without its comment."""
    return re.sub(r"^([A-Z_]+=\S* )+", "", _without_comment(text))


def _without_comment(text: str) -> str:
    return re.sub(r"\s+# .*$", "", text)
