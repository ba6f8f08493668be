"""Features of a split's images: from the cache where they are there, computed fast where not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from dlkit.backbones import Backbone, Tap
from dlkit.data.spread import evenly
from dlkit.display import Progress
from dlkit.features.engine import CHECKED, WORTH_CHECKING, Engine, batch_size, build_engine, variants
from dlkit.features.keys import Subject
from dlkit.features.limits import size_limit
from dlkit.features.options import FeatureOptions
from dlkit.features.store import Entry, evict
from dlkit.runtime.batches import cut

if TYPE_CHECKING:
    from dlkit.data import Split
    from dlkit.runtime import Runtime

Features = dict[Tap, NDArray[np.float32]]
"""Tap → ``(N, D)``, in the split's order."""

_FLUSH = 64 << 20  # bytes of features after which they are written: what a killed job loses
_FLUSH_IMAGES = 2048
_engines: WeakKeyDictionary[Runtime, tuple[tuple[object, ...], bool, Engine]] = WeakKeyDictionary()
"""What a runtime's last engine was for, whether bf16 was tried, and the engine: train and test split are computed in
the same way, prepared once."""

_said: WeakKeyDictionary[Runtime, set[str]] = WeakKeyDictionary()


def side_by_side(features: Features, taps: Sequence[Tap]) -> NDArray[np.float32]:
    """Features of several taps as one vector per image, ``(N, D)``, in the order of ``taps``."""
    return np.concatenate([features[tap] for tap in taps], 1)


def extract(
    backbone: Backbone, split: Split, taps: Sequence[Tap], runtime: Runtime, options: FeatureOptions | None = None
) -> Features:
    """The features of all images of a split, in one pass for all taps.

    An image's features do not depend on the images beside it in a batch but for the last bits of a float: sums are
    taken in another order for batches of another size.

    Args:
        backbone: on the runtime's device, in eval mode; it is not changed.
        split: the images. Without ``digests`` nothing is kept.
        taps: which features.
        runtime: where to compute.
        options: precision and cache; the defaults if None.

    Raises:
        DataError: an image cannot be read any more.
        UsageError: ``DLKIT_CACHE_SIZE`` is no size.
    """
    options, taps = options or FeatureOptions(), tuple(dict.fromkeys(taps))
    if not len(split):
        return {tap: np.zeros((0, backbone.stage(tap.stage).channels), np.float32) for tap in taps}
    return _Extraction(backbone, split, taps, runtime, options).run()


@dataclass
class _Known:
    """What the cache has of the distinct images, for one way of computing; in the order of the taps."""

    entries: list[Entry] = field(default_factory=list)
    masks: list[NDArray[np.bool_]] = field(default_factory=list)
    values: list[NDArray[np.float32] | None] = field(default_factory=list)


