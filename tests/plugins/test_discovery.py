from __future__ import annotations

import json
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from dlkit import discovery
from dlkit.discovery import GROUP, NO_PLUGINS, Registry, registry
from dlkit.errors import UsageError
from dlkit.run import Run
from dlkit.settings import settings_from_toml

CARDS = """
from dataclasses import dataclass
from dlkit.card import Card
from dlkit.options import Options, option
from dlkit.hookspecs import hookimpl
DLKIT_API = 1

@dataclass(frozen=True, kw_only=True)
class MyOptions(Options):
    size: int = option(3, "A size.", min=1)

def card(name):
    return Card(name=name, summary="Mine.", options=MyOptions, implementation="nowhere:X",
                capabilities=lambda options: frozenset())
"""
ONE = CARDS + "@hookimpl\ndef dlkit_techniques():\n    return [card('mine')]\n"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """install(distribution, module text): as pip leaves it, a module and a .dist-info on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv(NO_PLUGINS, raising=False)
    discovery._registry.cache_clear()
    installed: list[str] = []

    def install(distribution: str, text: str) -> None:
        module = "plug_" + distribution.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(text)
        info = tmp_path / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[dlkit.plugins]\nmine = {module}\n")
        installed.append(module)

    yield install
    for module in installed:
        sys.modules.pop(module, None)
    discovery._registry.cache_clear()


def reasons(distribution: str) -> list[str]:
    return [problem.reason for problem in registry().problems() if problem.distribution == distribution]


def test_a_plugin_brings_a_technique(install) -> None:
    install("dlkit-mine", ONE)
    assert registry().technique("mine").summary == "Mine."
    assert registry().technique("dlkit-mine/mine").name == "mine"
    entry = registry().techniques["mine"]
    assert (entry.distribution, entry.version, entry.entry_point) == ("dlkit-mine", "1.2", "mine")
    assert reasons("dlkit-mine") == []
    assert registry() is registry()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("this is no python", "SyntaxError"),
        (ONE.replace("DLKIT_API = 1", ""), "add `DLKIT_API = 1`"),
        (ONE.replace("DLKIT_API = 1", "DLKIT_API = 2"), "upgrade dlkit"),
        (ONE.replace("DLKIT_API = 1", "DLKIT_API = 0"), "upgrade the plugin"),
        (
            ONE.replace("dlkit_techniques", "dlkit_technique"),
            "'dlkit_technique' does not exist. Did you mean 'dlkit_tech",
        ),
        (ONE.replace("@hookimpl", ""), "put @dlkit.hookspecs.hookimpl above"),
        (ONE.replace("def dlkit_techniques()", "def dlkit_techniques(run)"), "hooks do not fit"),
        (ONE.replace("return [", "yield 1 / 0; return ["), "ZeroDivisionError"),
        (ONE.replace("[card('mine')]", "[3]"), "Card objects, got 3"),
        (ONE.replace("[card('mine')]", "None"), "TypeError"),
        (ONE.replace("'mine'", "'Mine_1'"), "'Mine_1' is not kebab-case"),
        (ONE.replace("'mine'", "'export'"), "'export' is a name of dlkit's own commands"),
        (ONE.replace("size: int", "seed: int"), "'seed' takes a name of dlkit's own"),
        (ONE.replace("size: int", "size: dict"), "cannot have the type"),
        (ONE + "@hookimpl\ndef dlkit_datasets():\n    return [1]\n", "a name and a summary, got 1"),
    ],
)
def test_a_broken_plugin_is_named_and_stops_nothing(install, text: str, reason: str) -> None:
    install("dlkit-bad", text)
    install("dlkit-good", ONE.replace("'mine'", "'good'"))
    assert registry().technique("good").name == "good"
    found = reasons("dlkit-bad")
    assert len(found) == 1
    assert reason in found[0]


def test_keyboard_interrupt_is_not_a_plugins_error(install) -> None:
    install("dlkit-bad", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        registry()


def test_the_first_claim_to_a_name_stays_and_the_rival_is_qualified(install) -> None:
    install("dlkit-b", ONE.replace("Mine.", "Rival."))
    install("dlkit-a", ONE)
    assert registry().technique("mine").summary == "Mine."
    assert registry().technique("dlkit-b/mine").summary == "Rival."
    assert registry().technique("dlkit-b/mine").name == "dlkit-b/mine"
    assert "already a name of dlkit-a's" in reasons("dlkit-b")[0]


def test_built_ins_win(install) -> None:
    if not registry().techniques:
        pytest.skip("dlkit has no built-in technique yet")
    name = next(iter(registry().techniques))
    discovery._registry.cache_clear()
    install("aaa", ONE.replace("'mine'", repr(name)))
    assert registry().techniques[name].distribution == "dlkit"
    assert registry().technique(f"aaa/{name}").summary == "Mine."


def test_a_run_is_read_by_the_package_that_trained_it(install, tmp_path: Path) -> None:
    def made(name: str, distribution: str) -> Run:
        folder = tmp_path / name.replace("/", "-")
        folder.mkdir(exist_ok=True)
        (folder / "config.toml").write_text(f'technique = "{name}"\nsize = 5\n')
        (folder / "environment.json").write_text(json.dumps([{"plugin": {"distribution": distribution}}]))
        return Run(folder)

    install("dlkit-one", ONE)
    run = made("mine", "dlkit-two")
    with pytest.raises(UsageError, match=r"'mine' is of dlkit-two, which is not installed .* dlkit-one has one"):
        _ = run.settings
    install("dlkit-two", ONE)
    discovery._registry.cache_clear()
    assert run.settings.card.name == "dlkit-two/mine"
    assert made("mine", "dlkit-one").settings.card.name == "mine"
    assert made("dlkit-two/mine", "dlkit-two").settings.card.name == "dlkit-two/mine"
    (two,) = (point for point in entry_points(group=GROUP) if point.value == "plug_dlkit_two")
    alone = Registry([("dlkit-two", "1.2", two)])
    assert settings_from_toml(tmp_path / "dlkit-two-mine" / "config.toml", alone).card.name == "mine"


def test_unknown_techniques_get_a_suggestion(install) -> None:
    install("dlkit-mine", ONE)
    with pytest.raises(UsageError, match="Did you mean 'mine'"):
        registry().technique("mien")


def test_strangers_can_be_left_out(install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("dlkit-mine", ONE)
    monkeypatch.setenv(NO_PLUGINS, "1")
    assert "mine" not in registry().techniques
    assert {plugin.distribution for plugin in registry().plugins} <= {"dlkit"}


def test_commands_and_loggers(install) -> None:
    text = ONE + (
        "import click\nseen = []\n"
        "@hookimpl\ndef dlkit_commands():\n    return [click.Command('hello'), click.Command('mine')]\n"
        "@hookimpl\ndef dlkit_epoch_ended(phase):\n    seen.append(phase)\n"
    )
    install("dlkit-mine", text)
    assert "hello" in registry().commands()
    assert "mine" not in registry().commands()
    assert "command 'mine' takes a name" in reasons("dlkit-mine")[0]
    registry().hook.dlkit_epoch_ended(run=None, phase="one", metrics={})
    assert sys.modules["plug_dlkit_mine"].seen == ["one"]
