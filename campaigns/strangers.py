"""Runs from strangers: one entry of one file is dropped, renamed, of another type, size or shape; then a verb reads it.

    python campaigns/strangers.py                        # 60 changes of a run of each of five techniques
    python campaigns/strangers.py --only gan --changes 2000
    python campaigns/strangers.py --options              # every number of the config, a million and a thousand million

Each must work or end with an error that says what is wrong: no traceback, no signal, no hang, and no more memory than
4 GiB above what dlkit has once everything is imported.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import entries
from commands import Commands, scratch
from kill import TECHNIQUES

_SECONDS = 300
_ROOM = 4 << 30
_GIANTS = (10**6, 10**9)
FEW = {"autoencoder": ["--epochs", "2"], "gan": ["--epochs", "1"],
       "stacked": ["--epochs", "2", "--pretrain-epochs", "1", "--head-epochs", "1"]}  # fmt: skip


def digits(place: Path, count: int) -> Path:
    """Some of the digits as a file."""
    bunch = load_digits()
    images = (bunch.images[:count] * 15).astype(np.uint8)
    np.savez(place / "digits.npz", images=images, labels=bunch.target[:count])
    return place / "digits.npz"


def verb(file: str, run: Path, *, longer: bool) -> list[str]:
    """A command that reads a file of a run; ``longer``: it can be trained for a third epoch."""
    if file.startswith("checkpoints/"):
        return ["resume", str(run), "--quiet", *(["--epochs", "3"] if longer else [])]
    return ["evaluate", str(run), "--quiet"] if file in entries.USED else ["report", str(run)]


class Campaign:
    """One technique's run, and what becomes of it.

    Args:
        name: of the technique.
        commands: runs dlkit.
        place: folder for runs.
    """

    def __init__(self, name: str, commands: Commands, place: Path) -> None:
        self.name, self.commands = name, commands
        words = [*TECHNIQUES[name], *FEW.get(name, [])]
        data = digits(place, 80)
        code, errors = commands.run("train", name, *words, "--data", str(data), "--runs", str(place / "runs"))
        assert code == 0, errors
        self.run = next((place / "runs" / name).iterdir())
        self.codes: Counter[int] = Counter()
        self.problems: list[str] = []

    def try_entry(self, file: str, place: entries.Place, way: str) -> None:
        """Change an entry of a copy, and use the copy."""
        copy = self._copy()
        before = entries.read(copy, file)
        try:
            entries.write(copy, file, entries.changed(before, place, way))
        except (TypeError, ValueError):  # no such file can be made
            return
        said = f"{self.name}: {file}: {'/'.join(map(str, place))} {way}"
        self._try(said, *verb(file, copy, longer=self.name in FEW))

    def try_giant(self, key: str, value: object) -> None:
        """Another number in the config of a copy."""
        copy = self._copy()
        entries.write(copy, "config.toml", {**entries.read(copy, "config.toml"), key: value})
        self._try(f"{self.name}: {key} = {value}", "evaluate", str(copy), "--quiet")

    def giants(self) -> Iterator[tuple[str, object]]:
        """Numbers of the config, and larger ones."""
        for key, value in entries.read(self.run, "config.toml").items():
            numbers = isinstance(value, list) and all(type(each) is int for each in value)
            if type(value) in (int, float) or value == "none" or numbers:
                yield from ((key, [giant, giant] if numbers else giant) for giant in _GIANTS)

    def _copy(self) -> Path:
        copy = self.run.parents[1] / "changed" / self.run.parent.name / self.run.name
        shutil.rmtree(copy, ignore_errors=True)
        return Path(shutil.copytree(self.run, copy))

    def _try(self, said: str, *words: str) -> None:
        pid = self.commands.start(words)
        most = _virtual(self.commands.process.pid) + _ROOM
        resource.prlimit(pid, resource.RLIMIT_AS, (most, most))
        clock = threading.Timer(_SECONDS, os.kill, (pid, signal.SIGKILL))
        clock.start()
        code, errors = self.commands.wait()
        clock.cancel()
        self.codes[code] += 1
        unclear = code not in (0, 1, 2, 3) or (code > 0 and not errors.strip())
        if unclear or "Traceback" in errors or "out of memory" in errors:
            self.problems.append(
                f"{said}: {words[0]}: exit code {code}\n    " + "\n    ".join(errors.splitlines()[-6:])
            )


def _virtual(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmSize"))


def main() -> int:
    """Run the campaign; the exit code is 1 where something was unclear."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=TECHNIQUES, nargs="+", default=list(TECHNIQUES))
    parser.add_argument("--changes", type=int, default=60, help="of each technique's run")
    parser.add_argument("--options", action="store_true", help="giant numbers in the config instead")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scratch", help="folder for what is made; by default the system's")
    options = parser.parse_args()
    place = scratch("strangers", options.scratch)
    commands, found = Commands(place / "home"), 0
    for name in options.only:
        (place / name).mkdir()
        campaign = Campaign(name, commands, place / name)
        if options.options:
            for key, value in campaign.giants():
                campaign.try_giant(key, value)
        else:
            everything = list(entries.changes(campaign.run))
            chosen = random.Random(options.seed).sample(everything, min(options.changes, len(everything)))
            for change in chosen:
                campaign.try_entry(*change)
        total, codes = sum(campaign.codes.values()), dict(sorted(campaign.codes.items()))
        print(f"{name}: {total} tried, exit codes {codes}, problems {len(campaign.problems)}", flush=True)
        print("".join(f"  {problem}\n" for problem in campaign.problems), end="", flush=True)
        found += len(campaign.problems)
    commands.close()
    if not found:
        shutil.rmtree(place)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
