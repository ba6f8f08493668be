"""Named data sets: fetched from a server on this machine, checked, unpacked; read as torchvision reads them."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import http.server
import io
import struct
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from dlkit import fetching
from dlkit.data import download, load_data, resolve
from dlkit.data.names import DATASETS, DatasetCard, Download
from dlkit.display import Display
from dlkit.errors import DataError, PluginError
from dlkit.options import DataOptions


class Server(http.server.BaseHTTPRequestHandler):
    """Serves ``files``; ``truncate`` cuts the answer short of its Content-Length."""

    files: ClassVar[dict[str, bytes]] = {}
    truncate = False
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        content = self.files.get(self.path.lstrip("/"))
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if self.truncate else content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[type[Server], str]]:
    handler = type("Handler", (Server,), {"files": {}, "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield handler, f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DLKIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "datasets"


def idx(array: np.ndarray) -> bytes:
    return gzip.compress(
        struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    )


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


RANDOM = np.random.default_rng(0)
TRAIN, TEST = (RANDOM.integers(0, 256, (count, 28, 28), dtype=np.uint8) for count in (30, 10))
FILES = {
    "train-images-idx3-ubyte.gz": idx(TRAIN),
    "train-labels-idx1-ubyte.gz": idx((np.arange(30) % 10).astype(np.uint8)),
    "t10k-images-idx3-ubyte.gz": idx(TEST),
    "t10k-labels-idx1-ubyte.gz": idx(np.arange(10).astype(np.uint8)),
}


def point(monkeypatch: pytest.MonkeyPatch, name: str, files: dict[str, bytes], *mirrors: str) -> None:
    """Have a data set fetched from these mirrors, with these files' checksums."""
    card = DATASETS[name]
    downloads = tuple(
        dataclasses.replace(
            item, md5=md5(files[Path(item.path).name]), urls=tuple(m + Path(item.path).name for m in mirrors)
        )
        for item in card.downloads
    )
    monkeypatch.setitem(DATASETS, name, dataclasses.replace(card, downloads=downloads))


