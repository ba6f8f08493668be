"""A finished run's images judged by other features, or more of them, without training again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import dlkit
from dlkit.cli.main import main
from dlkit.errors import UsageError


@pytest.fixture(scope="module")
def runs(shapes_npz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    words = ["gan", "--data", str(shapes_npz), "--net", "mlp", "--width", "4", "--latent", "3", "--epochs", "1"]
    assert main([*words, "--threads", "1", "--quiet", "--features", "pixels", "--runs", str(folder)]) == 0
    return folder


def test_a_run_is_judged_by_what_evaluate_says(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = (runs / "latest" / "evaluation.json").read_bytes()
    assert main(["evaluate", "latest", "--runs", str(runs), "--judged", "12", "--json"]) == 0
    fewer = json.loads(capsys.readouterr().out)["metrics"][0]
    assert (fewer["label"], fewer["note"]) == ("FID", "12 images of each; pixels (pixels), not resized, fp32")
    again = dlkit.load("latest", runs=runs).evaluate(judged=12)
    assert again[0].value == fewer["value"]
    assert (runs / "latest" / "evaluation.json").read_bytes() == kept
    assert dlkit.load("latest", runs=runs).metrics[0].value != fewer["value"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--judged", "3"], "--judged"),
        (["--features", "inception"], "--inception-weights"),
        (["--features", "pixels", "--corrupt"], "--features and --corrupt"),
    ],
)
def test_what_cannot_be_judged_so(words: list[str], said: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "latest", "--runs", str(runs), *words]) == 2
    assert said in capsys.readouterr().err


def test_nothing_else_is_judged_so(trained: Path) -> None:
    with pytest.raises(UsageError, match="generates nothing"):
        dlkit.load(trained).evaluate(features="pixels")


def test_other_data_says_nothing_of_a_gan(runs: Path, shapes_npz: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = runs / "other.npz"
    other.write_bytes(shapes_npz.read_bytes())
    assert main(["evaluate", "latest", "--runs", str(runs), "--data", str(other)]) == 0
    assert "gan has no figures about held-out images: other data says nothing" in capsys.readouterr().err
