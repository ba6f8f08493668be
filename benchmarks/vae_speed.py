"""Training a VAE: dlkit against pythae's own trainer, epoch by epoch in turns.

784-512-16-512-784, Bernoulli likelihood, Adam with a rate of 1e-3, the same images; each epoch of dlkit's is followed
by one of pythae's in a second process. Goals: 2 × the samples per second at batches of 128, 3 × at 512, at an ELBO
within the noise of seeds, and no epoch slower than the first.

pythae is no dependency: `--pythae-python` is the Python of an environment that has it and torch.

    python benchmarks/vae_speed.py --pythae-python PATH [--data digits|PATH] [--batch 128,512] [--epochs 6]
        [--seeds 1] [--images 60000] [--threads N] [--precision fp32|bf16] [--clock wall|cpu]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from dlkit_builtin.vae.measuring import sample
from dlkit_builtin.vae.options import VaeOptions
from dlkit_builtin.vae.technique import Vae
from pairs import CLOCKS, TurnTaking

from dlkit.data import ImageData, load_data
from dlkit.data.data import Resident, Split
from dlkit.options import DataOptions, RuntimeOptions
from dlkit.runtime import Runtime

TEST_IMAGES = 2_000


class Pythae:
    """The other process: trains an epoch when told, and says its ELBO at the end."""

    def __init__(self, python: str, folder: Path, settings: dict[str, Any]) -> None:
        script = Path(__file__).with_name("vae_speed_pythae.py")
        command = [python, str(script), str(folder), json.dumps(settings)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ask("ready")

    def ask(self, what: str) -> str:
        """``ready``, ``epoch`` or ``elbo`` → its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(what, file=self.process.stdin, flush=True)
        for line in self.process.stdout:  # pythae prints too
            if line.startswith("answer "):
                return line.removeprefix("answer ").strip()
        raise RuntimeError("pythae's process ended")

    def end(self) -> None:
        """Let it go."""
        self.process.communicate()


class Turns(TurnTaking):
    """The turns of two processes: pythae's tells its own seconds, for CPU time is counted by process."""

    def epoch_ended(self, *_: object) -> None:
        """pythae's turn."""
        self.ours.append(self.clock() - self.since)
        self.plain.append(self.their_epoch())
        self.since = self.clock()

    def __init__(self, path: Path, their_epoch: Callable[[], float], clock: Callable[[], float]) -> None:
        super().__init__(path, lambda: None, clock)
        self.their_epoch = their_epoch


def split_of(name: str, data: ImageData, images: int) -> Split:
    """The first images of a split, and no others."""
    split = getattr(data, name)
    return Split(name, Resident(split.raw(torch.arange(min(images, len(split))))), None, None)


def once(arguments: argparse.Namespace, data: ImageData, batch: int, seed: int) -> tuple[Turns, float, float]:
    """Both trainings; times of each epoch, and both ELBOs on test images."""
    runtime = Runtime(RuntimeOptions(device="cpu", threads=arguments.threads, seed=seed, precision=arguments.precision))
    options = VaeOptions(epochs=arguments.epochs, batch_size=batch, lr=1e-3, layers=(512,), code=16)
    technique = Vae(options, data.spec)
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        torch.save({name: getattr(data, name).pixels() for name in ("train", "test")}, folder / "images.pt")
        settings = {"batch": batch, "epochs": arguments.epochs, "seed": seed, "threads": runtime.threads,
                    "clock": arguments.clock}  # fmt: skip
        other = Pythae(arguments.pythae_python, folder, settings)
        turns = Turns(folder, lambda: float(other.ask("epoch")), CLOCKS[arguments.clock])
        turns.since = turns.clock()
        technique.train(data, runtime, turns)  # type: ignore[arg-type]
        theirs = float(other.ask("elbo"))
        other.end()
    return turns, float(sample(technique, data.test, runtime).elbo.mean()), theirs


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pythae-python", required=True)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--batch", default="128,512")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    arguments = parser.parse_args()
    loaded = load_data(DataOptions(data=arguments.data, image_size=None, val_fraction=0.0))
    train, test = split_of("train", loaded, arguments.images), split_of("test", loaded, TEST_IMAGES)
    data = ImageData(spec=loaded.spec, train=train, val=split_of("val", loaded, 0), test=test)
    print(
        f"torch {torch.__version__}, {len(train):,} images of {arguments.data}, {arguments.precision}, "
        f"{arguments.clock} time"
    )
    print("| batch | dlkit, µs an image | pythae | ratio (range) | last epoch / first | ELBO | pythae's |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for batch in map(int, arguments.batch.split(",")):
        runs = [once(arguments, data, batch, seed) for seed in range(arguments.seeds)]
        ours = [seconds for turns, _, _ in runs for seconds in turns.ours[1:]]
        theirs = [seconds for turns, _, _ in runs for seconds in turns.plain[1:]]
        ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
        growth = statistics.median(turns.ours[-1] / turns.ours[0] for turns, _, _ in runs)
        each = [1e6 * statistics.median(times) / len(train) for times in (ours, theirs)]
        elbos = [" ".join(f"{elbo:.2f}" for elbo in column) for column in list(zip(*runs, strict=True))[1:]]
        print(
            f"| {batch} | {each[0]:.1f} | {each[1]:.1f} | {statistics.median(ratios):.2f} ({ratios[0]:.2f} – "
            f"{ratios[-1]:.2f}) | {growth:.2f} | {elbos[0]} | {elbos[1]} |"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
