"""Hubs that are in trouble, silent, slow, or send something else: an error soon, and nothing kept."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants as hub_constants
import pytest
import torch
from hub_server import OPTIONS, REPOSITORY, Hub, point_to
from safetensors.torch import save

from dlkit import fetching
from dlkit.backbones import build_backbone
from dlkit.backbones import hub as hub_module
from dlkit.errors import DataError


def test_a_truncated_download_is_told_and_not_kept(
    hub: Hub, network: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)  # between its five tries
    hub.files[f"{REPOSITORY}/model.safetensors"] = save(network.state_dict())
    hub.truncate = 1000
    with pytest.raises(DataError, match=r"cannot be fetched: fetching it from http://127.0.0.1"):
        build_backbone(OPTIONS)
    hub.truncate = 0
    assert build_backbone(OPTIONS).origin.weights == REPOSITORY


def test_another_content_than_the_hub_names_is_told_and_not_kept(hub: Hub, network: torch.nn.Module) -> None:
    """One bit of a weight: as long as the right file, and a whole safetensors file."""
    hub.files[f"{REPOSITORY}/model.safetensors"] = save(network.state_dict())
    hub.corrupt = True
    with pytest.raises(DataError, match="its SHA-256 is not the one that the hub names"):
        build_backbone(OPTIONS)
    assert hub_module.cached_from_hub(REPOSITORY) is None
    cache = Path(hub_constants.HF_HUB_CACHE)
    assert not [*cache.rglob("blobs/*"), *cache.rglob("*.safetensors")]
    hub.corrupt = False
    assert build_backbone(OPTIONS).origin.weights == REPOSITORY


@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_a_server_in_trouble_is_told_within_seconds(hub: Hub, status: int) -> None:
    hub.status = status
    started = time.monotonic()
    with pytest.raises(DataError, match=f"cannot be fetched.*{status}"):
        build_backbone(OPTIONS)
    with pytest.raises(DataError, match=f"cannot be fetched.*{status}"):
        hub_module.from_url(f"{hub.url}/models/w-00000000.pth")
    assert time.monotonic() - started < 8
    assert hub_module.cached_from_hub(REPOSITORY) is None


@pytest.mark.parametrize("first", ["ours", "the library's"])
def test_a_server_that_never_answers_costs_seconds(hub: Hub, monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    hub.silent = True
    if first == "the library's":  # the limits are the same, and either may be the first to end
        monkeypatch.setattr(hub_module, "within", lambda _seconds, work: work())
    started = time.monotonic()
    with pytest.raises(DataError, match="does not answer") as told:
        build_backbone(OPTIONS)
    assert time.monotonic() - started < 5
    for way in ("--weights FILE", "--random-init", "HF_HOME", "HF_ENDPOINT"):
        assert way in told.value.hint


def test_a_server_that_drips_is_given_up(hub: Hub, network: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends a byte whenever patience would end; that was waited for as long as it went on."""
    hub.files[f"{REPOSITORY}/model.safetensors"] = hub.files["models/w-00000000.pth"] = save(network.state_dict())
    hub.drips = True
    monkeypatch.setattr(hub_module, "STANDSTILL", 0.5)
    monkeypatch.setattr(fetching, "SPAN", 0.5)
    started = time.monotonic()
    with pytest.raises(DataError, match=r"nothing came within 0\.5 s"):
        build_backbone(OPTIONS)
    with pytest.raises(DataError, match=r"too slow: [0-9]+ bytes"):
        hub_module.from_url(f"{hub.url}/models/resolve/v/w-00000000.pth")
    assert time.monotonic() - started < 5
    cache = Path(hub_constants.HF_HUB_CACHE)
    assert not [*cache.rglob("*.incomplete"), *hub_module.torch_cache().iterdir()]
    hub.drips = False
    assert build_backbone(OPTIONS).origin.weights == REPOSITORY


def test_hosts_that_do_not_exist_refuse_or_are_silent_cost_seconds(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refusing = f"http://127.0.0.1:{closed.getsockname()[1]}"
    hub.silent = True
    for endpoint in (refusing, "http://no-such-host.invalid", hub.url):
        point_to(endpoint, monkeypatch)
        started = time.monotonic()
        with pytest.raises(DataError, match="cannot be fetched"):
            build_backbone(OPTIONS)
        with pytest.raises(DataError, match="cannot be fetched"):
            hub_module.from_url(f"{endpoint}/w.pth")
        assert time.monotonic() - started < 8


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """Python takes no notice of SIGINT where a shell started it in the background, without job control."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_ctrl_c_leaves_nothing_of_a_download(hub: Hub, network: torch.nn.Module) -> None:
    hub.files[f"{REPOSITORY}/model.safetensors"] = save(network.state_dict())
    hub.drips = True
    cache = Path(hub_constants.HF_HUB_CACHE)

    def interrupt() -> None:
        while not list(cache.rglob("*.incomplete")):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        build_backbone(OPTIONS)
    assert not list(cache.rglob("*.incomplete"))
    assert hub_module.cached_from_hub(REPOSITORY) is None
