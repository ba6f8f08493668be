"""What the benchmarks of frozen backbones share: JPEG files, and the loops of the PyTorch tutorials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def make_photos(folder: Path, count: int, classes: int = 2, seed: int = 0) -> Path:
    """``count`` JPEGs of about 500 × 375 in ``train`` and ``val`` (a fifth), as an ImageFolder: clouds of colour.

    Classes differ in their colours, so that even a random network can tell them apart.
    """
    rng = np.random.default_rng(seed)
    for index in range(count):
        label = index % classes
        coarse = rng.random((6, 8, 3)) * 0.7 + 0.3 * (np.arange(3) == label % 3)
        height, width = int(rng.integers(330, 420)), int(rng.integers(440, 560))
        clouds = Image.fromarray((coarse * 255).astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
        noisy = np.asarray(clouds, np.float32) + rng.normal(0, 6, (height, width, 3))
        path = folder / ("val" if index % 5 == 4 else "train") / f"class{label}" / f"{index:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return folder


def tutorial_loader(folder: Path, batch: int, *, training: bool = False, workers: int = 0) -> Any:
    """The tutorials' DataLoader: PIL, resize 256, crop 224, to float32, normalise."""
    import torch
    from torchvision import datasets, transforms

    crop = [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip()]
    if not training:
        crop = [transforms.Resize(256), transforms.CenterCrop(224)]
    transform = transforms.Compose([*crop, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    found = datasets.ImageFolder(str(folder), transform)
    return torch.utils.data.DataLoader(found, batch_size=batch, shuffle=training, num_workers=workers)
