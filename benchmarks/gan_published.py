"""Published GANs by dlkit, with the published FID beside: for a GPU. `--steps 200` shows that each of them runs.

    python benchmarks/gan_published.py --inception-weights FILE          # everything, hours on a GPU
    python benchmarks/gan_published.py mnist --steps 200                 # the same shapes, 200 updates of the generator
    python benchmarks/gan_published.py cifar10 --data FOLDER.npz --steps 200

A figure that was not reached prints *not run*: FID is given only after all published updates, and by the Inception
network that published figures are about, whose weights are a file (torch-fidelity's
weights-inception-2015-12-05-6726825d.pth). Ours is between generated images and as many training images.

Differences that are known: Lucic et al. search 100 settings and give the best, with the networks of InfoGAN; ours is
one setting, the default, with a DCGAN. The SN-GAN of 17.8 has three more convolutions in its discriminator; Miyato et
al. 2018 themselves report 21.7, with residual networks and 5,000 images.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from dlkit_builtin.gan.options import GanOptions
from dlkit_builtin.gan.snapshots import diversity
from dlkit_builtin.gan.technique import Gan

from dlkit.data import ImageData, load_data
from dlkit.judging import judge
from dlkit.options import DataOptions, RuntimeOptions
from dlkit.run.scratch import Scratch
from dlkit.runtime import Runtime


@dataclass(frozen=True)
class Published:
    """An experiment.

    Attributes:
        data: what ``--data`` takes.
        steps: updates of the generator.
        options: what is not the default.
        judged: images that FID is computed on.
        fid: published.
        said: where, and on what.
    """

    data: str
    steps: int
    options: dict[str, Any]
    judged: int
    fid: str
    said: str


_LUCIC = "Lucic et al. 2018, table 2, best of a search: 10,000 generated and test images"
_SMALL = {"net": "dcgan", "loss": "non-saturating", "width": 64, "latent": 64, "batch_size": 64}

PUBLISHED = {
    "mnist": Published("mnist", 20 * 937, _SMALL, 10_000, "6.8 ± 0.5", _LUCIC),
    "fashion-mnist": Published("fashion-mnist", 20 * 937, _SMALL, 10_000, "26.5 ± 1.6", _LUCIC),
    "cifar10": Published(
        "cifar10", 100_000,
        {"net": "dcgan", "loss": "hinge", "width": 64, "latent": 100, "batch_size": 128, "n_dis": 1},
        25_000, "17.8",
        "github.com/w86763777/pytorch-gan-collections, SNGAN (CNN): 50,000 generated, all training images",
    ),
}  # fmt: skip


def run(each: Published, data: ImageData, steps: int, runtime: Runtime, weights: str | None) -> dict[str, str]:
    """Train, see that nothing went wrong, and judge.

    Raises:
        RuntimeError: a weight that is not finite, or a generator that did not move.
    """
    batch = int(each.options["batch_size"])
    train = data.train.subset(torch.randperm(len(data.train), generator=runtime.generator("cut"))[: steps * batch])
    epochs = math.ceil(steps / math.ceil(len(train) / batch))
    judging = {} if weights is None else {"features": "inception", "inception_weights": weights}
    options = GanOptions(epochs=epochs, judged=each.judged, **each.options, **judging)
    technique = Gan(options, data.spec)
    before = {name: tensor.clone() for name, tensor in technique.state().tensors.items()}
    with tempfile.TemporaryDirectory() as folder:
        scratch: Any = Scratch(Path(folder))
        began = time.perf_counter()
        technique.train(dataclasses.replace(data, train=train), runtime, scratch)
        seconds = time.perf_counter() - began
    check(technique, before)
    with runtime.inference():
        share = diversity(technique.generate(64, runtime.generator("shown")).float().cpu())
        said = technique.discriminator(2 * data.train.pixels(torch.arange(64)).to(runtime.device) - 1)
    fid = "*not run*"
    if steps >= each.steps and weights is not None:
        fid = f"{judge(technique.generate, data, runtime, options).get('fid', 'train').value:.1f}"
    return {
        "images": f"{data.spec.channels} x {data.spec.height} x {data.spec.width}",
        "steps, of": f"{steps:,} of {each.steps:,}",
        "s a step": f"{seconds / steps:.2f}",
        "diversity, genuine": f"{share:.2f}, {diversity(data.train.pixels(torch.arange(64))):.2f}",
        "D(x)": f"{float(said.mean()):.2f}",
        "FID": fid,
        "published": each.fid,
        "by": each.said,
    }


def check(technique: Gan, before: dict[str, torch.Tensor]) -> None:
    """Everything finite, everything moved."""
    for name, tensor in technique.state().tensors.items():
        if not bool(tensor.isfinite().all()):
            raise RuntimeError(f"{name} is not finite")
        if name.endswith("weight") and torch.equal(tensor.cpu(), before[name]):
            raise RuntimeError(f"{name} did not move")


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", choices=[*PUBLISHED, []], help="by default all")
    parser.add_argument("--steps", type=int, help="updates of the generator; by default as published")
    parser.add_argument("--data", help="where the images are, in place of the data set's name; of one experiment")
    parser.add_argument("--inception-weights", metavar="FILE")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    runtime = Runtime(RuntimeOptions(device=given.device, precision=given.precision, threads=given.threads))
    print(f"torch {torch.__version__}, {runtime.device}, {runtime.precision}", flush=True)
    shown = False
    for name in given.which or PUBLISHED:
        each = PUBLISHED[name]
        data = load_data(DataOptions(data=given.data or each.data))
        row = {"": name, **run(each, data, given.steps or each.steps, runtime, given.inception_weights)}
        if not shown:
            print(f"| {' | '.join(row)} |\n|{' --- |' * len(row)}")
        print(f"| {' | '.join(row.values())} |", flush=True)
        shown = True


if __name__ == "__main__":
    main()
