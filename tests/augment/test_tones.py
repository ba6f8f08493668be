"""Colours and tones against torchvision, image by image with values of their own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from dlkit.augment import Draws, History, Policy, Scenes, apply, operate, sample_keys
from dlkit.errors import UsageError

COUNT = 6


def pictures(channels: int = 3) -> Tensor:
    """With 8-bit levels, as what is read from files."""
    levels = torch.randint(20, 240, (COUNT, channels, 14, 11), generator=torch.Generator().manual_seed(1))
    return levels.float() / 255


def changed(name: str, images: Tensor, **values: Tensor) -> Tensor:
    return operate(name, Scenes(images), Draws(sample_keys(0, torch.arange(len(images)))), values).images


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "sharpness"])
def test_changes_are_torchvisions(name: str, channels: int) -> None:
    images, change = pictures(channels), torch.tensor([-1, -0.5, -0.1, 0.2, 0.9, 3])
    function = getattr(F, f"adjust_{name}")
    expected = torch.stack([function(i, 1 + c) for i, c in zip(images, change.tolist(), strict=True)])
    torch.testing.assert_close(changed(name, images, change=change), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_tones_are_torchvisions(channels: int) -> None:
    images = pictures(channels)
    levels = (images * 255).round().to(torch.uint8)
    assert torch.equal((changed("equalize", images) * 255).round().to(torch.uint8), F.equalize(levels))
    torch.testing.assert_close(changed("auto-contrast", images), F.autocontrast(images), rtol=0, atol=1e-6)
    assert torch.equal(changed("invert", images), 1 - images)
    bits, threshold = torch.tensor([1.0, 2, 3, 4, 6, 8]), torch.linspace(0, 0.9, COUNT)
    posterized, solarized = changed("posterize", images, bits=bits), changed("solarize", images, threshold=threshold)
    for place, image in enumerate(levels):
        found = (posterized[place] * 255).round().to(torch.uint8)
        assert torch.equal(found, F.posterize(image, int(bits[place])))
        assert torch.equal(solarized[place], F.solarize(images[place], float(threshold[place])))


def test_flat_channels_stay() -> None:
    images = torch.tensor([0.2, 0.6, 1.0]).reshape(1, 3, 1, 1).expand(2, 3, 9, 8).contiguous()
    for name in ("equalize", "auto-contrast"):
        torch.testing.assert_close(changed(name, images), images, rtol=0, atol=1e-6)


def test_changes_stay_within_their_bounds() -> None:
    """contrast:3 triples it at most; it never inverts the image."""
    history = History.of(100)
    images = pictures().repeat(17, 1, 1, 1)[:100]
    apply(Policy.parse("contrast:3"), Scenes(images), Draws(sample_keys(0, torch.arange(100))), history)
    changes = [float(values["change"]) for done in history.images for _, values in done]
    assert -1 <= min(changes) < -0.9
    assert 2.8 < max(changes) <= 3


def test_colour_needs_colour() -> None:
    with pytest.raises(UsageError, match="saturation needs colour"):
        apply(Policy.parse("flip saturation"), Scenes(pictures(1)), Draws(sample_keys(0, torch.arange(COUNT))))
