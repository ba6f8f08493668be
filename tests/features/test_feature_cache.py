from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import feature_fakes as fakes
import feature_filling as filling
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from dlkit.backbones import Backbone, Tap
from dlkit.cli.main import main
from dlkit.errors import UsageError
from dlkit.features import FeatureOptions, extract, store
from dlkit.features.limits import size_limit
from dlkit.features.store import Entry, entries, evict, shards

TOP = [Tap("top")]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DLKIT_HOME", str(tmp_path))
    monkeypatch.delenv("DLKIT_CACHE_SIZE", raising=False)
    return tmp_path


def counting() -> tuple[Backbone, list[int]]:
    torch.manual_seed(0)
    network = fakes.Counting()
    return fakes.wrapped(network, [("conv", 5)], 5), network._seen


def computed(backbone: Backbone, seen: list[int], split: Any, **options: Any) -> tuple[int, np.ndarray[Any, Any]]:
    """How many images went through the network for a fresh runtime (checks and samples included), and the features."""
    seen.clear()
    found = extract(backbone, split, TOP, fakes.make_runtime()[0], FeatureOptions(fast=False, **options))
    return sum(seen), found[TOP[0]]


def test_what_is_known_is_not_computed_again() -> None:
    backbone, seen = counting()
    split = fakes.make_split(20)
    count, first = computed(backbone, seen, split)
    assert count == 20
    again, second = computed(backbone, seen, split)
    assert again == 0
    np.testing.assert_array_equal(first, second)


def test_the_second_run_does_not_even_prepare_the_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    from dlkit.features import extraction

    backbone, split = fakes.named("resnet10t"), fakes.make_split(5)
    first = extract(backbone, split, TOP, fakes.make_runtime()[0])
    monkeypatch.setattr(extraction, "build_engine", lambda *_: pytest.fail("the backbone was prepared"))
    runtime, display = fakes.make_runtime()
    second = extract(backbone, split, TOP, runtime)
    np.testing.assert_array_equal(first[TOP[0]], second[TOP[0]])
    assert display.told == ["Features: resnet10t, 5 images from the cache"]


def test_subsets_orders_and_repeated_images_share() -> None:
    backbone, seen = counting()
    split = fakes.make_split(12)
    _, whole = computed(backbone, seen, split.subset(torch.arange(8)))
    order = torch.tensor([11, 3, 3, 0, 9, 11])
    count, found = computed(backbone, seen, split.subset(order))
    assert count == 2  # images 9 and 11, once each
    expected = fakes.plain_loop(backbone, split, TOP)[TOP[0]]
    np.testing.assert_allclose(found, expected[order.numpy()], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[[1, 3]], whole[[3, 0]])


def test_a_changed_image_is_computed() -> None:
    backbone, seen = counting()
    split = fakes.make_split(6)
    computed(backbone, seen, split)
    raw = split.tensor.clone()
    raw[2, 1, 5, 5] ^= 1
    count, found = computed(backbone, seen, fakes.split_of(raw))
    assert count == 1
    np.testing.assert_allclose(
        found, fakes.plain_loop(backbone, fakes.split_of(raw), TOP)[TOP[0]], rtol=1e-5, atol=1e-6
    )


def test_changed_weights_statistics_normalisation_taps_and_options_find_nothing() -> None:
    split = fakes.make_split(6)
    backbone, seen = counting()
    computed(backbone, seen, split)
    with torch.no_grad():
        backbone.network.conv.weight[0, 0, 0, 0] += 1e-3  # type: ignore[index, operator, union-attr]
    assert computed(backbone, seen, split)[0] == 6
    backbone.network.norm.running_mean[0] += 1e-3  # type: ignore[index, operator, union-attr]
    assert computed(backbone, seen, split)[0] == 6
    backbone.mean += 1e-3
    assert computed(backbone, seen, split)[0] == 6
    assert computed(backbone, seen, split)[0] == 0
    seen.clear()
    for tap in (Tap("conv"), Tap("conv", "max"), Tap("conv", "flat")):
        extract(backbone, split, [tap], fakes.make_runtime()[0], FeatureOptions(fast=False))
    assert sum(seen) == 18
    for precision in ("fp32", "bf16"):
        seen.clear()
        options = FeatureOptions(feature_precision=precision)  # type: ignore[arg-type]
        extract(backbone, split, TOP, fakes.make_runtime()[0], options)
        assert sum(seen) >= 6
    assert computed(backbone, seen, split, cache=False)[0] == 6