class _Extraction:
    """One call of :func:`extract`."""

    def __init__(
        self, backbone: Backbone, split: Split, taps: tuple[Tap, ...], runtime: Runtime, options: FeatureOptions
    ) -> None:
        self.backbone, self.split, self.taps, self.runtime, self.options = backbone, split, taps, runtime, options
        self.first = self.inverse = np.arange(len(split))
        self.digests = split.digests if options.cache else None
        if self.digests is not None:  # an image that is there twice is computed once
            self.digests, self.first, self.inverse = np.unique(
                self.digests, axis=0, return_index=True, return_inverse=True
            )
        self.fingerprint = backbone.fingerprint()
        self.written: set[Path] = set()

    def run(self) -> Features:
        """Find, compute what is missing, put together."""
        found = (
            {}
            if self.digests is None
            else {variant: self._look_up(variant, self.digests) for variant in variants(self.options)}
        )
        complete = [known for known in found.values() if all(mask.all() for mask in known.masks)]
        if not self.runtime.processes.largest(not complete):
            self._say(f"{len(self.split):,} images from the cache")
            return self._assemble(complete[0].values)
        some = any(mask.any() for known in found.values() for mask in known.masks)
        engine = self._engine()
        known = found.get(engine.variant) or self._unknown()
        missing = self._missing(known)
        self._say(f"{engine.words}" + (f"; {len(self.first) - len(missing):,} images from the cache" if some else ""))
        self._compute_together(engine, known, missing)
        if self.written:
            evict(size_limit(), self.written)
        return self._assemble(known.values)

    def _say(self, text: str) -> None:
        """Tell how, once: the same split may be asked for by several figures and pictures."""
        line = f"Features: {self.backbone.origin.reference}, {text}"
        said = _said.setdefault(self.runtime, set())
        if self.runtime.display is not None and line not in said:
            self.runtime.display.info(line)
        said.add(line)

    def _look_up(self, variant: str, digests: NDArray[np.uint8]) -> _Known:
        raw = self.split.raw(torch.zeros(1, dtype=torch.int64))
        subject = Subject(self.backbone, self.fingerprint, (*raw.shape[1:], str(raw.dtype)))
        known = _Known([subject.entry(tap, variant, self.runtime.warn) for tap in self.taps])
        for entry in known.entries:
            mask, values = entry.find(digests)
            known.masks.append(mask)
            known.values.append(values)
        return known

    def _unknown(self) -> _Known:
        return _Known(masks=[np.zeros(len(self.first), np.bool_) for _ in self.taps], values=[None for _ in self.taps])

    def _engine(self) -> Engine:
        """The runtime's last one where it is for the same, else a new one."""
        count = len(self.first)
        key = (self.fingerprint, self.taps, self.options)
        held = _engines.get(self.runtime)
        if held is not None and held[0] == key and (held[1] or count < WORTH_CHECKING):
            return held[2]
        chosen = evenly(count, CHECKED).numpy()
        sample = self.split.pixels(torch.from_numpy(self.first[chosen])).to(self.runtime.device)
        engine = build_engine(self.backbone, self.taps, sample, count, self.runtime, self.options)
        if engine.variant != "plain":  # a plain one is the given backbone, whose weights may change
            _engines[self.runtime] = key, count >= WORTH_CHECKING, engine
        return engine

    def _missing(self, known: _Known) -> NDArray[np.int64]:
        """Which of the distinct images any of the processes lacks."""
        lacking = torch.from_numpy(~np.all(known.masks, 0)).to(torch.int64)
        self.runtime.processes.total([lacking])
        return np.flatnonzero(lacking.numpy())

    def _compute_together(self, engine: Engine, known: _Known, missing: NDArray[np.int64]) -> None:
        """Each process computes its share, and gets the others'."""
        processes = self.runtime.processes
        if processes.count == 1 or len(missing) < processes.count:
            self._compute(engine, known, missing)
            return
        share = missing[processes.share(len(missing))]
        self._compute(engine, known, share)
        for values in known.values:
            assert values is not None  # noqa: S101 - the share is not empty
            values[missing] = processes.whole(torch.from_numpy(values[share]), len(missing)).numpy()

    def _compute(self, engine: Engine, known: _Known, missing: NDArray[np.int64]) -> None:
        """Fill in what is missing, writing it from time to time."""
        done, held = 0, list[list[NDArray[np.float32]]]()
        for batch in self._batches(engine, missing):
            held.append(batch)
            count = sum(len(part[0]) for part in held)
            if count >= _FLUSH_IMAGES or sum(values.nbytes for part in held for values in part) >= _FLUSH:
                self._keep(known, missing[done : done + count], held)
                done, held = done + count, []
        self._keep(known, missing[done:], held)

    def _batches(self, engine: Engine, missing: NDArray[np.int64]) -> Iterator[list[NDArray[np.float32]]]:
        """Features of the missing images, batch by batch."""
        order = torch.from_numpy(self.first[missing])
        if not len(order):
            return
        shape = self.split.raw(torch.zeros(1, dtype=torch.int64)).shape
        size = batch_size(shape[-2], shape[-1], self.runtime.device)
        display = self.runtime.display
        shown = nullcontext(Progress()) if display is None else display.progress("Features", len(order), "img")
        with shown as progress:
            for batch in self.runtime.feed(self.split).batches(order, cut(len(order), size)):
                images = batch.images
                if engine.compiled is not None and len(images) < size:  # a batch of another size compiles again
                    images = images.repeat(-(-size // len(images)), 1, 1, 1)[:size]
                yield [values[: len(batch)].cpu().numpy() for values in engine(images)]
                progress.advance(len(batch))

    def _keep(self, known: _Known, images: NDArray[np.int64], held: list[list[NDArray[np.float32]]]) -> None:
        """Put computed features in their places, and those that the cache lacks into the cache."""
        if not held:
            return
        for position in range(len(self.taps)):
            computed = np.concatenate([part[position] for part in held])
            values = known.values[position]
            if values is None:
                values = known.values[position] = np.zeros((len(self.first), computed.shape[1]), np.float32)
            values[images] = computed
            new = ~known.masks[position][images]
            if self.digests is not None and new.any():
                written = known.entries[position].add(self.digests[images[new]], computed[new])
                if written is not None:
                    self.written.add(written)

    def _assemble(self, found: list[NDArray[np.float32] | None]) -> Features:
        features = {}
        for tap, values in zip(self.taps, found, strict=True):
            if values is None:
                raise RuntimeError(f"no features of {tap} were computed")
            features[tap] = values[self.inverse.reshape(-1)]
        return features
