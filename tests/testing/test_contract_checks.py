"""The checks notice what they are there to notice: techniques that break one promise each."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dlkit import discovery
from dlkit.cli.main import main
from dlkit.errors import Interrupted, PluginError, UsageError
from dlkit.testing import CHECKS, items_of

LIGHT = """
from dataclasses import dataclass
from dlkit.card import Card, Trial
from dlkit.hookspecs import hookimpl
from dlkit.options import TrainOptions, option
DLKIT_API = 1

class Pair:
    def __init__(self, text): self.text = text
    @classmethod
    def parse(cls, text):
        if text != "a": raise ValueError(f"expected a, got {text!r}")
        return cls(text)
    def __str__(self): return self.text
    def __eq__(self, other): return isinstance(other, Pair) and self.text == other.text
    def __hash__(self): return 0

@dataclass(frozen=True, kw_only=True)
class MeanOptions(TrainOptions):
    "Mean"
    size: int = option(3, "A size.", min=1)
    pair: Pair | None = option(None, "A pair.", bare="a")

CARD = Card(name="mean-image", summary="Learn the mean image.", description="It is what it says.", sources=("Nobody",),
            options=MeanOptions, implementation="heavy_mean:Mean", examples=("dlkit train mean-image --size 4",),
            capabilities=lambda options: frozenset({"reconstruct"}), trial=Trial(small={"lr": "0.1"}))

@hookimpl
def dlkit_techniques():
    return [CARD]
"""
HEAVY = """
import torch
from torch import nn
from dlkit.metrics import Metric, Metrics
from dlkit.technique import PhasePlan, State

class Model(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.image = nn.Parameter(torch.zeros(spec.shape))
    def forward(self, images):
        return (self.image.clamp(0, 1).expand(len(images), -1, -1, -1),)

class Mean:
    def __init__(self, options, spec):
        self.options, self.model = options, Model(spec)
    def plan(self):
        return [PhasePlan("train", self.options.epochs, {"model": self.model})]
    def train(self, data, runtime, run):
        model = runtime.prepare(self.model)
        optimizer = runtime.optimizer(model.parameters(), self.options)
        def step(batch):
            noise = torch.rand(1, generator=runtime.rng) * 0.01
            return runtime.update(optimizer, lambda x: (x - model.image + noise).square().mean(), batch.images)
        runtime.fit(run, phase="train", data=data.train, options=self.options,
                    state={"model": model, "optimizer": optimizer}, step=step)
    def evaluate(self, data, runtime):
        pixels = data.held_out.pixels()
        error = float((pixels - self.model.image.detach()).square().mean())
        return Metrics((Metric(name="mse", label="MSE", value=error, split=data.held_out.name, better="lower",
                               baselines={"black": float(pixels.square().mean())}),))
    def reconstruct(self, images):
        return self.model(images)[0]
    def outputs(self):
        return {"image": "image"}
    def inference_module(self):
        return self.model.eval()
    def state(self):
        return State(self.model.state_dict(), {"size": self.options.size})
    @classmethod
    def load(cls, state, options, spec):
        technique = cls(options, spec)
        technique.model.load_state_dict(dict(state.tensors))
        return technique
"""
GOING = "    @__import__('dlkit.interface').interface.deprecated('0.2', '0.3', 'Use another.')\n"
Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """write(light=(old, new), heavy=(old, new)): the plugin above, installed, with something changed."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv(discovery.NO_PLUGINS, raising=False)
    info = tmp_path / "dlkit_mean-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dlkit-mean\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[dlkit.plugins]\nmine = light_mean\n")
    discovery._registry.cache_clear()

    def write(light: tuple[str, str] = ("", ""), heavy: tuple[str, str] = ("", "")) -> None:
        for name, text, change in (("light_mean", LIGHT, light), ("heavy_mean", HEAVY, heavy)):
            assert change[0] in text
            (tmp_path / f"{name}.py").write_text(text.replace(*change, 1) if change[0] else text)

    yield write  # type: ignore[misc]
    for module in ("light_mean", "heavy_mean"):
        sys.modules.pop(module, None)
    discovery._registry.cache_clear()


