"""Checks of data: channels, oddities, and where files go."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlkit import session
from dlkit.errors import DataError, DlkitError, PluginError
from dlkit.testing.bench import Bench, Silent, with_bench
from dlkit.testing.images import CLASSES, COUNTS, SIDE, Colours, shapes
from dlkit.testing.model_checks import outputs_of
from dlkit.testing.watch import watching


@with_bench
def grey_and_colour(bench: Bench) -> None:
    """A training on images of one channel, and one on images of three."""
    for channels in ("1", "3"):
        key = f"grey_and_colour:{channels}"
        if key in bench.trial.exceptions:
            continue
        _train_on(bench, channels)


def _train_on(bench: Bench, channels: Colours) -> None:
    own: dict[str, Any] = {"channels": channels} if "channels" in bench.trial.small else {}
    trained = bench.train(bench.settings(data=bench.data(channels), **own))
    images = trained.data.held_out.pixels()[:3]
    for name, output in outputs_of(trained.technique, images):
        assert output.shape[0] == len(images), f"{channels} channels: output {name!r} is {tuple(output.shape)}"
        assert output.isfinite().all(), f"{channels} channels: output {name!r} is not finite"


@with_bench
def bad_data_is_refused(bench: Bench) -> None:
    """Data at the edge of sense: each is learned from, or refused with a DlkitError that says what to do."""
    for name, images, labels in _oddities():
        path = bench.folder / "data" / f"odd-{name.replace(' ', '-')}.npz"
        split = np.repeat(list(COUNTS), list(COUNTS.values()))[: len(images)]
        np.savez(path, images=images, labels=labels, classes=np.array(CLASSES), split=split)
        try:
            trained = bench.train(bench.settings(data=str(path)))
            trained.technique.evaluate(trained.data, trained.runtime)
        except PluginError:  # nothing is wrong with the data
            raise
        except DlkitError as error:
            assert str(error).strip(), f"{name}: the {type(error).__name__} says nothing"
        except Exception as error:
            raise AssertionError(
                f"{name}: {type(error).__name__}: {error}. Learn from it, or raise a dlkit.errors.DataError"
            ) from error
    if bench.card.needs_labels:
        try:
            bench.train(bench.settings(data=bench.data(labelled=False)))
        except DataError:
            return
        raise AssertionError("it needs labels, and trains on data without")


def _oddities() -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.int64]]]:
    images, labels = shapes()
    yield "one training image", images[:1], labels[:1]
    yield "two training images", images[:2], labels[:2]
    yield "black images", np.zeros_like(images), labels
    yield "images of one pixel", images[:, :1, :1], labels
    yield "images that are not square", images[:, :, : SIDE - 3], labels


@with_bench
def nothing_outside_the_run(bench: Bench) -> None:
    """A whole training, watched: what Python opens for writing, and what changes in the data's and work's folders."""
    settings = bench.settings()
    folders = [bench.folder / name for name in ("data", "work")]
    before = [_listing(folder) for folder in folders]
    allowed = [Path(settings.run.runs), bench.folder / "home"]
    importlib.import_module("matplotlib.font_manager")  # what it writes when it is first used is no technique's doing
    with watching(allowed, apart_from=bench.folder) as seen:
        session.train(settings, Silent())
    assert not seen.writes, f"training writes outside the run: {', '.join(sorted(seen.writes)[:5])}"
    assert not seen.connections, f"training opens connections: {', '.join(sorted(seen.connections)[:5])}"
    for folder, files in zip(folders, before, strict=True):
        assert _listing(folder) == files, f"training changes the files in {folder.name}"


def _listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))}
