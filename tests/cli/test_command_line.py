from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
import types
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from dlkit import discovery
from dlkit.card import Card
from dlkit.cli import main as main_module
from dlkit.cli.main import main
from dlkit.discovery import Registered
from dlkit.errors import DataError, Interrupted
from dlkit.options import Options, option
from dlkit.options.values import Schedule


@dataclass(frozen=True, kw_only=True)
class FakeOptions(Options):
    """Fake"""

    code: int = option(32, "Size of the code.", min=1)
    noise: Schedule | None = option(None, "Corrupt.", bare="step:30")
    flip: bool = option(True, "A switch.")
    rare: int = option(1, "For few.", advanced=True)


CARD = Card(
    name="fake",
    summary="A fake technique.",
    description="First.\n\nSecond.",
    sources=("Somebody 1999, Something",),
    options=FakeOptions,
    implementation="nowhere:Fake",
    capabilities=lambda options: frozenset({"encode"}),
    examples=("dlkit train fake",),
)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What reached the session, with one fake technique installed."""
    calls: list[Any] = []
    for name, verb in (("session", "train"), ("dry_run", "dry_run")):
        module: Any = types.ModuleType(f"dlkit.{name}")
        setattr(module, verb, lambda settings, display, verb=verb: calls.append((verb, settings)))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(f"dlkit.{name}", module, raising=False)
    monkeypatch.setattr("dlkit.cli.shared.show_run", lambda run, display: None)
    found = discovery.Registry([])
    found.techniques = {
        "fake": Registered(CARD, "dlkit", "1", "fake"),
        "pack/fake": Registered(replace(CARD, name="pack/fake"), "pack", "2", "fake"),
    }
    monkeypatch.setattr(discovery, "_registry", lambda third_party: found)
    monkeypatch.setenv(discovery.NO_PLUGINS, "")
    return calls


@pytest.mark.parametrize(
    ("flags", "code", "noise", "flip"),
    [
        ([], 32, None, True),
        (["--noise"], 32, Schedule("step", 30.0), True),
        (["--noise", "cosine", "--code", "4"], 4, Schedule("cosine"), True),
        (["--noise", "--code=4", "--no-flip"], 4, Schedule("step", 30.0), False),
        (["--no-noise", "--set", "noise=cosine", "--set", "code=7"], 7, None, True),
        (["--set", "code=7", "--code", "8", "--flip"], 8, None, True),
    ],
)
@pytest.mark.parametrize("words", [["train", "fake"], ["fake"], ["--debug", "train", "pack/fake"], ["pack/fake"]])
def test_flags_reach_training(
    trained: list[Any], words: list[str], flags: list[str], code: int, noise: object, flip: bool
) -> None:
    assert main([*words, *flags]) == 0
    [(verb, settings)] = trained
    assert verb == "train"
    assert settings.card.name == words[-1]
    assert settings.options == FakeOptions(code=code, noise=noise, flip=flip)


def test_dry_run_and_config(trained: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.toml"
    assert main(["fake", "--noise", "--code", "5", "--write-config", str(path)]) == 0
    assert f"--config {path}" in capsys.readouterr().err
    written = path.read_bytes()
    assert tomllib.loads(written.decode())["noise"] == "step:30"
    assert main(["fake", "--write-config", str(path)]) == 2
    assert path.read_bytes() == written
    assert "never overwritten" in capsys.readouterr().err
    assert main(["fake", "--config", str(path), "--dry-run"]) == 0
    for words in (["--config", str(path)], [f"--config={path}"]):
        assert main(["train", *words, "--dry-run"]) == 0
    assert [(verb, settings.options.code) for verb, settings in trained] == [("dry_run", 5)] * 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "Did you mean 'train'?"),
        (["train", "faek"], "Did you mean 'fake'?"),
        (["info", "faek"], "Did you mean 'fake'?"),
        (["fake", "--cood", "1"], "There is no option '--cood'.\nDid you mean '--code'?"),
        (["fake", "--code"], "requires an argument"),
        (["fake", "--code", "many"], "--code: expected a whole number of at least 1, got 'many'."),
        (["fake", "stray"], "stray"),
        (["fake", "--noise", "--no-noise"], "contradict"),
        (["list", "dataset"], "Did you mean 'datasets'?"),
        (["--nope"], "'--nope'"),
    ],
)
def test_usage_errors(trained: list[Any], capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: ")
    assert message in err
    assert "Traceback" not in err
    assert main(["--debug", *words]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DataError("bad \x1b[31m file", "look"), 3, "Error: bad \\x1b[31m file\nlook\n"),
        (Interrupted(2, "dlkit resume latest"), 130, "Stopped by SIGINT.\ndlkit resume latest\n"),
        (Interrupted(15), 143, "Stopped by SIGTERM.\n"),
        (KeyboardInterrupt(), 130, "Stopped.\n"),
        (ZeroDivisionError("x"), 1, "Error: this is a bug"),
    ],
)
def test_exit_codes(
    trained: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    error: BaseException, code: int, message: str,
) -> None:  # fmt: skip
    def fail(settings: object, display: object) -> None:
        raise error

    monkeypatch.setattr(sys.modules["dlkit.session"], "train", fail)
    assert main(["fake"]) == code
    err = capsys.readouterr().err
    assert message in err
    assert ("Traceback" in err) == isinstance(error, ZeroDivisionError)


def test_help(trained: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["--help"]) == main(["train"]) == main(["train", "fake", "--help"]) == 0
    out = capsys.readouterr().out
    assert out.index("Fake:") < out.index("Data:") < out.index("Runtime:") < out.index("Run:") < out.index("Command:")
    assert "--code N" in out
    assert "[default: 32; at least 1]" in out
    assert "[alone: step:30]" in out
    assert "--rare" not in out
    assert "[default: ]" not in out  # --label
    assert main(["fake", "--help-all"]) == 0
    out = capsys.readouterr().out
    assert "--rare" in out
    assert "more options" not in out


def test_list_and_info(trained: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "techniques", "fa*", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["fake"]
    assert main(["info", "fake"]) == 0
    out = capsys.readouterr().out
    assert "Second." in out
    assert "Somebody 1999, Something" in out
    assert "encode (with default options)" in out
    assert "dlkit predict, dlkit export" in " ".join(out.split())
    assert main(["info", "fake", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["capabilities"] == ["encode"]


def test_plugins_command(trained: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    discovery.registry()._problems.append(discovery.PluginProblem("pack", "2", "it", "it broke"))
    assert main(["plugins"]) == 0
    assert "pack 2, entry point 'it': it broke." in capsys.readouterr().out
    assert main(["plugins", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"][0]["reason"] == "it broke"


def test_no_plugins_may_stand_anywhere(trained: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["list", "--no-plugins"]) == 0
    assert os.environ[discovery.NO_PLUGINS] == "1"


def test_completion_installs_itself_once(
    trained: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".bashrc").write_text("alias ll='ls -l'")
    for shell in ("bash", "zsh", "fish"):
        assert main(["completion", shell, "--install"]) == 0
        assert str(tmp_path) in capsys.readouterr().out
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert before[tmp_path / ".bashrc"].startswith(b"alias ll='ls -l'\n[ -r")
    for shell in ("bash", "zsh", "fish"):
        assert main(["completion", shell, "--install"]) == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("typed", "expected"), [("dlkit tra", "train"), ("dlkit export", "export")])
def test_completion_completes(typed: str, expected: str) -> None:
    environment = os.environ | {"_DLKIT_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": "1"}
    code = (
        "import sys; from dlkit.cli.main import main; code = main(); assert 'torch' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert f"plain,{expected}" in done.stdout.splitlines(), done.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    code = "import sys; from dlkit.cli.main import main; sys.exit(main(['--help']))"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode in (1, 141)


@pytest.mark.parametrize("words", [["list"], ["list", "--json"]])
def test_a_full_disk_behind_the_output(words: list[str]) -> None:
    """`dlkit list > file` where there is no space left was a bug with a traceback."""
    code = f"import sys; from dlkit.cli.main import main; sys.exit(main({words}))"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "Error: Cannot write the output: No space left on device.\nFree some space.\n"


@pytest.mark.parametrize("verb", sorted(main_module.VERBS))
def test_every_verb_loads(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    assert f"Usage: dlkit {verb}" in capsys.readouterr().out


def test_a_written_config_is_told_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a config.toml"
    assert main(["autoencoder", "--write-config", str(path), "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"config": str(path), "command": f"dlkit train autoencoder --config '{path}'"}
    assert err == ""


def test_sigterm_unwinds(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    unwound = []

    def work(_arguments: list[str]) -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            unwound.append(True)
        return 0

    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    monkeypatch.setattr(main_module, "_run", work)
    try:
        assert main([]) == 143
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
    assert unwound
    assert capsys.readouterr().err == "Stopped.\n"
