from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from dlkit.metrics import Metric
from dlkit.report import Picture, plots, save_pictures
from dlkit.report.curves import best_epoch, panels
from dlkit.report.picture import png

NAMES = ["$x^2$", "_hidden", "a\x1b[31m", r"\frac{", "né", "x" * 60]


def texts(figure: Figure) -> list[str]:
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text"))]


def pixels(figure: Figure) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png(figure))).convert("RGB"))


def test_image_grid_shows_each_pixel_crisply() -> None:
    image = torch.tensor([[[0.0, 1.0], [0.5, 0.25]]]).expand(3, 1, 2, 2)
    figure = plots.image_grid([image, image[:1]], ["a", "b"], ["1", "2", "3"])
    shown = figure.axes[0].images
    assert len(shown) == 4
    assert all(np.allclose(one.get_array(), image[0, 0]) for one in shown)
    assert {one.get_interpolation() for one in shown} == {"nearest"}
    places = [tuple(one.get_extent()) for one in shown]
    assert len(set(places)) == 4
    assert places[0][:2] == places[3][:2]  # the second row's image stands below the first row's first
    assert places[3][3] > places[0][2]
    assert {0, 255} <= set(np.unique(pixels(figure)))
    assert {"a", "b", "1", "2", "3"} <= set(texts(figure))


def test_image_grid_takes_rgb_and_clips() -> None:
    red = torch.zeros(2, 3, 4, 6)
    red[:, 0] = 1.7
    colours = {tuple(colour) for colour in pixels(plots.image_grid([red], [""])).reshape(-1, 3)}
    assert (255, 0, 0) in colours


def test_filters_are_symmetric_around_white() -> None:
    weights = torch.tensor([[[[-2.0, 0.0, 1.0]]], [[[0.0, 0.0, 0.0]]]])
    figure = plots.filters(weights)
    limits = [one.get_clim() for one in figure.axes[0].images]
    assert limits == [(-2.0, 2.0), (-1.0, 1.0)]


def test_filters_beyond_the_limit_are_the_strongest_in_their_order() -> None:
    weights = torch.arange(1, 7).float().view(6, 1, 1, 1)[torch.tensor([5, 0, 4, 1, 3, 2])]
    figure = plots.filters(weights, columns=2, limit=3)
    assert [float(one.get_array().item()) for one in figure.axes[0].images] == [6, 5, 4]


@pytest.mark.parametrize("classes", [1, 6, 25])
def test_scatter_names_up_to_twenty_classes(classes: int) -> None:
    labels = torch.arange(500) % (classes + 1) - 1
    names = (NAMES + [f"class {index}" for index in range(classes)])[:classes]
    figure = plots.scatter(torch.randn(500, 2), labels, names)
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    rest = "unlabelled" if classes <= plots.MAX_CLASSES else "other classes"
    assert len(legend) == min(classes, 20) + 1
    assert legend[0] == rest
    assert legend[1] == r"\$x^2\$"  # as matplotlib writes a dollar that starts no formula
    png(figure)


def test_scatter_without_labels() -> None:
    assert plots.scatter(torch.randn(9, 2)).axes[0].get_legend() is None


@pytest.mark.parametrize("empty", ["grid", "filters", "scatter", "curves", "samples"])
def test_nothing_to_show_is_no_error(empty: str) -> None:
    none = torch.zeros(0, 1, 4, 4)
    figure = {
        "grid": lambda: plots.image_grid([none, none], ["a", "b"]),
        "filters": lambda: plots.filters(none),
        "scatter": lambda: plots.scatter(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long), NAMES),
        "curves": lambda: plots.learning_curves([]),
        "samples": lambda: plots.samples(none, torch.zeros(0, dtype=torch.long), NAMES),
    }[empty]()
    assert png(figure).startswith(b"\x89PNG")


