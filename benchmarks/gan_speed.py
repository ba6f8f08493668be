"""A DCGAN of 32 × 32, 64 channels, batch 128, on a CPU: a step of dlkit, of a plain PyTorch loop, and of torchgan.

All three train the same networks with the same loss (non-saturating), the same noise size and Adam's same settings, on
the same random images, in turns of a few steps; what is compared is neighbours in time. The plain loop is that of
tutorials: fp32, contiguous, Adam as it comes, gradients of the discriminator computed in the generator's step.
torchgan's own trainer runs in a second process: `--torchgan-python` is the Python of an environment that has torchgan
(0.1.0) and dlkit, whose networks it takes; without it that column is *not run*.

`--quality SEEDS` does not measure time: it trains `dlkit train gan` on the digits in fp32 and in bf16, once for each
seed, and prints the FID of both, by features in fp32 of the same classifier.

Goals: 2.5 × the plain loop and 3 × torchgan where the processor has matrix units for bf16 (AMX), else 1.1 × the loop.

    python benchmarks/gan_speed.py [--rounds 5] [--steps 2] [--threads N] [--clock wall|cpu] [--torchgan-python PATH]
    python benchmarks/gan_speed.py --quality 3 [--epochs 25] [--threads N]
"""

from __future__ import annotations

import argparse
import copy
import itertools
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from dlkit_builtin.gan.game import Game
from dlkit_builtin.gan.networks import build
from dlkit_builtin.gan.options import GanOptions
from dlkit_builtin.gan.recipes import recipe
from dlkit_builtin.gan.technique import Gan
from pairs import CLOCKS
from torch import Tensor
from torch.nn import functional as F

from dlkit.data import load_data
from dlkit.data.data import Resident, Split
from dlkit.judging import judge
from dlkit.options import DataOptions, RuntimeOptions
from dlkit.run.scratch import Scratch
from dlkit.runtime import Runtime

SHAPE, LATENT, WIDTH, BATCH, RATE, BETAS = (3, 32, 32), 100, 64, 128, 2e-4, (0.5, 0.999)
IMAGES = 8 * BATCH

Turn = Callable[[int], None]


def networks() -> tuple[Any, Any]:
    """Generator and discriminator, always the same weights."""
    torch.manual_seed(0)
    return build("dcgan", SHAPE, LATENT, WIDTH, spectral=False)


