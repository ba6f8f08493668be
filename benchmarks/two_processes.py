"""Training in two processes (`--devices 2`) beside one process with two threads, on a CPU, in turns.

    python benchmarks/two_processes.py --data mnist [--rounds 5] [OPTIONS OF THE AUTOENCODER]

Each round trains both for three epochs and stops them; of the last two epochs the images per second are compared.
Both are slower where other programs run; their ratio is of rounds, whose two trainings follow one another.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WAYS = {"two processes": ["--devices", "2"], "two threads": ["--devices", "1", "--threads", "2"]}
EPOCHS = 3


def speed(words: list[str], root: Path) -> float:
    """Images per second of a training, without its first epoch."""
    command = [sys.executable, "-m", "dlkit", "train", "autoencoder", *words, "--device", "cpu", "--epochs", "1000"]
    training = subprocess.Popen([*command, "--runs", str(root), "--quiet"], stderr=subprocess.DEVNULL)
    rows: list[str] = []
    while len(rows) < EPOCHS:
        if training.poll() is not None:
            raise SystemExit(f"{' '.join(command)}: exit code {training.returncode}")
        time.sleep(0.1)
        rows = [line for path in root.rglob("metrics.jsonl") for line in path.read_text().splitlines()]
    training.terminate()
    training.wait()
    return statistics.fmean(json.loads(row)["images_per_second"] for row in rows[1:EPOCHS])


def main() -> None:
    """Print each round, and the median of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options, words = parser.parse_known_args()
    ratios = []
    for number in range(options.rounds):
        found = {}
        for name in list(WAYS) if number % 2 else reversed(WAYS):
            with tempfile.TemporaryDirectory() as root:
                found[name] = speed(["--data", options.data, *words, *WAYS[name]], Path(root))
        ratios.append(found["two processes"] / found["two threads"])
        shown = ", ".join(f"{name} {found[name]:,.0f} images/s" for name in WAYS)
        print(f"{shown}: ratio {ratios[-1]:.2f}", flush=True)
    print(f"median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