def test_the_same_bytes_in_another_shape_are_another_image() -> None:
    backbone, seen = counting()
    raw = torch.zeros(1, 3, 16, 32, dtype=torch.uint8)
    assert computed(backbone, seen, fakes.split_of(raw))[0] == 1
    assert computed(backbone, seen, fakes.split_of(raw.reshape(1, 3, 32, 16)))[0] == 1


def test_features_that_were_asked_for_in_bf16_are_no_substitute() -> None:
    backbone, split = fakes.named("resnet10t"), fakes.make_split(5)
    extract(backbone, split, TOP, fakes.make_runtime()[0], FeatureOptions(feature_precision="bf16"))
    runtime, display = fakes.make_runtime()
    extract(backbone, split, TOP, runtime)
    assert display.told == ["Features: resnet10t, batch norm folded, fp32"]


def test_without_digests_or_with_no_cache_nothing_is_kept(home: Path) -> None:
    backbone, seen = counting()
    split = fakes.make_split(4)
    computed(backbone, seen, split, cache=False)
    split.digests = None
    computed(backbone, seen, split)
    assert not list(home.iterdir())


def test_one_tap_that_is_known_is_not_written_twice() -> None:
    backbone, split = fakes.named("resnet10t"), fakes.make_split(5)
    taps = [Tap("layer1"), Tap("top")]
    extract(backbone, split, taps[:1], fakes.make_runtime()[0])
    both = extract(backbone, split, taps, fakes.make_runtime()[0])
    assert [len(shards(path)) for path in entries()] == [1, 1]
    for tap, values in fakes.plain_loop(backbone, split, taps).items():
        np.testing.assert_allclose(both[tap], values, rtol=1e-3, atol=1e-4)


def the_file() -> Path:
    (entry,) = entries()
    (file,) = shards(entry)
    return file


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-10])


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-3] ^= 16
    file.write_bytes(content)


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def reshaped(file: Path) -> None:
    tensors = load_file(file)
    save_file({"digests": tensors["digests"], "features": tensors["features"].reshape(-1)}, file)


def renamed(file: Path) -> None:
    save_file({"other": np.zeros(3)}, file)


def wider(file: Path) -> None:
    tensors = load_file(file)
    save_file({"digests": tensors["digests"], "features": np.zeros((6, 9), np.float32)}, file)


@pytest.mark.parametrize("damage", [cut_off, flipped, emptied, reshaped, renamed, wider])
def test_a_broken_file_is_told_and_made_anew(damage: Any) -> None:
    backbone, seen = counting()
    split = fakes.make_split(6)
    _, expected = computed(backbone, seen, split)
    file = the_file()
    damage(file)
    runtime, display = fakes.make_runtime()
    found = extract(backbone, split, TOP, runtime, FeatureOptions(fast=False))[TOP[0]]
    assert f"is broken and is made anew: {file}" in display.warned[0]
    np.testing.assert_array_equal(found, expected)
    assert computed(backbone, seen, split)[0] == 0


def test_a_file_of_another_entry_is_refused() -> None:
    one, warned = Entry("a" * 64, {}, lambda _: None), list[str]()
    digests = np.arange(64, dtype=np.uint8).reshape(2, 32)
    file = one.add(digests, np.ones((2, 3), np.float32))
    assert file is not None
    other = Entry("b" * 64, {}, warned.append)
    other.path.mkdir()
    (other.path / file.name).write_bytes(file.read_bytes())
    assert not other.find(digests)[0].any()
    assert warned


