from __future__ import annotations

from pathlib import Path

import pytest

from dlkit.errors import UsageError
from dlkit.predict.plan import Plan, plan_output

IMAGE, CODE, BOTH = {"shown": "image"}, {"code": "code"}, {"shown": "image", "code": "code"}


@pytest.mark.parametrize(
    ("outputs", "out", "format", "expected"),
    [
        (CODE, None, None, Plan(table="csv")),
        (CODE, None, "json", Plan(table="json")),
        (CODE, "x.json", None, Plan(table="json", table_path=Path("x.json"))),
        (CODE, "x.CSV", None, Plan(table="csv", table_path=Path("x.CSV"))),
        (CODE, "folder", None, Plan(table="csv", table_path=Path("folder/predictions.csv"))),
        (CODE, "x.txt", "json", Plan(table="json", table_path=Path("x.txt"))),
        (BOTH, "x.csv", None, Plan(table="csv", table_path=Path("x.csv"))),
        (BOTH, None, "csv", Plan(table="csv")),
        (BOTH, "x.npz", None, Plan(npz=Path("x.npz"))),
        (BOTH, "folder", "npz", Plan(npz=Path("folder/predictions.npz"))),
        (BOTH, "folder", None, Plan(png=Path("folder"), table="csv", table_path=Path("folder/predictions.csv"))),
        (BOTH, "folder", "png", Plan(png=Path("folder"))),
        (IMAGE, "folder", None, Plan(png=Path("folder"))),
    ],
)
def test_plans(outputs, out, format, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = plan_output(outputs, None if out is None else Path(out), format)
    assert found == expected


@pytest.mark.parametrize(
    ("outputs", "out", "format", "message"),
    [
        (IMAGE, None, None, "--out DIR"),
        (IMAGE, None, "csv", "do not fit into csv"),
        (CODE, "folder", "png", "yields no images"),
        (CODE, None, "npz", "cannot be printed"),
        (IMAGE, "file", None, "is a file"),
        (IMAGE, "restored.PNG", None, "PNG files need a folder"),
        (CODE, "there.csv", None, "exists"),
        (CODE, "full", None, "exists"),
    ],
)
def test_refusals(outputs, out, format, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("there.csv").touch()
    Path("full").mkdir()
    Path("full/predictions.csv").touch()
    with pytest.raises(UsageError) as caught:
        plan_output(outputs, None if out is None else Path(out), format)
    assert message in str(caught.value)
