"""Two processes that torchrun starts train to the result of one, of every kind of technique, at the same batch size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import two_trainings
from dlkit_builtin.gan import networks
from safetensors.torch import load_file

from dlkit import session

SMALL = {"epochs": 2, "batch_size": 15, "threads": 1, "checkpoint_every": 0}
VIT = {"threads": 1, "backbone": "test_vit", "random_init": True, "image_size": 32, "channels": 3, "cache": False}
JOBS: dict[str, tuple[str, dict[str, Any]]] = {
    "autoencoder": ("autoencoder", SMALL | {"layers": 16, "code": 6, "denoise": "gaussian:0.3", "clip": 1.0}),
    "greedy": ("autoencoder", SMALL | {"layers": 16, "code": 6, "greedy": True, "greedy_epochs": 1, "accumulate": 2}),
    "augmented": ("autoencoder", SMALL | {"layers": 16, "code": 6, "augment": "flip noise:gaussian"}),
    "streamed": ("autoencoder", SMALL | {"layers": 16, "code": 6, "in_memory": "no"}),
    "vae": ("vae", SMALL | {"layers": 16, "code": 3}),
    "gan": ("gan", SMALL | {"net": "mlp", "width": 16, "latent": 4, "diffaug": "color,translation"}),
    "rbm": ("rbm", SMALL | {"hidden": 12, "momentum": 0.5}),
    "dbn": ("dbn", SMALL | {"layers": "12,8"}),
    "finetune": ("transfer", SMALL | VIT | {"strategy": "finetune", "epochs": 1}),
    "mlp-head": ("transfer", VIT | {"strategy": "mlp-head", "head_epochs": 2, "dropout": 0.0, "batch_size": 15}),
    "linear-probe": ("transfer", VIT | {"strategy": "linear-probe"}),
}


GPUS = pytest.param("cuda", marks=pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs"))


@pytest.fixture(scope="module", params=["cpu", GPUS])
def roots(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shapes_npz: Path
) -> tuple[Path, Path]:
    """Where the runs of one process are, and those of two."""
    folder = tmp_path_factory.mktemp("together")
    for name in ("one", "two"):
        common = {"data": str(shapes_npz), "runs": str(folder / name), "device": request.param, "precision": "fp32"}
        jobs = [[technique, options | common | {"name": job}] for job, (technique, options) in JOBS.items()]
        (folder / f"{name}.json").write_text(json.dumps(jobs))
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--log-dir", str(folder / "logs")]
    script = [two_trainings.__file__, str(folder / "two.json")]
    group = subprocess.Popen([sys.executable, *command, *script], stderr=subprocess.PIPE, text=True)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(networks, "norm", networks.norm)
            patch.setattr(session, "conclude", session.conclude)
            two_trainings.main(folder / "one.json")
        _, errors = group.communicate(timeout=300)
    finally:
        group.terminate()
    assert group.returncode == 0, errors
    return folder / "one", folder / "two"


def runs_of(roots: tuple[Path, Path], job: str) -> tuple[Path, Path]:
    one, two = (root / JOBS[job][0] / f"{job}-001" for root in roots)
    return one, two


@pytest.mark.parametrize("job", JOBS)
def test_the_model_is_that_of_one_process(roots: tuple[Path, Path], job: str) -> None:
    expected, found = (load_file(run / "model.safetensors") for run in runs_of(roots, job))
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert found[name].shape == value.shape
        assert float((found[name].double() - value.double()).abs().max()) < 1e-4, name


@pytest.mark.parametrize("job", JOBS)
def test_there_is_one_record_with_the_same_figures(roots: tuple[Path, Path], job: str) -> None:
    one, two = runs_of(roots, job)
    assert not (two.parent / f"{job}-002").exists()
    expected, found = (
        [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        for path in (one / "metrics.jsonl", two / "metrics.jsonl")
    )
    for row, same in zip(found, expected, strict=True):
        assert row.keys() == same.keys()
        assert row["phase"] == same["phase"]
        for name in same.keys() - {"phase", "seconds", "images_per_second"}:
            assert row[name] == pytest.approx(same[name], rel=1e-3, abs=1e-4), name


def test_the_run_says_how_many_trained_it(roots: tuple[Path, Path]) -> None:
    one, two = runs_of(roots, "autoencoder")
    environment = [json.loads((run / "environment.json").read_text())[0]["processes"] for run in (one, two)]
    assert environment == [1, 2]
    assert "devices = 2" in (two / "config.toml").read_text()
    assert json.loads((two / "status.json").read_text())["status"] == "finished"
