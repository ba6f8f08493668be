"""A disk that fills up, and one that is read-only: clear errors, whole files, and the same bits once there is space.

    python campaigns/disk.py              # needs Linux with user namespaces (unshare), no root

In a mount namespace of its own the campaign makes a small disk in memory. Training meets its end at many sizes of
it; given space, ``dlkit resume`` must end with the bits of a training that nothing disturbed. Then every verb that
writes finds the disk full, and read-only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from commands import Commands, scratch
from kill import broken, files, made

TRAIN = ["train", "autoencoder", "--data", "digits", "--layers", "200", "--epochs", "6", "--checkpoint-every", "0.02",
         "--threads", "1", "--quiet"]  # fmt: skip
VERBS = {
    "resume": ["resume", "RUN", "--epochs", "9", "--quiet"],
    "report": ["report", "RUN"],
    "export": ["export", "RUN", "--overwrite", "--quiet"],
    "export torch": ["export", "RUN", "--format", "torch", "--quiet"],
    "encode": ["encode", "RUN", "--out", "DISK/codes.npz"],
    "decode": ["decode", "RUN", "CODES", "--out", "DISK/decoded"],
    "grid": ["grid", "RUN", "--out", "DISK/grid.png"],
    "morph": ["morph", "RUN", "IMAGE", "IMAGE", "--out", "DISK/morph"],
    "predict": ["predict", "RUN", "IMAGE", "--out", "DISK/predicted"],
    "cluster": ["cluster", "RUN"],
    "search": ["search", "RUN", "IMAGE", "--out", "DISK/found.png"],
    "data": ["data", "digits", "--picture", "DISK/data.png"],
    "train": [*TRAIN, "--runs", "DISK/runs"],
}


class Disk:
    """A disk in memory."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()
        _call("mount", "-t", "tmpfs", "-o", "size=64m", "none", str(place))

    def set(self, *options: str) -> None:
        """``size=1m``, ``ro``, ``rw``."""
        _call("mount", "-o", ",".join(("remount", *options)), str(self.place))

    def fill(self) -> None:
        """Leave no byte."""
        with (self.place / "filler").open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(b"\0" * 4096)
                except OSError:
                    return

    def empty(self) -> None:
        """Remove everything."""
        self.set("rw", "size=64m")
        for path in self.place.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _call(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def told(code: int, errors: str, run: Path | None) -> Iterator[str]:
    """What is wrong with the end of a command that the disk stopped."""
    if code not in (0, 1):
        yield f"exit code {code}"
    if "Traceback" in errors or "this is a bug" in errors:
        yield f"a traceback: {errors[-600:]}"
    if code == 1 and not any(word in errors for word in ("No space left", "Read-only file system")):
        yield f"an unclear message: {errors[-300:]}"
    if run is not None and run.exists():
        yield from (f"half-written: {what}" for what in broken(run))


def filling(commands: Commands, disk: Disk, place: Path, steps: int) -> list[str]:
    """Train on disks of growing sizes, then give space and go on."""
    reference = place / "reference" / "autoencoder" / "digits-001"
    assert commands.run(*TRAIN, "--runs", str(place / "reference"))[0] == 0
    assert commands.run("export", str(reference), "--quiet")[0] == 0
    expected, whole = made(reference), sum(path.stat().st_size for path in reference.rglob("*") if path.is_file())
    problems, stopped = [], 0
    for step in range(steps):
        disk.empty()
        disk.set(f"size={max(16, whole * (step + 1) // steps // 1024)}k")
        code, errors = commands.run(*TRAIN, "--runs", str(disk.place / "runs"))
        run = disk.place / "runs" / "autoencoder" / "digits-001"
        problems += [f"size {step + 1}/{steps}: {what}" for what in told(code, errors, run)]
        stopped += code != 0
        if not (run / "config.toml").exists() or not (run / "data.json").exists():
            continue  # there was no space for a run
        disk.set("size=64m")
        for words in (["resume", str(run), "--quiet"], ["export", str(run), "--quiet"]):
            code, errors = commands.run(*words)
            if code != 0:
                problems.append(f"size {step + 1}/{steps}: with space again: {errors[-600:]}")
        mine = made(run)
        problems += [f"size {step + 1}/{steps}: other {key}" for key, value in expected.items() if mine[key] != value]
        problems += [f"size {step + 1}/{steps}: left {name}" for name in files(run) - files(reference)]
    print(
        f"training on {steps} disks of up to {whole / 1e6:.1f} MB: {stopped} stopped, {len(problems)} problems",
        flush=True,
    )
    return problems


def verbs(commands: Commands, disk: Disk, place: Path) -> list[str]:
    """Every verb that writes, on a full disk and on one that is read-only."""
    reference = place / "reference" / "autoencoder" / "digits-001"
    codes, image = place / "codes.npz", place / "image.png"
    assert commands.run("encode", str(reference), "--out", str(codes))[0] == 0
    assert commands.run("data", "digits", "--picture", str(image))[0] == 0
    disk.empty()
    run = disk.place / "runs" / "autoencoder" / "digits-001"
    shutil.copytree(reference, run)
    kept, problems = made(run), []
    disk.fill()
    names = {"RUN": str(run), "CODES": str(codes), "IMAGE": str(image)}
    for state in ("full", "read-only"):
        if state == "read-only":
            disk.set("ro")
        for verb, words in VERBS.items():
            filled = [names.get(word, word.replace("DISK/", f"{disk.place}/{state}-")) for word in words]
            code, errors = commands.run(*filled)
            found = list(told(code, errors, None)) + (["it says that it worked"] if code == 0 else [])
            problems += [f"{verb} on a {state} disk: {what}" for what in found]
        problems += [f"half-written on a {state} disk: {what}" for what in broken(disk.place)]
        if made(run) != kept:
            problems.append(f"{state}: the run is not what it was")
    print(f"{len(VERBS)} verbs on a full and on a read-only disk: {len(problems)} problems", flush=True)
    return problems


def main() -> int:
    """Run the campaign; the exit code is 1 where something was lost or unclear."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=24, help="sizes of the disk to train on")
    parser.add_argument("--scratch", help="folder for runs; by default the system's")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.inside:
        os.execvp("unshare", ["unshare", "--map-root-user", "--mount", sys.executable, *sys.argv, "--inside"])
    place, began = scratch("disk", options.scratch), time.monotonic()
    disk = Disk(place / "disk")
    commands = Commands(place / "home")
    problems = filling(commands, disk, place, options.steps) + verbs(commands, disk, place)
    commands.close()
    for problem in problems:
        print(f"  {problem}")
    print(f"{time.monotonic() - began:.0f} s")
    _call("umount", "--lazy", str(disk.place))
    shutil.rmtree(place)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
