"""The example plugin, installed with pip and used as docs/writing-a-plugin.md says."""

from __future__ import annotations

import ast
import csv
import json
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from environments import EXAMPLE, ROOT, Environment, own_tests
from PIL import Image

PAGE = (ROOT / "docs" / "writing-a-plugin.md").read_text(encoding="utf-8")
# Section 10 and what follows show other plugins: tests/docs/test_predictor_example.py and test_other_examples.py.
SHOWN = PAGE.partition("\n## 1. ")[2].partition("\n## 10. ")[0]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", SHOWN, re.MULTILINE | re.DOTALL)
COMMANDS = [line[2:] for language, text in BLOCKS if language == "console" for line in text.splitlines()]
PHOTOS = 3


def test_the_page_quotes_the_example() -> None:
    quoted = [text for language, text in BLOCKS if language in ("python", "toml")]
    assert len(quoted) >= 12
    files = [path.read_text(encoding="utf-8") for pattern in ("*.toml", "*.py") for path in EXAMPLE.rglob(pattern)]
    indented = [textwrap.indent(text, "    ") for text in quoted]  # methods stand without their class
    absent = [text for text, method in zip(quoted, indented, strict=True)
              if not any(text in file or method in file for file in files)]  # fmt: skip
    assert not absent


def test_the_example_uses_public_names_alone() -> None:
    for path in (EXAMPLE / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [*node.module.split("."), *(alias.name for alias in node.names)]
                assert names[0] != "dlkit_builtin"
                assert not [name for name in names if name.startswith("_") and name != "__future__"]


def test_the_example_is_light_until_it_works(with_example: Environment) -> None:
    code = "import sys, dlkit_rotation.plugin; print(sorted({'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    assert with_example.run("python", "-c", code).strip() == "[]"


@pytest.fixture(scope="module")
def used(with_example: Environment) -> dict[str, str]:
    """The page's commands, one after the other: command → what it printed."""
    photos = with_example.workplace / "photos"
    photos.mkdir()
    random = np.random.default_rng(0)
    for number in range(PHOTOS):
        pixels = random.integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"photo-{number}.png")
    return dict(_use(with_example))


def _use(environment: Environment) -> Iterator[tuple[str, str]]:
    for command in COMMANDS:
        program, *words = shlex.split(command)
        if program == "pip":
            assert ROOT / words[-1] == EXAMPLE  # with_example has done it
        else:
            yield command, environment.run(program, *words)


def test_lists_show_it(used: dict[str, str], with_example: Environment) -> None:
    assert "telling which way up" in used["dlkit list"]
    assert "dlkit-rotation 0.1.0" in used["dlkit info rotation"]
    assert "--code-stage" in used["dlkit rotation --help"]
    assert "dlkit-rotation 0.1.0" in with_example.dlkit("plugins")
    assert "rotation" not in with_example.dlkit("list", "--no-plugins")


def test_it_trains_and_evaluates(used: dict[str, str], with_example: Environment) -> None:
    run = with_example.workplace / "runs" / "rotation" / "digits-001"
    assert json.loads((run / "status.json").read_text())["status"] == "finished"
    (session,) = json.loads((run / "environment.json").read_text())
    assert session["plugin"] == {"distribution": "dlkit-rotation", "version": "0.1.0"}
    assert (run / "plots" / "upright.png").is_file()
    assert "Which way is up" in (run / "report.html").read_text()
    kept = json.loads((run / "evaluation.json").read_text())["metrics"]
    assert kept[0]["baselines"]["chance"] == 0.25
    assert kept[0]["value"] > 0.3
    for figure in kept:
        assert figure["label"] in used["dlkit evaluate latest"]


def test_exported_it_predicts_the_same(used: dict[str, str], with_example: Environment) -> None:
    with (with_example.workplace / "orientations.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == PHOTOS
    answers = [[float(row[f"rotation_{turn}"]) for turn in range(4)] for row in rows]
    np.testing.assert_allclose(np.sum(answers, axis=1), 1, atol=1e-4)

    printed = used["dlkit predict rotation.onnx photos --format json"]
    exported = json.loads(printed[printed.index("[\n") : printed.rindex("]") + 1])
    assert [Path(row["file"]).name for row in exported] == [Path(row["file"]).name for row in rows]
    np.testing.assert_allclose([row["rotation"] for row in exported], answers, atol=1e-4)

    codes = np.load(with_example.workplace / "codes.npz")["codes"]
    assert codes.shape == (1797, len(exported[0]["code"]))


def test_the_examples_own_tests_pass(with_example: Environment) -> None:
    own_tests(EXAMPLE, with_example.site_packages, with_example.workplace,
              "-m", "not slow", "-k", "not learns and not contract")  # fmt: skip


def test_images_that_are_not_square_are_refused(with_example: Environment) -> None:
    complaint = with_example.dlkit("train", "rotation", "--image-size", "8x12", code=3)
    assert "The images are 8 × 12" in complaint
    assert "--image-size 8" in complaint
