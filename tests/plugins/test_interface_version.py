"""The interface's version: refusals name the remedy, and what is going away warns."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from dlkit import interface
from dlkit.card import API_VERSION
from dlkit.interface import DlkitDeprecationWarning, deprecated, wrong_api


def plugin(**names: object) -> ModuleType:
    module = ModuleType("dlkit_mine.plugin")
    vars(module).update(names)
    return module


def test_the_present_version_is_accepted() -> None:
    assert wrong_api(plugin(DLKIT_API=API_VERSION), "dlkit-mine") == ""


@pytest.mark.parametrize(
    ("version", "remedy"),
    [
        (API_VERSION + 1, "upgrade dlkit (pip install --upgrade dlkit)"),
        (0, "upgrade the plugin (pip install --upgrade dlkit-mine)"),
        ("1", "upgrade the plugin"),
        (True, "upgrade the plugin"),
    ],
)
def test_another_is_refused_with_the_remedy(version: object, remedy: str) -> None:
    reason = wrong_api(plugin(DLKIT_API=version), "dlkit-mine")
    assert f"interface version {version!r}" in reason
    assert remedy in reason


def test_the_version_before_goes_on_working_while_it_is_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interface, "API_VERSION", 3)
    monkeypatch.setattr(interface, "OLDEST_API", 2)
    assert [bool(wrong_api(plugin(DLKIT_API=version), "x")) for version in (1, 2, 3, 4)] == [True, False, False, True]
    assert "this dlkit has 2 to 3" in wrong_api(plugin(DLKIT_API=1), "x")


def test_what_is_deprecated_works_and_warns_the_caller() -> None:
    @deprecated("0.2", "0.3", "Use new().")
    def old(number: int) -> int:
        return number + 1

    with pytest.warns(
        DlkitDeprecationWarning, match=r"old is deprecated since dlkit 0\.2, and removed in 0\.3\. Use n"
    ):
        assert old(1) == 2


def test_a_deprecated_class_stays_a_class() -> None:
    @deprecated("0.2", "0.3", "Use New.")
    @dataclass(frozen=True)
    class Old:
        number: int

    class Mine(Old):
        pass

    for made in (Old, Mine):
        with pytest.warns(DlkitDeprecationWarning, match=r"Old is deprecated .* Use New") as caught:
            assert made(3).number == 3
        assert caught[0].filename == __file__
    assert issubclass(Mine, Old)


def test_users_of_a_plugin_see_nothing_and_authors_each_place_once(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from dlkit.interface import deprecated\n"
        "old = deprecated('0.2', '0.3', 'Use new().')(len)\n"
        "def use():\n    for _ in range(3): old('')\n    old('')\n"
    )
    code = [sys.executable, "-c", "import mine; mine.use()"]
    for flags, count in (([], 0), (["-W", "default"], 2)):
        words = [code[0], *flags, *code[1:]]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stderr.count("DlkitDeprecationWarning") == count


def test_nothing_goes_in_the_release_that_announces_it() -> None:
    with pytest.raises(ValueError, match=r"since 0\.2 stays for that release, so it cannot go in 0\.2"):
        deprecated("0.2", "0.2", "Use another.")
    deprecated("0.9", "0.10", "Use another.")


def test_the_documentation_shows_the_refusal_as_it_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "plugin-interface.md").read_text(encoding="utf-8")
    assert wrong_api(plugin(DLKIT_API=API_VERSION + 1), "dlkit-mine") in page
