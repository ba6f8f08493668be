"""Strangers' plugins that do not work, in real processes; tests/plugins goes through every way of being broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from environments import Environment

WORKS = """
from dlkit.card import Card
from dlkit.hookspecs import hookimpl
from dlkit.options import Options
DLKIT_API = 1

@hookimpl
def dlkit_techniques():
    return [Card(name="autoencoder", summary="A rival.", options=Options, implementation="nowhere:X",
                 capabilities=lambda options: frozenset())]
"""
PLUGINS = {
    "dlkit-absent": ("import a_module_that_is_absent", "No module named 'a_module_that_is_absent'"),
    "dlkit-newer": ("DLKIT_API = 99", "interface version 99, this dlkit has 1: upgrade dlkit (pip install"),
    "dlkit-rival": (WORKS, "'autoencoder' is already a name of dlkit's"),
    "dlkit-hooked": (
        "from dlkit.hookspecs import hookimpl\nDLKIT_API = 1\n@hookimpl\ndef dlkit_technics():\n    return []\n",
        "the hook 'dlkit_technics' does not exist. Did you mean 'dlkit_techniques'?",
    ),
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A path with them all, as pip would leave them."""
    folder = tmp_path_factory.mktemp("broken")
    for version, (name, (text, _)) in enumerate(PLUGINS.items(), start=1):
        module = name.replace("-", "_")
        info = folder / f"{module}-0.{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.{version}\n")
        (info / "entry_points.txt").write_text(f"[dlkit.plugins]\nmine = {module}\n")
        (folder / f"{module}.py").write_text(text)
    return {"PYTHONPATH": str(folder)}


def test_plugins_and_doctor_name_what_is_broken(installed: Environment, broken: dict[str, str]) -> None:
    shown = " ".join(installed.dlkit("plugins", **broken).split())
    examined = " ".join(installed.dlkit("doctor", code=5, **broken).split())
    for version, (name, (_, reason)) in enumerate(PLUGINS.items(), start=1):
        for text in (shown, examined):
            assert f"{name} 0.{version}, entry point 'mine'" in text
            assert reason in text
    listed = json.loads(installed.dlkit("plugins", "--json", **broken))
    assert {problem["distribution"] for problem in listed["problems"]} == set(PLUGINS)


def test_every_other_command_works(installed: Environment, broken: dict[str, str], tmp_path: Path) -> None:
    techniques = installed.dlkit("list", **broken)
    assert "Learn a code" in techniques
    assert "dlkit-rival/autoencoder" in techniques
    assert "--denoise" in installed.dlkit("autoencoder", "--help", **broken)
    config = tmp_path / "run.toml"
    installed.dlkit("train", "autoencoder", "--write-config", config, **broken)
    assert 'technique = "autoencoder"' in config.read_text()
    assert "cannot be imported" in installed.dlkit("train", "dlkit-rival/autoencoder", code=5, **broken)


def test_strangers_can_be_left_out(installed: Environment, broken: dict[str, str]) -> None:
    for words, variables in ((["--no-plugins", "plugins"], {}), (["plugins"], {"DLKIT_NO_PLUGINS": "1"})):
        shown = installed.dlkit(*words, **broken, **variables)
        assert "autoencoder" in shown
        assert not [name for name in PLUGINS if name in shown]
    assert "Everything works." in installed.dlkit("doctor", "--no-plugins", **broken)
