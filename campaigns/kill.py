"""SIGKILL at random moments of training, checkpoint writing, report and export; then the result must be the same bits.

    python campaigns/kill.py                       # 20 kills of each of five techniques
    python campaigns/kill.py --only stacked --kills 4
    python campaigns/kill.py --images 240          # of the digits, on a busy machine
    python campaigns/kill.py --signal TERM         # or INT, as Ctrl-C sends: it must save and stop within 5 seconds

Each life of a run is killed once in each stage (training, writing, report, export), at a random moment of it, and
goes on with ``dlkit resume``. In the end weights, rows of metrics, evaluation and exported file must equal, bit for
bit, those of a run that nobody disturbed. After every kill every file that is there must be whole.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from sklearn.datasets import load_digits

from commands import Commands, scratch
from whole import broken

COMMON = ["--threads", "1", "--quiet"]
OFTEN = ["--checkpoint-every", "0.02", *COMMON]
TECHNIQUES = {
    "autoencoder": ["--denoise", "--dropout", "0.1", "--epochs", "30", *OFTEN],
    "gan": ["--net", "mlp", "--features", "pixels", "--epochs", "8", *OFTEN],
    "stacked": ["--layers", "40,30", "--pretrain-epochs", "8", "--head-epochs", "4", "--epochs", "8", *OFTEN],
    "features": ["--backbone", "resnet10t", "--random-init", "--image-size", "32", "--classifier", "ridge",
                 *COMMON],
    "decomposition": ["--method", "nmf", "--code", "24", *COMMON],
}  # fmt: skip
STAGES = ("training", "writing", "report", "export")
TIMES = ("seconds", "images_per_second")


@dataclass
class Tally:
    """What happened to one technique.

    Attributes:
        kills: by the stage that they hit.
        halves: kills that left a half-written file, under its temporary name.
        slowest: seconds until the process had ended.
        problems: what should not be.
    """

    kills: Counter[str] = field(default_factory=Counter)
    halves: int = 0
    slowest: float = 0.0
    problems: list[str] = field(default_factory=list)


def made(run: Path) -> dict[str, Any]:
    """All that must be the same to the bit; times and paths excepted."""
    metrics = run / "metrics.jsonl"
    rows = [json.loads(line) for line in metrics.read_text().splitlines()] if metrics.exists() else []
    state = json.loads((run / "model.json").read_text())["state"]
    evaluation = json.loads((run / "evaluation.json").read_text())
    return {
        "rows": [{key: value for key, value in row.items() if key not in TIMES} for row in rows],
        "evaluation": [metric for metric in evaluation["metrics"] if metric["unit"] != "s"],
        "tables": evaluation["tables"],
        "weights": hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest(),
        "state": _timeless(state),
        "export": [hashlib.sha256(path.read_bytes()).hexdigest() for path in run.glob("exports/*.onnx")],
        "checkpoints": {
            path.parent.name: _learned(path) for path in sorted(run.glob("checkpoints/*/last.safetensors"))
        },
    }


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in TIMES}
    return value


def _learned(path: Path) -> str:
    digest = hashlib.sha256()
    with safe_open(path, "np") as file:
        for name in sorted(file.keys()):
            digest.update(name.encode() + file.get_tensor(name).tobytes())
    return digest.hexdigest()


def files(run: Path) -> set[str]:
    """The files of a run, temporary ones included."""
    return {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}


class Campaign:
    """The kills of one technique.

    Args:
        name: of the technique.
        data: what it trains on, a data set or a file named digits.
        commands: runs them.
        place: folder for runs.
        chance: draws the moments.
        signum: what is sent.
    """

    def __init__(
        self, name: str, data: str, commands: Commands, place: Path, chance: random.Random, signum: signal.Signals
    ) -> None:
        self.name, self.data, self.commands, self.place, self.chance = name, data, commands, place, chance
        self.signum = signum
        self.tally = Tally()
        self._undisturbed("warm")  # fills caches
        run = self._undisturbed("reference")
        self.made, self.files = made(run), files(run)

    def _undisturbed(self, place: str) -> Path:
        """A run that nobody disturbs; how long its stages take."""
        run = self._run(place)
        self.commands.start(self._words(place))
        _until(lambda: _status(run) == (1, "training"))
        times = [time.monotonic()]
        _until(lambda: _status(run) in ((1, "trained"), (1, "finished")))
        times.append(time.monotonic())
        code, errors = self.commands.wait()
        assert code == 0, errors
        times.append(time.monotonic())
        self._succeed("export", str(run), "--quiet")
        times.append(time.monotonic())
        assert not self.tally.problems, self.tally.problems
        self.seconds = dict(zip(("training", "report", "export"), (b - a for a, b in pairwise(times)), strict=True))
        shown = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in self.seconds.items())
        print(f"{self.name}, {place}: {shown}", flush=True)
        return run

    def life(self, number: int, most: int) -> int:
        """One run: killed once in each stage, at most ``most`` times, then led to its end and compared; the kills."""
        words, run, killed = self._words(str(number)), self._run(str(number)), 0
        for session, stage in enumerate(STAGES[:most], start=1):
            if stage == "export":
                self._succeed("resume", str(run), "--quiet")
                words = ["export", str(run), "--quiet", "--overwrite"]
            killed += self._killed(words, stage, session, run)
            words = ["resume", str(run), "--quiet"]
        if stage != "export":
            self._succeed("resume", str(run), "--quiet")
        self._succeed("export", str(run), "--quiet", "--overwrite")
        self._compare(run)
        return killed

    def _killed(self, words: list[str], stage: str, session: int, run: Path) -> bool:
        """Run a command and kill it at a random moment of the stage; False where it ended before."""
        pid = self.commands.start(words)
        if stage == "export":
            time.sleep(self.chance.uniform(0, self.seconds["export"]))
        elif stage == "writing":
            _until(lambda: _status(run) == (session, "training"))
            _until(lambda: _writes(run) or _status(run) != (session, "training"))
            time.sleep(self.chance.uniform(0, 0.003))
        else:
            _until(lambda: _status(run) == (session, "training" if stage == "training" else "trained"))
            time.sleep(self.chance.uniform(0, 0.9 * self.seconds[stage]))
        sent = time.monotonic()
        with suppress(ProcessLookupError):
            os.kill(pid, self.signum)
        code, errors = self.commands.wait()
        if code == 0:
            return False
        self.tally.slowest = max(self.tally.slowest, time.monotonic() - sent)
        polite = self.signum != signal.SIGKILL
        if code != (128 + self.signum if polite else -self.signum) or "Traceback" in errors:
            self.tally.problems.append(f"{stage}: exit code {code}: {errors}")
        if polite and stage != "export" and _status(run)[1] != "interrupted":
            self.tally.problems.append(f"{stage}: the run says that it is {_status(run)[1]}")
        self.tally.kills[stage if polite or stage == "export" else _status(run)[1]] += 1
        self.tally.halves += any(".tmp/" in name for name in files(run))
        self.tally.problems += [f"half-written after a kill in {stage}: {what}" for what in broken(run)]
        return True

    def _compare(self, run: Path) -> None:
        mine = made(run)
        different = [key for key, value in self.made.items() if mine[key] != value]
        if different:
            self.tally.problems.append(f"{run}: not the same bits: {', '.join(different)}")
        if files(run) != self.files:
            self.tally.problems.append(f"{run}: other files: {sorted(files(run) ^ self.files)}")

    def _words(self, place: str) -> list[str]:
        words = ["train", self.name, "--data", self.data, *TECHNIQUES[self.name]]
        return [*words, "--runs", str(self.place / self.name / place)]

    def _run(self, place: str) -> Path:
        return self.place / self.name / place / self.name / "digits-001"

    def _succeed(self, *words: str) -> None:
        code, errors = self.commands.run(*words)
        if code != 0:
            self.tally.problems.append(f"dlkit {' '.join(words)}: exit code {code}: {errors}")


def _status(run: Path) -> tuple[int, str]:
    """How many sessions the run has seen, and what it says it is."""
    try:
        sessions = json.loads((run / "environment.json").read_text())
        return len(sessions), json.loads((run / "status.json").read_text())["status"]
    except OSError:
        return 0, ""


def _writes(run: Path) -> bool:
    """Whether a checkpoint or the model is being written at this moment."""
    folders = [run, *(run / "checkpoints").glob("*")]
    return any(path.name.startswith((".last.", ".best.", ".model.")) for folder in folders for path in folder.iterdir())


def _until(condition: Callable[[], bool], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happens"
        time.sleep(0.0005)


def some_digits(count: int, folder: Path) -> Path:
    """The first digits as a file, 4/6 of them to train on."""
    digits = load_digits()
    images, split = (digits.images[:count] * 255 / 16).astype(np.uint8), np.arange(count) * 6 // count
    names = np.array(["train", "train", "train", "train", "val", "test"])
    path = folder / "digits.npz"
    np.savez(path, images=images, labels=digits.target[:count], split=names[split])
    return path


def main() -> int:
    """Run the campaign; the exit code is 1 where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=TECHNIQUES, nargs="+", default=list(TECHNIQUES))
    parser.add_argument("--kills", type=int, default=20, help="of each technique")
    parser.add_argument("--images", type=int, help="so many of the digits; by default all")
    parser.add_argument("--signal", choices=("KILL", "TERM", "INT"), default="KILL")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scratch", help="folder for runs; by default the system's")
    options = parser.parse_args()
    place = scratch("kill", options.scratch)
    commands = Commands(place / "home")
    data = "digits" if options.images is None else str(some_digits(options.images, place))
    problems = 0
    for name in options.only:
        signum = signal.Signals[f"SIG{options.signal}"]
        campaign = Campaign(name, data, commands, place, random.Random(f"{name} {options.seed}"), signum)
        done = number = 0
        while done < options.kills and number < 2 * options.kills and not campaign.tally.problems:
            number += 1
            done += campaign.life(number, options.kills - done)
        tally = campaign.tally
        hit = ", ".join(f"{count} {stage}" for stage, count in sorted(tally.kills.items()))
        print(f"{name}: {done} kills ({hit}) of {number} runs, {tally.halves} left a half-written temporary file, "
              f"{tally.slowest:.1f} s at most to the end; "
              f"{len(tally.problems)} problems", flush=True)  # fmt: skip
        for problem in tally.problems:
            print(f"  {problem}", flush=True)
        problems += len(tally.problems)
    commands.close()
    if not problems:
        shutil.rmtree(place)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
