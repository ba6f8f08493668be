"""What moves pixels: masks, boxes and keypoints stay with the image; perspective is torchvision's."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import functional as F

from dlkit.augment import Draws, History, Policy, Scenes, apply, operate, sample_keys
from dlkit.augment.cards import augmenters
from dlkit.augment.geometry import transformed

COUNT, HEIGHT, WIDTH = 24, 64, 96


def scenes() -> Scenes:
    """A white box in each image, its mask, its bounds and its middle; on the box's left a dark half tells it apart."""
    corners = torch.stack((torch.randint(30, 55, (COUNT,), generator=torch.Generator().manual_seed(0)),
                           torch.randint(20, 32, (COUNT,), generator=torch.Generator().manual_seed(1))), 1)  # fmt: skip
    masks = torch.zeros(COUNT, 1, HEIGHT, WIDTH, dtype=torch.uint8)
    for mask, (x, y) in zip(masks, corners.tolist(), strict=True):
        mask[0, y : y + 12, x : x + 12] = 1
    boxes = torch.cat((corners, corners + 12), 1).float()[:, None]
    return Scenes(masks.float().expand(-1, 3, -1, -1).contiguous(), masks, boxes, corners[:, None].float() + 6)


@pytest.mark.parametrize("name", sorted(n for n, c in augmenters().items() if c.moves and not c.policy))
def test_all_that_belongs_to_places_moves_along(name: str) -> None:
    before = scenes()
    after = apply(Policy.parse(f"{name}@1"), before, Draws(sample_keys(2, torch.arange(COUNT))))
    assert after.masks is not None
    assert after.boxes is not None
    assert after.keypoints is not None
    assert not torch.equal(after.masks, before.masks)
    assert ((after.images[:, 0] > 0.5) != after.masks[:, 0].bool()).float().mean() < 0.005
    seen = 0
    for mask, box, point in zip(after.masks[:, 0], after.boxes[:, 0], after.keypoints[:, 0], strict=True):
        rows, columns = mask.nonzero().unbind(1)
        inside = len(rows) and rows.min() > 0 and rows.max() < HEIGHT - 1 and columns.min() > 0
        if not inside or columns.max() == WIDTH - 1:
            continue
        seen += 1
        middle = torch.stack((columns.float().mean() + 0.5, rows.float().mean() + 0.5))
        assert (middle - point).abs().max() < 1.2
        found = torch.stack((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
        assert (found - box).abs().max() < 2.1
    assert seen > COUNT // 3


def test_policies_move_masks_along() -> None:
    for policy in ("trivial", "rand:2:12", "auto:svhn"):
        history = History.of(COUNT)
        after = apply(Policy.parse(policy), scenes(), Draws(sample_keys(2, torch.arange(COUNT))), history)
        moved = [any(name in ("rotate", "shear", "translate") for name, _ in done) for done in history.images]
        plain = [all(name in ("rotate", "shear", "translate") for name, _ in done) for done in history.images]
        rows = torch.tensor([m and p for m, p in zip(moved, plain, strict=True)])
        assert rows.any()
        assert after.masks is not None
        assert ((after.images[rows, 0] > 0.5) != after.masks[rows, 0].bool()).float().mean() < 0.005


def test_perspective_is_torchvisions() -> None:
    image = torch.rand(1, 3, 30, 44, generator=torch.Generator().manual_seed(0))
    start = torch.tensor([[[0.0, 0], [44, 0], [44, 30], [0, 30]]])
    found = operate("perspective", Scenes(image, keypoints=start), Draws(sample_keys(0, torch.arange(1))),
                    {"distortion": torch.tensor([0.5])})  # fmt: skip
    assert found.keypoints is not None
    end = found.keypoints[0]
    inwards = (end - start[0]).abs() / torch.tensor([22.0, 15])
    assert inwards.min() > 0
    assert inwards.max() <= 0.5
    expected = F.perspective(image, start[0].tolist(), end.tolist(), interpolation=F.InterpolationMode.BILINEAR)
    torch.testing.assert_close(found.images, expected, rtol=0, atol=2e-4)


def test_affine_is_torchvisions() -> None:
    count = 12
    image = torch.rand(1, 3, 30, 44, generator=torch.Generator().manual_seed(0)).repeat(count, 1, 1, 1)
    middle = torch.tensor([22.0, 15])
    points = torch.stack((middle, middle + torch.tensor([1.0, 0]), middle + torch.tensor([0, 1.0]))).repeat(count, 1, 1)
    angle, slant = torch.linspace(-170, 170, count), torch.linspace(40, -40, count)
    change = torch.linspace(-0.5, 0.5, count)
    values = {"angle": angle, "share": torch.full((count,), 0.2), "change": change, "slant": slant}
    found = operate("affine", Scenes(image, keypoints=points), Draws(sample_keys(0, torch.arange(count))), values)
    assert found.keypoints is not None
    level = 0
    for number, (place, x, y) in enumerate(found.keypoints):
        turn = torch.deg2rad(angle[number])
        back = torch.stack((torch.stack((turn.cos(), -turn.sin())), torch.stack((turn.sin(), turn.cos()))))
        size = 1 + change[number] if change[number] > 0 else 1 / (1 - change[number])
        slopes = back @ torch.stack((x - place, y - place), 1) / size  # [[1, −tan], [0, 1]], or so transposed
        torch.testing.assert_close(slopes.diag(), torch.ones(2), rtol=0, atol=1e-4)
        horizontal = bool(slopes[0, 1].abs() > slopes[1, 0].abs())
        level += not horizontal
        shift = place - middle
        assert abs(float((shift.abs() / torch.tensor([8.8, 6])).max()) - 1) < 1e-4  # on the border of the box
        lean = float(slant[number])
        expected = F.affine(image[:1], -float(angle[number]), shift.tolist(), float(size),
                            [lean, 0] if horizontal else [0, lean], F.InterpolationMode.BILINEAR)  # fmt: skip
        torch.testing.assert_close(found.images[number : number + 1], expected, rtol=0, atol=1e-3)
    assert 0 < level < count


def test_whole_pixels_slide_as_they_would_be_interpolated() -> None:
    before, draws = scenes(), Draws(sample_keys(2, torch.arange(COUNT)))
    before = Scenes(torch.rand(COUNT, 3, HEIGHT, WIDTH), before.masks, before.boxes, before.keypoints)
    for axis, side in (("horizontal", WIDTH), ("vertical", HEIGHT)):
        pixels = torch.arange(COUNT).float() * 10 - 100
        slid, moved = (operate("translate", before, draws, {"share": (pixels + off) / side, "axis": axis})
                       for off in (0, 0.0015))  # fmt: skip
        assert (slid.images - moved.images).abs().max() < 0.0016
        assert torch.equal(slid.masks, moved.masks)  # type: ignore[arg-type]
        torch.testing.assert_close(slid.boxes, moved.boxes, rtol=0, atol=0.002, equal_nan=True)
        torch.testing.assert_close(slid.keypoints, moved.keypoints, rtol=0, atol=0.002)


def test_scale_and_crop_map_points() -> None:
    points = torch.tensor([[[10.0, 20], [48, 32]]]).repeat(3, 1, 1)
    plain = Scenes(torch.zeros(3, 1, 64, 96), keypoints=points)
    draws = Draws(sample_keys(0, torch.arange(3)))
    after = operate("scale", plain, draws, {"change": torch.tensor([1.0, -1, 0.5])}).keypoints
    assert after is not None
    for found, ratio in zip(after, (2, 0.5, 1.5), strict=True):
        middle = torch.tensor([48.0, 32])
        torch.testing.assert_close(found, middle + (points[0] - middle) * ratio, rtol=0, atol=1e-3)
    middle_crop = operate("crop", plain, draws, {"cut": torch.full((3,), 0.5), "jitter": torch.zeros(3)}).keypoints
    doubled = torch.tensor([[[2.0, 0, -48], [0, 2, -32], [0, 0, 1]]])
    torch.testing.assert_close(middle_crop, transformed(points, doubled.expand(3, 3, 3)), rtol=0, atol=1e-3)


def test_crops_lie_anywhere_within_the_image() -> None:
    count = 300
    ramp = torch.linspace(0.001, 1, 40).expand(count, 1, 40, 40).contiguous()
    after = operate(
        "crop", Scenes(ramp), Draws(sample_keys(0, torch.arange(count))), {"cut": torch.full((count,), 0.5)}
    )
    starts = after.images[:, 0, 0, 0] * 40
    assert 0 < float(starts.min()) < 1.5
    assert 19 < float(starts.max()) < 21.5
    assert after.images.min() > 0
