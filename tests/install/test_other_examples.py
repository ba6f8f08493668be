"""The examples of an augmenter and of a logger, and the page's beginning, carried out."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from environments import ROOT, Environment, build_wheel, make_environment, own_tests, pip

BANDING, TENSORBOARD = (ROOT / "examples" / f"dlkit-{name}" for name in ("banding", "tensorboard"))
PAGE = (ROOT / "docs" / "writing-a-plugin.md").read_text(encoding="utf-8")


def placed(package: Path, folder: Path) -> Path:
    """The package without what it depends on, in a folder for PYTHONPATH."""
    wheel = build_wheel(package, folder / "wheel")
    pip("install", "--quiet", "--no-deps", "--no-index", "--target", folder / "site", wheel)
    return folder / "site"


def test_the_page_quotes_the_examples() -> None:
    sections = PAGE.partition("\n## 11. ")[2].partition("\n## 13. ")[0]
    quoted = re.findall(r"^```python\n(.*?)^```$", sections, re.MULTILINE | re.DOTALL)
    files = [path.read_text(encoding="utf-8") for example in (BANDING, TENSORBOARD) for path in example.rglob("*.py")]
    assert len(quoted) >= 4
    indented = [textwrap.indent(text, "    ") for text in quoted]
    assert not [text for text, method in zip(quoted, indented, strict=True)
                if not any(text in file or method in file for file in files)]  # fmt: skip


def test_the_augmenters_own_tests_pass(tmp_path: Path) -> None:
    told = own_tests(BANDING, placed(BANDING, tmp_path), tmp_path, "-m", "not slow")
    assert "skipped" not in told


def test_the_loggers_tests_pass_and_say_what_they_skip_without_tensorboard(tmp_path: Path) -> None:
    told = own_tests(TENSORBOARD, placed(TENSORBOARD, tmp_path), tmp_path, "-k", "not training")
    assert ("TensorBoard is not installed" in told) == ("skipped" in told)


@pytest.mark.slow
def test_without_tensorboard_a_training_goes_on_and_says_why_nothing_is_logged(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dlkit", "train", "autoencoder", "--layers", "16", "--code", "4", "--epochs", "1"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(placed(TENSORBOARD, tmp_path)), "DLKIT_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("A plugin's dlkit_run_started failed") <= 1
    assert (tmp_path / "runs" / "autoencoder" / "digits-001" / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_nothing_to_a_package(wheel: Path, dependencies: Path, tmp_path: Path) -> None:
    """The commands of the page's first part, in order; installing is done as the other tests here do it."""
    part = PAGE.partition("\n## From nothing to a published package\n")[2].partition("\n## 1. ")[0]
    (block,) = re.findall(r"^```console\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
    environment = make_environment(tmp_path, dependencies, wheel)
    told = {}
    for program, *words in (shlex.split(line.removeprefix("$ ")) for line in block.splitlines()):
        if program == "pip":
            package = environment.workplace / words[-1].partition("[")[0]
            pip("--python", environment.python, "install", "--quiet", "--no-index",
                build_wheel(package, tmp_path / "wheels"))  # fmt: skip
        elif program == "pytest":
            _pytest(environment, words)
        else:
            told[" ".join(words)] = environment.run(program, *words)
    assert "outline" in told["list"]
    assert "0 broken" not in told["plugins check outline --quick"]
    assert " broken" not in told["plugins check outline --quick"]


def _pytest(environment: Environment, words: list[str]) -> None:
    (site_packages,) = (environment.python.parents[1] / "lib").glob("python*/site-packages")
    own_tests(environment.workplace / words[0], site_packages, environment.workplace, *words[1:])
