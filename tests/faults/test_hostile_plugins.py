"""Metadata of installed packages is text like any other: it commands no terminal and runs nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from dlkit import discovery
from dlkit.cli.main import main

EVIL = "\x1b]0;owned\x07\x1b[31m\u202e"
ENTRIES = {
    "module": f"no.such.module{EVIL}",
    "program": "os:system",
    "colon": "a:b:c",
    "empty": "",
    "path": "../../../etc/passwd",
    "raises": "evil_plugin_that_raises",
}


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    info = tmp_path / "evil-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: evil{EVIL}\nVersion: 1{EVIL}\n")
    entries = "\n".join(f"{name}{EVIL} = {target}" for name, target in ENTRIES.items())
    (info / "entry_points.txt").write_text(f"[dlkit.plugins]\n{entries}\n")
    (tmp_path / "evil_plugin_that_raises.py").write_text(f"raise SystemExit({EVIL!r} + 'x' * 100000)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv(discovery.NO_PLUGINS, raising=False)
    discovery._registry.cache_clear()
    yield
    sys.modules.pop("evil_plugin_that_raises", None)
    discovery._registry.cache_clear()


@pytest.mark.parametrize("command", [["plugins"], ["list"], ["doctor"], ["info", "autoencoder"], ["--help"]])
def test_what_is_shown_commands_no_terminal(evil: None, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(command)
    shown = capsys.readouterr()
    for text in shown:
        assert not set(text) & set("\x1b\x07\u202e")
        assert "Traceback" not in text
    if command == ["plugins"]:
        assert "evil_plugin" in shown.out or "raises" in shown.out


def test_they_are_told_in_json_too(evil: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "--json"]) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text
    problems = [problem for problem in json.loads(text)["problems"] if "evil" in problem["distribution"]]
    assert len(problems) == len(ENTRIES)


def test_broken_metadata_of_one_package_disables_no_other(
    evil: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line without = in the entry points of any package ended every command in a traceback."""
    (tmp_path / "evil-1.dist-info" / "entry_points.txt").write_text("[x]\nno equals sign\n")
    assert main(["plugins"]) == 0
    shown = capsys.readouterr().out
    assert "autoencoder" in shown
    assert "entry_points.txt" in shown
    assert len(discovery.registry().techniques) > 5
