from __future__ import annotations

import json
import subprocess
import sys

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
