"""--augment through the command line: every technique takes it, says why it cannot, or resumes to the same bits."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dlkit import discovery, session
from dlkit.augment.training import check_augmentation
from dlkit.cli.main import main
from dlkit.discovery import registry
from dlkit.errors import UsageError
from dlkit.run import open_run
from dlkit.runtime import signals
from dlkit.settings import resolve

POLICY = "rotate:20 flip noise:gaussian:0.05@0.5"
SMALL = ["--threads", "1", "--quiet", "--seed", "3"]
BACKBONE = ["--backbone", "test_resnet", "--random-init", "--image-size", "32", "--no-cache"]
TINY: dict[str, list[str]] = {
    "autoencoder": ["--layers", "8", "--code", "3", "--denoise"],
    "autoencoder --greedy": ["--layers", "8", "--code", "3", "--greedy", "--greedy-epochs", "1"],
    "classifier": [],
    "colorize": ["--channels", "3"],
    "dbn": [],
    "decomposition": ["--code", "3"],
    "features": BACKBONE,
    "gan": ["--image-size", "16", "--width", "4", "--batch-size", "32"],
    "rbm": [],
    "stacked": ["--layers", "8", "--pretrain-epochs", "1", "--head-epochs", "1"],
    "transfer": [*BACKBONE, "--strategy", "finetune"],
    "transfer --strategy linear-probe": BACKBONE,
    "vae": ["--layers", "8", "--code", "3"],
}  # fmt: skip


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images were augmented at each turn."""
    from dlkit.augment import training

    counts: list[int] = []
    apply = training.apply

    def counting(policy: Any, scenes: Any, draws: Any) -> Any:
        counts.append(len(scenes))
        return apply(policy, scenes, draws)

    monkeypatch.setattr(training, "apply", counting)
    monkeypatch.setattr(session, "conclude", lambda *_: None)
    return counts


@pytest.mark.parametrize("name", sorted(TINY))
def test_every_technique_takes_it(name: str, shapes_npz: Path, tmp_path: Path, seen: list[int]) -> None:
    technique, *words = name.split()
    epochs = [] if technique in ("decomposition", "features") or "linear-probe" in name else ["--epochs", "2"]
    data = shapes_npz
    if technique == "colorize":
        data = tmp_path / "colours.npz"
        images = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3)).astype(np.uint8)
        np.savez(data, images=images)
    arguments = ["--data", str(data), "--augment", POLICY, "--runs", str(tmp_path / "r"), *epochs, *SMALL]
    assert main(["train", technique, *words, *TINY[name], *arguments]) == 0
    images = {"colorize": 17}.get(technique, 64)
    once = (
        registry()
        .technique(technique)
        .augments(open_run(str(next((tmp_path / "r" / technique).iterdir()))).settings.options)
    )
    assert sum(seen) == {"batches": 2 * images, "copies": 4 * images}[once]


def test_every_technique_is_tried() -> None:
    for name, entry in registry().techniques.items():
        if entry.distribution == "dlkit" and entry.card.augments(entry.card.options()) != "never":
            assert name in {words.split()[0] for words in TINY} | {"cgan", "augment-search"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["classifier", "--augment", "flp"], "Did you mean 'flip'?\n  flp\n  ^^^\n"),
        (["classifier", "--augment", "flip saturation"], "saturation needs colours"),
        (["classifier", "--augment", "mixup", "--augment-copies", "2"], "mixes images of a batch"),
        (["decomposition", "--augment", "mixup"], "mixes images of a batch"),
        (["classifier", "--augment", "cutmix", "--mixup", "0.2"], "both mix pairs"),
        (["autoencoder", "--augment", "cutmix"], "cannot learn from here"),
        (["classifier", "--augment-copies", "3"], "Add --augment"),
    ],
)
def test_what_cannot_be_is_refused(
    words: list[str], says: str, shapes_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *words, "--data", str(shapes_npz), "--runs", str(tmp_path / "r"), *SMALL]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_what_learns_from_no_images_refuses_it() -> None:
    settings = resolve(registry().technique("ensemble"), flags={"augment": "flip"})
    with pytest.raises(UsageError, match="does not learn from the images themselves"):
        check_augmentation(settings)


def test_alone_it_is_trivial() -> None:
    card = registry().technique("classifier")
    assert str(resolve(card, sets=["augment=true"]).augment.augment) == "trivial"
    assert resolve(card, sets=["augment=none"]).augment.augment is None


def train(words: list[str], runs: Path) -> Path:
    assert main(["train", "classifier", *words, "--runs", str(runs), "--name", "x", *SMALL]) == 0
    return runs / "classifier" / "x-001"


