"""The plane of a code of two units: what the report's script gets is what the technique decodes."""

from __future__ import annotations

import base64
import io
import json
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from double_technique import decode
from PIL import Image

from dlkit.data import Split
from dlkit.data.data import Resident
from dlkit.data.spec import DataSpec
from dlkit.options import RuntimeOptions
from dlkit.plane import code_ranges, lattice, make_plane, plane_picture, save_plane
from dlkit.report import write_report
from dlkit.runtime import Runtime


class Page(HTMLParser):
    """The attributes of the plane, and of what stands below it until the next section."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.facts: Any = None
        self.sprite = b""
        self.sections: list[str | None] = []
        self.stills = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "section":
            self.sections.append(given["id"])
        elif given.get("class") == "plane":
            assert "hidden" in given  # until the script runs
            self.facts = json.loads(given["data-facts"] or "")
        elif tag == "img" and self.sections[-1:] == ["plane"]:
            content = base64.b64decode((given["src"] or "").removeprefix("data:image/png;base64,"))
            self.sprite = self.sprite or content
            self.stills += "hidden" not in given


def test_the_page_holds_what_the_technique_makes_of_the_lattice(make: Any) -> None:
    run = make(can="encode,decode")
    page = Page((run.path / "report.html").read_text())
    assert page.sections.index("plane") < page.sections.index("pictures")
    assert page.stills == 1  # the picture for where there is no script
    facts, count = page.facts, page.facts["count"]
    assert (facts["height"], facts["width"], count) == (8, 8, 41)
    pixels = np.asarray(Image.open(io.BytesIO(page.sprite)))
    assert pixels.shape == (41 * 8, 41 * 8)
    for row, column in ((0, 0), (0, 40), (40, 0), (20, 20), (3, 31)):
        x = facts["x"][0] + column / 40 * (facts["x"][1] - facts["x"][0])
        y = facts["y"][1] - row / 40 * (facts["y"][1] - facts["y"][0])
        expected = decode(torch.tensor([[x, y]]), run.spec)[0, 0].numpy() * 255
        np.testing.assert_allclose(pixels[8 * row : 8 * row + 8, 8 * column : 8 * column + 8], expected, atol=0.51)


def test_the_page_holds_the_codes_of_held_out_images_with_their_classes(make: Any, shapes_npz: Path) -> None:
    run = make(can="encode,decode")
    facts = Page((run.path / "report.html").read_text()).facts
    with np.load(shapes_npz) as file:
        test = file["split"] == "test"
        images, labels = torch.from_numpy(file["images"][test]).float() / 255, file["labels"][test]
    halves = torch.stack([images[:, :4].mean((1, 2)), images[:, 4:].mean((1, 2))], 1) * 4
    np.testing.assert_allclose(facts["points"], halves, rtol=1e-4)
    assert facts["labels"] == labels.tolist()
    assert facts["classes"] == ["down", "across", "square"]


def test_codes_of_other_sizes_have_no_plane_and_broken_files_leave_it_out(make: Any) -> None:
    run = make(can="encode,decode", units=3)
    assert not (run.path / "plots" / "plane.json").exists()
    assert "plane" not in Page((run.path / "report.html").read_text()).sections
    run = make(can="encode,decode")
    (run.path / "plots" / "plane-images.png").write_bytes(b"no picture")
    html = write_report(run.path).read_text()
    assert "plane" not in Page(html).sections
    assert "The plane of codes" in html  # as a picture among the others


def test_evil_class_names_stay_text(make: Any) -> None:
    run = make(can="encode,decode")
    path = run.path / "plots" / "plane.json"
    facts = json.loads(path.read_text())
    evil = """'"><script>alert(1)</script>\x1b"""
    path.write_text(json.dumps(facts | {"classes": [evil, "b", "c"]}))
    html = write_report(run.path).read_text()
    assert Page(html).facts["classes"][0] == evil
    assert "<script>alert" not in html
    assert "\x1b" not in html


def test_the_lattice_goes_from_the_upper_left_to_the_lower_right() -> None:
    codes = lattice((0, 2), (-1, 1), 3)
    assert codes.tolist() == [[0, 1], [1, 1], [2, 1], [0, 0], [1, 0], [2, 0], [0, -1], [1, -1], [2, -1]]


def test_ranges_leave_out_the_outermost_codes() -> None:
    codes = torch.stack([torch.arange(1001) / 1000, torch.full((1001,), 4.0)], 1)
    codes[0, 0] = -50
    (low, high), constant = code_ranges(codes)
    assert (low, high) == pytest.approx((0.005 - 0.0495, 0.995 + 0.0495), abs=1e-3)
    assert constant == (0, 8)


@pytest.mark.parametrize(("shape", "side"), [((3, 30, 20), (30, 20)), ((3, 256, 128), (64, 32)), ((1, 1, 5), (1, 5))])
def test_large_images_are_shrunk_and_fewer(tmp_path: Path, shape: tuple[int, int, int], side: tuple[int, int]) -> None:
    class Flat:
        def encode(self, images: torch.Tensor) -> torch.Tensor:
            return images.flatten(1)[:, :2]

        def decode(self, codes: torch.Tensor) -> torch.Tensor:
            return codes[:, :1, None, None].expand(-1, *shape)

    images = torch.rand(6, *shape, generator=torch.Generator().manual_seed(0))
    spec = DataSpec(source="", name="", channels=shape[0], height=shape[1], width=shape[2])
    splits = {name: Split(name, Resident(images), None, None) for name in ("train", "held_out")}
    data: Any = SimpleNamespace(spec=spec, **splits)
    plane = make_plane(Flat(), data, Runtime(RuntimeOptions(threads=1)))
    assert plane is not None
    assert tuple(plane.images.shape[2:]) == (shape[0], *side)
    assert plane.images.numel() <= 3_000_000
    assert plane.images.shape[0] % 2 == 1
    across = torch.linspace(*plane.x, plane.images.shape[0]).clamp(0, 1)
    torch.testing.assert_close(plane.images[0, :, 0, 0, 0], across)
    assert plane.labels.tolist() == [-1] * 6
    save_plane(plane, tmp_path)
    with Image.open(tmp_path / "plane-images.png") as sprite:
        assert sprite.size == (plane.images.shape[1] * side[1], plane.images.shape[0] * side[0])
    assert plane_picture(plane).name == "code-plane"
