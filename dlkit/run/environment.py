"""What a run was made with: versions, device, commit, command line."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torchvision", "numpy", "pillow", "scikit-learn", "scikit-image", "timm", "onnx", "onnxruntime")


def describe_environment(
    *, distribution: str, version: str, threads: int, device: str, processes: int = 1, launch: str | None = None
) -> dict[str, Any]:
    """One session's surroundings, as plain JSON.

    Args:
        distribution: the package that ships the technique.
        version: its version.
        threads: CPU threads in use; results are bit-identical only for the same number.
        device: ``cpu``, ``cuda:0``…
        processes: how many train together.
        launch: what started them, as it names itself.
    """
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "argv": list(sys.argv),
        "directory": str(Path.cwd()),
        "dlkit": metadata.version("dlkit"),
        "plugin": {"distribution": distribution, "version": version},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "device": device,
        "device_name": _device_name(device),
        "processes": processes,
        "launch": launch,
        "threads": threads,
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "git_commit": _git(["rev-parse", "HEAD"]),
        "git_dirty": bool(_git(["status", "--porcelain", "--untracked-files=no"])),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _device_name(device: str) -> str:
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def _git(arguments: Sequence[str]) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    try:
        done = subprocess.run([git, *arguments], capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