def test_unpacked_files_of_a_torchvision_cache_do(
    server: tuple[type[Server], str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, url = server
    point(monkeypatch, "mnist", FILES, url)
    (home / "MNIST/raw").mkdir(parents=True)
    for name, content in FILES.items():
        (home / "MNIST/raw" / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
    assert np.array_equal(load_data(DataOptions(data="mnist")).test.raw()[:, 0].numpy(), TEST)
    assert handler.asked == []


def test_mnist_is_fetched_once(server: tuple[type[Server], str], home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler, url = server
    handler.files = FILES
    point(monkeypatch, "mnist", FILES, url + "not-here/", url)
    data = load_data(DataOptions(data="mnist", val_fraction=0))
    assert np.array_equal(data.train.raw()[:, 0].numpy(), TRAIN)
    assert np.array_equal(data.test.raw()[:, 0].numpy(), TEST)
    assert data.spec.source == data.spec.name == "mnist"
    assert (home / "MNIST/raw/train-images-idx3-ubyte.gz").read_bytes() == FILES["train-images-idx3-ubyte.gz"]
    asked = len(handler.asked)
    assert asked == 8
    load_data(DataOptions(data="MNIST"))
    assert len(handler.asked) == asked


@pytest.mark.parametrize("fault", ["truncated", "wrong", "missing"])
def test_a_bad_answer_leaves_nothing_and_says_what_to_put_where(
    server: tuple[type[Server], str], home: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    handler, url = server
    handler.files = {} if fault == "missing" else dict(FILES)
    handler.truncate = fault == "truncated"
    if fault == "wrong":
        handler.files["train-images-idx3-ubyte.gz"] = b"<html>log in</html>"
    point(monkeypatch, "mnist", FILES, url)
    with pytest.raises(DataError) as caught:
        load_data(DataOptions(data="mnist"))
    said = {"truncated": "cut off: ", "wrong": "what came is another file: its MD5", "missing": "404"}[fault]
    assert said in caught.value.message
    for name in FILES:
        assert str(home / "MNIST" / "raw" / name) in caught.value.hint
        assert url + name in caught.value.hint
    assert not [path for path in home.rglob("*") if path.is_file()]
    handler.files, handler.truncate = FILES, False
    assert len(load_data(DataOptions(data="mnist")).test) == 10


def test_offline_is_said_within_seconds(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point(monkeypatch, "mnist", FILES, "http://127.0.0.1:9/")  # nothing listens there
    start = time.monotonic()
    with pytest.raises(DataError, match="refused"):
        load_data(DataOptions(data="mnist"))
    assert time.monotonic() - start < 5


def test_a_silent_server_does_not_hang(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(fetching, "ANSWER", 0.3)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        point(monkeypatch, "mnist", FILES, f"http://127.0.0.1:{silent.getsockname()[1]}/")
        with pytest.raises(DataError, match="could not be downloaded"):
            load_data(DataOptions(data="mnist"))


def test_files_put_there_by_hand_are_checked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point(monkeypatch, "mnist", FILES, "http://127.0.0.1:9/")
    (home / "MNIST/raw").mkdir(parents=True)
    for name, content in FILES.items():
        (home / "MNIST/raw" / name).write_bytes(content)
    assert len(load_data(DataOptions(data="mnist")).test) == 10
    half = home / "MNIST/raw/train-images-idx3-ubyte.gz"
    half.write_bytes(half.read_bytes()[:500])
    with pytest.raises(DataError, match="damaged or another version") as caught:
        load_data(DataOptions(data="mnist"))
    assert caught.value.hint.count("MD5") == 1  # only that one is to be replaced
    assert half.stat().st_size == 500


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_cifar10_archive_is_unpacked_once(
    server: tuple[type[Server], str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, url = server
    records = RANDOM.integers(0, 256, (60, 3073), dtype=np.uint8)
    records[:, 0] %= 10
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    parts = {f"cifar-10-batches-bin/{n}": records[10 * i : 10 * i + 10].tobytes() for i, n in enumerate(names)}
    handler.files = {"cifar-10-binary.tar.gz": tar(parts)}
    point(monkeypatch, "cifar10", handler.files, url)
    for _ in range(2):
        data = load_data(DataOptions(data="cifar10", val_fraction=0))
        assert np.array_equal(data.train.raw().numpy(), records[:50, 1:].reshape(-1, 3, 32, 32))
        assert data.test.labels is not None
        assert data.test.labels.tolist() == records[50:, 0].tolist()
        assert data.spec.classes[1] == "automobile"
    assert len(handler.asked) == 1
    assert not list(home.glob(".*"))
    (home / "cifar-10-batches-bin" / "data_batch_3.bin").write_bytes(b"half")
    with pytest.raises(DataError, match="multiple of 3,073"):
        load_data(DataOptions(data="cifar10"))


def test_an_archive_does_not_write_outside(tmp_path: Path) -> None:
    archive = tmp_path / "evil.tar.gz"
    archive.write_bytes(tar({"good/a": b"1", "../../escaped": b"2"}))
    with pytest.raises(DataError, match="cannot be unpacked"):
        download._unpack(archive, tmp_path / "place" / "good", Display(quiet=True))
    assert not list(tmp_path.rglob("escaped"))
    assert not list((tmp_path / "place").iterdir())


def test_every_card_is_complete() -> None:
    from importlib import import_module

    for name, card in DATASETS.items():
        assert card.name == name == name.lower()
        module, _, function = card.loader.partition(":")
        assert callable(getattr(import_module(module), function))
        for item in card.downloads:
            assert isinstance(item, Download)
            assert len(item.md5) == 32
            assert not item.path.startswith("/")
            assert all(url.startswith("http") and url.endswith(Path(item.path).name) for url in item.urls)


def test_a_plugin_whose_loader_is_missing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = DatasetCard(name="broken", summary="From a plugin.", loader="no_such_module:read")
    monkeypatch.setattr(resolve, "catalog", lambda: {"broken": card})
    with pytest.raises(PluginError, match="no_such_module"):
        load_data(DataOptions(data="broken"))
