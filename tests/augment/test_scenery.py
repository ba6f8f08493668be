"""Lost resolution, light and weather, covers, another background."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from dlkit_builtin.augmenters.resolution import jpeg_on_device
from PIL import Image
from sklearn.datasets import load_sample_image
from torch import Tensor

from dlkit.augment import Draws, Policy, Scenes, apply, operate, sample_keys
from dlkit.errors import UsageError


@pytest.fixture(scope="module")
def photos() -> Tensor:
    pictures = [Image.fromarray(load_sample_image(f"{name}.jpg")).resize((60, 42)) for name in ("china", "flower")]
    return torch.from_numpy(np.stack([np.array(p) for p in pictures])).permute(0, 3, 1, 2) / 255


def changed(name: str, images: Tensor, **values: float | str) -> Tensor:
    count = len(images)
    given = {key: value if isinstance(value, str) else torch.full((count,), value) for key, value in values.items()}
    return operate(name, Scenes(images), Draws(sample_keys(0, torch.arange(count))), given).images


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_libjpegs(photos: Tensor, channels: int) -> None:
    images = photos[:, :channels]
    levels = (images * 255).round().byte().permute(0, 2, 3, 1).numpy()
    expected = []
    for array in levels:
        file = BytesIO()
        Image.fromarray(array if channels == 3 else array[..., 0]).save(file, "JPEG", quality=20)
        expected.append(np.asarray(Image.open(file)).reshape(42, 60, channels))
    plain = torch.from_numpy(np.stack(expected)).permute(0, 3, 1, 2) / 255
    assert torch.equal(changed("jpeg", images, quality=20), plain)
    near = jpeg_on_device(images, torch.full((2,), 20.0))
    assert (near - plain).abs().mean() < 0.35 * (images - plain).abs().mean() + 0.01


def test_pixels_are_means_of_cells(photos: Tensor) -> None:
    images = photos[..., :40, :60]
    cells = images.reshape(2, 3, 10, 4, 15, 4).mean((3, 5))
    expected = cells.repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(changed("pixelate", images, factor=4), expected, rtol=0, atol=1e-5)


def test_down_up_loses_what_is_small(photos: Tensor) -> None:
    lost = [float((changed("down-up", photos, factor=f) - photos).square().mean()) for f in (1.5, 2, 4)]
    assert 0 < lost[0] < lost[1] < lost[2]
    assert changed("down-up", photos, factor=4).shape == photos.shape


def test_light_and_weather_do_as_they_say(photos: Tensor) -> None:
    mean, spread = photos.mean((2, 3)).mean(1), photos.std((1, 2, 3))
    dark = changed("low-light", photos, stops=3).mean((1, 2, 3))
    assert (dark / mean < 0.55).all()
    foggy = changed("fog", photos, density=1.5)
    assert (foggy.std((1, 2, 3)) < 0.6 * spread).all()
    assert (foggy.mean((1, 2, 3)) > 0.6).all()
    assert (changed("snow", photos, amount=1).mean((1, 2, 3)) > mean + 0.05).all()
    wet = (changed("rain", photos, amount=1) - changed("rain", photos, amount=0.0001)).abs().mean()
    assert wet > 0.02
    light = torch.ones(40, 3, 20, 30)
    shade = changed("shadow", light, depth=0.6)[:, 0]
    assert abs(float(shade.min()) - 0.4) < 0.01
    assert 0.05 < float((shade < 0.7).float().mean()) < 0.7


def test_covers_cover_so_much() -> None:
    white = torch.ones(200, 3, 40, 60)
    barred = changed("bars", white, share=0.3, count=5, grey=0.25)
    assert abs(float((barred == 0.25).float().mean()) - 0.3) < 0.02
    assert torch.equal(barred[:, :, :1].expand_as(barred), barred)
    level = changed("bars", white, share=0.3, count=5, axis="level")
    assert torch.equal(level[..., :1].expand_as(level), level)
    erased = (changed("erasing", white, area=0.2) != 1).any(1)
    assert abs(float(erased.float().mean()) - 0.2) < 0.01
    for cover in erased[:20]:
        assert cover.sum() == cover.any(0).sum() * cover.any(1).sum()
    clipped = changed("tone-clip", torch.linspace(0, 1, 200).expand(50, 3, 2, 200).contiguous(), share=0.3)
    lost = ((clipped == 0) | (clipped == 1)).float().mean((1, 2, 3))
    assert lost.max() < 0.61
    assert lost.mean() > 0.2


def test_backgrounds_lie_behind_masks(tmp_path: Path) -> None:
    for place, colour in enumerate(((255, 0, 0), (0, 0, 255))):
        Image.new("RGB", (30, 10 + place), colour).save(tmp_path / f"{place}.png")
    images, masks = torch.full((20, 3, 8, 12), 0.5), torch.zeros(20, 1, 8, 12, dtype=torch.uint8)
    masks[:, :, 2:5, 3:9] = 7
    policy, draws = Policy.parse(f'background:"{tmp_path}"'), Draws(sample_keys(0, torch.arange(20)))
    after = apply(policy, Scenes(images, masks), draws).images
    front = masks.expand_as(images) > 0
    assert (after[front] == 0.5).all()
    assert {tuple(image[:, 0, 0].tolist()) for image in after} == {(1, 0, 0), (0, 0, 1)}
    assert apply(policy, Scenes(images[:, :1], masks), draws).images.shape == (20, 1, 8, 12)
    with pytest.raises(UsageError, match="needs masks"):
        apply(policy, Scenes(images), draws)
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match="has no pictures"):
        apply(Policy.parse(f'background:"{tmp_path}/none"'), Scenes(images, masks), draws)
