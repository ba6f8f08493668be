"""A few of the images of campaigns/images.py, which reads 2,000."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from images import expected, read_all, state
from mutations import samples, write

from dlkit.cli.main import main


class Answers:
    def send(self, answer: Any) -> None:
        self.read, self.bad, _ = answer


@pytest.mark.timeout(60)
def test_each_is_named_or_read_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "images"
    folder.mkdir()
    made = write(folder, islice(samples(120, seed=1), 120))
    before, answers = state(folder), Answers()
    read_all(bytes(folder), answers)
    whole = 0
    for name, sample in made.items():
        shown = os.fsdecode(name).encode("utf-8", "backslashreplace").decode()
        assert shown in answers.read or answers.bad[shown]
        if sample.whole:
            whole += 1
            assert expected(sample) in (None, answers.read[shown])
    assert 5 < whole < 60
    os.chdir(tmp_path)
    capfd.readouterr()
    for command, code in ((["data"], 0), (["data", "--json"], 0), (["train", "autoencoder", "--data"], 3)):
        assert main([*command, str(folder)]) == code
        shown = capfd.readouterr()
        assert not [text for text in shown if "\x1b" in text or "Traceback" in text or "\u202e" in text]
        assert not [line for text in shown for line in text.splitlines() if line.startswith("break.")]
    assert state(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
