"""Augmenters at work: NumPy's own answers, and draws that belong to samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from dlkit.augment import Draws, History, Policy, Scenes, apply, sample_keys
from dlkit.augment.cards import augmenters
from dlkit.augment.geometry import displace, onto, transformed, warp
from dlkit.augment.policy import step_at


def pictures(count: int = 6, channels: int = 3, height: int = 12, width: int = 12) -> Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(1))


def draws(count: int, seed: int = 3) -> Draws:
    return Draws(sample_keys(seed, torch.arange(count)))


def augmented(text: str, images: Tensor, seed: int = 3) -> Tensor:
    return apply(Policy.parse(text), Scenes(images), draws(len(images), seed)).images


@pytest.mark.parametrize("quarters", [-2, -1, 1, 2])
def test_quarter_turns_are_numpys(quarters: int) -> None:
    images = pictures()
    turned = augmented(f"rotate:{90 * quarters}..{90 * quarters}", images)
    assert np.abs(turned.numpy() - np.rot90(images.numpy(), quarters, (2, 3))).max() < 1e-4


def test_flips_are_numpys() -> None:
    images = pictures(height=9)
    assert np.array_equal(augmented("flip@1", images).numpy(), images.numpy()[..., ::-1])
    assert np.array_equal(augmented("flip:vertical@1", images).numpy(), images.numpy()[..., ::-1, :])


def test_translations_are_numpys() -> None:
    images = pictures(height=8)
    shifts = torch.eye(3).repeat(6, 1, 1)
    shifts[:, 0, 2], shifts[:, 1, 2] = 3, -2
    moved = warp(Scenes(images), shifts).images.numpy()
    expected = np.zeros_like(images.numpy())
    expected[:, :, :-2, 3:] = images.numpy()[:, :, 2:, :-3]
    assert np.abs(moved - expected).max() < 1e-4
    edge = warp(Scenes(images), shifts, "edge").images.numpy()
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (0, 2), (3, 0)), mode="edge")[:, :, 2:, :12]
    assert np.abs(edge - padded).max() < 1e-4


def test_translate_shifts_by_at_most_its_share() -> None:
    images = torch.zeros(200, 1, 32, 32)
    images[:, :, 15:17, 15:17] = 1
    moved = augmented("translate:0.25", images)
    rows, columns = (moved.sum(d).argmax(-1).flatten() - 15.5 for d in (3, 2))
    assert rows.abs().max() <= 8.5
    assert rows.abs().max() > 6
    assert columns.abs().max() <= 8.5
    assert abs(float(torch.corrcoef(torch.stack((rows, columns)))[0, 1])) < 0.35  # dependent in size, not in direction


def test_gaussian_noise_has_its_moments() -> None:
    noise = augmented("noise:gaussian:0.1", torch.full((20, 3, 32, 32), 0.5)) - 0.5
    assert abs(float(noise.mean())) < 5 * 0.1 / math.sqrt(noise.numel())
    assert abs(float(noise.std()) - 0.1) < 0.001
    assert abs(float(((noise / 0.1) ** 4).mean()) - 3) < 0.1
    assert abs(float(torch.corrcoef(noise.flatten(1)).fill_diagonal_(0).abs().max())) < 0.1


def test_brightness_and_cut_out() -> None:
    images = pictures()
    assert torch.equal(augmented("brightness:-0.5..-0.5", images), images * 0.5)
    covered = augmented("cut-out:0.5:0.25", torch.ones(300, 1, 20, 20)) == 0.25
    area = covered.float().mean((1, 2, 3))
    assert area.max() == 0.25
    assert area.min() < 0.12  # over the border


@pytest.mark.parametrize("name", sorted(n for n, c in augmenters().items() if not c.policy and not c.needs_masks))
def test_strength_nothing_changes_nothing(name: str) -> None:
    images = pictures(4, 3, 16, 16)
    step = step_at(augmenters()[name], 0)
    assert torch.equal(apply(Policy((step,)), Scenes(images), draws(4)).images, images)


NOT_PAIRS = sorted(n for n, c in augmenters().items() if not c.pairs and not c.needs_masks)


@pytest.mark.parametrize("name", NOT_PAIRS)
def test_draws_do_not_depend_on_the_batch(name: str) -> None:
    images = pictures(8, 3, 16, 16)
    policy, keys = Policy.parse(f"{name} flip@0.5"), sample_keys(5, torch.arange(8))
    whole = apply(policy, Scenes(images), Draws(keys)).images
    parts = [apply(policy, Scenes(images[rows]), Draws(keys[rows])).images for rows in (slice(0, 3), slice(3, 8))]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-6)
    order = torch.tensor([5, 0, 7])
    torch.testing.assert_close(apply(policy, Scenes(images[order]), Draws(keys[order])).images, whole[order],
                               rtol=0, atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("name", NOT_PAIRS)
def test_images_stay_images_and_inputs_stay_as_they_are(name: str) -> None:
    for channels in (3,) if augmenters()[name].needs_colour else (1, 3):
        images = pictures(5, channels, 16, 12)
        before = images.clone()
        after = augmented(f"{name}@0.5", images)
        assert torch.equal(images, before)
        assert after.shape == images.shape
        assert after.dtype == torch.float32
        assert after.min() >= 0
        assert after.max() <= 1 + 1e-6


def test_what_no_step_hits_is_bit_identical() -> None:
    images = pictures(200)
    history = History.of(200)
    keys = sample_keys(1, torch.arange(200))
    after = apply(Policy.parse("rotate:20@0.3 noise:gaussian@0.2"), Scenes(images), Draws(keys), history).images
    untouched = torch.tensor([not done for done in history.images])
    assert torch.equal(after[untouched], images[untouched])
    assert 0.4 < float(untouched.float().mean()) < 0.72  # 0.7 × 0.8 in expectation
    assert (after[~untouched] != images[~untouched]).any((1, 2, 3)).all()


def test_history_says_what_was_done() -> None:
    history = History.of(50)
    images = pictures(50)
    after = apply(Policy.parse("rotate:20@0.5 flip"), Scenes(images), draws(50), history).images
    for index, done in enumerate(history.images):
        again = images[index : index + 1]
        for name, values in done:
            if name == "rotate":
                assert -20 <= float(values["angle"]) <= 20
                again = augmented(f"rotate:{values['angle']!r}..{values['angle']!r}", again)
            else:
                assert (name, values) == ("flip", {"axis": "horizontal"})
                again = again.flip(3)
        torch.testing.assert_close(again[0], after[index], rtol=0, atol=1e-5)


def test_masks_boxes_and_keypoints_go_along() -> None:
    generator = torch.Generator().manual_seed(0)
    masks = torch.zeros(40, 1, 64, 64, dtype=torch.uint8)
    corners = torch.randint(16, 40, (40, 2), generator=generator)
    for mask, (row, column) in zip(masks, corners.tolist(), strict=True):
        mask[0, row : row + 9, column : column + 9] = 1
    boxes = torch.cat((corners.flip(1), corners.flip(1) + 9), 1).float()[:, None]
    scenes = Scenes(masks.float(), masks, boxes, (boxes[..., :2] + boxes[..., 2:]) / 2)
    after = apply(Policy.parse("rotate:20 translate:0.1 flip"), scenes, draws(40))
    assert after.masks is not None
    assert after.boxes is not None
    assert after.keypoints is not None
    assert after.masks.dtype == torch.uint8
    assert ((after.images[:, 0] > 0.5) != after.masks[:, 0].bool()).float().mean() < 0.002
    for mask, box, point in zip(after.masks[:, 0], after.boxes[:, 0], after.keypoints[:, 0], strict=True):
        rows, columns = mask.nonzero().unbind(1)
        middle = torch.stack((columns.float().mean() + 0.5, rows.float().mean() + 0.5))
        assert (middle - point).abs().max() < 0.8  # the mask was rounded to pixels twice
        found = torch.stack((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
        assert (found - box).abs().max() < 1.6


def test_boxes_that_leave_the_image_are_gone() -> None:
    shift = torch.eye(3)[None]
    shift[0, 0, 2] = 10
    boxes = torch.tensor([[[1.0, 1, 3, 3], [8, 2, 11, 4], [float("nan")] * 4]])
    after = warp(Scenes(torch.zeros(1, 1, 12, 12), boxes=boxes), shift).boxes
    assert after is not None
    assert after[0, 0].tolist() == [11, 1, 12, 3]
    assert after[0, 1:].isnan().all()


def test_displacing_moves_points_with_pixels() -> None:
    ramp = torch.linspace(0, 1, 64)
    shifts = torch.stack(torch.broadcast_tensors(4 * torch.sin(3 * ramp)[:, None], 3 * torch.cos(2 * ramp)), -1)[None]
    image = torch.zeros(1, 1, 64, 64)
    image[0, 0, 30:33, 20:23] = 1
    points = torch.tensor([[[21.5, 31.5]]])
    after = displace(Scenes(image, keypoints=points), shifts)
    weights = after.images[0, 0] / after.images.sum()
    centres = torch.arange(64) + 0.5
    found = torch.stack(((weights.sum(0) * centres).sum(), (weights.sum(1) * centres).sum()))
    assert after.keypoints is not None
    assert (after.keypoints[0, 0] - found).abs().max() < 0.1


def test_perspective_follows_its_matrix() -> None:
    matrix = torch.tensor([[[1.0, 0.1, 1], [0, 0.9, 2], [0.002, 0.001, 1]]])
    image = torch.zeros(1, 1, 64, 64)
    image[0, 0, 40:43, 30:33] = 1
    after = warp(Scenes(image), matrix).images[0, 0]
    centres = torch.arange(64) + 0.5
    weights = after / after.sum()
    found = torch.stack(((weights.sum(0) * centres).sum(), (weights.sum(1) * centres).sum()))
    assert (transformed(torch.tensor([[[31.5, 41.5]]]), matrix)[0, 0] - found).abs().max() < 0.1


def test_corners_go_where_they_are_to() -> None:
    corners = torch.tensor([[[2.0, 1], [60, 5], [50, 33], [9, 30]]])
    own = torch.tensor([[[0.0, 0], [64, 0], [64, 40], [0, 40]]])
    torch.testing.assert_close(transformed(own, onto(corners, (40, 64))), corners)


def test_draws_are_even_and_independent() -> None:
    some = draws(4000)
    uniform = some.uniform("u", 3)
    assert abs(float(uniform.mean()) - 0.5) < 0.02
    assert float(uniform.min()) >= 0
    assert float(uniform.max()) < 1
    counts = torch.histc(uniform.flatten(), 20, 0, 1)
    assert float(((counts - 600) ** 2 / 600).sum()) < 43.8  # χ² with 19 degrees of freedom, 0.1 %
    assert abs(float(some.normal("n").std()) - 1) < 0.05
    assert torch.bincount(some.integers("i", 5)).tolist() == pytest.approx([800] * 5, rel=0.15)
    together = torch.stack(
        (uniform[:, 0], uniform[:, 1], some.uniform("v"), some.fork("u").uniform("u"), uniform[:, 0].roll(1))
    )
    assert float((torch.corrcoef(together) - torch.eye(5)).abs().max()) < 0.06
    fields = draws(30).normal("field", 10, 10)
    assert torch.equal(fields[7:9], Draws(draws(30).keys[7:9]).normal("field", 10, 10))
    assert float((torch.corrcoef(fields.flatten(1)) - torch.eye(30)).abs().max()) < 0.45


def test_keys_are_splitmix64s() -> None:
    """In plain Python; fixed for ever, since a run may be resumed by a later version."""
    wrap, gamma = 2**64 - 1, 0x9E3779B97F4A7C15

    def mix(number: int) -> int:
        number = number + gamma & wrap
        number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & wrap
        number = (number ^ number >> 27) * 0x94D049BB133111EB & wrap
        return number ^ number >> 31

    samples = [0, 1, 2**40]
    expected = [mix(mix(123456789 + sample) ^ gamma) for sample in samples]
    assert [key & wrap for key in sample_keys(123456789, torch.tensor(samples)).tolist()] == expected
