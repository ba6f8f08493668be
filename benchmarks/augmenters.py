"""How fast augmenters are in batches, against the same operations on one PIL image at a time with the same cores.

    python benchmarks/augmenters.py [NAME …] [--batch 32] [--rounds 15] [--threads 1] [--clock cpu]

Both ways begin with uint8 photographs of 3 × 224 × 224 and end with a float32 batch in [0, 1]. One image at a time it
is torchvision's transform on PIL images (in as many threads, each of which computes alone, as a DataLoader's workers
do) with `to_image`, `to_dtype` and a stack; where torchvision has no such operation, dlkit's own on a batch of one.
Rounds alternate; times are medians over them, since a policy's work depends on what it draws. Exits with 1
where a goal is missed.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from statistics import median
from threading import Barrier

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from dlkit.augment import Draws, Policy, Scenes, apply, sample_keys
from dlkit.augment.cards import augmenters
from dlkit.runtime.device import configure

BILINEAR = InterpolationMode.BILINEAR
Transform = Callable[[Image.Image], "Image.Image | Tensor"]

TWICE = ("rotate", "translate", "scale", "shear", "affine", "perspective", "flip", "trivial")
"""At least 2 ×: affine, perspective, flip, and the default policy as a whole. All others: at least 0.5 ×."""


def jpeg(image: Image.Image) -> Image.Image:
    """Through a JPEG file of a quality between 25 and 75."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(torch.randint(25, 76, ())))
    return Image.open(file).convert("RGB")


def after_conversion(transform: Callable[[Tensor], Tensor]) -> Transform:
    """A transform that torchvision has for tensors only."""
    return lambda image: transform(pixels(image))


def smaller(down: Image.Resampling, up: Image.Resampling) -> Transform:
    """To between half and all of the size, and back."""

    def change(image: Image.Image) -> Image.Image:
        side = round(224 / (1 + float(torch.rand(()))))
        return image.resize((side, side), down).resize(image.size, up)

    return change


REFERENCES: dict[str, tuple[str, Transform]] = {
    "rotate": ("rotate:15", v2.RandomRotation(15, interpolation=BILINEAR)),
    "translate": ("translate:0.1", v2.RandomAffine(0, translate=(0.1, 0.1), interpolation=BILINEAR)),
    "scale": ("scale", v2.RandomAffine(0, scale=(0.8, 1.2), interpolation=BILINEAR)),
    "shear": ("shear:10", v2.RandomAffine(0, shear=(-10, 10, -10, 10), interpolation=BILINEAR)),
    "affine": ("affine", v2.RandomAffine(15, (0.1, 0.1), (0.8, 1.2), (-10, 10, -10, 10), interpolation=BILINEAR)),
    "perspective": ("perspective", v2.RandomPerspective(0.3, p=1, interpolation=BILINEAR)),
    "flip": ("flip@1", v2.RandomHorizontalFlip(1.0)),
    "crop": ("crop", v2.RandomResizedCrop(224, scale=(0.6, 1.0), ratio=(1.0, 1.0), antialias=True)),
    "elastic": ("elastic", v2.ElasticTransform(20.0, 5.0)),
    "noise:gaussian": ("noise:gaussian:0.1", after_conversion(v2.GaussianNoise(0.0, 0.1))),
    "blur:gaussian": ("blur:gaussian", v2.GaussianBlur(9, (0.1, 2.0))),
    "brightness": ("brightness:0.3", v2.ColorJitter(brightness=0.3)),
    "contrast": ("contrast:0.3", v2.ColorJitter(contrast=0.3)),
    "saturation": ("saturation:0.3", v2.ColorJitter(saturation=0.3)),
    "hue": ("hue:36", v2.ColorJitter(hue=0.1)),
    "gamma": ("gamma:0.5", lambda image: F.adjust_gamma(image, float(torch.rand(())) + 0.5)),
    "grey": ("grey@1", v2.RandomGrayscale(1.0)),
    "sharpness": ("sharpness", v2.RandomAdjustSharpness(1.5, 1.0)),
    "posterize": ("posterize:4", v2.RandomPosterize(4, 1.0)),
    "solarize": ("solarize", v2.RandomSolarize(128, 1.0)),
    "invert": ("invert@1", v2.RandomInvert(1.0)),
    "auto-contrast": ("auto-contrast@1", v2.RandomAutocontrast(1.0)),
    "equalize": ("equalize@1", v2.RandomEqualize(1.0)),
    "cut-out": ("cut-out:0.5", after_conversion(v2.RandomErasing(1.0, (0.25, 0.25), (1.0, 1.0), 0.5))),
    "erasing": ("erasing@1", after_conversion(v2.RandomErasing(1.0))),
    "jpeg": ("jpeg", jpeg),
    "down-up": ("down-up", smaller(Image.Resampling.BILINEAR, Image.Resampling.BILINEAR)),
    "pixelate": ("pixelate", smaller(Image.Resampling.BOX, Image.Resampling.NEAREST)),
    "trivial": ("trivial", v2.TrivialAugmentWide(interpolation=BILINEAR)),
    "rand": ("rand:2:9", v2.RandAugment(2, 9, interpolation=BILINEAR)),
    "auto": ("auto", v2.AutoAugment(interpolation=BILINEAR)),
    "augmix": ("augmix", v2.AugMix(interpolation=BILINEAR)),
}
"""Augmenter → the policy, and the same on a PIL image."""


