"""What several processes are refused, before any is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlkit import launch
from dlkit.cli.main import main
from dlkit.errors import UsageError
from dlkit.runtime import device


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--devices", "2", "--device", "mps"], "--device mps: processes that train together cannot share it"),
        (["--devices", "2", "--device", "nonsense"], "--device nonsense: expected auto, cpu, cuda, cuda:N or mps"),
        (["--devices", "999", "--device", "cpu"], "--devices 999: this machine has"),
        (["--devices", "0"], "--devices: expected a whole number of at least 1, got '0'"),
        (["--nodes", "-1"], "--nodes: expected a whole number of at least 1, got '-1'"),
        (["--nodes", "2"], "the nodes' processes must find one another"),
        (["--nodes", "2", "--rendezvous", "first-node"], "--rendezvous first-node: expected HOST:PORT"),
        (["--nodes", "2", "--rendezvous", "first-node:65536"], "--rendezvous first-node:65536: expected HOST:PORT"),
        (["--nodes", "2", "--rendezvous", f"{'x' * 64}:29500"], f"there is no machine {'x' * 64!r} here"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    words: list[str], says: str, shapes_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "autoencoder", "--data", str(shapes_npz), "--runs", str(tmp_path), *words]) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_machines_that_do_not_meet_are_told_where(tmp_path: Path) -> None:
    from torch.distributed.elastic.rendezvous.api import RendezvousConnectionError, RendezvousTimeoutError

    late = launch._not_met(RendezvousTimeoutError(), "first:29500", tmp_path)
    assert "have not met at first:29500" in late.message
    assert "ten minutes" in late.message
    lost = RendezvousConnectionError("See inner exception for details.")
    lost.__cause__ = RuntimeError("Connection refused\nframe #1: c10d::detail")
    assert launch._not_met(lost, "first:29500", tmp_path).message.endswith("one another: Connection refused")


@pytest.mark.parametrize("several", ["--seeds", "--kfold"])
def test_what_trains_several_times_is_not_for_torchrun(
    several: str, shapes_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("dlkit.cli.main._speaks", lambda: True)
    words = ["train", "autoencoder", "--data", str(shapes_npz), "--runs", str(tmp_path), several, "3"]
    assert main(words) == 2
    errors = capsys.readouterr().err
    assert f"{several}: the processes that torchrun starts train once." in errors
    assert f"{several} 3 --devices 2" in errors
    assert not list(tmp_path.iterdir())


def test_more_devices_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_present", lambda: ["cuda:0", "cuda:1", "cpu"])
    monkeypatch.setattr(device, "available_threads", lambda: 4)
    device.check_devices("auto", 2)
    device.check_devices("cpu", 4)
    with pytest.raises(UsageError, match="--devices 5: this machine has 4 CPUs"):
        device.check_devices("cpu", 5)
    with pytest.raises(UsageError, match="--devices 3: this machine has 2 GPUs") as refused:
        device.check_devices("auto", 3)
    assert refused.value.hint == "Use --devices 2."


def test_each_process_has_a_device_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_present", lambda: ["cuda:0", "cuda:1", "cpu"])
    for name, value in {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert str(device.resolve_device("auto")) == str(device.resolve_device("cuda")) == "cuda:1"
    assert str(device.resolve_device("cpu")) == "cpu"
    with pytest.raises(UsageError, match="--device cuda:1: processes that train together cannot share it"):
        device.resolve_device("cuda:1")
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")  # four machines
    assert str(device.resolve_device("cuda:1")) == "cuda:1"
    with pytest.raises(UsageError, match="--device cuda:2: there is no such device here"):
        device.resolve_device("cuda:2")
