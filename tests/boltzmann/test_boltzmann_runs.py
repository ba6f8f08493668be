"""Trained through the command line: figures, capabilities, use as a backbone; the bound of stacked machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from dlkit_builtin.boltzmann.likelihood import Visible, likelihood, lower_bound
from dlkit_builtin.boltzmann.partition import Partition, exact
from tiny_machines import energies, joint, states, tiny

import dlkit
from dlkit.cli.main import main
from dlkit.errors import UsageError
from dlkit.options import RuntimeOptions
from dlkit.runtime import Runtime

SMALL = ["--epochs", "2", "--gibbs", "3", "--ais", "20", "--threads", "1", "--quiet"]
SIZES = {"rbm": ["--hidden", "12"], "dbn": ["--layers", "12,9,7"]}


@pytest.fixture(scope="module", params=["rbm", "dbn"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shapes_npz: Path) -> Path:
    root = tmp_path_factory.mktemp("boltzmann") / "runs"
    words = ["train", request.param, "--data", str(shapes_npz), "--runs", str(root), *SIZES[request.param], *SMALL]
    assert main(words) == 0
    return root / str(request.param) / "shapes-001"


def test_figures_stand_beside_their_baselines(run: Path) -> None:
    rows = json.loads((run / "evaluation.json").read_text())["metrics"]
    name = "log_likelihood" if run.parent.name == "rbm" else "log_likelihood_bound"
    (row,) = (row for row in rows if row["name"] == name and row["split"] == "test")
    assert row["interval"][0] < row["value"] < row["interval"][1]
    assert "independent pixels" in row["baselines"]
    assert all(row["baselines"] for row in rows)
    assert {"mse", "knn_accuracy"} <= {row["name"] for row in rows}
    pictures = {picture["name"] for picture in json.loads((run / "plots" / "index.json").read_text())}
    assert {"gibbs", "filters", "reconstructions"} <= pictures


def test_capabilities(run: Path) -> None:
    model = dlkit.load(run)
    technique: Any = model.technique
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        codes = technique.encode(images)
        torch.testing.assert_close(technique.decode(codes), technique.reconstruct(images))
        one, other = (technique.generate(4, torch.Generator().manual_seed(3)) for _ in range(2))
        outputs = technique.inference_module()(images)
    assert codes.shape == (5, 12 if run.parent.name == "rbm" else 7)
    assert torch.equal(one, other)
    assert one.shape == (4, 1, 8, 8)
    assert one.min() >= 0
    assert one.max() <= 1
    torch.testing.assert_close(outputs[1], codes)
    with pytest.raises(UsageError, match="expected"):
        technique.decode(torch.zeros(2, 3))


def test_its_code_feeds_a_classifier(run: Path, shapes_npz: Path, tmp_path: Path) -> None:
    words = ["train", "features", "--backbone", f"run:{run}", "--data", str(shapes_npz), "--runs", str(tmp_path)]
    assert main([*words, "--threads", "1", "--quiet"]) == 0


def test_gaussian_pixels_take_any_normalisation(shapes_npz: Path, tmp_path: Path) -> None:
    words = ["train", "rbm", "--data", str(shapes_npz), "--normalize", "standardize", "--runs", str(tmp_path), *SMALL]
    assert main([*words, "--visible", "gaussian", "--hidden", "9"]) == 0
    assert main(words) == 2


def test_the_bound_is_the_likelihood_where_the_second_machine_is_the_first_upside_down() -> None:
    """Hinton, Osindero and Teh 2006: with tied weights nothing is lost, whatever is drawn on the way up."""
    first, second = tiny(5, 4), tiny(4, 5)
    second.weight.copy_(first.weight.t())
    second.hidden_bias.copy_(first.visible_bias)
    second.visible_bias.copy_(first.hidden_bias)
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1))
    shown = Visible("test", states(5), states(5))
    bound = lower_bound([first, second], shown, Partition(exact(second), 0.0, "exact"), runtime)
    torch.testing.assert_close(bound, joint(first).sum(1).log(), rtol=1e-5, atol=1e-4)
    assert float(likelihood(first, shown, Partition(exact(first), 0.0, "exact"), runtime).value) == pytest.approx(
        float(joint(first).sum(1).log().mean()), rel=1e-5
    )


def test_the_bound_lies_below_the_likelihood_of_the_stack() -> None:
    first, second = tiny(5, 4, spread=0.4), tiny(4, 3, spread=0.4, seed=1)
    given = torch.softmax(-energies(first), 0)  # p(v | h), columns
    truth = (given @ joint(second).sum(1)).log()
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1))
    many = states(5).repeat(400, 1)
    bound = lower_bound([first, second], Visible("test", many, many), Partition(exact(second), 0.0, ""), runtime)
    posterior = torch.softmax(-energies(first), 1)  # Q(h | v), rows
    mean = (posterior * (given.log() + joint(second).sum(1).log() - posterior.log())).sum(1)
    torch.testing.assert_close(bound.view(400, 32).mean(0), mean, rtol=0, atol=0.15)
    assert (mean < truth).all()
