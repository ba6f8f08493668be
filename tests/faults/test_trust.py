"""Configs, runs and models of strangers execute nothing, though they may name any function there is."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dlkit.cli.main import main
from dlkit.discovery import registry
from dlkit.errors import DlkitError, UsageError
from dlkit.run import Run, open_run
from dlkit.settings import resolve
from dlkit.trust import remember

PLANTED = "planted-by-a-stranger"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DLKIT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DLKIT_TRUST", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


MEETING = {"nodes": "2", "rendezvous": '"127.0.0.1:1"', "technique": '"autoencoder"'}


def test_machines_that_only_a_file_names_are_not_met(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """PyTorch's launcher unpickles what it finds at the meeting place, which a config could name."""
    from dlkit import launch

    def meet(*_: object) -> None:
        raise UsageError("met")

    monkeypatch.setattr(launch, "_started", meet)
    run = Path("runs") / "autoencoder" / "theirs-001"
    shutil.copytree(trained, run)
    text = (run / "config.toml").read_text().replace("nodes = 1", "nodes = 2")
    (run / "config.toml").write_text(text.replace('rendezvous = "none"', 'rendezvous = "127.0.0.1:1"'))
    for words in (["train", "--config", str(config(**MEETING))], ["resume", str(run)]):
        assert main(words) == 2
        assert "only a file names 127.0.0.1:1" in capsys.readouterr().err
        assert main([*words, "--rendezvous", "127.0.0.1:1"]) == 2
        assert capsys.readouterr().err.splitlines()[-1] == "Error: met"
    monkeypatch.setenv("DLKIT_TRUST", "127.0.0.1:1")
    assert main(["resume", str(run)]) == 2
    assert "met" in capsys.readouterr().err
    assert main(["report", str(run)]) == 0


