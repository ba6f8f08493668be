from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import shutil
import subprocess
from contextlib import nullcontext
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dlkit.errors import DataError
from dlkit.metrics import Metric, Metrics
from dlkit.report import write_report

EVIL = "<script>alert(1)</script>"
EVERYTHING = {"metrics", "pictures", "curves", "data", "repeat", "options", "environment"}


class Page(HTMLParser):
    """The tags of a page, its visible text, and the ids of its sections."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.sections = {attributes["id"] for tag, attributes in self.tags if tag == "section"}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(run_path: Path) -> Page:
    return Page(write_report(run_path).read_text(encoding="utf-8"))


def test_the_report_has_everything(run_path: Path) -> None:
    page = page_of(run_path)
    assert page.sections == EVERYTHING
    text = " ".join(page.text.split())
    for expected in (
        "PSNR 18.34 dB on test images: better than the strongest baseline, PCA, 32 components (16.02 dB).",
        "1,797 images of 8 × 8, grey", "trained for 42 s", "2 January 2026, 10:00 UTC", "18.10 – 18.57",
        f"dlkit resume {run_path}", f"dlkit export {run_path}", "dlkit train autoencoder --denoise",
        "train: 40 epochs, best after epoch 32.", "1,294 train, 143 val, 360 test", "torch 2.14.1",
    ):  # fmt: skip
        assert expected in text
    verdicts = [
        attributes["class"] for tag, attributes in page.tags if tag == "span" and "this model" in str(attributes)
    ]
    assert verdicts == ["better"] * 4 + ["worse", "even"]
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 5


def test_options_that_differ_from_their_defaults_are_marked(run_path: Path) -> None:
    html = write_report(run_path).read_text()
    assert "<code>seed = 7</code>" in html
    assert '<tr class="changed"><td><code>seed</code>' in html
    assert "<code>split_seed = " not in html  # the default


def test_names_from_user_data_are_escaped(run_path: Path) -> None:
    html = write_report(run_path).read_text()
    page = Page(html)
    assert EVIL not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 5
    assert [tag for tag, _ in page.tags].count("script") == 1  # ours
    assert "\x1b" not in html
    assert r"five\x1b[31m" in page.text
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


def test_the_report_is_one_file(run_path: Path) -> None:
    html = write_report(run_path).read_text()
    assert not re.search(r"""(src|href|url|action|@import)\s*[=(]?\s*["']?\s*(https?:|//|file:)""", html)
    for tag, attributes in Page(html).tags:
        for name in ("src", "href"):
            assert str(attributes.get(name, "data:")).startswith("data:"), (tag, attributes)
    assert "default-src 'none'" in html


@pytest.mark.parametrize(
    ("file", "section"),
    [
        ("evaluation.json", "metrics"), ("plots/index.json", "pictures"), ("metrics.jsonl", "curves"),
        ("data.json", "data"), ("config.toml", "options"), ("environment.json", "environment"),
    ],
)  # fmt: skip
def test_what_a_run_does_not_have_is_left_out(run_path: Path, file: str, section: str) -> None:
    (run_path / file).unlink()
    assert page_of(run_path).sections == EVERYTHING - {section}


def test_an_empty_run_still_has_a_report(tmp_path: Path) -> None:
    assert page_of(tmp_path).sections == {"repeat"}


def test_a_picture_that_is_missing_or_no_png_is_left_out(run_path: Path) -> None:
    (run_path / "plots" / "filters.png").unlink()
    (run_path / "plots" / "samples.png").write_bytes(b"")
    assert len([tag for tag, _ in page_of(run_path).tags if tag == "img"]) == 3


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "a\0b.png", "", "giant.png"])
def test_a_picture_of_a_name_or_size_that_none_has(run_path: Path, name: str) -> None:
    """A name that is too long for the file system ended the report in a traceback."""
    with (run_path / "plots" / "giant.png").open("wb") as file:
        file.truncate(1 << 40)
    entry = {"name": "odd", "title": "odd", "caption": "", "file": name}
    (run_path / "plots" / "index.json").write_text(json.dumps([entry]))
    assert "pictures" not in page_of(run_path).sections


def test_a_picture_outside_the_run_is_not_read(run_path: Path) -> None:
    shutil.copy(run_path / "plots" / "filters.png", run_path / "secret.png")
    entry = {"name": "x", "title": "", "caption": "", "file": "../secret.png"}
    (run_path / "plots" / "index.json").write_text(json.dumps([entry]))
    assert "pictures" not in page_of(run_path).sections


@pytest.mark.parametrize(("technique", "generates"), [("autoencoder", False), ("gan", True), ("gone", False)])
def test_how_new_images_are_made_stands_with_those_who_make_some(
    run_path: Path, technique: str, generates: bool
) -> None:
    config = run_path / "config.toml"
    config.write_text(config.read_text().replace('"autoencoder"', f'"{technique}"'))
    assert (f"dlkit generate {run_path}" in page_of(run_path).text) == generates


def test_what_can_be_reached_at_best_is_no_rival(run_path: Path) -> None:
    fid = Metric(
        name="fid", label="FID", value=6.1, split="train", better="lower",
        baselines={"other genuine images": -0.01, "noise": 89.0},
        bounds=("other genuine images", "of another evaluation"),
    )  # fmt: skip
    (run_path / "evaluation.json").write_text(json.dumps({"metrics": Metrics((fid,)).to_json()}))
    page = page_of(run_path)
    text = " ".join(page.text.split())
    assert (
        "FID 6.100 on train images: better than the strongest baseline, noise (89.00); at best −0.01000 (other" in text
    )
    assert [attributes["title"] for tag, attributes in page.tags if tag == "span" and attributes.get("class") in
            ("bound", "better")] == ["reached at best", "this model is better"]  # fmt: skip
    lengths = [attributes["style"] for tag, attributes in page.tags if tag == "i"]
    assert lengths[:3] == ["width:6.9%", "width:0.0%", "width:100.0%"]  # an unbiased estimate of nothing


