"""`dlkit doctor`: what it finds wrong, and that a bug report tells nothing private."""

from __future__ import annotations

import getpass
import importlib.metadata
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from dlkit import health
from dlkit.cli.main import main
from dlkit.discovery import Plugin


def test_a_cache_of_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", "~nobody-of-that-name/x")
    assert health._caches()["Hugging Face"] == "~nobody-of-that-name/x: empty"


def test_a_bug_report_tells_nothing_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "users" / "jane"
    (home / "cache").mkdir(parents=True)
    (home / "cache" / "features.bin").write_bytes(b"0" * 2_500_000)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("DLKIT_HOME", str(home / "cache"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    monkeypatch.setenv("HF_TOKEN", "hf_hush")
    monkeypatch.setattr(getpass, "getuser", lambda: "jane")
    monkeypatch.setattr(health.platform, "node", lambda: "jane-laptop.example.org")
    monkeypatch.chdir(home)
    monkeypatch.setattr(health, "_devices", lambda: (["cpu (1 threads)"], ""))
    main(["doctor", "--json"])
    told = capsys.readouterr().out
    assert "jane" not in told
    assert "hush" not in told
    facts = json.loads(told)
    assert facts["caches"]["dlkit"] == "~/cache: 2.5 MB"
    assert facts["directories"]["runs"] == "~/runs: writable"
    assert facts["environment"]["DLKIT_HOME"] == "~/cache"
    assert facts["packages"]["torch"] == importlib.metadata.version("torch")
    assert list(home.iterdir()) == [home / "cache"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/home/jane/x", "~/x"),
        ("/home/janet/x", "/home/janet/x"),
        ("/scratch/jane/x", "/scratch/USER/x"),
        ("/mnt/secret-project/runs: writable", "./runs: writable"),
        ("jane's torch", "jane's torch"),
        ({"at": ["big-box:1"]}, {"at": ["HOST:1"]}),
    ],
)
def test_private_words(value: object, expected: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/jane")
    monkeypatch.setattr(getpass, "getuser", lambda: "jane")
    monkeypatch.setattr(health.Path, "cwd", lambda: Path("/mnt/secret-project"))
    monkeypatch.setattr(health.platform, "node", lambda: "big-box")
    assert health.without_private(value) == expected


@pytest.mark.parametrize(
    ("torch", "vision", "complaint"),
    [
        ("2.14.1+cpu", "0.29.1+cpu", ""),
        ("2.11.0", "0.26.0", ""),
        ("2.14.1", "0.26.0", "pip install 'torch==2.14.*' 'torchvision==0.29.*'"),
    ],
)
def test_torch_and_torchvision_are_a_pair(torch: str, vision: str, complaint: str) -> None:
    found = health.mismatch(torch, vision)
    assert complaint in found if complaint else not found


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("DLKIT_HOME", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(health, "_devices", lambda: (["cpu (1 threads)"], ""))
    assert main(["doctor"]) == 5
    assert f"cache ({tmp_path / 'file' / 'cache'}): {tmp_path / 'file'} is not a folder" in capsys.readouterr().err


def test_a_plugin_that_is_slow_to_import_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_plugin.py").write_text("import time\ntime.sleep(0.2)\n")
    (tmp_path / "quick_plugin.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    modules = [ModuleType(name) for name in ("slow_plugin", "quick_plugin")]
    plugins = [Plugin("dlkit-mine", "1", module.__name__, module) for module in modules]
    found = health.slow_imports(SimpleNamespace(plugins=plugins))  # type: ignore[arg-type]
    assert list(found) == ["dlkit-mine:slow_plugin"]
    assert float(found["dlkit-mine:slow_plugin"].removesuffix(" s")) >= 0.2


def test_what_belongs_together_stays_on_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    facts = {"python": "3.11", "packages": {f"package-{n}": "1.2.3" for n in range(9)}, "caches": {"a": "1", "b": "2"}}
    monkeypatch.setattr(health, "examine", lambda: (facts | {"devices": [], "plugin_problems": []}, []))
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    assert all(line.rstrip(",").endswith("1.2.3") for line in lines if "package" in line)
    assert lines[-4:] == [f"{'caches':<16}a 1", " " * 16 + "b 2", f"{'devices':<16}-", "Everything works."]
