"""Whether the files of a run are whole."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from safetensors import safe_open


def broken(run: Path) -> Iterator[str]:
    """Files under their final names that are not whole."""
    for path in run.rglob("*"):
        if not path.is_file() or ".tmp/" in path.as_posix():
            continue
        try:
            _read(path)
        except Exception as error:  # any reader's own
            yield f"{path.relative_to(run)}: {type(error).__name__}: {error}"


def _read(path: Path) -> None:
    if path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".toml":
        tomllib.loads(path.read_text())
    elif path.suffix == ".png":
        with Image.open(path) as image:
            image.load()
    elif path.suffix == ".safetensors":
        with safe_open(path, "np") as file:
            for name in file.keys():  # noqa: SIM118 (not a dict)
                file.get_tensor(name)
    elif path.suffix == ".html":
        assert path.read_text().rstrip().endswith("</html>"), "cut off"
    elif path.suffix == ".onnx":
        import onnx

        onnx.checker.check_model(onnx.load(path))
