"""How well images of `dlkit train cgan` are what they were asked to be: GAN-test, GAN-train, every class, over seeds.

    python benchmarks/cgan_quality.py                                   # MNIST, seeds 0 to 4, the defaults
    python benchmarks/cgan_quality.py --data digits --seeds 0,1 --set epochs=40

MNIST is taken from where you say, or from the cache of data sets, or is downloaded. Prints a line for each seed and
for each goal, and exits with 1 where one is missed. A seed has collapsed where samples of a class differ by less than a
fifth of what genuine images do; a class is covered where it has half of the coverage of other genuine images. The goal
is about two cores: `taskset -c 0,1`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass

import dlkit
from dlkit.run.reading import read_rows

TEST, TRAIN, COVERED, MINUTES, COLLAPSED = 0.97, 0.93, 0.5, 15.0, 0.2


@dataclass(frozen=True)
class Result:
    """What one seed reached; ``covered`` is the least coverage of a class over that of other genuine images."""

    seed: int
    test: float
    train: float
    covered: float
    diversity: float
    minutes: float

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: GAN-test {self.test:.4f}, GAN-train {self.train:.4f}, least coverage of a class "
            f"{self.covered:.2f} of other genuine images', diversity {self.diversity:.2f}, {self.minutes:.1f} min"
        )


def played(data: str, seed: int, runs: str, given: dict[str, str]) -> Result:
    """Train, and read what the run says of itself; time is that of everything, judging and pictures included."""
    start = time.perf_counter()
    model = dlkit.train("cgan", data=data, seed=seed, runs=runs, quiet=False, **given)
    minutes = (time.perf_counter() - start) / 60
    held_out = model.metrics.get("gan_train", "test")
    coverage = model.metrics.get("class_coverage", "train")
    diversity = [row["val_diversity"] for row in read_rows(model.run.path / "metrics.jsonl") if "val_diversity" in row]
    return Result(
        seed, model.metrics.get("gan_test", "train").value, held_out.value,
        coverage.value / coverage.baselines["other genuine images"], diversity[-1], minutes,
    )  # fmt: skip


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--runs", default="runs")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of cgan")
    arguments = parser.parse_args()
    given = dict(each.split("=", 1) for each in arguments.set)
    print(f"{arguments.data}, {os.cpu_count()} cores, {given or 'the defaults'}")
    results = []
    for seed in map(int, arguments.seeds.split(",")):
        results.append(played(arguments.data, seed, arguments.runs, given))
        print(results[-1], flush=True)
    goals = {
        f"GAN-test ≥ {TEST}": [each.test >= TEST for each in results],
        f"GAN-train ≥ {TRAIN}": [each.train >= TRAIN for each in results],
        "every class covered": [each.covered >= COVERED for each in results],
        "no collapse": [each.diversity >= COLLAPSED for each in results],
        f"within {MINUTES:g} minutes": [each.minutes <= MINUTES for each in results],
    }
    for goal, reached in goals.items():
        print(f"{goal}: {sum(reached)} of {len(reached)} seeds")
    return 0 if all(all(reached) for reached in goals.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