def test_eight_processes_fill_one_entry(home: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(8)
    processes = [context.Process(target=filling.fill, args=(str(home), number, barrier)) for number in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 8
    digests, features = filling.rows(0, 240)
    known, values = Entry("c" * 64, {}, pytest.fail).find(digests)
    assert known.all()
    np.testing.assert_array_equal(values, features)
    assert not list(home.rglob("*.tmp"))


def test_many_small_files_become_one() -> None:
    entry = Entry("d" * 64, {}, pytest.fail)
    for step in range(20):
        entry.add(*filling.rows(step * 3, 4))  # neighbours overlap
    digests, features = filling.rows(0, 61)
    entry.find(digests)
    assert len(shards(entry.path)) == 1
    known, values = entry.find(digests)
    assert known.all()
    np.testing.assert_array_equal(values, features)


def test_what_was_not_used_longest_goes_first_and_what_was_just_written_stays() -> None:
    entry = Entry("e" * 64, {}, pytest.fail)
    files = [entry.add(*filling.rows(step * 10, 10)) for step in range(4)]
    size = store._bytes(the_files()[0])
    for age, file in enumerate(files):
        assert file is not None
        os.utime(file, (1e9 - age, 1e9 - age))
    entry.find(filling.rows(30, 1)[0])  # the oldest is used
    assert evict(2 * size, set()) == 2
    assert set(the_files()) == {files[0], files[3]}
    assert evict(0, {path for path in files if path}) == 0
    assert evict(0, {files[3]} if files[3] else set()) == 1


def the_files() -> list[Path]:
    return [file for path in entries() for file in shards(path)]


def test_extraction_obeys_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, seen = counting()
    computed(backbone, seen, fakes.make_split(6, seed=1))
    old = the_files()
    monkeypatch.setenv("DLKIT_CACHE_SIZE", "10")
    computed(backbone, seen, fakes.make_split(6, seed=2))
    assert len(the_files()) == 1
    assert the_files() != old


@pytest.mark.parametrize(
    ("text", "size"), [("", 5 * 10**9), ("500MB", 5 * 10**8), ("1.5 gb", 1.5e9), ("0", 0), ("7k", 7000)]
)
def test_sizes(monkeypatch: pytest.MonkeyPatch, text: str, size: float) -> None:
    monkeypatch.setenv("DLKIT_CACHE_SIZE", text)
    assert size_limit() == size


def test_a_size_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLKIT_CACHE_SIZE", "lots")
    with pytest.raises(UsageError, match="DLKIT_CACHE_SIZE='lots'"):
        size_limit()


@pytest.mark.parametrize("why", ["a file in its place", "a place that the system refuses to look at"])
def test_a_folder_that_cannot_be_used_costs_the_features_only(
    why: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if why.startswith("a file"):
        (home / "features").write_text("in the way")
    else:
        monkeypatch.setenv("DLKIT_HOME", str(home / ("x" * 300)))  # too long a name; no permission looks the same
    assert main(["cache"]) == 0
    assert capsys.readouterr().out.startswith("0 bytes")
    backbone, split = fakes.named("resnet10t"), fakes.make_split(3)
    runtime, display = fakes.make_runtime()
    assert extract(backbone, split, TOP, runtime)[TOP[0]].shape == (3, 512)
    assert display.warned[0].startswith("Features are not kept: ")


def test_the_verb_shows_and_clears(capsys: pytest.CaptureFixture[str]) -> None:
    extract(fakes.named("resnet10t"), fakes.make_split(3), [Tap("top"), Tap("layer1")], fakes.make_runtime()[0])
    assert main(["cache"]) == 0
    shown = capsys.readouterr().out
    assert all(part in shown for part in ("resnet10t", "layer1", "of at most 5 GB"))
    assert main(["cache", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [entry["images"] for entry in document["entries"]] == [3, 3]
    assert document["bytes"] == sum(file.stat().st_size for file in the_files())
    assert main(["cache", "clear", "vit*", "--yes"]) == 0
    assert len(the_files()) == 2
    assert main(["cache", "clear"]) == 1  # it asks, and nobody answers
    assert len(the_files()) == 2
    capsys.readouterr()
    assert main(["cache", "clear", "resnet*", "--yes", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["removed"]) == 2
    assert not list(entries())
