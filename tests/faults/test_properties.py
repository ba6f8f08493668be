"""Properties of what people write: options, configs, manifests, policies of augmentation."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dlkit.augment.cards import augmenters
from dlkit.augment.policy import Policy
from dlkit.data.manifest import list_manifest
from dlkit.discovery import registry
from dlkit.errors import DataError, UsageError
from dlkit.options.coerce import coerce, to_plain, to_text
from dlkit.settings import all_options, resolve

CARDS = [registered.card for registered in registry().techniques.values()]
OPTIONS = [option for card in CARDS for option in all_options(card)]
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

NUMBERS = st.integers().map(str) | st.floats().map(str)
WRITTEN = st.text() | NUMBERS | st.text(st.sampled_from("0123456789.:,=-+x/@ab|"), max_size=12)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(OPTIONS), WRITTEN)
def test_any_text_is_a_value_or_is_refused(option: Any, text: str) -> None:
    """And a value that was taken can be written in both ways, and is read back as itself."""
    try:
        value = coerce(option, text, option.flag)
    except UsageError:
        return
    assert coerce(option, to_plain(option, value), option.flag) == value
    if not option.many or not any("," in str(item) or str(item) != str(item).strip() for item in value or ()):
        assert coerce(option, to_text(option, value), option.flag) == value or value in ((), None)


TOML = st.recursive(
    st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(CARDS), st.data())
def test_any_config_is_settings_or_is_refused(card: Any, data: st.DataObject) -> None:
    names = st.sampled_from([option.name for option in all_options(card)])
    written = data.draw(st.dictionaries(names | st.text(max_size=6), TOML, max_size=3))
    try:
        settled = resolve(card, config=written)
    except UsageError:
        return
    assert resolve(card, config=settled.to_plain()) == settled


@quick
@example(b"image_path,lab\xe6t,split\na.png,x\n")
@given(st.binary() | st.text().map(lambda text: f"image_path,label,split\n{text}".encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_manifest_or_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.csv").write_bytes(content)
    try:
        listing = list_manifest(tmp_path / "m.csv")
    except DataError as error:
        str(error).encode()
        return
    assert len(listing.images) == len(listing.splits) > 0


NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20).filter(
    str.strip
)


@quick
@given(st.dictionaries(NAME.map(str.strip), st.tuples(NAME, st.sampled_from(["train", "val", "test"])), min_size=1))
def test_a_manifest_is_read_as_it_was_written(tmp_path: Path, rows: dict[str, tuple[str, str]]) -> None:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["image_path", "label", "split"])
    table.writerows([name, label, split] for name, (label, split) in rows.items())
    (tmp_path / "m.csv").write_text(text.getvalue(), encoding="utf-8", newline="")
    listing = list_manifest(tmp_path / "m.csv")
    assert listing.images.names == list(rows)
    assert listing.labels is not None
    found = [listing.classes[number] for number in listing.labels]
    assert found == [label.strip() for label, _ in rows.values()]
    assert [("train", "val", "test")[number] for number in listing.splits] == [split for _, split in rows.values()]


@settings(max_examples=200, deadline=None)
@given(
    st.text()
    | st.lists(st.sampled_from([*augmenters(), ":", "@", " ", "0.5", "1..2", "=", '"', "fill", "15"])).map("".join)
)
def test_any_policy_is_steps_or_is_refused(text: str) -> None:
    if text.strip().endswith(".toml"):
        return  # names a file
    try:
        policy = Policy.parse(text)
    except ValueError:
        return
    assert Policy.parse(str(policy)) == policy


@pytest.mark.parametrize("text", ["rotate:", "@", "rotate@2", '"', "rotate:1:2:3:4:5:6:7:8", ":", "no-such"])
def test_a_wrong_policy_is_pointed_at(text: str) -> None:
    with pytest.raises(ValueError, match=r"(?s)\n.*\^"):
        Policy.parse(text)
