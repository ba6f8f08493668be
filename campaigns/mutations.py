"""Images as a hostile or a broken world hands them over."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = (
    "line\nbreak", "quote'\"`$(touch planted)", "<img src=x onerror=alert(1)>", "=HYPERLINK(1)",
    "\x1b[31mred\x1b]0;x\x07", "right\u202eto left", "-rf", "..", "%s%n{0}", "a" * 200, "[bold]", "nul\\0", "²", " ",
    "CON",
)  # fmt: skip
"""Stems of file names, to which bytes that are no UTF-8 come on top."""


@dataclass(frozen=True)
class Sample:
    """A file: its name's bytes, its content, and whether all of the content is as an encoder made it."""

    name: bytes
    content: bytes
    whole: bool


def encoded(chance: random.Random) -> list[tuple[str, bytes]]:
    """Suffix and content of whole images: every format that is read, odd modes, animations."""
    pixels = np.random.default_rng(chance.randrange(2**32)).integers(0, 256, (24, 20, 4), dtype=np.uint8)
    colour, grey = Image.fromarray(pixels[..., :3]), Image.fromarray(pixels[..., 0])
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    frames = [colour.rotate(90 * turn, expand=False) for turn in (1, 2)]
    made = [
        ("png", colour, {}), ("png", grey, {}), ("png", Image.fromarray(pixels), {}), ("png", deep, {}),
        ("png", colour.quantize(17), {}), ("png", grey.convert("1"), {}), ("png", grey.convert("LA"), {}),
        ("png", colour, {"save_all": True, "append_images": frames}),
        ("jpg", colour, {}), ("jpg", grey, {"progressive": True}), ("jpg", colour.convert("CMYK"), {}),
        ("gif", colour, {"save_all": True, "append_images": frames}),
        ("webp", colour, {"save_all": True, "append_images": frames}), ("webp", Image.fromarray(pixels), {}),
        ("tif", colour, {"compression": "tiff_lzw"}), ("tif", deep, {}),
        ("tif", grey.convert("F").point(lambda v: v / 255), {}),
        ("tif", colour.convert("LAB"), {}), ("tif", colour, {"save_all": True, "append_images": frames}),
        ("tif", colour, {"compression": "jpeg"}), ("bmp", colour, {}), ("ppm", colour, {}),
        ("tga", colour, {"compression": "tga_rle"}),
        ("jp2", colour, {}), ("avif", colour, {}), ("ico", colour, {}),
    ]  # fmt: skip
    found = []
    for suffix, image, options in made:
        stream = io.BytesIO()
        try:
            image.save(stream, {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000"}.get(suffix, suffix.upper()), **options)
        except (OSError, KeyError):  # this build of Pillow does not write it
            continue
        found.append((suffix, stream.getvalue()))
    return found


def samples(count: int, seed: int = 0) -> Iterator[Sample]:
    """``count`` files: whole ones, damaged ones, and some that lie."""
    chance = random.Random(seed)
    bases = encoded(chance)
    for number in range(count):
        suffix, content = chance.choice(bases)
        change = chance.choice(CHANGES)
        other = chance.choice(bases)[0] if chance.random() < 0.2 else suffix
        stem = chance.choice(NAMES).encode() + (b"\xff" if chance.random() < 0.2 else b"")
        name = b"%d %s.%s" % (number, stem.replace(b"/", b"_"), other.encode())
        changed = change(content, chance)
        yield Sample(name, changed, changed == content)


def write(folder: Path, made: Iterator[Sample]) -> dict[bytes, Sample]:
    """Put samples into a folder; name → sample."""
    written = {}
    for sample in made:
        with open(bytes(folder) + b"/" + sample.name, "wb") as file:  # noqa: PTH123 (a name of bytes)
            file.write(sample.content)
        written[sample.name] = sample
    return written


def _same(content: bytes, chance: random.Random) -> bytes:  # noqa: ARG001
    return content


def _empty(content: bytes, chance: random.Random) -> bytes:  # noqa: ARG001
    return b""


def _cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def _flipped(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _flipped_head(content: bytes, chance: random.Random) -> bytes:
    return _flipped(content[:64], chance) + content[64:]


def _zeroed(content: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(content))
    length = chance.randrange(1, 200)
    return content[:start] + chance.choice((b"\0", b"\xff"))[:1] * length + content[start + length :]


def _spliced(content: bytes, chance: random.Random) -> bytes:
    start, stop = sorted(chance.randrange(len(content)) for _ in range(2))
    return content[:stop] + content[start:]


def _text(content: bytes, chance: random.Random) -> bytes:  # noqa: ARG001
    return b"<html><body>404 Not Found</body></html>"


def _bomb(content: bytes, chance: random.Random) -> bytes:  # noqa: ARG001
    """A PNG of 100,000 × 100,000 black pixels, in a few bytes; or of as many as its limit just allows."""
    side = chance.choice((100_000, 2**31 - 1, 20_000))
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", head)
        + _chunk(b"IDAT", zlib.compress(b"\0" * 10_000))
        + _chunk(b"IEND", b"")
    )


def _text_bomb(content: bytes, chance: random.Random) -> bytes:  # noqa: ARG001
    """A PNG whose comment unpacks to 60 MB."""
    stream = io.BytesIO()
    Image.new("L", (4, 4)).save(stream, "PNG")
    packed = _COMMENT
    return stream.getvalue()[:33] + _chunk(b"zTXt", packed) + stream.getvalue()[33:]


_COMMENT = b"a\0\0" + zlib.compress(b"x" * 60_000_000)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _exif(content: bytes, chance: random.Random) -> bytes:  # noqa: ARG001
    """A JPEG whose EXIF lies: endless directories, absurd counts, orientations that are none."""
    tag, kind, count = (
        chance.choice((0x0112, 0x8769, 0x8825)),
        chance.randrange(1, 14),
        chance.choice((0, 1, 2**32 - 1)),
    )
    entry = struct.pack("<HHII", tag, kind, count, chance.choice((0, 6, 8, 9999, 2**32 - 1)))
    directory = struct.pack("<H", chance.choice((1, 65535))) + entry + struct.pack("<I", chance.choice((0, 8)))
    stream = io.BytesIO()
    Image.new("RGB", (9, 5), (200, 30, 90)).save(stream, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0" + directory)
    return stream.getvalue()


CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _same, _same, _empty, _cut, _cut, _flipped, _flipped, _flipped, _flipped_head, _flipped_head, _zeroed, _spliced,
    _text, _bomb, _text_bomb, _exif, _exif,
)  # fmt: skip
"""Ways to change a file; the likelier, the more often they stand here."""
