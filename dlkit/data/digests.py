"""Digests of images: which are in two splits, and the fingerprint of the whole."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence

from dlkit.data.data import Duplicate
from dlkit.data.listing import SPLITS, Floats, Ints, Pixels
from dlkit.data.spec import DataSpec

DIGEST_BYTES = 32


def digests(images: Pixels) -> list[bytes]:
    """SHA-256 of each of ``(n, C, H, W)``."""
    return [hashlib.sha256(memoryview(image)).digest() for image in images]


def fingerprint(
    spec: DataSpec, found: Mapping[str, Sequence[bytes]], labels: Mapping[str, Ints | Floats | None]
) -> str:
    """SHA-256 over shape, classes and, split by split, the images' digests and labels (or targets)."""
    kind = [] if spec.target == "classes" else [spec.target]
    whole = hashlib.sha256(json.dumps([spec.shape, spec.pixel_type, spec.classes, *kind]).encode())
    for split in SPLITS:
        whole.update(f"{split} {len(found[split])}".encode())
        whole.update(b"".join(found[split]))
        split_labels = labels[split]
        form = "<i8" if spec.target == "classes" else "<f4"
        whole.update(b"unlabelled" if split_labels is None else split_labels.astype(form).tobytes())
    return whole.hexdigest()


def find_duplicates(found: Mapping[str, Sequence[bytes]]) -> tuple[Duplicate, ...]:
    """Images of val and test whose pixels are in an earlier split (train, then val), with the first such image."""
    seen: dict[bytes, tuple[str, int]] = {}
    duplicates = []
    for split in SPLITS:
        for index, digest in enumerate(found[split]):
            if digest in seen and seen[digest][0] != split:
                duplicates.append(Duplicate(seen[digest], (split, index)))
        for index, digest in enumerate(found[split]):
            seen.setdefault(digest, (split, index))
    return tuple(duplicates)


def duplicate_notices(duplicates: Sequence[Duplicate]) -> list[str]:
    """One line for each pair of splits."""
    pairs = Counter((duplicate.second[0], duplicate.first[0]) for duplicate in duplicates)
    return [
        f"{count:,} image{'s' if count > 1 else ''} of {later} "
        f"{'are' if count > 1 else 'is'} in {earlier} too (the same pixels)."
        for (later, earlier), count in pairs.items()
    ]