def results(only: str = "*") -> dict[str, tuple[str, str]]:
    from dlkit.testing import bench, card_checks

    bench._bench.cache_clear()
    card_checks._probed.cache_clear()
    outcomes = [(item, item.run()) for item in items_of("dlkit-mean", only)]
    return {item.check.name: (outcome.result, outcome.detail) for item, outcome in outcomes}


def test_a_sound_technique_keeps_all_promises(write: Write) -> None:
    write()
    found = results("[!det]*")  # default_run_works and export_equals take seconds
    assert {result for result, _ in found.values()} == {"passed"}, found


@pytest.mark.parametrize(
    ("check", "light", "heavy", "complaint"),
    [
        ("card_is_light", ("DLKIT_API = 1", "DLKIT_API = 1\nimport numpy"), ("", ""), "light_mean imports numpy"),
        ("card_is_light", ("DLKIT_API = 1", "DLKIT_API = 1\nprint('hello')"), ("", ""), "prints 'hello'"),
        ("card_is_complete", ('frozenset({"reconstruct"})', '["reconstruct"]'), ("", ""), "expected a frozenset"),
        ("card_is_complete", ("--size 4", "--sise 4"), ("", ""), "does not fit"),
        ("card_is_complete", ('sources=("Nobody",)', "sources=()"), ("", ""), "names no sources"),
        ("card_is_complete", ("", ""), ("def plan", "def plans"), "lacks plan"),
        ("options_round_trip", ("return self.text\n", "return self.text * 2\n"), ("", ""), "expected a, got 'aa'"),
        ("bad_options_are_refused", ("raise ValueError", "raise KeyError"), ("", ""), "should raise ValueError"),
        ("training_works", ("", ""), ("return runtime.update", "runtime.update"), "step() gave None; expected"),
        ("training_works", ("", ""), ('PhasePlan("train"', 'PhasePlan("other"'), "plan() lists the phases ['other']"),
        ("nothing_deprecated", ("", ""), ("    def train", GOING + "    def train"), "removed in 0.3. Use another."),
        ("loss_falls", ("", ""), (".square().mean(), batch", ".square().mean() * 0, batch"), "does not fall: 0 →"),
        ("seed_repeats", ("", ""), ("torch.rand(1, generator=runtime.rng)", "__import__('random').random()"), "differ"),
        ("resume_equals", ("", ""), ('"model": model, ', ""), "stopped and resumed"),
        ("test_split_is_unseen", ("", ""), ("data=data.train", "data=data.test"), "data.test"),
        ("save_load_equals", ("", ""), ("technique.model.load_state_dict", "str"), "load() changes the tensor"),
        ("capabilities_hold", ("", ""), ("def reconstruct", "def reconstructs"), "promises reconstruct"),
        ("capabilities_hold", ("", ""), (".clamp(0, 1)", ".add(2)"), "leaves [0, 1]"),
        ("grey_and_colour", ("", ""), ("-1, -1, -1),)", "-1, -1, -1))"), "a single one too, as in `return (code,)`"),
        ("metrics_have_baselines", ("", ""), ('"black": float(pixels.square().mean())', ""), "mse stand alone"),
        ("metrics_have_baselines", ("", ""), ("value=error", "value=float('nan')"), "mse is nan"),
        ("evaluation_repeats", ("", ""), ("error = ", "error = torch.rand(1).item() + "), "when loaded"),
        ("bad_data_is_refused", ("", ""), ("self.options, self.model", "1 / (spec.width - 5); self.options, self.model"),  # noqa: E501
         "images that are not square: ZeroDivisionError"),
        ("nothing_outside_the_run", ("", ""), ("model = runtime", "open('note.txt', 'w').close(); model = runtime"),
         "note.txt"),
    ],
)  # fmt: skip
def test_a_broken_promise_is_found(
    write: Write, check: str, light: tuple[str, str], heavy: tuple[str, str], complaint: str
) -> None:
    write(light, heavy)
    result, detail = results(check)[check]
    assert result == "failed", detail
    assert complaint in detail


