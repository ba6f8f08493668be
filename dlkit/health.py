"""What ``dlkit doctor`` looks at; light, but for PyTorch, which it tries to import.

Nothing private belongs into a bug report: paths under the home directory begin with ``~``, those under the folder at
hand with ``.``, user and host names are left out, and of the environment only the variables in :data:`VARIABLES` are
shown.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dlkit import __version__
from dlkit.card import API_VERSION
from dlkit.discovery import BUILT_IN, NO_PLUGINS, Registry, registry
from dlkit.files import cache_home

VARIABLES = (
    "DLKIT_HOME", NO_PLUGINS, "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "NO_COLOR", "HF_HOME", "HF_HUB_OFFLINE",
    "TORCH_HOME",
)  # fmt: skip
"""The environment variables that change what dlkit does, and tell nothing that a stranger should not know."""

PAIRED = 15
"""torchvision 0.N belongs to torch 2.(N - 15): 0.26 to 2.11, 0.29 to 2.14."""

SLOW_SECONDS = 0.05
"""A plugin's module that takes longer to import is worth a remark: every command waits for it."""


def examine() -> tuple[dict[str, Any], list[str]]:
    """The facts, for people and bug reports, and what is wrong, each as a sentence that says what to do."""
    found = registry()
    packages = dict(_packages())
    devices, pairing = _devices()
    folders = _folders()
    slow = slow_imports(found)
    facts: dict[str, Any] = {
        "dlkit": f"{__version__} (plugin interface {API_VERSION})",
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": platform.platform(),
        "packages": packages,
        "torch": pairing or f"{packages.get('torch')} and torchvision {packages.get('torchvision')} belong together",
        "devices": devices,
        "environment": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "plugins": {f"{p.distribution}:{p.entry_point}": p.version for p in found.plugins},
        "slow to import": slow,
        "caches": _caches(),
        "directories": {name: f"{path}: {why or 'writable'}" for name, (path, why) in folders.items()},
    }
    problems = found.problems()
    facts["plugin_problems"] = [asdict(problem) for problem in problems]
    wrong = [f"{p.distribution} {p.version}, entry point {p.entry_point!r}: {p.reason}" for p in problems]
    wrong += [f"the package {name} is not installed" for name, version in packages.items() if version == "missing"]
    wrong += [pairing] if pairing else []
    wrong += [f"{name} ({path}): {why}" for name, (path, why) in folders.items() if why]
    return facts, wrong


def _packages() -> Iterator[tuple[str, str]]:
    """The versions of what dlkit depends on, without importing it."""
    from importlib.metadata import PackageNotFoundError, requires, version

    for requirement in requires("dlkit") or []:
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        if "extra ==" in requirement:
            continue
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, "missing"


def _devices() -> tuple[list[str], str]:
    """What can be trained on, and what is wrong with the pair of torch and torchvision."""
    try:
        import torch
    except Exception as error:  # a broken PyTorch is what doctor is there to show
        return [f"PyTorch cannot be imported: {type(error).__name__}: {error}"], "PyTorch cannot be imported"
    devices = [f"cpu ({torch.get_num_threads()} threads)"]
    devices += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    return devices + (["mps"] if torch.backends.mps.is_available() else []), _pairing()


