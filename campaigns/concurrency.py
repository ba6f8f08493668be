"""Eight processes start, resume, export and fill the cache of features at once: no collision, no lost entry.

python campaigns/concurrency.py
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from commands import preload, scratch
from kill import broken, files

COUNT = 8
TRAIN = ["--data", "digits", "--threads", "1", "--quiet"]
AUTOENCODER = ["train", "autoencoder", "--layers", "16", "--epochs", "2", *TRAIN]
FEATURES = ["train", "features", "--backbone", "resnet10t", "--random-init", "--image-size", "32",
            "--classifier", "nearest-centroid", *TRAIN]  # fmt: skip


def at_once(work: Callable[[int], int], errors: Path) -> list[int]:
    """Exit codes of ``work(0)`` … ``work(7)``, each in a forked process; all begin together."""
    waiting, starting = os.pipe()
    pids = []
    for number in range(COUNT):
        if (pid := os.fork()) == 0:
            os.close(starting)
            os.read(waiting, 1)  # until the parent closes its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(os.open(errors / f"{number}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
            os._exit(work(number))
        pids.append(pid)
    os.close(waiting)
    os.close(starting)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


class Campaign:
    """The rounds, and what was wrong in them."""

    def __init__(self, place: Path) -> None:
        self.place, self.problems = place, []  # type: Path, list[str]
        self.run = place / "runs" / "autoencoder" / "digits-001"

    def commands(self, what: str, *words: str, allowed: tuple[int, ...] = (0,)) -> list[int]:
        """The same command in all processes; the exit codes."""
        from dlkit.cli.main import main

        began = time.monotonic()
        codes = at_once(lambda _: main(words), self.place)
        print(f"{what}: exit codes {codes}, {time.monotonic() - began:.0f} s", flush=True)
        for number, code in enumerate(codes):
            text = (self.place / f"{number}.txt").read_text(errors="replace")
            if code not in allowed or "Traceback" in text:
                self.problems.append(f"{what}: exit code {code}: {text[-500:]}")
        return codes

    def check(self, good: object, what: str) -> None:
        """Note a problem where something is not as it should be."""
        if not good:
            self.problems.append(what)

    def start(self) -> None:
        """Eight runs with names of their own."""
        self.commands("start", *AUTOENCODER, "--runs", str(self.place / "runs"))
        runs = sorted(self.run.parent.iterdir())
        self.check([run.name for run in runs] == [f"digits-{n:03d}" for n in range(1, COUNT + 1)], f"runs: {runs}")
        self.check((self.place / "runs" / "latest").resolve() in runs, "latest names no run")
        digests = {hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest() for run in runs}
        self.check(len(digests) == 1, "other weights than those of the others")

    def resume(self) -> None:
        """One resumes; the others are told."""
        codes = self.commands("resume", "resume", str(self.run), "--quiet", "--epochs", "4", allowed=(0, 2))
        self.check(codes.count(0) >= 1, "nobody resumed")
        rows = (self.run / "metrics.jsonl").read_text().splitlines()
        self.check(len(rows) == 4, f"{len(rows)} rows of metrics for 4 epochs")

    def read(self) -> None:
        """Export, report and encode the same run, to the same files."""
        self.commands("export", "export", str(self.run), "--quiet", allowed=(0, 2))
        self.commands("report", "report", str(self.run))
        self.commands("encode", "encode", str(self.run), "--quiet", allowed=(0, 2))
        self.problems += broken(self.run)
        self.check(not [name for name in files(self.run) if ".tmp/" in name], "temporary files stayed")

    def cache(self) -> None:
        """Fill one cache with overlapping parts, over and over; every entry must be found, with its own values."""
        from dlkit.features.store import Entry

        def fill(number: int) -> int:
            chance = np.random.default_rng(number)
            entry = Entry("0" * 64, {}, sys.stderr.write)
            for _ in range(30):
                digests, values = _features(chance.choice(2000, 40, replace=False))
                known, found = entry.find(digests)
                if found is not None and not np.array_equal(found[known], values[known]):
                    return 1
                entry.add(digests[~known], values[~known])
                if not entry.find(digests)[0].all():
                    return 2
            return 0

        codes = at_once(fill, self.place)
        print(f"cache of features: exit codes {codes}", flush=True)
        self.check(codes == [0] * COUNT, f"an entry was lost or wrong: {codes}")
        self.commands("features", *FEATURES, "--runs", str(self.place / "features"))
        runs = sorted((self.place / "features" / "features").iterdir())
        digests = {hashlib.sha256((run / "evaluation.json").read_bytes()).hexdigest() for run in runs}
        self.check(len(runs) == COUNT, f"{len(runs)} runs of features")
        self.check(len(digests) <= COUNT, "evaluations")


def _features(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Digests uint8 ``(n, 32)`` and features float32 ``(n, 3)`` of images that are known by their number."""
    digests = [np.frombuffer(hashlib.sha256(b"%d" % number).digest(), np.uint8) for number in numbers]
    return np.stack(digests), np.stack([numbers, -numbers, numbers / 3], 1).astype(np.float32)


def main() -> int:
    """Run the campaign; the exit code is 1 where something collided."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scratch", help="folder for runs; by default the system's")
    options = parser.parse_args()
    place = scratch("concurrency", options.scratch)
    os.environ |= {"DLKIT_HOME": str(place / "home"), "OMP_NUM_THREADS": "1"}
    preload()
    campaign = Campaign(place)
    for round_ in (campaign.start, campaign.resume, campaign.read, campaign.cache):
        round_()
    print(f"{len(campaign.problems)} problems")
    for problem in campaign.problems:
        print(f"  {problem}")
    if not campaign.problems:
        shutil.rmtree(place)
    return 1 if campaign.problems else 0


if __name__ == "__main__":
    sys.exit(main())