def test_a_place_for_runs_that_only_a_file_names_is_told(
    shapes_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("here").mkdir()
    os.chdir("here")
    words = ["train", "autoencoder", "--layers", "4", "--epochs", "1", "--data", str(shapes_npz), "--config"]
    file = config(runs=f'"{tmp_path}/there"')
    assert main([*words, str(file)]) == 0
    told = f"The config has the run made in '{tmp_path}/there', outside the current directory"
    assert told in " ".join(capsys.readouterr().err.split())
    assert main([*words, str(file), "--runs", f"{tmp_path}/there"]) == 0
    assert main([*words, str(config(runs='"mine"'))]) == 0
    assert "outside" not in capsys.readouterr().err


class Plant:
    def __reduce__(self) -> Any:
        return os.mkdir, (PLANTED,)


def config(**values: str) -> Path:
    Path("c.toml").write_text("".join(f"{key} = {value}\n" for key, value in values.items()))
    return Path("c.toml")


CODE = [
    ("transfer", {"backbone": '"os:mkdir"', "backbone_arg": f"[\"path='{PLANTED}'\"]"}),
    ("features", {"backbone": '["resnet18", "os:mkdir"]'}),
    ("features", {"classifier": '"antigravity.fly"'}),
]


@pytest.mark.parametrize(("technique", "values"), CODE)
def test_a_config_that_names_code(technique: str, values: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    card, file = registry().technique(technique), config(**values)
    name = "os:mkdir" if "backbone" in values else "antigravity.fly"
    with pytest.raises(UsageError, match=name) as refused:
        resolve(card, config=file)
    assert f"DLKIT_TRUST={name}" in refused.value.hint
    assert main(["train", technique, "--config", str(file), "--data", "digits"]) == 2
    assert not Path(PLANTED).exists()
    monkeypatch.setenv("DLKIT_TRUST", f"other.Thing, {name}")
    resolve(card, config=file)


def test_what_was_asked_for_here_is_ones_own() -> None:
    card = registry().technique("transfer")
    asked = {"backbone": "os:mkdir", "backbone_arg": "path='mine'"}
    settings = resolve(card, flags=asked)
    Path("c.toml").write_text(settings.to_toml())
    with pytest.raises(UsageError, match="os:mkdir"):
        resolve(card, config=Path("c.toml"))
    resolve(card, config=Path("c.toml"), flags=asked)
    options = {option.name: settings.value(option.name) for option in _options(card)}
    remember(_options(card), options)
    assert resolve(card, config=Path("c.toml")) == settings
    Path("c.toml").write_text(settings.to_toml().replace("mine", PLANTED))
    with pytest.raises(UsageError, match="os:mkdir"):
        resolve(card, config=Path("c.toml"))


def _options(card: Any) -> Any:
    from dlkit.settings import all_options

    return all_options(card)


def test_names_that_are_no_code() -> None:
    file = config(backbone='["resnet18", "run:latest", "torchvision/resnet18"]', classifier='"sklearn.svm.NuSVC"')
    resolve(registry().technique("features"), config=file)


@pytest.mark.parametrize("command", ["predict", "evaluate", "resume", "export", "encode", "report"])
def test_a_run_whose_config_names_code(trained: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A stranger's run of transfer could have a function of his choice called with arguments of his choice."""
    run = Path("runs") / "transfer" / "evil-001"
    run.mkdir(parents=True)
    for name in ("data.json", "model.json", "model.safetensors", "status.json"):
        (run / name).write_bytes((trained / name).read_bytes())
    values = {"technique": '"transfer"', "backbone": '"os:mkdir"', "backbone_arg": f"[\"path='{PLANTED}'\"]"}
    (run / "config.toml").write_text(config(**values).read_text())
    Path("photo.png").write_bytes(b"")
    done = main([command, str(run), *(["photo.png"] if command == "predict" else [])])
    assert done == (0 if command == "report" else 2)  # the page shows what the files say
    assert "Traceback" not in capsys.readouterr().err
    assert not Path(PLANTED).exists()


def test_a_member_that_names_code(trained: Path) -> None:
    """An ensemble keeps its members' options in its model, as a backbone ``run:RUN`` does."""
    from dlkit.backbones.run_source import untrained

    with pytest.raises(UsageError, match="the model: backbone: os:mkdir"):
        untrained(
            {"technique": "transfer", "options": {"backbone": "os:mkdir"}, "tensors": {}, "spec": {}, "plain": {}}
        )


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps(Plant()))


def saved(path: Path) -> None:
    torch.save({"w": torch.zeros(2), "x": Plant()}, path)


def objects(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, images=np.array([Plant()], dtype=object), codes=np.array([Plant()], dtype=object))


@pytest.mark.parametrize("plant", [pickled, saved, objects])
@pytest.mark.parametrize(
    "words",
    [
        ["train", "autoencoder", "--data", "FILE.npz"], ["data", "FILE.npz"], ["decode", "RUN", "FILE.npz"],
        ["train", "autoencoder", "--data", "FILE.csv"], ["train", "autoencoder", "--config", "FILE"],
        ["predict", "FILE.onnx", "photo.png"], ["predict", "RUN", "FILE", "--out", "out"],
        ["data", "FILE-images-idx3-ubyte"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_planted_pickle_executes_nothing(trained: Path, words: list[str], plant: Any) -> None:
    files = {word: word.replace("FILE", "file") for word in words if word.startswith("FILE")}
    for name in files.values():
        plant(Path(name))
    assert main([str(trained) if word == "RUN" else files.get(word, word) for word in words]) in (2, 3)
    assert not Path(PLANTED).exists()


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "config.toml", "data.json", "metrics.jsonl",
                                  "checkpoints/train/last.safetensors", "environment.json"])  # fmt: skip
def test_a_run_with_a_pickle_in_a_files_place(
    trained: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dlkit import session

    monkeypatch.setattr(session, "conclude", lambda *_: None)
    run = Path("runs") / "autoencoder" / "shapes-001"
    for plant in (pickled, saved, objects):
        shutil.copytree(trained, run, dirs_exist_ok=True)
        plant(run / name)
        for command in (["encode", str(run), "--out", "codes.npz"], ["resume", str(run), "--quiet"]):
            assert main(command) in (0, 2, 3)
            Path("codes.npz").unlink(missing_ok=True)
    assert "Traceback" not in capsys.readouterr().err
    assert not Path(PLANTED).exists()


def test_the_plant_would_grow() -> None:
    pickled(Path("x"))
    pickle.loads(Path("x").read_bytes())
    assert Path(PLANTED).exists()


def test_names_do_not_lead_out_of_the_run(trained: Path, here: Path) -> None:
    """Phases, plots and techniques are named in files too."""
    run = Run(trained)
    for phase in ("../../x", "/etc", "a/b", ".."):
        with pytest.raises(ValueError, match="phase"):
            run.checkpoint_path(phase, "last")
    Path("runs/x/y-001").mkdir(parents=True)
    Path("runs/x/y-001/data.json").write_text("{}")
    Path("runs/x/y-001/config.toml").write_text('technique = "../../../etc"\n')
    with pytest.raises(DlkitError):
        _ = open_run("runs/x/y-001").settings
