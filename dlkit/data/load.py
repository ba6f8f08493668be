"""From ``--data`` to :class:`ImageData`: list, survey, split, read once, count."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from dlkit.data.data import BadImage, ImageData, Split
from dlkit.data.digests import DIGEST_BYTES, duplicate_notices, find_duplicates, fingerprint
from dlkit.data.examine import Examined, examine
from dlkit.data.files import FileImages
from dlkit.data.folds import with_fold
from dlkit.data.listing import SPLITS, UNASSIGNED, Floats, Ints, Listing, Survey
from dlkit.data.memory import fits_in_memory
from dlkit.data.origins import copies_with_sources, labels_of_sources, originals_only, without
from dlkit.data.partial import with_labels
from dlkit.data.relabel import relabel
from dlkit.data.resolve import resolve, source_of
from dlkit.data.spec import DataSpec, ImageForm
from dlkit.data.splits import assign_splits
from dlkit.data.statistics import Statistics
from dlkit.data.targets import interpret, strata
from dlkit.data.text import enumerated
from dlkit.display import Display
from dlkit.errors import DataError
from dlkit.options.core import DataOptions


def load_data(
    options: DataOptions,
    *,
    like: DataSpec | None = None,
    form: ImageForm | None = None,
    drop_unknown: bool = False,
    progress: Display | None = None,
    workers: int | None = None,
) -> ImageData:
    """Read the data that ``options`` name: list it, complete its splits, decode and verify each image once.

    Args:
        options: what and how.
        like: the spec of a trained run: its size, channels, pixel type, normalization and class order (by name) hold.
            Where ``options.data`` is not the run's own data, no splits are made: images without one are test images.
        form: how images are brought to size where ``options`` do not say, and neither does ``like``.
        drop_unknown: images of classes that ``like`` does not know become unlabelled instead of an error.
        progress: where progress is shown; by default nowhere.
        workers: decoding threads; by default one per usable CPU.

    Raises:
        DataError: there is no such data, it cannot be read, images are corrupt (unless they are to be skipped), no
            training image is left, or ``like`` does not know one of the classes.
    """
    display = progress or Display(quiet=True)
    listing, splits = list_data(options, display, like=like, drop_unknown=drop_unknown)
    source = source_of(options.data)
    if workers is not None and isinstance(listing.images, FileImages):
        listing.images.workers = workers
    survey = listing.images.survey(display)
    spec = _spec(listing, survey, options, like, source) if form is None else _formed(listing, survey, options, form)
    wanted = None if like is not None or options.normalize == "none" else Statistics()
    parts = _read(listing, splits, spec, options, wanted, display)
    if like is None and len(parts["train"].kept) == 0:
        raise _no_training_images(listing, parts["train"])
    if wanted is not None:
        spec = replace(spec, normalization=wanted.normalization(options.normalize))
    chosen = like is None and form is None and options.image_size is None
    return _Assembly(listing, survey, spec, parts).data(mixed_sizes=chosen)


def list_data(
    options: DataOptions, display: Display, *, like: DataSpec | None = None, drop_unknown: bool = False
) -> tuple[Listing, Ints]:
    """The images that ``options`` name, their labels as they are wanted, and their splits; nothing is decoded.

    Copies of an image are in its split where that is train, and in none otherwise: nothing is tested on what was made
    of a training image, and nothing is learned from what was made of a test image.

    Args:
        options, like, drop_unknown: as :func:`load_data` takes them.
        display: where a download shows its progress.

    Returns:
        The listing, and the number in ``SPLITS`` of each of its images, ``(N,)``; negative: in none.

    Raises:
        DataError: there is no such data, or its labels are not what is wanted of them.
    """
    listing = _listing(options, like, display, drop_unknown=drop_unknown)
    own = like is None or like.source == source_of(options.data)
    if not own:
        return listing, np.where(listing.splits == UNASSIGNED, SPLITS.index("test"), listing.splits)
    groups = originals_only(listing, strata(listing))
    if options.fold is not None:
        listing = with_fold(listing, options.fold, groups, options.split_seed)
    splits = _splits(listing, groups, options)
    if options.labels is not None:
        listing = labels_of_sources(with_labels(listing, splits, groups, options.labels, options.split_seed))
    return listing, without(listing, copies_with_sources(listing, splits), options.without)


def _listing(options: DataOptions, like: DataSpec | None, display: Display, *, drop_unknown: bool) -> Listing:
    """The images, their labels interpreted and numbered as ``like``'s are, or as the options say.

    Raises:
        DataError: there is no such data, or no image; its labels are not that; ``--label`` for data without columns.
    """
    listing = resolve(options.data, display, options.label, label_needed=like is None)
    if options.label and like is None and not listing.columns:
        raise DataError(
            f"--label {','.join(options.label)}: {listing.name} has no columns.",
            "It chooses columns of a CSV manifest.",
        )
    listing = interpret(listing, like.target if like is not None and like.classes else options.target)
    if len(listing.images) == 0:
        raise DataError(f"{listing.name}: no images.")
    if like is not None:
        listing = relabel(listing, like, drop_unknown=drop_unknown)
    return listing


def _read(
    listing: Listing, splits: Ints, spec: DataSpec, options: DataOptions, wanted: Statistics | None, display: Display
) -> dict[str, Examined]:
    """Every image, once; ``wanted`` collects the statistics of the train split.

    Raises:
        DataError: some cannot be read, unless they are to be skipped.
    """
    in_memory = fits_in_memory(spec, len(listing.images), options.in_memory)
    parts = {}
    with display.progress("Reading images", len(listing.images), "images") as bar:
        for number, name in enumerate(SPLITS):
            parts[name] = examine(
                listing.images,
                np.flatnonzero(splits == number),
                spec,
                in_memory=in_memory,
                statistics=wanted if name == "train" else None,
                progress=bar,
            )
    _refuse_bad([bad for part in parts.values() for bad in part.bad], options)
    return parts


def _no_training_images(listing: Listing, train: Examined) -> DataError:
    if not train.bad:
        return DataError(f"{listing.name}: no training images.", "Is there a train folder, or a row with split train?")
    lines = [f"{image.path}: {image.reason}" for image in train.bad]
    return DataError(f"{listing.name}: none of the training images can be read:\n{enumerated(lines)}")


def _splits(listing: Listing, groups: Ints | None, options: DataOptions) -> Ints:
    return assign_splits(
        listing.splits,
        groups,
        val_fraction=options.val_fraction,
        test_fraction=options.test_fraction,
        seed=options.split_seed,
    )


def _spec(listing: Listing, survey: Survey, options: DataOptions, like: DataSpec | None, source: str) -> DataSpec:
    """All but what is counted: ``like``'s form, or the options', or what the images have."""
    if like is not None:
        return replace(like, source=source, name=listing.name, target=listing.target, classes=listing.classes)
    asked = options.image_size
    height, width = survey.size() if asked is None else (asked.height, asked.width)
    channels = int(options.channels) if options.channels != "auto" else 1 if survey.grey else 3
    return DataSpec(
        source=source,
        name=listing.name,
        channels=channels,
        height=height,
        width=width,
        pixel_type="float32" if survey.deep else "uint8",
        resize=options.resize,
        target=listing.target,
        classes=listing.classes,
    )


def _formed(listing: Listing, survey: Survey, options: DataOptions, form: ImageForm) -> DataSpec:
    """The technique's form, where the user does not say otherwise."""
    spec = _spec(listing, survey, options, None, source_of(options.data))
    if options.image_size is None:
        spec = replace(spec, height=form.height, width=form.width)
    channels = form.channels if options.channels == "auto" else spec.channels
    return replace(spec, channels=channels, crop=form.crop, interpolation=form.interpolation)