def test_names_are_text_everywhere() -> None:
    matrix = torch.arange(36).view(6, 6)
    png(plots.heatmap(matrix, NAMES, NAMES, ("predicted", "true")))
    png(plots.samples(torch.rand(12, 1, 4, 4), torch.arange(12) % 6, NAMES))
    metric = Metric(name="m", label="$M$", value=1.0, split="test", better="lower", unit="$",
                    baselines=dict.fromkeys(NAMES, 2.0), interval=(0.9, 1.1))  # fmt: skip
    shown = texts(plots.comparison(metric))
    assert r"a\x1b[31m" in shown
    assert r"_hidden" in shown


ROWS = [
    {"phase": "warm-up", "epoch": 1, "lr": 0.1, "train_loss": 3.0},
    {"phase": "main", "epoch": 1, "lr": 0.1, "train_loss": 3.0, "val_loss": 2.0, "val_psnr": 10.0},
    {"phase": "main", "epoch": 2, "lr": 0.1, "train_loss": "nan", "val_loss": 1.0, "val_psnr": 12.0},
    {"phase": "main", "epoch": 3, "lr": 0.1, "train_loss": "inf", "val_loss": "nan", "val_psnr": 13.0},
    {"note": "a row of some other kind"},
]


@pytest.mark.parametrize(
    ("text", "most", "end", "expected"),
    [("\x1b[31mred", 9, False, r"\x1b[31m…"), ("a\nb", 9, False, r"a\nb"), ("folder/file", 6, True, "…/file")],
)
def test_short_names_are_short_as_they_are_shown(text: str, most: int, end: bool, expected: str) -> None:
    assert plots.short(text, most, end=end) == expected


def test_panels_pair_train_and_val_and_take_nan_strings() -> None:
    found = panels(json.loads(json.dumps(ROWS)))
    assert list(found) == [("warm-up", "loss"), ("main", "loss"), ("main", "psnr")]
    losses = found["main", "loss"]
    assert losses["val"][2.0] == 1.0
    assert np.isnan(losses["train"][2.0])
    assert np.isinf(losses["train"][3.0])
    assert best_epoch(losses) == 2
    assert best_epoch(found["warm-up", "loss"]) == 1
    assert best_epoch({"val": {1.0: float("nan")}}) is None


def test_learning_curves_mark_the_epoch_of_the_best_loss() -> None:
    figure = plots.learning_curves(ROWS)
    shown = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title(loc="left") for ax in shown] == ["warm-up: loss", "main: loss", "main: psnr"]
    assert [text.get_text() for text in shown[2].get_legend().get_texts()] == ["val", "best: 12.00, epoch 2"]
    png(figure)


def test_pictures_are_kept_with_an_index(tmp_path: Path) -> None:
    pictures = [Picture(name, name.upper(), "seen", plots.heatmap(torch.eye(3))) for name in ("b", "a")]
    index = save_pictures(pictures, tmp_path / "plots")
    assert [entry["name"] for entry in index] == ["b", "a"]
    assert json.loads((tmp_path / "plots" / "index.json").read_text()) == index
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["a.png", "b.png", "index.json"]
    Image.open(tmp_path / "plots" / "a.png").verify()
    with pytest.raises(ValueError, match="two pictures"):
        save_pictures([pictures[0], pictures[0]], tmp_path / "plots")


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a.png", "-x", "a b"])
def test_a_picture_name_is_a_file_stem(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        Picture(name, "", "", Figure())


@pytest.mark.filterwarnings("error")
def test_a_script_that_the_font_lacks_is_no_warning() -> None:
    png(plots.heatmap(torch.eye(1), ["猫"], ["猫"]))


def test_equal_figures_are_equal_files() -> None:
    assert png(plots.heatmap(torch.eye(3))) == png(plots.heatmap(torch.eye(3)))


def test_pyplot_is_never_imported() -> None:
    code = (
        "import sys, torch; from dlkit.report import plots; from dlkit.report.picture import png;"
        "png(plots.heatmap(torch.eye(2))); print('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_one_epoch_has_one_tick() -> None:
    figure = plots.learning_curves([{"phase": "train", "epoch": 1, "train_loss": 0.2, "val_loss": 0.1}])
    figure.draw_without_rendering()
    low, high = figure.axes[0].get_xlim()
    assert [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high] == [1]