def pixels(image: Image.Image | Tensor) -> Tensor:
    """float32 ``(3, H, W)`` in [0, 1]."""
    return F.to_dtype(F.to_image(image), torch.float32, scale=True) if not isinstance(image, Tensor) else image


def photographs(count: int) -> Tensor:
    """uint8 ``(count, 3, 224, 224)``: parts of the two photographs that come with scikit-learn."""
    random, sources = np.random.default_rng(0), load_sample_images().images
    parts = []
    for number in range(count):
        source = sources[number % 2]
        row, column = (random.integers(0, side - 224) for side in source.shape[:2])
        parts.append(source[row : row + 224, column : column + 224])
    return torch.from_numpy(np.stack(parts)).permute(0, 3, 1, 2).contiguous()


def one_by_one(transform: Transform, images: Sequence[Image.Image], pool: ThreadPoolExecutor | None) -> Tensor:
    """What a data set with a transform does."""

    def work(image: Image.Image) -> Tensor:
        return pixels(transform(image))

    return torch.stack(list(map(work, images) if pool is None else pool.map(work, images)))


def batched(policy: Policy, raw: Tensor, turn: int) -> Tensor:
    """What training does."""
    scenes = Scenes(raw.float().div_(255))
    return apply(policy, scenes, Draws(sample_keys(turn, torch.arange(len(raw))))).images


def seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """Of one call."""
    start = clock()
    work()
    return clock() - start


def lonely_pool(threads: int) -> ThreadPoolExecutor:
    """So many threads, of which each computes alone."""
    started = Barrier(threads + 1)

    def alone() -> None:
        torch.get_num_threads()  # a thread takes over the process's number when it is first asked for
        torch.set_num_threads(1)
        started.wait()

    pool = ThreadPoolExecutor(threads, initializer=alone)
    for _ in range(threads):
        pool.submit(int)
    started.wait()
    torch.set_num_threads(threads)  # the process's number, for the batches
    return pool


def measured(
    name: str, raw: Tensor, rounds: int, pool: ThreadPoolExecutor | None, clock: Callable[[], float]
) -> tuple[float, float, float, bool]:
    """Milliseconds per image one by one and in the batch, the ratio, and whether the first is torchvision's."""
    text, transform = REFERENCES.get(name, ("", None))
    policy = Policy.parse(text or f"{name}@1")
    own = transform is None
    images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in raw]
    if transform is None:
        single = Draws(sample_keys(0, torch.arange(1)))
        transform = lambda image: apply(policy, Scenes(pixels(image)[None]), single).images[0]  # noqa: E731
    torch.manual_seed(0)
    slow, fast = [], []
    for turn in range(rounds + 1):
        slow.append(seconds(lambda: one_by_one(transform, images, pool), clock))
        fast.append(seconds(lambda turn=turn: batched(policy, raw, turn), clock))
    one, batch = median(slow[1:]), median(fast[1:])  # not the fastest rounds: those of policies had the cheapest draws
    return one * 1000 / len(raw), batch * 1000 / len(raw), one / batch, not own


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="augmenters, * stands for anything; by default all")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: steadier on a shared machine")
    arguments = parser.parse_args()
    configure(torch.device("cpu"), arguments.threads)  # as every command does
    pool = lonely_pool(arguments.threads) if arguments.threads > 1 else None
    clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    raw, missed = photographs(arguments.batch), 0
    print("| augmenter | one by one, ms | in batches, ms | × | goal |\n| --- | --- | --- | --- | --- |")
    for name, card in augmenters().items():
        wanted = not arguments.names or any(fnmatchcase(name, pattern) for pattern in arguments.names)
        if not wanted or card.needs_masks or card.pairs or any(each.path for each in card.parameters):
            continue
        slow, fast, ratio, torchvisions = measured(name, raw, arguments.rounds, pool, clock)
        goal = 2.0 if name in TWICE else 0.5
        missed += ratio < goal
        note = "" if torchvisions else " (dlkit's own)"
        print(
            f"| {name} | {slow:.2f}{note} | {fast:.2f} | {ratio:.2f} | ≥ {goal}{' missed' * (ratio < goal)} |",
            flush=True,
        )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