def test_a_module_that_is_slow_to_import_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    from dlkit.testing import card_checks

    monkeypatch.setattr(card_checks, "SLOW_SECONDS", 0)
    write()
    assert "every command waits for it" in results("card_is_light")["card_is_light"][1]


def test_exceptions_are_declared_with_a_reason(write: Write) -> None:
    write(("trial=Trial(", "trial=Trial(exceptions={'loss_falls': 'it has none'}, "))
    assert results("loss_falls")["loss_falls"] == ("excepted", "it has none")


@pytest.mark.parametrize(
    ("exceptions", "complaint"),
    [({"los_falls": "x"}, "no such check"), ({"loss_falls": " "}, "without a reason")],
)
def test_exceptions_must_mean_something(write: Write, exceptions: dict[str, str], complaint: str) -> None:
    write(("trial=Trial(", f"trial=Trial(exceptions={exceptions!r}, "))
    with pytest.raises(PluginError, match=complaint):
        items_of("mean-image")


def test_the_command_tells_and_has_an_exit_code(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(heavy=("def plan", "def plans"))
    assert main(["plugins", "check", "mean-image", "--only", "card_*"]) == 5
    told = capsys.readouterr()
    assert "mean-image: technique of dlkit-mean 1.2" in told.out
    assert "FAILED   card_is_complete" in told.out
    assert "heavy_mean:Mean lacks plan" in told.out
    assert "2 promises: 1 kept, 1 broken." in told.out
    assert "mean-image-card_is_complete" in told.err
    assert main(["plugins", "check", "mine", "--only", "card_is_light", "--json"]) == 0
    assert [row["result"] for row in json.loads(capsys.readouterr().out)] == ["passed"]


def test_one_fault_is_told_once_with_its_place(
    write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    write(heavy=("        model = runtime.prepare", "        1 / 0\n        model = runtime.prepare"))
    assert main(["plugins", "check", "mean-image", "--only", "[rs]e[se][du]*"]) == 5
    told = capsys.readouterr()
    assert told.out.count("ZeroDivisionError: division by zero") == 1
    assert re.search(r"\(heavy_mean, line \d+, in train\)", told.out)
    assert "for the same reason as seed_repeats" in told.out
    assert max(len(line) for line in told.out.splitlines()) <= 80
    assert "--only CHECK --trace" in told.err


def test_a_signal_ends_the_checks(write: Write) -> None:
    write(heavy=("        model = runtime.prepare", "        __import__('signal').raise_signal(15)\n        model = runtime.prepare"))  # fmt: skip  # noqa: E501
    with pytest.raises(Interrupted):
        results("training_works")


def test_an_option_that_dlkit_has_is_told_as_that_everywhere(write: Write) -> None:
    write(("    size: int", "    seed: int = option(1, 'Mine.')\n    size: int"))
    found = results("bad_*")
    assert {result for result, _ in found.values()} == {"failed"}
    for _, detail in found.values():
        assert "its option 'seed' takes a name of dlkit's own (Runtime)" in detail
        assert "raises" not in detail


def test_names_that_nothing_has(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write()
    with pytest.raises(UsageError, match="Did you mean 'mean-image'"):
        items_of("mean-imag")
    assert main(["plugins", "check", "mean-image", "--only", "seed_repeat"]) == 2
    assert "Did you mean 'seed_repeats'?" in capsys.readouterr().err


def test_every_check_has_a_name_of_its_own_and_an_implementation() -> None:
    from importlib import import_module

    names = [(check.kind, check.name) for check in CHECKS]
    assert len(set(names)) == len(names)
    for check in CHECKS:
        module, _, function = check.implementation.partition(":")
        assert callable(getattr(import_module(module), function))
        assert check.promise.endswith(".")
