"""Fetching published weights: the hub's protocol on 127.0.0.1, the caches, and hosts that do not answer."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants as hub_constants
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save

from dlkit.backbones import BackboneOptions, build_backbone, fetched_form, image_form
from dlkit.backbones import hub as hub_module
from dlkit.errors import DataError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "timm/test_resnet.r160_in1k"


class Hub(ThreadingHTTPServer):
    """Answers like the Hugging Face hub: ``/{repo}/resolve/{revision}/{file}`` with commit, etag and length."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.truncate = 0
        self.silent = False
        self.status = 200
        self.corrupt = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        if self.server.silent:
            time.sleep(30)
            return
        if self.server.status != 200:
            self.send_response(self.server.status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        repository, _, rest = self.path.lstrip("/").partition("/resolve/")
        content = self.server.files.get(f"{repository}/{rest.partition('/')[2]}")
        if content is None:
            known = any(name.startswith(f"{repository}/") for name in self.server.files)
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.server.corrupt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if with_body:
            self.wfile.write(content[: len(content) - self.server.truncate])
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


def _point_to(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As HF_ENDPOINT does in a new process."""
    monkeypatch.setattr(hub_constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(
        hub_constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    )


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    _point_to(server.url, monkeypatch)
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(3)
    return timm.create_model("test_resnet").eval()


OPTIONS = BackboneOptions(backbone="test_resnet")


def test_weights_come_from_the_hub_once_and_then_from_the_cache(hub: Hub, network: torch.nn.Module) -> None:
    hub.files[f"{REPOSITORY}/model.safetensors"] = save(network.state_dict())
    backbone = build_backbone(OPTIONS)
    assert backbone.origin.weights == REPOSITORY
    assert backbone.origin.licence == "apache-2.0"
    assert backbone.origin.classes[310].startswith("ant")
    images = torch.rand(1, 3, 160, 160)
    with torch.no_grad():
        assert backbone.classifier is not None
        torch.testing.assert_close(backbone.classifier(backbone(images)), network(backbone.normalized(images)))
    assert any(line.startswith(f"GET /{REPOSITORY}/resolve/") for line in hub.asked)
    hub.asked.clear()
    build_backbone(OPTIONS)
    assert hub.asked == []


def test_pickled_weights_of_the_hub_are_read_without_executing(
    hub: Hub, network: torch.nn.Module, tmp_path: Path
) -> None:
    torch.save(network.state_dict(), tmp_path / "w.bin")
    hub.files[f"{REPOSITORY}/pytorch_model.bin"] = (tmp_path / "w.bin").read_bytes()
    own = build_backbone(OPTIONS).network.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in network.state_dict().items() if name in own)


def test_another_number_of_classes_leaves_no_random_classifier(hub: Hub, network: torch.nn.Module) -> None:
    hub.files[f"{REPOSITORY}/model.safetensors"] = save(network.state_dict())
    backbone = build_backbone(BackboneOptions(backbone="test_resnet", backbone_arg=("num_classes=7",)))
    assert backbone.classifier is None
    assert backbone.origin.classes == ()


def test_what_is_not_there_is_told(hub: Hub) -> None:
    with pytest.raises(DataError, match="has no such repository, or it is private"):
        build_backbone(OPTIONS)
    hub.files[f"{REPOSITORY}/README.md"] = b""
    with pytest.raises(DataError, match=r"has no model.safetensors or pytorch_model.bin of it"):
        build_backbone(OPTIONS)


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


def test_weights_that_are_broken_in_the_cache_are_told(hub: Hub) -> None:
    hub.files[f"{REPOSITORY}/model.safetensors"] = b"not weights"
    with pytest.raises(DataError, match=r"model.safetensors' cannot be read.*\nRemove this file"):
        build_backbone(OPTIONS)


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


def test_the_form_of_images_needs_no_network(hub: Hub) -> None:
    image_form(OPTIONS)
    image_form(BackboneOptions(backbone="torchvision/resnet18"))
    assert hub.asked == []


def test_weights_are_fetched_before_images_are_read(hub: Hub, network: torch.nn.Module, tmp_path: Path) -> None:
    from dlkit.cli.main import main

    assert main(["transfer", "--backbone", "test_resnet", "--data", "digits", "--runs", str(tmp_path / "runs")]) == 3
    assert not (tmp_path / "runs").exists()
    hub.files[f"{REPOSITORY}/model.safetensors"] = save(network.state_dict())
    assert fetched_form(OPTIONS) == image_form(OPTIONS)
    hub.asked.clear()
    build_backbone(OPTIONS)
    assert hub.asked == []


def test_offline_nobody_is_asked(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="HF_HUB_OFFLINE is set"):
        build_backbone(OPTIONS)
    with pytest.raises(DataError, match="HF_HUB_OFFLINE is set"):
        build_backbone(BackboneOptions(backbone="torchvision/squeezenet1_1"))
    assert hub.asked == []


def test_the_environments_variables_are_honoured(hub: Hub, network: torch.nn.Module, tmp_path: Path) -> None:
    hub.files[f"{REPOSITORY}/model.safetensors"] = save(network.state_dict())
    code = (
        "from dlkit.backbones import BackboneOptions, build_backbone; "
        "print(build_backbone(BackboneOptions(backbone='test_resnet')).origin.weights)"
    )
    environment = {
        **os.environ,
        "HF_HOME": str(tmp_path / "home"),
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    environment.pop("HF_HUB_CACHE", None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == REPOSITORY
    assert (tmp_path / "home" / "hub" / f"models--{REPOSITORY.replace('/', '--')}").is_dir()


def test_torchvisions_weights_come_from_torchs_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hub: Hub) -> None:
    torch.manual_seed(0)
    network = torchvision.models.squeezenet1_1(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    digest = hashlib.sha256((tmp_path / "w.pth").read_bytes()).hexdigest()
    url = f"{hub.url}/models/squeezenet1_1-{digest[:8]}.pth"
    weights = torchvision.models.SqueezeNet1_1_Weights.DEFAULT
    monkeypatch.setattr(type(weights), "url", url)
    cached = tmp_path / "torch" / "hub" / "checkpoints" / Path(url).name
    cached.parent.mkdir(parents=True)
    cached.write_bytes((tmp_path / "w.pth").read_bytes())
    backbone = build_backbone(BackboneOptions(backbone="torchvision/squeezenet1_1"))
    assert hub.asked == []
    assert backbone.origin.weights == "torchvision/squeezenet1_1.IMAGENET1K_V1"
    assert backbone.origin.classes[310] == "ant"
    assert torch.equal(backbone.network.features[0].weight, network.features[0].weight)
    cached.write_bytes(b"something else")
    with pytest.raises(DataError, match="its SHA-256 is not the one in its name"):
        build_backbone(BackboneOptions(backbone="torchvision/squeezenet1_1"))


def test_a_url_is_fetched_checked_and_kept(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = os.urandom(100_000)
    digest = hashlib.sha256(content).hexdigest()
    hub.files[f"models/w-{digest[:8]}.pth"] = hub.files["models/w-00000000.pth"] = content
    good, bad = f"{hub.url}/models/resolve/v/w-{digest[:8]}.pth", f"{hub.url}/models/resolve/v/w-00000000.pth"
    path = hub_module.from_url(good)
    assert path.read_bytes() == content
    assert capsys.readouterr().out == ""
    with pytest.raises(DataError, match="invalid hash value"):
        hub_module.from_url(bad)
    assert [kept.name for kept in path.parent.iterdir()] == [path.name]
    hub.asked.clear()
    assert hub_module.from_url(good) == path
    assert hub.asked == []
    with pytest.raises(DataError, match="404"):
        hub_module.from_url(f"{hub.url}/models/resolve/v/none.pth")


def test_hosts_that_do_not_exist_refuse_or_are_silent_cost_seconds(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refusing = f"http://127.0.0.1:{closed.getsockname()[1]}"
    hub.silent = True
    for endpoint in (refusing, "http://no-such-host.invalid", hub.url):
        _point_to(endpoint, monkeypatch)
        started = time.monotonic()
        with pytest.raises(DataError, match="cannot be fetched"):
            build_backbone(OPTIONS)
        with pytest.raises(DataError, match="cannot be fetched"):
            hub_module.from_url(f"{endpoint}/w.pth")
        assert time.monotonic() - started < 8
