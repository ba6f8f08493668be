"""A run and splits as the runtime sees them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


class FakeRun:
    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.metrics = path / "metrics.jsonl"
        self.ended: list[tuple[str, Mapping[str, Any]]] = []

    def record(self, row: Mapping[str, Any]) -> None:
        with self.metrics.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def metrics_position(self) -> int:
        return self.metrics.stat().st_size if self.metrics.exists() else 0

    def cut_metrics(self, position: int) -> None:
        if self.metrics.exists():
            with self.metrics.open("r+b") as file:
                file.truncate(position)

    def checkpoint_path(self, phase: str, which: str) -> Path:
        path = self.path / "checkpoints" / phase / f"{which}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def epoch_ended(self, phase: str, row: Mapping[str, Any]) -> None:
        self.ended.append((phase, row))

    def rows(self, times: bool = False) -> list[dict[str, Any]]:
        rows = [json.loads(line) for line in self.metrics.read_text().splitlines()] if self.metrics.exists() else []
        if not times:
            for row in rows:
                del row["seconds"], row["images_per_second"]
        return rows


class FakeSplit:
    def __init__(self, tensor: Tensor, labels: Tensor | None = None, in_memory: bool = True) -> None:
        self.name, self.labels, self.files, self.targets = "train", labels, None, None
        self.in_memory = in_memory
        self.tensor = tensor
        self.augmentation: Any = None

    def __len__(self) -> int:
        return len(self.tensor)

    def raw(self, indices: Tensor | None = None) -> Tensor:
        return self.tensor if indices is None else self.tensor[indices]

    def pixels(self, indices: Tensor | None = None) -> Tensor:
        raw = self.raw(indices)
        return raw.float() / 255 if raw.dtype == torch.uint8 else raw
