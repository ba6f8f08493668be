from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dlkit.errors import DataError
from dlkit.predict.inputs import collect_images

SUFFIXES = frozenset((".png", ".jpg"))


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def collect(*arguments, stdin=b""):
    return collect_images([str(each) for each in arguments], io.BytesIO(stdin), SUFFIXES)


def test_files_come_in_the_order_given_whatever_their_suffix(tmp_path):
    make(tmp_path, "b.png", "a.dat")
    assert collect(tmp_path / "b.png", tmp_path / "a.dat") == [tmp_path / "b.png", tmp_path / "a.dat"]


def test_folders_are_searched_sorted_without_hidden_files(tmp_path):
    make(tmp_path, "i10.png", "i2.PNG", "deep/er/x.jpg", "notes.txt", ".hidden.png", ".cache/y.png")
    expected = ["deep/er/x.jpg", "i2.PNG", "i10.png"]
    assert collect(tmp_path) == [tmp_path / name for name in expected]


@pytest.mark.parametrize("separator", [b"\n", b"\0", b"\r\n"])
def test_a_list_on_standard_input(separator, tmp_path):
    names = [os.fsencode(tmp_path / "a b.png"), os.fsencode(tmp_path) + b"/\xff.png"]
    for name in names:
        Path(os.fsdecode(name)).touch()
    found = collect("-", stdin=separator.join(names) + separator)
    assert [os.fsencode(path) for path in found] == names


def test_names_with_line_breaks_come_through_nul(tmp_path):
    make(tmp_path, "a\nb.png")
    assert collect("-", stdin=os.fsencode(tmp_path / "a\nb.png") + b"\0") == [tmp_path / "a\nb.png"]


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(DataError, match="no such thing"):
        collect(tmp_path / "no such thing")
    with pytest.raises(DataError, match="holds no images"):
        collect(tmp_path)
    with pytest.raises(DataError, match="empty"):
        collect("-", stdin=b"\n\n")


def test_the_light_modules_are_light():
    code = (
        "import sys, dlkit.cli.predict_command, dlkit.predict.inputs;"
        "sys.exit(bool({'torch', 'numpy', 'PIL'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
