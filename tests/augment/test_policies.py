"""Published policies against torchvision's."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from dlkit_builtin.augmenters.auto import sub_policies
from dlkit_builtin.augmenters.operations import AUGMIX, RAND, TRIVIAL, Operation
from dlkit_builtin.augmenters.policies import _dirichlet
from torch import Tensor
from torchvision.transforms import AutoAugmentPolicy, v2

from dlkit.augment import Draws, History, Policy, Scenes, apply, operate, sample_keys

SIZE = (40, 64)


@pytest.mark.parametrize(
    ("space", "reference"), [(TRIVIAL, v2.TrivialAugmentWide), (RAND, v2.RandAugment)], ids=["trivial", "rand"]
)
def test_ranges_are_torchvisions(space: dict[str, Operation], reference: type) -> None:
    known = reference._AUGMENTATION_SPACE  # type: ignore[attr-defined]
    assert set(known) == set(space) - {"Invert"}
    for name, (magnitudes, signed) in known.items():
        expected, own = magnitudes(31, *SIZE), space[name]
        assert own.signed == signed
        if expected is None:
            assert not own.parameter
            continue
        if own.slope:
            expected = torch.rad2deg(expected.atan())
        if name.startswith("Translate"):
            expected = (expected + 1e-3).trunc() / SIZE[name == "TranslateX"]
        values = own.values(torch.arange(31) / 30, torch.ones(31), SIZE)[own.parameter]
        torch.testing.assert_close(values, expected.clamp_max(1).float() if name[0] == "T" else expected.float())


def test_trivial_shifts_small_images_by_no_more_than_they_bear() -> None:
    """32 pixels of 8 are four images' width: of 31 magnitudes 24 would leave nothing of a digit to be seen."""
    magnitudes = torch.arange(31) / 30
    for name, size in (("TranslateX", (32, 8)), ("TranslateY", (8, 32))):
        shares = TRIVIAL[name].values(magnitudes, torch.ones(31), size)["share"]
        assert isinstance(shares, Tensor)
        torch.testing.assert_close(shares * 8, (magnitudes * 8 + 1e-3).floor())
    images = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).expand(2000, -1, -1, -1)
    seen = apply(Policy.parse("trivial"), Scenes(images), Draws(sample_keys(7, torch.arange(2000)))).images
    black = (seen.amax((1, 2, 3)) == 0).double().mean()
    assert black < 3 * 2 / 14 / 31  # of both translations the last magnitude only; three times as many are not chance


@pytest.mark.parametrize(("axis", "pair"), [("horizontal", 0), ("vertical", 1)])
def test_shear_is_torchvisions(axis: str, pair: int) -> None:
    images = torch.rand(3, 3, 24, 18, generator=torch.Generator().manual_seed(1))
    angles = torch.tensor([-20.0, 5, 40])
    found = operate("shear", Scenes(images), Draws(sample_keys(0, torch.arange(3))), {"angle": angles, "axis": axis})
    for image, angle, own in zip(images, angles.tolist(), found.images, strict=True):
        shear = [angle, 0.0] if pair == 0 else [0.0, angle]
        expected = v2.functional.affine(image, 0, [0, 0], 1, shear, interpolation=v2.InterpolationMode.BILINEAR)
        torch.testing.assert_close(own, expected, rtol=0, atol=1e-4)


def test_trivial_chooses_evenly_at_even_magnitudes() -> None:
    count = 6000
    images = torch.rand(1, 3, 4, 4).expand(count, -1, -1, -1)
    history = History.of(count)
    apply(Policy.parse("trivial"), Scenes(images), Draws(sample_keys(7, torch.arange(count))), history)
    assert all(len(done) <= 1 for done in history.images)
    names = Counter(done[0][0] if done else "" for done in history.images)
    # magnitude 0, one of 31, changes nothing, nor does posterizing to 8 bits, three of 31
    each = count / 14
    expected = dict.fromkeys(("auto-contrast", "equalize"), each)
    changes = ("rotate", "brightness", "saturation", "contrast", "sharpness", "solarize")
    expected |= dict.fromkeys(changes, each * 30 / 31)
    expected |= {"shear": 2 * each * 30 / 31, "posterize": each * 28 / 31}
    expected |= {"translate": 2 * each * 23 / 31}  # from 8 of 30 on it is a pixel of four
    expected[""] = count - sum(expected.values())
    assert set(names) == set(expected)
    assert sum((names[name] - wanted) ** 2 / wanted for name, wanted in expected.items()) < 31.3  # χ², 0.1 %
    angles = torch.tensor([float(done[0][1]["angle"]) for done in history.images if done and done[0][0] == "rotate"])
    assert angles.abs().max() == 135
    assert abs(float(angles.mean())) < 15
    steps = angles / 4.5
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-4)


