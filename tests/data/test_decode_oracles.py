"""Decoding against images made by hand and computed independently."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from dlkit.data import DataSpec, load_data, read_images
from dlkit.data.decode import fit_array
from dlkit.errors import DataError
from dlkit.options import DataOptions
from dlkit.options.values import Size

RANDOM = np.random.default_rng(0)


def spec(channels: int, height: int, width: int, **fields: object) -> DataSpec:
    return DataSpec(source="x", name="x", channels=channels, height=height, width=width, **fields)  # type: ignore[arg-type]


def read(path: Path, channels: int, height: int, width: int, **fields: object) -> np.ndarray:
    return read_images([path], spec(channels, height, width, **fields))[0].numpy()


def rgb(height: int = 7, width: int = 9) -> np.ndarray:
    return RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_rgb_and_grey(tmp_path: Path) -> None:
    pixels = rgb()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png", 3, 7, 9), pixels.transpose(2, 0, 1))
    luma = (pixels @ np.array([0.299, 0.587, 0.114])).round()  # ITU-R 601-2
    assert np.abs(read(tmp_path / "a.png", 1, 7, 9)[0] - luma).max() <= 1
    Image.fromarray(pixels[..., 0]).save(tmp_path / "g.png")
    assert np.array_equal(read(tmp_path / "g.png", 1, 7, 9)[0], pixels[..., 0])
    assert np.array_equal(read(tmp_path / "g.png", 3, 7, 9), np.stack([pixels[..., 0]] * 3))


def test_transparency_is_composited_on_white(tmp_path: Path) -> None:
    pixels, alpha = rgb(), RANDOM.integers(0, 256, (7, 9, 1), dtype=np.uint8)
    Image.fromarray(np.concatenate([pixels, alpha], axis=2)).save(tmp_path / "rgba.png")
    opacity = alpha / 255
    expected = (pixels * opacity + 255 * (1 - opacity)).transpose(2, 0, 1)
    assert np.abs(read(tmp_path / "rgba.png", 3, 7, 9) - expected).max() <= 1
    grey_alpha = np.concatenate([pixels[..., :1], alpha], axis=2)
    Image.fromarray(grey_alpha).save(tmp_path / "la.png")
    assert np.abs(read(tmp_path / "la.png", 1, 7, 9)[0] - expected[0]).max() <= 1


def test_palette_with_and_without_transparency(tmp_path: Path) -> None:
    indices = np.array([[0, 1, 2], [2, 1, 0]], dtype=np.uint8)
    palette = np.array([[255, 0, 0], [0, 128, 7], [10, 20, 30]], dtype=np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(palette.tobytes())
    image.save(tmp_path / "p.png")
    assert np.array_equal(read(tmp_path / "p.png", 3, 2, 3), palette[indices].transpose(2, 0, 1))
    image.save(tmp_path / "t.png", transparency=2)
    palette[2] = 255
    assert np.array_equal(read(tmp_path / "t.png", 3, 2, 3), palette[indices].transpose(2, 0, 1))
    image.save(tmp_path / "t.gif", transparency=2)
    assert np.array_equal(read(tmp_path / "t.gif", 3, 2, 3), palette[indices].transpose(2, 0, 1))


def test_one_bit(tmp_path: Path) -> None:
    bits = RANDOM.integers(0, 2, (5, 11)).astype(bool)
    Image.fromarray(bits).save(tmp_path / "b.png")
    assert np.array_equal(read(tmp_path / "b.png", 1, 5, 11)[0], bits * 255)


def test_cmyk(tmp_path: Path) -> None:
    cmyk = RANDOM.integers(0, 256, (6, 6, 4), dtype=np.uint8)
    Image.fromarray(cmyk, mode="CMYK").save(tmp_path / "c.tif")
    ink = cmyk / 255.0
    expected = 255 * (1 - np.minimum(1, ink[..., :3] + ink[..., 3:] * (1 - ink[..., :3])))
    assert np.abs(read(tmp_path / "c.tif", 3, 6, 6) - expected.transpose(2, 0, 1)).max() <= 2
    white = Image.new("CMYK", (16, 16), (0, 0, 0, 0))
    white.save(tmp_path / "w.jpg")
    assert read(tmp_path / "w.jpg", 3, 16, 16).min() >= 254


@pytest.mark.parametrize("ending", ["png", "tif", "pgm"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, ending: str) -> None:
    values = RANDOM.integers(0, 65536, (8, 8)).astype(np.uint16)
    values[0, :2] = 0, 65535
    path = tmp_path / f"deep.{ending}"
    if ending == "pgm":
        path.write_bytes(b"P5 8 8 65535\n" + values.astype(">u2").tobytes())
    else:
        Image.fromarray(values).save(path)
    data = load_data(DataOptions(data=str(tmp_path)))
    assert data.spec.pixel_type == "float32"
    assert data.spec.channels == 1
    assert np.array_equal(data.train.raw().numpy()[0, 0], values.astype(np.float32) / np.float32(65535))
    assert np.abs(read(path, 1, 8, 8, pixel_type="uint8")[0] - values / 257).max() <= 0.51


def test_values_beyond_sixteen_bits_are_a_bad_image(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 70000, dtype=np.int32)).save(tmp_path / "i.tif")
    with pytest.raises(DataError, match="70000"):
        load_data(DataOptions(data=str(tmp_path)))


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
def test_exif_orientation(tmp_path: Path, turn: int, ending: str) -> None:
    image = Image.fromarray(np.kron(RANDOM.integers(0, 256, (4, 6, 3)), np.ones((8, 8, 1))).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = turn
    options = {"jpg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}}.get(ending, {})
    path = tmp_path / f"a.{ending}"
    image.save(path, exif=exif, **options)
    with Image.open(path) as opened:
        upright = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    data = load_data(DataOptions(data=str(tmp_path)))
    assert (data.spec.height, data.spec.width) == upright.shape[:2]  # known from the header
    assert np.array_equal(data.train.raw()[0].numpy(), upright.transpose(2, 0, 1))
    if ending == "png":  # lossless: resizing before turning is turning before resizing, but for rounding
        small = read(path, 3, 12, 12, resize="pad")
        exif[0x0112] = 1
        Image.fromarray(upright).save(tmp_path / "u.png")
        assert np.abs(small.astype(int) - read(tmp_path / "u.png", 3, 12, 12, resize="pad")).max() <= 4


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (5, 5), colour) for colour in ("red", "lime")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read(tmp_path / "a.gif", 3, 5, 5)[:, 0, 0].tolist() == [255, 0, 0]


def test_crop_pad_stretch_against_pil(tmp_path: Path) -> None:
    pixels = rgb(20, 50)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "wide.png")
    bicubic = Image.Resampling.BICUBIC

    def expected(result: Image.Image) -> np.ndarray:
        return np.asarray(result).transpose(2, 0, 1)

    crop = image.crop((15, 0, 35, 20)).resize((10, 10), bicubic)
    got = read(tmp_path / "wide.png", 3, 10, 10, resize="crop")
    # PIL's crop cuts the filter off at the box, resize(box=...) sees the pixels around it: equal inside.
    assert np.array_equal(got[:, :, 2:-2], expected(crop)[:, :, 2:-2])
    stretch = read(tmp_path / "wide.png", 3, 10, 10, resize="stretch")
    assert np.array_equal(stretch, expected(image.resize((10, 10), bicubic)))
    pad = read(tmp_path / "wide.png", 3, 10, 10, resize="pad")
    assert np.array_equal(pad[:, 3:7], expected(image.resize((10, 4), bicubic)))
    assert pad[:, :3].max() == pad[:, 7:].max() == 0


@pytest.mark.parametrize("mode", ["crop", "pad", "stretch"])
def test_draft_stays_close_to_full_decoding(tmp_path: Path, mode: str) -> None:
    y, x = np.mgrid[:300, :420]
    smooth = np.stack([127 + 120 * np.sin(x / 40), 127 + 120 * np.cos(y / 30), (x + y) / 3], axis=2).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as opened:
        opened.convert("RGB").save(tmp_path / "a.png")
    fast, full = (read(tmp_path / f"a.{kind}", 3, 40, 40, resize=mode).astype(int) for kind in ("jpg", "png"))
    assert np.abs(fast - full).mean() < 2
    assert np.abs(fast - full).max() < 24


@pytest.mark.parametrize("size", [(3, 3), (1, 17), (40, 2)])
@pytest.mark.parametrize("mode", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_any_shape_fits(size: tuple[int, int], mode: str, dtype: str) -> None:
    image = RANDOM.integers(0, 256, (*size, 3), dtype=np.uint8)
    array = image if dtype == "uint8" else (image / 255).astype(np.float32)
    for channels in (1, 3):
        out = fit_array(array, spec(channels, 8, 5, resize=mode, pixel_type=dtype))
        assert out.shape == (channels, 8, 5)
        assert out.dtype == dtype
        assert out.min() >= 0
        assert out.max() <= (255 if dtype == "uint8" else 1)


def test_float_and_byte_images_resize_alike() -> None:
    image = rgb(20, 30)
    for channels in (1, 3):
        as_bytes = fit_array(image, spec(channels, 9, 9))
        as_floats = fit_array((image / 255).astype(np.float32), spec(channels, 9, 9, pixel_type="float32"))
        assert np.abs(as_bytes / 255 - as_floats).max() < 1.5 / 255


def test_sizes_that_differ_are_said_and_agreeing_ones_kept(tmp_path: Path) -> None:
    Image.fromarray(rgb(10, 10)).save(tmp_path / "a.png")
    data = load_data(DataOptions(data=str(tmp_path)))
    assert data.spec.shape == (3, 10, 10)
    assert not data.notices
    Image.fromarray(rgb(10, 12)).save(tmp_path / "b.png")
    data = load_data(DataOptions(data=str(tmp_path)))
    assert data.spec.shape == (3, 64, 64)
    assert "64x64" in data.notices[0]
    data = load_data(DataOptions(data=str(tmp_path), image_size=Size(4, 5), channels="1"))
    assert data.spec.shape == (1, 4, 5)
    assert not data.notices


def test_grey_only_where_all_are_grey(tmp_path: Path) -> None:
    Image.new("L", (4, 4), 7).save(tmp_path / "a.png")
    Image.new("1", (4, 4), 1).save(tmp_path / "b.png")
    assert load_data(DataOptions(data=str(tmp_path))).spec.channels == 1
    Image.new("RGB", (4, 4)).save(tmp_path / "c.png")
    assert load_data(DataOptions(data=str(tmp_path))).spec.channels == 3


def test_disguised_postscript_is_not_run(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, format="EPS")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match="not an image"):
        load_data(DataOptions(data=str(tmp_path)))


def test_read_images_names_what_it_cannot_read(tmp_path: Path) -> None:
    Image.new("L", (4, 4), 7).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"b\.png: not an image"):
        read_images([tmp_path / "a.png", tmp_path / "b.png", tmp_path / "c.png"], spec(1, 4, 4))
    assert torch.equal(read_images([], spec(1, 4, 4)), torch.empty(0, 1, 4, 4, dtype=torch.uint8))
