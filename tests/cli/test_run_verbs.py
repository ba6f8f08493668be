"""The verbs on a run, through the command line; one run is trained for all of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlkit.cli.main import main
from dlkit.run import Run, open_run


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    """The one JSON document on standard output."""
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def root(trained: Path) -> list[str]:
    return ["--runs", str(trained.parents[1])]


@pytest.fixture
def copies(trained: Path, tmp_path: Path) -> Path:
    """A root of its own with two runs: `shapes-001` and `other-001`, which has another learning rate."""
    root = tmp_path / "runs"
    for name in ("shapes-001", "other-001"):
        shutil.copytree(trained, root / "autoencoder" / name)
    config = root / "autoencoder" / "other-001" / "config.toml"
    config.write_text(config.read_text().replace("lr = 0.001", "lr = 0.002"))
    (root / "latest").symlink_to("autoencoder/other-001")
    return root


# --- evaluate ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", ["latest", "shapes-001", "autoencoder/shapes-001"])
def test_evaluate_gives_the_stored_figures(
    root: list[str], trained: Path, capsys: pytest.CaptureFixture[str], reference: str
) -> None:
    before = (trained / "evaluation.json").read_bytes()
    assert main(["evaluate", reference, *root, "--json"]) == 0
    result = document(capsys)
    assert result["run"] == str(trained)
    assert result["metrics"] == json.loads(before)["metrics"]
    assert (trained / "evaluation.json").read_bytes() == before


def test_evaluate_shows_a_table(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(trained), "--device", "cpu", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert "PSNR" in out
    assert "PCA, 6 components" in out
    assert "corrupted input" in out
    assert err == ""


def test_evaluate_other_data(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.random.default_rng(5).integers(0, 255, (20, 8, 8)).astype(np.uint8)
    names = np.array(["square", "down"] * 10)
    np.savez(tmp_path / "other.npz", images=images, labels=names)
    assert main(["evaluate", str(trained), "--data", str(tmp_path / "other.npz"), "--json"]) == 0
    result = document(capsys)
    assert result["data"] == str(tmp_path / "other.npz")
    assert {row["split"] for row in result["metrics"]} == {"test"}
    assert "20 images" in result["metrics"][0]["note"]
    beside = result["metrics"][0]["baselines"]
    assert {"corrupted input", "PCA, 6 components"} < set(beside)  # fitted on the run's own training images
    np.savez(tmp_path / "bare.npz", images=images)
    assert main(["evaluate", str(trained), "--data", str(tmp_path / "bare.npz"), "--json"]) == 0
    assert [row["name"] for row in document(capsys)["metrics"]] == ["psnr", "ssim", "mse", "squared_error"]
    np.savez(tmp_path / "alien.npz", images=images, labels=np.array(["cat", "dog"] * 10))
    assert main(["evaluate", str(trained), "--data", str(tmp_path / "alien.npz"), "--json"]) == 0
    captured = capsys.readouterr()
    assert "does not know the classes 'cat', 'dog': their images are taken as unlabelled" in captured.err
    assert [row["name"] for row in json.loads(captured.out)["metrics"]] == ["psnr", "ssim", "mse", "squared_error"]


def test_resuming_to_fewer_epochs_than_there_were_is_refused(trained: Path, capsys: Any) -> None:
    before = (trained / "config.toml").read_text()
    assert main(["resume", str(trained), "--epochs", "1"]) == 2
    assert "--epochs 1: shapes-001 has been trained for 2 epochs already." in capsys.readouterr().err
    assert (trained / "config.toml").read_text() == before


# --- encode, report ---------------------------------------------------------------------------------------------


def test_encode(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["encode", str(trained), "--quiet"]) == 0
    assert capsys.readouterr().out == "Wrote 96 codes of 6 units to codes.npz\n"
    with np.load("codes.npz") as codes:
        assert codes["codes"].shape == (96, 6)
    assert main(["encode", str(trained), "--out", "x.npz", "--json"]) == 0
    assert document(capsys) == {"path": "x.npz", "images": 96, "size": 6}
    assert main(["encode", str(trained)]) == 2
    assert "'codes.npz' exists, and nothing is overwritten." in capsys.readouterr().err


def test_report_is_written_again(copies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = copies / "autoencoder" / "other-001" / "report.html"
    report.unlink()
    assert main(["report", "latest", "--runs", str(copies)]) == 0
    assert capsys.readouterr().out == f"{report}\n"
    assert "<html" in report.read_text()
    assert main(["report", "other-001", "--runs", str(copies), "--json"]) == 0
    assert document(capsys) == {"report": str(report)}


# --- resume -----------------------------------------------------------------------------------------------------


def test_resume_for_more_epochs(copies: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlkit.session.conclude", lambda run, *arguments: None)
    assert main(["resume", "shapes-001", "--runs", str(copies), "--epochs", "3", "--patience", "5", "--json"]) == 0
    result = document(capsys)
    assert result["run"] == str(copies / "autoencoder" / "shapes-001")
    assert result["status"] == "finished"
    run = Run(copies / "autoencoder" / "shapes-001")
    assert [row["epoch"] for row in run.metrics()] == [1, 2, 3]
    assert (run.settings.options.epochs, run.settings.options.patience) == (3, 5)
    assert main(["resume", "shapes-001", "--runs", str(copies), "--max-time", "none", "--quiet"]) == 0


# --- runs -------------------------------------------------------------------------------------------------------


def test_runs_lists(copies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--runs", str(copies)]) == 0
    out = capsys.readouterr().out
    assert "shapes-001" in out
    assert "other-001" in out
    assert "finished" in out
    assert main(["runs", "--runs", str(copies), "--json"]) == 0
    listed = document(capsys)
    assert {row["run"]: (row["technique"], row["data"], row["status"], row["epochs"]) for row in listed} == {
        "shapes-001": ("autoencoder", "shapes", "finished", 2),
        "other-001": ("autoencoder", "shapes", "finished", 2),
    }
    assert main(["runs", "--runs", str(copies / "nowhere"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == []
    assert "There are no runs" in err


def test_runs_tells_killed_from_training_and_lists_what_cannot_be_read(copies: Path, capsys: Any) -> None:
    run = Run(copies / "autoencoder" / "shapes-001")
    run.set_status("training")
    (copies / "autoencoder" / "other-001" / "status.json").write_text("{")
    with run.locked():
        assert main(["runs", "--runs", str(copies), "--json"]) == 0
        rows = {row["run"]: row for row in document(capsys)}
    assert rows["shapes-001"]["status"] == "training"
    assert rows["other-001"]["status"] == "unreadable"
    assert rows["other-001"]["reason"].startswith("Cannot read")
    assert main(["runs", "--runs", str(copies), "--json"]) == 0
    assert {row["run"]: row["status"] for row in document(capsys)}["shapes-001"] == "stopped"
    (run.path / "metrics.jsonl").write_text("[]\n")
    assert main(["runs", "--runs", str(copies)]) == 0


def test_runs_compare(copies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--runs", str(copies), "compare", "shapes-001", "latest", "--json"]) == 0
    result = document(capsys)
    labels = ["autoencoder/shapes-001", "autoencoder/other-001"]
    assert result["options"] == [{"option": "lr", labels[0]: 0.001, labels[1]: 0.002}]
    figures = open_run("shapes-001", copies).load_evaluation()
    assert figures is not None
    assert [(row["figure"], row["split"]) for row in result["figures"]] == [(m.label, m.split) for m in figures]
    assert [row[labels[1]] for row in result["figures"]] == [metric.value for metric in figures]
    assert main(["runs", "--runs", str(copies), "compare", "shapes-001", "other-001"]) == 0
    assert "Options that differ" in capsys.readouterr().out
    assert main(["runs", "--runs", str(copies), "compare", "shapes-001"]) == 2
    assert main(["runs", "--runs", str(copies), "compare", "latest", "other-001"]) == 2
    assert "cannot be compared with itself" in capsys.readouterr().err


def test_runs_of_two_roots_are_told_apart(copies: Path, trained: Path, capsys: Any) -> None:
    names = [str(trained), str(copies / "autoencoder" / "shapes-001")]
    config = Path(names[1]) / "config.toml"
    config.write_text(config.read_text().replace("lr = 0.001", "lr = 0.003"))
    assert main(["runs", "compare", *names, "--json"]) == 0
    assert document(capsys)["options"] == [{"option": "lr", names[0]: 0.001, names[1]: 0.003}]


def test_runs_remove_asks(copies: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    import io
    import sys

    words = ["runs", "--runs", str(copies), "remove"]
    path = copies / "autoencoder" / "other-001"
    for answer, code in (("n\n", 0), ("", 1)):
        monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
        assert main([*words, "latest"]) == code
        assert path.is_dir()
    assert "There is no way back" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert main([*words, "latest"]) == 0
    assert not path.exists()
    assert (copies / "latest").resolve() == (copies / "autoencoder" / "shapes-001").resolve()  # the newest that is left
    assert (copies / "autoencoder" / "shapes-001").is_dir()
    capsys.readouterr()
    assert main([*words, "shapes-001", "autoencoder/shapes-001", "--yes"]) == 0
    assert capsys.readouterr() == ("", f"Removed {copies / 'autoencoder' / 'shapes-001'}.\n")
    assert main([*words, "shapes-001", "--yes"]) == 2


def test_runs_remove_spares_what_is_no_run_and_what_is_in_use(copies: Path, tmp_path: Path, capsys: Any) -> None:
    project = tmp_path / "site"
    project.mkdir()
    (project / "config.toml").write_text('title = "my site"\n')
    assert main(["runs", "remove", str(project), "--yes"]) == 2
    assert (project / "config.toml").exists()
    run = Run(copies / "autoencoder" / "shapes-001")
    with run.locked():
        assert main(["runs", "remove", str(run.path), "--yes"]) == 2
    assert "Another process" in capsys.readouterr().err
    assert (run.path / "model.safetensors").exists()
    (run.path / "status.json").write_text("{")  # cannot be read, can be removed
    assert main(["runs", "remove", str(run.path), "--yes"]) == 0


# --- errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["resume", "evaluate", "encode", "report", "export"])
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nope"], 2, "No run 'nope'"),
        ([], 2, "Missing argument"),
        (["latest", "--nonsense"], 2, "'--nonsense'"),
        (["x" * 3000], 2, "No run"),
        (["latest", "--runs", "~nobody-of-that-name"], 2, "~nobody-of-that-name"),
    ],
    ids=["unknown", "none", "flag", "long", "home"],
)
def test_wrong_words_are_usage_errors(
    verb: str, words: list[str], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([verb, *words]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["resume", "RUN", "--epochs", "many"], 2, "--epochs: expected a whole number"),
        (["resume", "RUN", "--schedule", "cosin"], 2, "cosine"),
        (["evaluate", "RUN", "--device", "cuda:99"], 2, "cuda:99"),
        (["evaluate", "RUN", "--device", "toaster"], 2, "toaster"),
        (["evaluate", "RUN", "--data", "/nowhere.npz"], 3, "/nowhere.npz"),
        (["encode", "RUN", "--data", "digitz", "--out", "OUT"], 3, "Did you mean 'digits'"),
        (["encode", "RUN", "--out", "/proc/codes.npz"], 1, "Cannot write"),
        (["encode", "RUN", "--out", "~nobody-of-that-name/x"], 2, "~nobody-of-that-name"),
    ],
)
def test_wrong_values_and_missing_data(
    trained: Path, tmp_path: Path, capsys: Any, words: list[str], code: int, said: str
) -> None:
    names = {"RUN": str(trained), "OUT": str(tmp_path / "x.npz")}
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*") if path.is_file()}
    assert main([names.get(word, word) for word in words]) == code
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [("model.json", "{}", 3), ("data.json", "[]", 3), ("status.json", '{"format": 99}', 2), ("config.toml", "x", 2),
     ("config.toml", 'technique = "gone"\n', 2), ("model.safetensors", "x", 3)],
)  # fmt: skip
def test_a_spoilt_run_ends_in_an_error_not_in_a_traceback(
    copies: Path, capsys: Any, name: str, text: str, code: int
) -> None:
    (copies / "autoencoder" / "other-001" / name).write_text(text)
    assert main(["evaluate", "latest", "--runs", str(copies)]) == code
    err = capsys.readouterr().err
    assert err.startswith("Error: ")
    assert "Traceback" not in err


def test_a_training_by_command_line_prints_one_document(shapes_npz: Path, tmp_path: Path, capsys: Any) -> None:
    with np.load(shapes_npz) as archive:
        np.savez(tmp_path / "bare.npz", images=archive["images"])
    words = ["train", "autoencoder", "--data", str(tmp_path / "bare.npz"), "--layers", "8", "--epochs", "1",
             "--threads", "1", "--runs", str(tmp_path / "runs"), "--name", "mine", "--json"]  # fmt: skip
    assert main(words) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert result["run"] == str(tmp_path / "runs" / "autoencoder" / "mine-001")
    assert Path(result["report"]).is_file()
    assert {row["name"] for row in result["metrics"]} == {"psnr", "ssim", "mse", "squared_error"}
    assert result["status"] == "finished"
    assert "mine-001" in err
    assert main([*words, "--dry-run"]) == 0
    assert document(capsys)["options"]["name"] == "mine"
    assert [path.name for path in (tmp_path / "runs" / "autoencoder").iterdir()] == ["mine-001"]
