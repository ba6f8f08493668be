from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "numpy", "PIL", "rich", "matplotlib", "sklearn", "scipy", "torchvision", "timm", "onnx", "jinja2"}
HEAVY |= {"captum", "skops", "skl2onnx", "onnxruntime", "safetensors", "skimage"}


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["list"],
        ["list", "datasets"],
        ["info", "autoencoder"],
        ["info", "transfer"],
        ["info", "ensemble"],
        ["plugins"],
        ["train", "--help"],
        ["train", "autoencoder", "--help"],
        ["autoencoder", "--help-all"],
        ["transfer", "--help-all"],
        ["train", "classifier", "--help"],
        ["features", "--classifier", "knn", "--folds", "x"],
        ["search", "--help"],
        ["generate", "--help"],
        ["decode", "latest"],
        ["decode", "latest", "--code", "1", "--out", "."],
        ["cache", "--help"],
        ["autoencoder", "--epochs", "x"],
        ["autoencoder", "--epocs", "3"],
        ["nothing-of-the-kind"],
        ["completion", "bash"],
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_imported(words: list[str]) -> None:
    code = (
        "import json, sys; from dlkit.cli.main import main; code = main(sys.argv[1:]); "
        "print(json.dumps([code, sorted(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    exit_code, modules = json.loads(done.stdout.splitlines()[-1])
    assert exit_code in (0, 2), done.stderr
    assert HEAVY.isdisjoint(modules)


def test_weights_that_cannot_be_had_are_told_before_what_draws_and_fits_is_imported(tmp_path: Path) -> None:
    code = (
        "import json, sys; from dlkit.cli.main import main; code = main(sys.argv[1:]); "
        "print(json.dumps([code, sorted(sys.modules)]))"
    )
    empty = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf"), "TORCH_HOME": str(tmp_path / "torch")}
    words = [sys.executable, "-c", code, "transfer", "--runs", str(tmp_path / "runs")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env={**os.environ, **empty})
    exit_code, modules = json.loads(done.stdout.splitlines()[-1])
    assert exit_code == 3, done.stderr
    assert {"matplotlib", "sklearn", "captum", "onnx"}.isdisjoint(modules)
    assert not list(tmp_path.iterdir())
