"""Without a data set or weights that must be fetched, dlkit opens no connection and asks for no name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

WATCHED = """
import json, sys

asked = []


def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request"):
        if not (event == "socket.connect" and isinstance(arguments[1], str)):  # a path: a socket of this machine
            asked.append(f"{event} {arguments[1:]}")


sys.addaudithook(watch)
from dlkit import session
from dlkit.cli.main import main
from dlkit.files import write_json

session.save_pictures = lambda _, plots: write_json(plots / "index.json", [])  # they take longest
codes = []
for words in json.loads(sys.argv[1]):
    before = len(asked)
    codes.append(main(words))
    asked[before:] = [f"{' '.join(words)}: {what}" for what in asked[before:]]
if sys.argv[2] == "provoke":
    import urllib.request
    try:
        urllib.request.urlopen("http://127.0.0.1:9/", timeout=1)
    except OSError:
        pass
json.dump([codes, asked], open("asked.json", "w"))
"""


def watched(folder: Path, *commands: str, provoke: bool = False) -> tuple[list[int], list[str]]:
    """Exit codes of commands in an empty folder, and what they asked of the network."""
    words = json.dumps([command.split() for command in commands])
    environment = {
        **os.environ,
        "DLKIT_HOME": str(folder / "home"),
        "HF_HOME": str(folder / "hf"),
        "TORCH_HOME": "none",
    }
    environment.pop("HF_HUB_OFFLINE", None)
    subprocess.run(
        [sys.executable, "-c", WATCHED, words, "provoke" if provoke else ""], cwd=folder, env=environment, check=True,
        capture_output=True,
    )  # fmt: skip
    codes, asked = json.loads((folder / "asked.json").read_text())
    return codes, asked


def test_nothing_is_asked_of_the_network(tmp_path: Path, shapes_npz: Path) -> None:
    train = f"--data {shapes_npz} --threads 1 --quiet"
    commands = [
        "doctor", "list", "list backbones resnet1*", "info autoencoder", "plugins", f"data {shapes_npz}",
        f"train autoencoder --layers 8 --code 3 --epochs 1 {train}",
        f"transfer --backbone test_resnet --random-init --image-size 32 --strategy linear-probe --dry-run {train}",
        "evaluate autoencoder/shapes-001", "export autoencoder/shapes-001 --quiet", "runs",
        "encode autoencoder/shapes-001 --out codes.npz", "report autoencoder/shapes-001",
    ]  # fmt: skip
    codes, asked = watched(tmp_path, *commands)
    assert asked == []
    assert dict(zip(commands, codes, strict=True)) == dict.fromkeys(commands, 0)


def test_the_watch_sees_what_is_asked(tmp_path: Path) -> None:
    assert watched(tmp_path, "list", provoke=True)[1] != []