@pytest.mark.parametrize("file", ["evaluation.json", "data.json", "config.toml"])
def test_a_broken_file_is_named(run_path: Path, file: str) -> None:
    (run_path / file).write_text("{")
    with pytest.raises(DataError, match=re.escape(file)):
        write_report(run_path)


NONSENSE = [
    ("evaluation.json", ["notices"], True, True), ("evaluation.json", ["metrics", 0, "better"], "more", False),
    ("evaluation.json", ["metrics", 0, "name"], {}, False), ("evaluation.json", ["tables"], [{"rows": [3]}], False),
    ("evaluation.json", ["tables"], [{"name": "x", "title": "x", "rows": [{"a": 1}, {}]}], False),
    ("plots/index.json", [], {"a": 1}, False), ("plots/index.json", [], 1.5, False),
    ("plots/index.json", [0, "file"], None, False), ("environment.json", [0, "argv"], True, True),
    ("data.json", ["class_counts", "val"], [1], False), ("status.json", ["since"], {}, True),
]  # fmt: skip


@pytest.mark.parametrize(("file", "at", "value", "harmless"), NONSENSE)
def test_a_value_that_makes_no_sense_is_named_or_left_out(
    run_path: Path, file: str, at: list[str | int], value: object, harmless: bool
) -> None:
    plain = {"": json.loads((run_path / file).read_text())}
    place, key = plain, ""
    for word in at:
        place, key = place[key], word
    place[key] = value
    (run_path / file).write_text(json.dumps(plain[""]))
    (run_path / "metrics.jsonl").unlink()  # drawing curves takes time
    with nullcontext() if harmless else pytest.raises(DataError, match=re.escape(file)):
        write_report(run_path)


def test_rows_of_metrics_without_an_epoch_are_left_out(run_path: Path) -> None:
    row = {"phase": "train", "train_loss": 1.0}
    rows = [row, row | {"epoch": [[]]}, row | {"epoch": "x"}, row | {"epoch": math.nan}, row | {"epoch": 7}]
    (run_path / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    assert "7 epochs" in page_of(run_path).text


def test_an_unfinished_run_says_so(run_path: Path) -> None:
    (run_path / "status.json").write_text('{"status": "interrupted", "since": "2026-01-02T10:00:42+00:00"}')
    text = page_of(run_path).text
    assert "This training is not complete: interrupted." in text
    assert "trained for" not in text


def test_a_run_of_an_unknown_plugin_shows_its_options(run_path: Path) -> None:
    (run_path / "config.toml").write_text('technique = "not-installed"\nmystery = 3\n')
    page = page_of(run_path)
    assert "options" in page.sections
    assert "mystery" in page.text


def test_the_report_replaces_an_older_one_and_leaves_nothing_else(run_path: Path) -> None:
    before = set(run_path.iterdir())
    first, second = write_report(run_path).read_bytes(), write_report(run_path).read_bytes()
    assert first == second
    assert set(run_path.iterdir()) - before == {run_path / "report.html"}


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --enable-logging=stderr --v=0 --dump-dom"
)
PROBE = """addEventListener("load", function () {
  var images = Array.from(document.images), button = document.querySelector(".picture");
  button.click();
  document.body.dataset.shown = images.filter(function (i) { return i.complete && i.naturalWidth > 0; }).length;
  document.body.dataset.images = images.length;
  document.body.dataset.large = button.classList.contains("large");
});"""


def browse(page: Path, profile: Path) -> tuple[str, list[str]]:
    """The DOM after loading, and what the page wrote to the console."""
    done = subprocess.run(
        [str(CHROMIUM), *FLAGS.split(), f"--user-data-dir={profile}", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.skipif(CHROMIUM is None, reason="neither chromium nor google-chrome is installed")
def test_a_browser_shows_every_picture_and_complains_of_nothing(run_path: Path, tmp_path: Path) -> None:
    report = write_report(run_path)
    dom, console = browse(report, tmp_path / "profile")
    assert console == []
    assert "Figures beside their baselines" in dom
    # A copy with a probe, which its policy allows, says what the page looks like from inside.
    allowed = base64.b64encode(hashlib.sha256(PROBE.encode()).digest()).decode()
    html = report.read_text().replace("script-src ", f"script-src 'sha256-{allowed}' ", 1)
    probed = tmp_path / "probed.html"
    probed.write_text(html.replace("</body>", f"<script>{PROBE}</script></body>"))
    dom, console = browse(probed, tmp_path / "profile")
    assert console == []
    assert 'data-shown="5" data-images="5" data-large="true"' in dom


@pytest.mark.skipif(CHROMIUM is None, reason="neither chromium nor google-chrome is installed")
def test_the_policy_lets_no_other_script_run(run_path: Path, tmp_path: Path) -> None:
    report = write_report(run_path)
    report.write_text(report.read_text().replace("</body>", f"<script>{PROBE}</script></body>"))
    dom, console = browse(report, tmp_path / "profile")
    assert "data-shown=" not in dom
    assert any("Content Security Policy" in line for line in console)