def _refuse_bad(bad: list[BadImage], options: DataOptions) -> None:
    if not bad or options.on_bad_image == "skip":
        return
    lines = [f"{image.path}: {image.reason}" for image in bad]
    many = "images" if len(bad) > 1 else "image"
    raise DataError(
        f"{len(bad):,} {many} cannot be read:\n{enumerated(lines)}",
        "Repair or remove them, or go on without them: --on-bad-image skip.",
    )


@dataclass
class _Assembly:
    """The last step: what was read, put together."""

    listing: Listing
    survey: Survey
    spec: DataSpec
    parts: dict[str, Examined]

    def data(self, *, mixed_sizes: bool) -> ImageData:
        """Count, compare, and say what should be known; ``mixed_sizes``: say where sizes differ."""
        found = {name: part.digests for name, part in self.parts.items()}
        labels = {name: self._labels(part) for name, part in self.parts.items()}
        spec = replace(
            self.spec,
            counts={name: len(part.kept) for name, part in self.parts.items()},
            class_counts=self._class_counts(labels),
            fingerprint=fingerprint(self.spec, found, labels),
        )
        duplicates = find_duplicates(found)
        bad = tuple(image for part in self.parts.values() for image in part.bad)
        notices = [*self.listing.notices, *(self._size_notice() if mixed_sizes else []), *duplicate_notices(duplicates)]
        if bad:
            notices.append(f"{len(bad):,} image{'s' if len(bad) > 1 else ''} that cannot be read: skipped.")
        train, val, test = (self._split(name, labels[name]) for name in SPLITS)
        return ImageData(
            spec=spec,
            train=train,
            val=val,
            test=test,
            notices=tuple(notices),
            bad_files=bad,
            duplicates=duplicates,
            original_sizes=self._sizes(),
        )

    def _labels(self, part: Examined) -> Ints | Floats | None:
        """Labels or targets."""
        every = self.listing.labels if self.listing.targets is None else self.listing.targets
        return None if every is None else every[part.kept]

    def _class_counts(self, labels: dict[str, Ints | Floats | None]) -> dict[str, tuple[int, ...]]:
        """Images of each class, or with each label."""
        if self.spec.target == "number":
            return {}
        count = len(self.spec.classes)
        return {
            name: tuple(
                np.bincount(given[given >= 0], minlength=count).tolist()
                if given.ndim == 1
                else np.nansum(given, 0).astype(int).tolist()
            )
            for name, given in labels.items()
            if given is not None
        }

    def _split(self, name: str, labels: Ints | Floats | None) -> Split:
        part, names = self.parts[name], self.listing.images.names
        given = None if labels is None else torch.from_numpy(labels)
        targets = None if self.listing.targets is None else given
        sources = None if self.listing.sources is None else torch.from_numpy(self.listing.sources[part.kept])
        return Split(
            name,
            part.pixels,
            given if targets is None else None,
            None if names is None else [names[index] for index in part.kept],
            np.frombuffer(b"".join(part.digests), dtype=np.uint8).reshape(-1, DIGEST_BYTES),
            targets,
            sources=sources,
        )

    def _sizes(self) -> tuple[int, int, int, int]:
        sizes = self.survey.sizes[self.survey.sizes[:, 0] > 0]
        if len(sizes) == 0:
            return 0, 0, 0, 0
        (low_height, low_width), (high_height, high_width) = sizes.min(0).tolist(), sizes.max(0).tolist()
        return low_height, high_height, low_width, high_width

    def _size_notice(self) -> list[str]:
        low_height, high_height, low_width, high_width = self._sizes()
        if (low_height, low_width) == (high_height, high_width):
            return []
        return [
            f"The images differ in size (height {low_height} to {high_height}, width {low_width} to {high_width}): "
            f"brought to {self.spec.height}x{self.spec.width} ({self.spec.resize}). Choose with --image-size."
        ]
