"""Policies as text and as TOML: what they mean, and where errors point."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlkit.augment import Policy, Range, Step, step_at
from dlkit.augment.cards import augmenter, augmenters
from dlkit.discovery import registry
from dlkit.places import portable
from dlkit.settings import resolve


def test_the_words_of_the_grammar() -> None:
    policy = Policy.parse("rotate:15 translate:0.1 flip noise:gaussian:0.05@0.5")
    assert policy.steps == (
        Step("rotate", (("angle", 15.0),)),
        Step("translate", (("share", 0.1),)),
        Step("flip"),
        Step("noise:gaussian", (("std", 0.05),), 0.5),
    )
    assert [step.probability for step in policy.steps] == [1.0, 1.0, 0.5, 0.5]
    assert policy.steps[0].value("fill") == "black"


@pytest.mark.parametrize(
    "text",
    ["rotate", "rotate:15", "rotate:10..20", "rotate:-30..-10:edge@0.25", "rotate:15:mirror", "flip@0",
     "flip:vertical@1", "rotate:15 translate:0.1 flip noise:gaussian:0.05@0.5", "cut-out:0.5:0",
     "noise:gaussian:1e-05"],
)  # fmt: skip
def test_text_and_toml_round_trip(text: str, tmp_path: Path) -> None:
    policy = Policy.parse(text)
    assert Policy.parse(str(policy)) == policy
    assert str(policy) == text
    (tmp_path / "p.toml").write_text(policy.to_toml())
    assert policy.to_toml().count("[[step]]\naugment = ") == len(policy.steps)
    again = Policy.parse(str(tmp_path / "p.toml"))
    for step, other in zip(policy.steps, again.steps, strict=True):
        assert step.name == other.name
        assert step.probability == other.probability
        assert [step.value(p.name) for p in step.card.parameters] == [
            other.value(p.name) for p in other.card.parameters
        ]


def test_parameters_by_name() -> None:
    assert Policy.parse("rotate:fill=edge").steps[0].values == (("fill", "edge"),)
    assert str(Policy.parse("rotate:fill=edge")) == "rotate:15:edge"
    assert Policy.parse("rotate:angle=5..6").steps[0].value("angle") == Range(5, 6)


@pytest.mark.parametrize(
    ("text", "word", "says"),
    [
        ("rotat:15 flip", "rotat", "Did you mean 'rotate'?"),
        ("flip rotate:abc", "abc", "expected a number between -180 and 180"),
        ("flip rotate:181", "181", "expected a number between -180 and 180"),
        ("rotate:15:blak flip", "blak", "Did you mean 'black'?"),
        ("rotate:15:black:3", "3", "rotate[:ANGLE[:FILL]]"),
        ("rotate:20..10", "20..10", "the lower number first"),
        ("flip@2 rotate", "2", "a probability between 0 and 1"),
        ("flip@", "@", "a probability between 0 and 1"),
        ("flip@0.5:3", "0.5:3", "a probability"),
        ("noise:0.1", "0.1", "only gaussian"),
        ("noise", "noise", "needs a kind: noise:gaussian"),
        ("rotate:", ":", "nothing after the colon"),
        ("rotate::3", ":", "a colon with nothing before it"),
        ("@0.5", "@0.5", "a name is missing"),
        ("rotate:ang=3", "ang=3", "Did you mean 'angle'?"),
        ("rotate:5:angle=3", "angle=3", "said twice"),
        ("flip 'rotate", "'rotate", "a quote that is not closed"),
        ("background:'my photos", "'my photos", "a quote that is not closed"),
        ("background:~nobody-of-that-name/x", "~nobody-of-that-name/x", "no such home directory"),
    ],
)
def test_errors_point_at_the_word(text: str, word: str, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        Policy.parse(text)
    message, line, carets = str(caught.value).rsplit("\n", 2)
    assert says in message
    assert line == f"  {text}"
    start = carets.index("^")
    assert line[start : start + carets.count("^")] == word


def test_nothing_is_no_policy() -> None:
    with pytest.raises(ValueError, match="got nothing"):
        Policy.parse("  ")


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("", r"expected tables \[\[step\]\]"),
        ("[[step]]\nangle = 3\n", "step 1: expected augment"),
        ('[[step]]\naugment = "rotate"\n[[step]]\naugment = "rotat"\n', "step 2: .*Did you mean 'rotate'"),
        ('[[step]]\naugment = "rotate"\nangl = 3\n', "Did you mean 'angle'"),
        ('[[step]]\naugment = "rotate"\nangle = "x"\n', "angle: expected a number"),
        ('[[step]]\naugment = "rotate"\nangle = [1, 2, 3]\n', "angle: expected a number"),
        ('[[step]]\naugment = "flip"\nprobability = 3\n', "between 0 and 1"),
        ("x = " + "[" * 100_000, "not valid TOML"),
        ("step = 3", "expected tables"),
        ("= 3", "not valid TOML"),
    ],
)
def test_errors_in_a_file_name_the_step(toml: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(toml)
    with pytest.raises(ValueError, match=says):
        Policy.parse(str(tmp_path / "p.toml"))
    with pytest.raises(ValueError, match="cannot be read"):
        Policy.parse(str(tmp_path / "none.toml"))


def test_strength() -> None:
    rotate = augmenter("rotate")
    assert step_at(rotate, 0).value("angle") == 0
    assert step_at(rotate, 1, {"fill": "edge"}).values == (("angle", 30.0), ("fill", "edge"))
    assert step_at(augmenter("flip"), 0.5).probability == 0.25


def test_cards_are_whole() -> None:
    for card in augmenters().values():
        assert card.summary.endswith("."), card.name
        assert card.summary[0].isupper(), card.name
        assert Policy.parse(card.name).steps[0].card is card
        for parameter in card.parameters:
            text = parameter.default if isinstance(parameter.default, str) else repr(parameter.default)
            assert parameter.path or parameter.parse(text) == parameter.default, (card.name, parameter.name)
            for strength in (0, 0.5, 1) if parameter.strong is not None else ():
                assert parameter.min <= float(parameter.at(strength)) <= parameter.max, (card.name, parameter.name)


def test_paths_are_absolute_and_stay_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    policy = Policy.parse('flip background:"some photos"@0.5')
    assert str(policy) == f'flip background:"{tmp_path / "some photos"}"@0.5'
    assert Policy.parse(str(policy)) == policy
    assert str(policy.portable()) == 'flip background:"some photos"@0.5'
    settings = resolve(registry().technique("classifier"), flags={"augment": str(policy)})
    assert str(tmp_path) not in portable(settings).to_toml()
    assert portable(resolve(registry().technique("classifier"))).augment.augment is None