def test_strength_is_a_share_of_the_published_magnitudes() -> None:
    count = 2000
    images, history = torch.rand(1, 3, 4, 4).expand(count, -1, -1, -1), History.of(count)
    apply(Policy.parse("trivial:0.5"), Scenes(images), Draws(sample_keys(7, torch.arange(count))), history)
    found = {name: max(abs(float(v)) for d in history.images for n, values in d if n == name for v in values.values()
                       if not isinstance(v, str))
             for name in ("rotate", "shear", "contrast")}  # fmt: skip
    assert found["rotate"] == 67.5
    assert found["shear"] == pytest.approx(math.degrees(math.atan(0.99 / 2)))
    assert found["contrast"] == pytest.approx(0.495)


def test_rand_applies_so_many_at_one_magnitude() -> None:
    count = 600
    images, history = torch.rand(1, 3, 8, 8).expand(count, -1, -1, -1), History.of(count)
    apply(Policy.parse("rand:3:15"), Scenes(images), Draws(sample_keys(7, torch.arange(count))), history)
    lengths = torch.tensor([len(done) for done in history.images])
    assert lengths.max() == 3
    assert abs(float(lengths.float().mean()) - 3 * 13 / 14) < 0.1
    angles = {abs(values["angle"]) for done in history.images for name, values in done if name == "rotate"}
    assert angles == {15.0}


@pytest.mark.parametrize("policy", ["trivial", "rand"])
def test_grey_images_keep_out_of_colour(policy: str) -> None:
    images = torch.rand(300, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    history = History.of(300)
    after = apply(Policy.parse(policy), Scenes(images), Draws(sample_keys(7, torch.arange(300))), history).images
    assert after.shape == images.shape
    assert "saturation" not in {name for done in history.images for name, _ in done}


@pytest.mark.parametrize("learned", ["imagenet", "cifar10", "svhn"])
def test_learned_policies_are_the_published_ones(learned: str) -> None:
    published = v2.AutoAugment(AutoAugmentPolicy(learned))._policies
    own = sub_policies(learned)
    expected = [tuple((name, chance, (magnitude or 0) / 9) for name, chance, magnitude in pair) for pair in published]
    assert own == expected
    assert set(v2.AutoAugment._AUGMENTATION_SPACE) | {"Identity"} == set(RAND)


def test_auto_does_each_with_its_chance() -> None:
    count = 4000
    images, history = torch.rand(1, 3, 4, 4).expand(count, -1, -1, -1), History.of(count)
    apply(Policy.parse("auto:svhn"), Scenes(images), Draws(sample_keys(7, torch.arange(count))), history)
    names = Counter(name for done in history.images for name, _ in done)
    expected = sum(chance for pair in sub_policies("svhn") for name, chance, _ in pair if name == "Invert") / 25
    assert abs(names["invert"] / count - expected) < 0.03


def test_augmix_is_a_mean_of_chains() -> None:
    known, own = v2.AugMix._AUGMENTATION_SPACE, AUGMIX
    for name, (magnitudes, signed) in known.items():
        assert own[name].signed == signed
        expected = magnitudes(10, *SIZE)
        if expected is not None and not own[name].slope:
            expected = (
                (expected + 1e-3).trunc() / SIZE[name == "TranslateX"] if name.startswith("Translate") else expected
            )
            values = own[name].values(torch.arange(10) / 9, torch.ones(10), SIZE)[own[name].parameter]
            torch.testing.assert_close(values, expected.float())
    count = 60
    images = torch.rand(count, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    draws, history = Draws(sample_keys(7, torch.arange(count))), History.of(count)
    after = apply(Policy.parse("augmix"), Scenes(images), draws, history).images
    assert all([name for name, _ in done] == ["augmix"] for done in history.images)
    near = (after - images).abs().mean((1, 2, 3))
    assert near.max() > 0.1
    weights = _dirichlet(draws, torch.ones(count), torch.tensor([1.0, 2, 3] * 20))
    torch.testing.assert_close(weights.sum(1), torch.ones(count))
    assert (weights[::3, 1:] == 0).all()
    assert abs(float(weights[2::3].mean()) - 1 / 3) < 1e-6