def genuine() -> Tensor:
    """Images, uint8 ``(N, C, H, W)``."""
    return torch.randint(0, 256, (IMAGES, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def ours(precision: str, threads: int | None) -> Turn:
    """What `dlkit train gan --width 64 --latent 100 --batch-size 128 --r1 0` does in a step, feeding included."""
    runtime = Runtime(RuntimeOptions(device="cpu", threads=threads, precision=precision))  # type: ignore[arg-type]
    options = GanOptions(latent=LATENT, width=WIDTH, batch_size=BATCH, r1=0.0, betas=BETAS, lr=RATE)
    generator, discriminator = (runtime.prepare(network) for network in networks())
    game = Game(generator, discriminator, options, recipe(options, SHAPE[1] * SHAPE[2]), runtime)
    split = Split("train", Resident(genuine()), None, None)

    def batches() -> Iterator[Any]:
        while True:
            yield from runtime.batches(split, BATCH)

    coming = batches()

    def turn(steps: int) -> None:
        for batch in itertools.islice(coming, steps):
            game.step(batch)

    return turn


def plain() -> Turn:
    """The tutorials' loop."""
    generator, discriminator = networks()
    of_generator, of_discriminator = (
        torch.optim.Adam(network.parameters(), lr=RATE, betas=BETAS) for network in (generator, discriminator)
    )
    images = genuine().float() / 127.5 - 1
    coming = itertools.cycle(torch.split(images, BATCH))

    def turn(steps: int) -> None:
        for batch in itertools.islice(coming, steps):
            ones, zeros = torch.ones(len(batch)), torch.zeros(len(batch))
            of_discriminator.zero_grad()
            fake = generator(torch.randn(len(batch), LATENT))
            loss = F.binary_cross_entropy_with_logits(discriminator(batch), ones)
            loss = loss + F.binary_cross_entropy_with_logits(discriminator(fake.detach()), zeros)
            loss.backward()
            of_discriminator.step()
            of_generator.zero_grad()
            fake = generator(torch.randn(len(batch), LATENT))
            F.binary_cross_entropy_with_logits(discriminator(fake), ones).backward()
            of_generator.step()
            loss.item()  # printed by tutorials

    return turn


def theirs() -> Turn:
    """torchgan's trainer: its `train` is this loop, and saves and draws after an epoch, which is left out."""
    from torchgan.losses import MinimaxDiscriminatorLoss, MinimaxGeneratorLoss
    from torchgan.models import Discriminator, Generator
    from torchgan.trainer import Trainer

    made = networks()

    class G(Generator):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(LATENT)
            self.net = copy.deepcopy(made[0])

        def forward(self, noise: Tensor) -> Tensor:
            return self.net(noise)

    class D(Discriminator):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(SHAPE[0])
            self.net = copy.deepcopy(made[1])

        def forward(self, images: Tensor) -> Tensor:
            return self.net(images)

    adam = {"name": torch.optim.Adam, "args": {"lr": RATE, "betas": BETAS}}
    models = {"generator": {"name": G, "optimizer": adam}, "discriminator": {"name": D, "optimizer": adam}}
    losses = [MinimaxGeneratorLoss(nonsaturating=True), MinimaxDiscriminatorLoss()]
    trainer = Trainer(models, losses, device=torch.device("cpu"), sample_size=8)
    trainer.batch_size = BATCH
    coming = itertools.cycle(torch.split(genuine().float() / 127.5 - 1, BATCH))

    def turn(steps: int) -> None:
        for batch in itertools.islice(coming, steps):
            trainer.real_inputs = batch
            found = trainer.train_iter()
            names = ("generator_losses", "discriminator_losses", "generator_iters", "discriminator_iters")
            for name, value in zip(names, found, strict=True):
                trainer.loss_information[name] += value
            trainer.logger.run_mid_epoch(trainer)

    return turn


def serve(threads: int | None, clock: str) -> None:
    """As the second process: for each number of steps on standard input a time on standard output."""
    torch.set_num_threads(threads or torch.get_num_threads())
    torch.set_flush_denormal(True)
    said, sys.stdout = sys.stdout, sys.stderr  # the trainer prints
    turn = theirs()
    for line in sys.stdin:
        print(timed(turn, int(line), clock), file=said, flush=True)


def timed(turn: Turn, steps: int, clock: str) -> float:
    """Seconds a step."""
    began = CLOCKS[clock]()
    turn(steps)
    return (CLOCKS[clock]() - began) / steps


def second_process(python: str, arguments: argparse.Namespace) -> SimpleNamespace:
    """torchgan behind pipes; ``ask(steps)`` gives seconds a step."""
    words = [python, str(Path(__file__)), "--serve", "--clock", arguments.clock]
    words += ["--threads", str(arguments.threads)] if arguments.threads else []
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(steps: int) -> float:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{steps}\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    return SimpleNamespace(ask=ask, end=process.terminate)


def quality(seeds: int, epochs: int, threads: int | None) -> None:
    """Print FIDs by precision and seed."""
    data = load_data(DataOptions(data="digits"))
    print("| | FID, seeds 0, 1, … | mean | standard deviation |\n| --- | --- | --- | --- |")
    for precision in ("fp32", "bf16"):
        found = []
        for seed in range(seeds):
            runtime = Runtime(RuntimeOptions(device="cpu", threads=threads, precision=precision, seed=seed))  # type: ignore[arg-type]
            options = GanOptions(epochs=epochs)
            technique = Gan(options, data.spec)
            with tempfile.TemporaryDirectory() as folder:
                run: Any = Scratch(Path(folder))
                technique.train(data, runtime, run)
            judging = Runtime(RuntimeOptions(device="cpu", threads=threads, precision="fp32"))
            found.append(judge(technique.generate, data, judging, options).get("fid", "train").value)
        each = ", ".join(f"{value:.2f}" for value in found)
        print(f"| {precision} | {each} | {statistics.mean(found):.2f} | {statistics.stdev(found):.2f} |", flush=True)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="of a turn")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall")
    parser.add_argument("--torchgan-python", metavar="PATH")
    parser.add_argument("--quality", type=int, metavar="SEEDS")
    parser.add_argument("--epochs", type=int, default=25, help="with --quality")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.threads, arguments.clock)
        return
    if arguments.quality:
        quality(arguments.quality, arguments.epochs, arguments.threads)
        return
    turns = {f"dlkit, {precision}": ours(precision, arguments.threads) for precision in ("fp32", "bf16")}
    turns["plain loop"] = plain()
    sides = {name: (lambda steps, turn=turn: timed(turn, steps, arguments.clock)) for name, turn in turns.items()}
    rival = second_process(arguments.torchgan_python, arguments) if arguments.torchgan_python else None
    if rival is not None:
        sides["torchgan's trainer"] = rival.ask
    for side in sides.values():
        side(1)  # the first step is slower
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(arguments.rounds):
        for name, side in sides.items():
            times[name].append(side(arguments.steps))
    if rival is not None:
        rival.end()
    show(times, arguments)


def show(times: dict[str, list[float]], arguments: argparse.Namespace) -> None:
    """Medians over rounds; ratios of neighbours."""
    threads = torch.get_num_threads()
    print(f"torch {torch.__version__}, {threads} threads, {arguments.rounds} rounds, {arguments.clock} time")
    print("| | s a step | × plain loop | × torchgan |\n| --- | --- | --- | --- |")
    for name, values in times.items():
        cells = [name, f"{statistics.median(values):.3f}"]
        for other in ("plain loop", "torchgan's trainer"):
            ratios = [a / b for a, b in zip(times.get(other, []), values, strict=False)]
            spread = f" ({min(ratios):.2f} – {max(ratios):.2f})" if ratios else ""
            cells.append(f"{statistics.median(ratios):.2f}{spread}" if ratios else "*not run*")
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
