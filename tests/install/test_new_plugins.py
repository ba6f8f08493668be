"""What `dlkit plugins new` writes: it is complete, installs, is listed, keeps the contract, and its tests pass."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from environments import Environment, build_wheel, make_environment, own_tests

from dlkit.cli.main import main
from dlkit.scaffold.making import KINDS

LISTED = {"technique": ["list"], "logger": ["plugins"]}


@pytest.mark.parametrize("kind", KINDS)
def test_the_package_is_complete(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plugins", "new", "two-words", "--kind", kind]) == 0
    package = tmp_path / "dlkit-two-words"
    project = tomllib.loads((package / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["dlkit.plugins"] == {"two-words": "dlkit_two_words.plugin"}
    names = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    assert {"README.md", ".gitignore", ".github/workflows/test.yml", "tests/test_contract.py"} <= names
    assert {"src/dlkit_two_words/plugin.py", "tests/test_two_words.py"} <= names
    for path in package.rglob("*.py"):
        compile(path.read_text(), path, "exec")
    text = "".join(path.read_text() for path in package.rglob("*") if path.is_file())
    assert not [word for word in ("MODULE", "NAME", "$name", "${class}", "$$") if word in text]
    checks = [[sys.executable, "-m", "ruff", *words, "--isolated", "--line-length", "120", "."]
              for words in (["check", "--select", "E,F,I,W,B,UP"], ["format", "--check"])]  # fmt: skip
    for command in checks:
        done = subprocess.run(command, capture_output=True, text=True, cwd=package)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["Two Words"], "dlkit plugins new two-words"),
        (["2d"], "is not kebab-case"),
        (["autoencoder"], "dlkit has the technique 'autoencoder' already"),
        (["export"], "a name of dlkit's own commands"),
        (["class", "--kind", "augmenter"], "'class' means something else"),
        (["torch", "--kind", "augmenter"], "'torch' means something else"),
        (["network"], "'network' means something else"),
        (["contract", "--kind", "logger"], "'contract' means something else"),
        (["mine", "--out", "full"], "nothing is overwritten"),
        (["digits", "--kind", "dataset"], "dlkit has the dataset 'digits' already"),
    ],
)
def test_names_that_cannot_be(
    words: list[str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    assert main(["plugins", "new", *words]) == 2
    assert complaint in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


@pytest.mark.parametrize(
    "kind", ["augmenter", *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS if kind != "augmenter")]
)
def test_it_installs_is_listed_and_its_tests_pass(
    kind: str, wheel: Path, dependencies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plugins", "new", "fresh", "--kind", kind, "--json"]) == 0
    package = tmp_path / "dlkit-fresh"
    environment = make_environment(tmp_path, dependencies, wheel, build_wheel(package, tmp_path / "wheels"))
    assert "fresh" in environment.dlkit(*LISTED.get(kind, ["list", f"{kind}s", "fresh"]))
    checked = json.loads(environment.dlkit("plugins", "check", "fresh", "--quick", "--json").partition("\nwarn")[0])
    assert {row["result"] for row in checked} <= {"passed", "skipped"}
    assert {row["kind"] for row in checked} == {kind}
    _its_own_tests_pass(environment, package)


def _its_own_tests_pass(environment: Environment, package: Path) -> None:
    place = package, environment.site_packages, environment.workplace
    own_tests(*place, "-m", "not slow", "-k", "not contract")  # the contract was checked by the command
    assert "test_the_contract[fresh-card_is_light]" in own_tests(*place, "--collect-only")
