from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlkit.card import Card
from dlkit.discovery import registry
from dlkit.errors import PluginError, UsageError
from dlkit.options import Options, TrainOptions, option
from dlkit.options.values import Schedule, Size
from dlkit.settings import Settings, all_options, option_groups, resolve


@dataclass(frozen=True, kw_only=True)
class FakeOptions(TrainOptions):
    """Fake technique."""

    code: int = option(32, "Size of the code.", min=1)
    layers: tuple[int, ...] = option((64, 32), "Units.", min=1)
    net: Literal["dense", "conv"] = option("dense", "The network.")
    denoise: Schedule | None = option(None, "Corrupt # the input.", bare="step:30")
    flip: bool = option(False, "A switch.")
    note: str | None = option(None, "Free text.")

    def __post_init__(self) -> None:
        if self.net == "conv" and self.code == 13:
            raise ValueError("code 13 does not go with net conv")


CARD = Card(
    name="fake",
    summary="A fake.",
    options=FakeOptions,
    implementation="nowhere:Fake",
    capabilities=lambda options: frozenset({"encode"}),
)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_precedence(tmp_path: Path) -> None:
    config = write(tmp_path / "c.toml", 'technique = "fake"\nepochs = 2\ncode = 2\nlr = 2\nimage_size = 16\n')
    settings = resolve(CARD, config=config, sets=["code=3", "lr=3", "code=4"], flags={"lr": "4"})
    assert (settings.options.epochs, settings.options.code, settings.options.lr) == (2, 4, 4.0)
    assert settings.options.batch_size == 128
    assert settings.data.image_size == Size(16, 16)


def test_typed_values() -> None:
    settings = resolve(CARD, flags={"denoise": True, "epochs": 3, "image_size": 32, "layers": [5], "runs": Path("x")})
    assert settings.options.denoise == Schedule("step", 30.0)
    assert (settings.options.layers, settings.run.runs) == ((5,), "x")


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", Schedule("step", 30.0)), ("false", None), ('"none"', None), ('"cosine"', Schedule("cosine"))],
)
def test_optional_values_in_a_config(tmp_path: Path, text: str, value: object) -> None:
    assert resolve(CARD, config=write(tmp_path / "c.toml", f"denoise = {text}")).options.denoise == value
    assert resolve(CARD, sets=[f"denoise={text.strip(chr(34))}"]).options.denoise == value


@given(
    note=st.none() | st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: text != "none"),
    layers=st.lists(st.integers(1, 10**9), max_size=3),
    lr=st.floats(1e-300, 1e300),
    flip=st.booleans(),
    denoise=st.sampled_from([None, True, "exponential:0.9700000001"]),
)
def test_settings_read_back_equal(tmp_path_factory: Any, **flags: Any) -> None:
    settings = resolve(CARD, flags=flags)
    path = write(tmp_path_factory.getbasetemp() / "round.toml", settings.to_toml())
    assert resolve(CARD, config=path) == settings
    assert isinstance(settings, Settings)


def test_toml_holds_every_option_with_its_help() -> None:
    text = resolve(CARD).to_toml()
    for one in all_options(CARD):
        assert f"\n{one.name} = " in text
    assert "# Corrupt # the input.\n" in text
    assert (
        text.index("# ---- Fake technique ----") < text.index("# ---- Training ----") < text.index("# ---- Data ----")
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("epoch = 3", "Did you mean 'epochs'"),
        ("batch-size = 3", "Did you mean 'batch_size'"),
        ("epochs = 0", "c.toml: epochs: expected a whole number of at least 1, got 0"),
        ("epochs = \n", "line 1"),
        ("[training]\nepochs = 1", "flat"),
        ('technique = "gan"', "not of 'fake'"),
        ("lr = nan", "expected a number"),
        ('net = "conv"\ncode = 13', "code 13 does not go with net conv"),
    ],
)
def test_config_errors(tmp_path: Path, config: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(CARD, config=write(tmp_path / "c.toml", config))
    assert message in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    for path in (tmp_path / "missing.toml", tmp_path, tmp_path / "latin.toml"):
        with pytest.raises(UsageError, match=path.name):
            resolve(CARD, config=path)


def test_set_and_flag_errors() -> None:
    for sets, flags, message in [
        (["epochs"], {}, "key=value"),
        (["epoch=1"], {}, "Did you mean 'epochs'"),
        ([], {"epoch": 1}, "--epoch"),
        (["epochs=x"], {}, "--set epochs: expected"),
        ([], {"epochs": "x"}, "--epochs: expected"),
        ([], {"zzz": 1}, "help-all"),
    ]:
        with pytest.raises(UsageError) as caught:
            resolve(CARD, sets=sets, flags=flags)
        assert message in str(caught.value)


def test_groups_come_technique_first() -> None:
    headings = [heading for heading, _ in option_groups(CARD)]
    assert headings == ["Fake technique", "Training", "Data", "Augmentation", "Runtime", "Run"]


@pytest.mark.parametrize("name", ["seed", "config", "no_compile", "technique"])
def test_names_that_collide_are_the_plugins_error(name: str) -> None:
    cls = type("Clash", (Options,), {"__annotations__": {name: int}, name: option(1, "Clash.")})
    card = replace(CARD, options=dataclass(frozen=True, kw_only=True)(cls))
    with pytest.raises(PluginError, match=name):
        resolve(card)


@pytest.mark.parametrize(("name", "most"), [("threads", 4096), ("workers", 4096), ("split_seed", 2**32 - 1)])
def test_numbers_that_what_is_below_cannot_take(name: str, most: int) -> None:
    """A trillion threads, and NumPy's generator with a seed of 33 bits, ended in tracebacks."""
    card = registry().technique("autoencoder")
    assert resolve(card, flags={name: most}).value(name) == most
    with pytest.raises(UsageError, match=f"and {most}"):
        resolve(card, flags={name: most + 1})