def _pairing() -> str:
    """What is wrong with the pair of torch and torchvision, with what to do; empty where nothing is."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        torch, vision = version("torch"), version("torchvision")
    except PackageNotFoundError as error:
        return f"{error.name} is not installed"
    try:
        import torchvision  # noqa: F401 - its operators are compiled for one torch
    except Exception as error:
        return mismatch(torch, vision) or f"torchvision {vision} cannot be imported: {type(error).__name__}: {error}"
    return mismatch(torch, vision)


def mismatch(torch: str, vision: str) -> str:
    """Why two versions do not belong together, with what to do; empty where they do."""
    (major, minor), (other_major, other_minor) = (_release(text) for text in (torch, vision))
    if (major, other_major) != (2, 0) or other_minor == minor + PAIRED:
        return ""
    fitting = f"pip install 'torch=={major}.{minor}.*' 'torchvision==0.{minor + PAIRED}.*'"
    return f"torchvision {vision} is not the one for torch {torch}: {fitting}"


def _release(version: str) -> tuple[int, int]:
    numbers = re.findall(r"\d+", version)
    return (int(numbers[0]), int(numbers[1])) if len(numbers) > 1 else (0, 0)


def slow_imports(found: Registry) -> dict[str, str]:
    """Strangers' modules that every command waits for, each imported anew in a process of its own.

    Built-ins are left out: a test keeps them light.
    """
    slow = {}
    for plugin in found.plugins:
        if plugin.distribution == BUILT_IN:
            continue
        name = plugin.module.__name__
        # What the module shares with dlkit is there already, as it is when a command imports it.
        code = f"import dlkit.cli.main, time; t = time.perf_counter(); import {name}; print(time.perf_counter() - t)"
        try:
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
            seconds = float(done.stdout.strip().splitlines()[-1])
        except (OSError, subprocess.SubprocessError, ValueError, IndexError):
            slow[f"{plugin.distribution}:{plugin.entry_point}"] = "cannot be timed"
            continue
        if seconds > SLOW_SECONDS:
            slow[f"{plugin.distribution}:{plugin.entry_point}"] = f"{seconds:.2f} s"
    return slow


def _caches() -> dict[str, str]:
    """What is kept where, and how much."""
    home = cache_home()
    places = {"dlkit": home, "Hugging Face": _variable("HF_HOME", "~/.cache/huggingface"),
              "torch": _variable("TORCH_HOME", "~/.cache/torch")}  # fmt: skip
    return {name: f"{path}: {_size(path)}" for name, path in places.items()}


def _variable(name: str, otherwise: str) -> Path:
    return Path(os.path.expanduser(os.environ.get(name) or otherwise))  # noqa: PTH111 - leaves ~name of nobody


def _size(path: Path) -> str:
    if not path.is_dir():
        return "empty"
    total = 0
    for folder, _, files in os.walk(path, onerror=None):
        for file in files:
            try:
                total += os.lstat(os.path.join(folder, file)).st_size  # noqa: PTH118 - many files
            except OSError:
                continue
    return f"{total / 1e6:,.1f} MB"


def _folders() -> dict[str, tuple[str, str]]:
    """Where dlkit writes: the path, and why it cannot, empty where it can."""
    places = {"cache": cache_home(), "runs": Path("runs").absolute(), "temporary files": Path(tempfile.gettempdir())}
    return {name: (str(path), _unwritable(path)) for name, path in places.items()}


def _unwritable(path: Path) -> str:
    """Why nothing can be written there; the folder is not made, so the nearest one that exists is asked."""
    there = next(each for each in (path, *path.parents) if each.exists())
    if not there.is_dir():
        return f"{there} is not a folder"
    try:
        with tempfile.TemporaryFile(dir=there):
            return ""
    except OSError as error:
        return f"cannot be written: {error.strerror or error}; DLKIT_HOME, --runs and TMPDIR name other places"


def without_private(value: Any) -> Any:
    """The same with ``~`` for home, ``.`` for the folder at hand, ``USER`` for a user's, ``HOST`` for the machine."""
    if isinstance(value, Mapping):
        return {key: without_private(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_private(item) for item in value]
    if not isinstance(value, str):
        return value
    for pattern, word in _private():
        value = re.sub(pattern, word, value)
    return value


def _private() -> list[tuple[str, str]]:
    """Patterns of what is not to be told → what stands for it."""
    homes = {str(Path.home()), os.path.realpath(Path.home())} - {"/", ""}
    places = dict.fromkeys({str(Path.cwd())} - {"/"}, ".") | dict.fromkeys(homes, "~")
    found = [(rf"{re.escape(place)}(?=/|\W|$)", places[place]) for place in sorted(places, key=len, reverse=True)]
    with contextlib.suppress(OSError, KeyError):
        found.append((rf"(?<=/){re.escape(getpass.getuser())}(?=/|\W|$)", "USER"))
    node = platform.node()
    return found + [(rf"\b{re.escape(name)}\b", "HOST") for name in {node, node.partition(".")[0]} if len(name) > 3]
