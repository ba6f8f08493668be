"""What lies in a folder of images and is no image: pipes, devices, giants, loops of links; archives that explode."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlkit.codes import read_codes
from dlkit.data import load_data
from dlkit.data.folders import list_folder
from dlkit.errors import DataError
from dlkit.options import DataOptions
from dlkit.predict import collect_images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        Image.new("L", (8, 8), 20 * number).save(tmp_path / f"{number}.png")
    return tmp_path


def reasons(where: Path) -> dict[str, str]:
    data = load_data(DataOptions(data=str(where), on_bad_image="skip", val_fraction=0, test_fraction=0))
    assert len(data.train) == 6
    return {Path(bad.path).name: bad.reason for bad in data.bad_files}


@pytest.mark.timeout(20)
def test_links_to_what_never_ends_or_never_begins(folder: Path) -> None:
    """A link to /dev/zero was read until memory was full, and a pipe named in a manifest was waited for."""
    (folder / "zero.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe")
    (folder / "linked.png").symlink_to("pipe")
    with (folder / "giant.png").open("wb") as file:
        file.truncate(1 << 40)
    (folder / "self.png").symlink_to("self.png")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "up").symlink_to("..", target_is_directory=True)
    found = reasons(folder)
    assert found["giant.png"].startswith("1,099,511,627,776 bytes")
    assert found["zero.png"] == "a folder, a pipe or a device, not a file"
    assert found["self.png"] == "Too many levels of symbolic links"


@pytest.mark.timeout(20)
def test_folders_without_an_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty folders, each with two links to the next, were read a billion times; 1,000 in each other ended Python."""
    for number in range(30):
        (folder / f"maze/{number}").mkdir(parents=True)
    for number in range(29):
        for name in "lr":
            (folder / f"maze/{number}/{name}").symlink_to(f"../{number + 1}")
    with pytest.raises(DataError, match="in more than 100 ways"):
        list_folder(folder / "maze/0")
    monkeypatch.chdir(folder)
    for _ in range(300):
        Path("d").mkdir()
        os.chdir("d")
    monkeypatch.chdir(folder)
    with pytest.raises(DataError, match="too deep"):
        list_folder(folder / "d")
    with pytest.raises(DataError, match="more than 200"):
        collect_images(["d"], io.BytesIO(), frozenset({".png"}))


def test_a_manifest_of_what_never_ends(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "folder.png").mkdir()
    names = ["/dev/zero", "pipe", "folder.png", "../" * 40 + "etc/shadow", *(f"{number}.png" for number in range(6))]
    (folder / "m.csv").write_text("image_path\n" + "\n".join(names) + "\n")
    assert len(reasons(folder / "m.csv")) == 4


@pytest.mark.parametrize("shape", [(10**6, 10**6, 10**3), (2**40,), (2**62, 4)])
def test_an_archive_that_promises_more_than_memory(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Its header says so; NumPy makes room before it reads."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 99)
    with pytest.raises(DataError, match=r"x\.npz"):
        load_data(DataOptions(data=str(tmp_path / "x.npz")))


def test_an_archive_that_unpacks_to_a_thousand_times_its_size(tmp_path: Path) -> None:
    """What it takes is bounded by what the user's file could honestly hold: it is read, and it is black."""
    np.savez_compressed(tmp_path / "x.npz", images=np.zeros((300, 64, 64), np.uint8))
    assert (tmp_path / "x.npz").stat().st_size < 3000
    assert load_data(DataOptions(data=str(tmp_path / "x.npz"))).spec.counts["train"] > 200


def test_an_archive_that_is_encrypted(tmp_path: Path) -> None:
    """Found by campaigns/fuzz.py: one bit says so."""
    np.savez(tmp_path / "x.npz", images=np.zeros((3, 4, 4), np.uint8))
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.npz.*encrypted"):
        load_data(DataOptions(data=str(tmp_path / "x.npz")))
    with pytest.raises(DataError, match=r"x\.npz.*encrypted"):
        read_codes(tmp_path / "x.npz")


def test_idx_files_of_impossible_shapes(tmp_path: Path) -> None:
    """Found by campaigns/fuzz.py: no images, of more pixels than there can be."""
    (tmp_path / "x-idx3-ubyte").write_bytes(bytes.fromhex("000008040000 1f8b 00000000 ffffffff ffffffff"))
    with pytest.raises(DataError, match="shape"):
        load_data(DataOptions(data=str(tmp_path / "x-idx3-ubyte")))
