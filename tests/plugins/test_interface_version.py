"""The interface's version: refusals name the remedy, and what is going away warns."""

from __future__ import annotations

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
