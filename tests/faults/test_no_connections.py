"""Without data or weights that must be fetched, dlkit opens no connection, asks for no name, and leaves nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WATCHED = """
import json, sys, urllib.request

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
try:  # and now see that the watch is awake
    before = len(asked)
    urllib.request.urlopen("http://127.0.0.1:9/", timeout=1)
except OSError:
    codes.append(len(asked) > before)
    del asked[before:]
json.dump([codes, asked], open("asked.json", "w"))
"""


QUICK = (
    "info autoencoder", "data DATA", "runs",
    "train autoencoder --layers 8 --code 3 --epochs 1 --data DATA --threads 1 --quiet", "report latest",
)  # fmt: skip
WHOLE = (
    "doctor", "plugins", "list backbones resnet1*", *QUICK, "evaluate latest",
    "export latest --quiet", "encode latest --out codes.npz",
    "transfer --backbone test_resnet --random-init --image-size 32 --strategy linear-probe --data DATA --quiet",
    "train gan --net mlp --epochs 1 --data DATA --threads 1 --quiet", "generate latest", "resume latest --quiet",
    "train autoencoder --layers 8 --code 3 --epochs 1 --data DATA --threads 1 --quiet --devices 2", "cluster latest",
    "grid latest", "augment DATA --augment flip --out more", "predict latest more --out predicted",
    "plugins check flip", "plugins check decomposition",
)  # fmt: skip


@pytest.mark.parametrize("commands", [QUICK, pytest.param(WHOLE, marks=pytest.mark.slow)], ids=["quick", "whole"])
def test_nothing_is_asked_of_the_network_nor_left_among_temporary_files(
    commands: tuple[str, ...], tmp_path: Path, shapes_npz: Path
) -> None:
    words = json.dumps([command.replace("DATA", str(shapes_npz)).split() for command in commands])
    (tmp_path / "temporary").mkdir()
    homes = {
        "TMPDIR": str(tmp_path / "temporary"),
        "DLKIT_HOME": str(tmp_path / "home"),
        "HF_HOME": str(tmp_path / "hf"),
        "TORCH_HOME": str(tmp_path / "torch"),
    }
    environment = {**os.environ, **homes}
    environment.pop("HF_HUB_OFFLINE", None)
    subprocess.run(
        [sys.executable, "-c", WATCHED, words], cwd=tmp_path, env=environment, check=True, capture_output=True
    )
    codes, asked = json.loads((tmp_path / "asked.json").read_text())
    assert asked == []
    assert codes.pop() is True  # it sees what is asked
    assert dict(zip(commands, codes, strict=True)) == dict.fromkeys(commands, 0)
    # PyTorch makes a folder for what it compiles where it is imported; dlkit compiles nothing.
    assert not [path for path in (tmp_path / "temporary").rglob("*") if not path.name.startswith("torchinductor_")]


def test_onnx_runtime_does_not_report_to_its_makers(tmp_path: Path) -> None:
    """It does so in C++, where no audit event is heard; from a queue and a number of the machine that it keeps here."""
    switches = {"ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "CI", "GITHUB_ACTIONS", "TF_BUILD"}
    environment = {name: value for name, value in os.environ.items() if name not in switches}
    environment |= dict.fromkeys(("HOME", "TMPDIR"), str(tmp_path))
    code = "import dlkit, onnxruntime; from huggingface_hub import constants; print(constants.HF_HUB_DISABLE_TELEMETRY)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout == "True\n"
    assert not list(tmp_path.iterdir())
