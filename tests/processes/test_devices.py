"""``--devices 2`` on the command line: one display, one record; processes that die are started again; signals save."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from dlkit.cli.main import main

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")

WORDS = ["--layers", "16", "--code", "6", "--batch-size", "15", "--denoise", "--dropout", "0.2", "--batch-norm",
         "--threads", "1", "--checkpoint-every", "0"]  # fmt: skip


class Training:
    """``dlkit train autoencoder --devices 2``, begun."""

    def __init__(self, data: Path, root: Path, *words: str) -> None:
        self.run = root / "autoencoder" / f"{data.stem}-001"
        self.temporary = root / "temporary"
        self.temporary.mkdir(parents=True, exist_ok=True)
        command = ["-m", "dlkit", "train", "autoencoder", "--data", str(data), "--runs", str(root), *WORDS]
        self.process = subprocess.Popen(
            [sys.executable, *command, "--devices", "2", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(self.temporary)},
        )

    def wait_for_epochs(self, count: int) -> None:
        deadline = time.monotonic() + 120
        while len(self.rows()) < count:
            assert time.monotonic() < deadline
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.02)

    def rows(self) -> list[str]:
        path = self.run / "metrics.jsonl"
        return path.read_text().splitlines() if path.exists() else []

    def worker(self, rank: int) -> int:
        """The process of that rank."""
        return self.workers()[rank]

    def workers(self) -> dict[int, int]:
        """Rank → process, of those that this launcher has started."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:  # it has just ended
                continue
            if parent == self.process.pid:
                ranks = [int(value[5:]) for value in environment if value.startswith(b"RANK=")]
                found |= dict.fromkeys(ranks, int(entry.name))
        return found

    def left(self) -> list[str]:
        """What lies among the temporary files, but for the folder that PyTorch makes for what it compiles."""
        return [path.name for path in self.temporary.iterdir() if not path.name.startswith("torchinductor_")]

    def end(self) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        try:
            output, errors = self.process.communicate(timeout=240)
        finally:
            self.process.terminate()
        return self.process.returncode, output, errors