def test_a_run_says_what_was_done_and_evaluates_images_as_they_are(
    shapes_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(["--data", str(shapes_npz), "--augment", POLICY, "--epochs", "2", "--batch-size", "16"], tmp_path / "r")
    kept = open_run(str(run))
    assert str(kept.settings.augment.augment) == POLICY
    assert (run / "plots" / "augmentation.png").is_file()
    assert "Augmentation" in (run / "report.html").read_text()
    before = json.loads((run / "evaluation.json").read_text())
    assert main(["evaluate", str(run), "--quiet"]) == 0
    after = json.loads((run / "evaluation.json").read_text())
    assert [row["value"] for row in before["metrics"]] == [row["value"] for row in after["metrics"]]
    monkeypatch.setattr(session, "conclude", lambda *_: None)
    plain = train(["--data", str(shapes_npz), "--epochs", "2", "--batch-size", "16"], tmp_path / "plain")
    with pytest.raises(AssertionError):
        same(run, plain)
    (tmp_path / "policy.toml").write_text(kept.settings.augment.augment.to_toml())  # type: ignore[union-attr]
    words = ["--config", str(run / "config.toml"), "--augment", str(tmp_path / "policy.toml")]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    same(run, train(words, tmp_path / "again"))


def same(run: Path, other: Path) -> None:
    ours, theirs = (load_file(path / "model.safetensors") for path in (run, other))
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


@pytest.mark.parametrize("memory", ["yes", "no"])
def test_an_interrupted_training_resumes_to_the_same_bits(
    memory: str, shapes_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "conclude", lambda *_: None)
    words = [
        "--data",
        str(shapes_npz),
        "--augment",
        POLICY,
        "--epochs",
        "3",
        "--batch-size",
        "16",
        "--in-memory",
        memory,
    ]
    whole = train([*words, "--workers", "1"], tmp_path / "whole")
    from dlkit.augment import training

    apply, count = training.apply, 0

    def stopping(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == 6:  # within the second epoch
            signals.stop.signum = 15
        return apply(*arguments)

    monkeypatch.setattr(training, "apply", stopping)
    assert (
        main(["train", "classifier", *words, "--workers", "3", "--runs", str(tmp_path / "r"), "--name", "x", *SMALL])
        == 143
    )
    monkeypatch.setattr(training, "apply", apply)
    run = tmp_path / "r" / "classifier" / "x-001"
    assert main(["resume", str(run), "--quiet"]) == 0
    same(whole, run)


PLUGIN = """
from dlkit.augment import AugmenterCard, Parameter
from dlkit.hookspecs import hookimpl

DLKIT_API = 1

@hookimpl
def dlkit_augmenters():
    share = Parameter(name="share", help="How far.", default=0.5, min=0, max=1, strong=1.0, spread="up-to")
    yield AugmenterCard(name="Fade Out", summary="Wrong.", family="colour", implementation="x:y")
    yield "fade"
    yield AugmenterCard(name="fade", summary="Towards grey.", family="colour", parameters=(share,),
                        implementation=f"{__name__}:fade")

def fade(scenes, draws, *, share):
    return scenes.with_images(scenes.images.lerp(scenes.images.new_full((1,), 0.5), share[:, None, None, None]))
"""


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A distribution with an augmenter, as pip leaves it."""
    folder = tmp_path / "site"
    info = folder / "dlkit_fade-1.2.dist-info"
    info.mkdir(parents=True)
    (folder / "plug_fade.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dlkit-fade\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[dlkit.plugins]\nfade = plug_fade\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delenv(discovery.NO_PLUGINS, raising=False)
    discovery._registry.cache_clear()
    yield
    sys.modules.pop("plug_fade", None)
    discovery._registry.cache_clear()


def test_a_third_partys_augmenter(
    third_party: None, shapes_npz: Path, tmp_path: Path, seen: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", "augmenters", "fade"]) == 0
    assert "Towards grey." in capsys.readouterr().out
    assert main(["info", "fade"]) == 0
    assert "--augment fade[:SHARE][@PROBABILITY]" in capsys.readouterr().out
    reasons = [problem.reason for problem in registry().problems() if problem.distribution == "dlkit-fade"]
    assert "'Fade Out' is not kebab-case" in reasons[0]
    assert "AugmenterCard" in reasons[1]
    run = train(["--data", str(shapes_npz), "--epochs", "1", "--augment", "fade:0.3 flip"], tmp_path / "r")
    assert str(open_run(str(run)).settings.augment.augment) == "fade:0.3 flip"
    assert sum(seen) == 64