@pytest.fixture(scope="module")
def unharmed(shapes_npz: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A run of forty epochs, and what the command wrote."""
    training = Training(shapes_npz, tmp_path_factory.mktemp("unharmed"), "--epochs", "40", "--json")
    code, output, errors = training.end()
    assert code == 0, errors
    assert not training.left()
    return training.run, output, errors


def same_weights(one: Path, other: Path) -> bool:
    first, second = (load_file(run / "model.safetensors") for run in (one, other))
    return all(first[name].equal(second[name]) for name in first | second)


@pytest.mark.slow
def test_one_process_speaks(unharmed: tuple[Path, str, str]) -> None:
    run, output, errors = unharmed
    assert json.loads(output)["run"] == str(run)
    assert errors.count("epoch 1/40") == 1
    assert "gloo" not in errors.lower()
    assert (run / "report.html").exists()
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 40


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_what_dies_is_started_again_and_the_result_is_the_same(
    unharmed: tuple[Path, str, str], shapes_npz: Path, tmp_path: Path, rank: int
) -> None:
    training = Training(shapes_npz, tmp_path, "--epochs", "40")
    training.wait_for_epochs(5)
    os.kill(training.worker(rank), signal.SIGKILL)
    code, _, errors = training.end()
    assert code == 0, errors
    assert "all 2 go on from the last checkpoint (restart 1 of at most 3)" in errors
    assert same_weights(training.run, unharmed[0])
    assert [json.loads(row)["epoch"] for row in training.rows()] == list(range(1, 41))


@pytest.mark.slow
def test_a_signal_to_one_process_reaches_all(unharmed: tuple[Path, str, str], shapes_npz: Path, tmp_path: Path) -> None:
    training = Training(shapes_npz, tmp_path, "--epochs", "40")
    training.wait_for_epochs(5)
    os.kill(training.worker(1), signal.SIGTERM)
    code, _, errors = training.end()
    assert code == 0, errors
    assert "restart 1 of at most 3" in errors
    assert same_weights(training.run, unharmed[0])


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_resume_ends_as_if_nothing_had_been(
    unharmed: tuple[Path, str, str], shapes_npz: Path, tmp_path: Path, sent: signal.Signals
) -> None:
    training = Training(shapes_npz, tmp_path, "--epochs", "40")
    training.wait_for_epochs(5)
    training.process.send_signal(sent)
    code, _, errors = training.end()
    assert code == 128 + sent
    assert not training.left()
    assert errors.splitlines()[-2:] == [
        f"Stopped by {sent.name}.",
        f"Everything up to here is saved; go on with: dlkit resume {training.run}",
    ]
    assert "Traceback" not in errors
    assert json.loads((training.run / "status.json").read_text())["status"] == "interrupted"
    assert main(["resume", str(training.run), "--quiet"]) == 0
    assert same_weights(training.run, unharmed[0])


@pytest.mark.slow
def test_workers_stop_where_the_launcher_is_killed(shapes_npz: Path, tmp_path: Path) -> None:
    training = Training(shapes_npz, tmp_path, "--epochs", "100000")
    training.wait_for_epochs(2)
    workers = [training.worker(rank) for rank in (0, 1)]
    training.process.kill()
    training.end()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert json.loads((training.run / "status.json").read_text())["status"] == "interrupted"
    assert len(training.left()) == 1
    assert Training(shapes_npz, tmp_path, "--epochs", "1").end()[0] == 0
    assert not training.left()  # the next one removes it


@pytest.mark.slow
def test_two_machines_meet_and_meet_again_where_a_process_has_died(
    unharmed: tuple[Path, str, str], shapes_npz: Path, tmp_path: Path
) -> None:
    """Two launchers on this machine; the result is that of two processes of one launcher."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        place = f"127.0.0.1:{free.getsockname()[1]}"
    words = ["--epochs", "40", "--devices", "1", "--nodes", "2", "--rendezvous", place]
    machines = [Training(shapes_npz, tmp_path, *words) for _ in range(2)]
    machines[0].wait_for_epochs(5)
    os.kill(next(pids[1] for pids in (machine.workers() for machine in machines) if 1 in pids), signal.SIGKILL)
    for code, _, errors in [machine.end() for machine in machines]:
        assert code == 0, errors
    assert same_weights(machines[0].run, unharmed[0])
    assert [path.name for path in machines[0].run.parent.iterdir()] == [machines[0].run.name]


@pytest.mark.slow
@pytest.mark.parametrize(("before", "now"), [("2", "1"), ("1", "2")])
def test_another_number_of_processes_goes_on(before: str, now: str, shapes_npz: Path, tmp_path: Path) -> None:
    """To the same weights up to rounding, where nothing is drawn within the network."""
    words = ["train", "autoencoder", "--data", str(shapes_npz), "--layers", "16", "--code", "6", "--batch-size", "15",
             "--denoise", "--threads", "1", "--quiet"]  # fmt: skip
    run, whole = (root / "autoencoder" / "shapes-001" for root in (tmp_path / "parts", tmp_path / "whole"))
    assert main([*words, "--epochs", "6", "--runs", str(tmp_path / "whole")]) == 0
    assert main([*words, "--epochs", "3", "--runs", str(tmp_path / "parts"), "--devices", before]) == 0
    assert main(["resume", str(run), "--epochs", "6", "--devices", now]) == 0
    expected, found = (load_file(path / "model.safetensors") for path in (whole, run))
    for name, value in expected.items():
        assert float((found[name] - value).abs().max()) < 1e-4, name


@pytest.mark.slow
def test_seeds_are_trained_one_after_the_other(shapes_npz: Path, tmp_path: Path) -> None:
    words = ["train", "autoencoder", "--data", str(shapes_npz), "--runs", str(tmp_path), "--epochs", "1", "--devices"]
    assert main([*words, "2", "--layers", "16", "--threads", "1", "--seeds", "2"]) == 0
    runs = sorted((tmp_path / "autoencoder").glob("shapes-*"))
    sessions = [json.loads((run / "environment.json").read_text()) for run in runs]
    assert [[session["processes"] for session in each] for each in sessions] == [[2], [2]]
    assert all((run / "repeats.json").exists() for run in runs)


def test_an_error_ends_all_with_one_message(
    shapes_npz: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "autoencoder", "--data", str(shapes_npz), "--runs", str(tmp_path), "--layers", "16", "--devices",
             "2", "--lr", "1e30", "--epochs", "3"]  # fmt: skip
    assert main(words) == 1
    errors = capfd.readouterr().err
    assert errors.count("Error:") == 1
    assert "Training went astray" in errors
    assert "Traceback" not in errors
    status = json.loads((tmp_path / "autoencoder" / "shapes-001" / "status.json").read_text())
    assert status["status"] == "failed"
    assert "went astray" in status["error"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--epochs", "none"], 2, "--epochs: expected a whole number"),
        (["--data", "nowhere"], 3, "nowhere"),
        (["--lr", "1e30", "--epochs", "3"], 1, "Training went astray"),
    ],
)
def test_torchrun_shows_one_message(words: list[str], code: int, says: str, shapes_npz: Path, tmp_path: Path) -> None:
    torchrun = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "--log-dir",
        str(tmp_path / "logs"),
    ]
    train = ["train", "autoencoder", "--data", str(shapes_npz), "--runs", str(tmp_path), "--layers", "16", *words]
    done = subprocess.run(
        [sys.executable, *torchrun, "-m", "dlkit", *train], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 1
    assert f"exitcode  : {code} " in done.stderr, done.stderr
    assert done.stderr.count("\nError: ") + done.stderr.startswith("Error: ") == 1, done.stderr
    assert says in done.stderr
