"""Folders of image files: ``train|val/CLASS/*``, ``CLASS/*``, flat; ``unlabeled/`` beside classes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dlkit.data.decode import EXTENSIONS
from dlkit.data.files import FileImages
from dlkit.data.listing import SPLITS, UNASSIGNED, Listing, number_classes
from dlkit.data.text import natural, shown
from dlkit.errors import DataError

_SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_DEEPEST = 200
"""Folders within folders; somebody's own are never so deep."""
_MOST_WAYS = 100
"""In which links lead to one folder: thirty folders, each with two links to the next, are a billion."""
_UNLABELLED_NAMES = ("unlabeled", "unlabelled")


@dataclass
class _Tree:
    """Image files below a folder, hidden ones left out."""

    path: Path
    images: list[Path] = field(default_factory=list)
    children: dict[str, _Tree] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)

    def every(self) -> Iterator[Path]:
        yield from self.images
        for name in sorted(self.children, key=natural):
            yield from self.children[name].every()

    @property
    def filled(self) -> dict[str, _Tree]:
        """Children that hold an image somewhere."""
        return {name: child for name, child in self.children.items() if next(child.every(), None) is not None}

    def all_ignored(self) -> Counter[str]:
        return sum((child.all_ignored() for child in self.children.values()), self.ignored)


@dataclass
class _Found:
    """Images, label names (None: unlabelled) and split numbers, in step."""

    paths: list[Path] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    splits: list[int] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def add(self, tree: _Tree, label: str | None, split: int) -> None:
        for path in tree.every():
            self.paths.append(path)
            self.labels.append(label)
            self.splits.append(split)


def list_folder(root: Path) -> Listing:
    """The images of a folder.

    Raises:
        DataError: the folder cannot be read, or holds no images.
    """
    tree = _walk(root, tuple(_identity(folder) for folder in root.resolve().parents), Counter())
    if next(tree.every(), None) is None:
        kinds = ", ".join(sorted(tree.all_ignored())) or "nothing else"
        raise DataError(
            f"{shown(root)}: no images here (found: {shown(kinds)})",
            "Expected train/CLASS/*.png, CLASS/*.png or *.png; formats: " + " ".join(sorted(EXTENSIONS)),
        )
    found = _Found()
    tree = _descend(tree, found)
    if _has_splits(tree):
        _list_splits(tree, found)
    else:
        _list_classes(tree, UNASSIGNED, found)
    ignored = tree.all_ignored()
    if ignored:
        kinds = ", ".join(f"{count} {shown(kind)}" for kind, count in sorted(ignored.items()))
        found.notices.append(f"Files that are not images were ignored: {kinds}.")
    labels, classes = number_classes([None if label is None else shown(label) for label in found.labels])
    names = [os.path.relpath(path, root) for path in found.paths]
    return Listing(
        name=shown(root.resolve().name) or "images",
        images=FileImages(found.paths, names),
        labels=labels,
        classes=classes,
        splits=np.array(found.splits, dtype=np.int64),
        notices=tuple(found.notices),
    )


_Identity = tuple[int, int]


def _identity(path: Path) -> _Identity:
    status = path.stat()
    return status.st_dev, status.st_ino


def _walk(path: Path, ancestors: tuple[_Identity, ...], ways: Counter[_Identity]) -> _Tree:
    """Read a folder and those below; a link back to a folder above is not followed.

    Raises:
        DataError: a folder cannot be read, lies too deep, or is reached again and again.
    """
    tree = _Tree(path)
    try:
        here = _identity(path)
        entries = sorted(os.scandir(path), key=lambda entry: natural(entry.name))
    except OSError as error:
        raise DataError(f"{shown(path)}: the folder cannot be read: {error.strerror}") from error
    if here in ancestors:
        return tree
    ways[here] += 1
    if len(ancestors) > _DEEPEST or ways[here] > _MOST_WAYS:
        how = f"in more than {_MOST_WAYS} ways" if ways[here] > _MOST_WAYS else "too deep"
        raise DataError(f"{shown(path)[:200]}: folders and links lead there {how}", "Are there links in a circle?")
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if _is_folder(entry):
            tree.children[entry.name] = _walk(path / entry.name, (*ancestors, here), ways)
        elif Path(entry.name).suffix.lower() in EXTENSIONS and (entry.is_symlink() or entry.is_file()):
            tree.images.append(path / entry.name)
        else:
            tree.ignored[Path(entry.name).suffix.lower() or "without extension"] += 1
    return tree


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: read as an image it is told
        return False


def _descend(tree: _Tree, found: _Found) -> _Tree:
    """Archives often unpack into one folder within the folder; one class alone would be no classes anyway."""
    top = tree
    while not tree.images and len(tree.filled) == 1:
        ((name, child),) = tree.filled.items()
        if name.lower() in _SPLIT_NAMES or not child.filled:
            break
        tree = child
    if tree is not top:
        found.notices.append(f"Images were found in {shown(tree.path)}.")
    return tree


def _has_splits(tree: _Tree) -> bool:
    """All folders are named like splits; or those that are hold folders, as splits do and classes do not."""
    if tree.images:
        return False
    named = {name: child for name, child in tree.filled.items() if name.lower() in _SPLIT_NAMES}
    others = [name for name in tree.filled if name not in named and name.lower() not in _UNLABELLED_NAMES]
    return bool(named) and (not others or all(child.filled and not child.images for child in named.values()))


def _list_splits(tree: _Tree, found: _Found) -> None:
    seen: dict[str, str] = {}
    for name, child in tree.filled.items():
        lower = name.lower()
        if lower in _SPLIT_NAMES:
            split = _SPLIT_NAMES[lower]
            if split in seen:
                raise DataError(
                    f"{shown(tree.path)}: both {shown(seen[split])!r} and {shown(name)!r} name the {split} split",
                    "Keep one of them.",
                )
            seen[split] = name
            _list_classes(child, SPLITS.index(split), found)
        elif lower in _UNLABELLED_NAMES:
            found.add(child, None, SPLITS.index("train"))
        else:
            found.notices.append(f"The folder {shown(name)!r} beside the splits was ignored.")


def _list_classes(tree: _Tree, split: int, found: _Found) -> None:
    """A folder's sub-folders are classes; without any, its images are unlabelled."""
    classes = {name: child for name, child in tree.filled.items() if name.lower() not in _UNLABELLED_NAMES}
    for name in sorted(tree.filled, key=natural):
        if name in classes:
            found.add(tree.children[name], name, split)
        else:
            found.add(tree.children[name], None, SPLITS.index("train"))
    if not classes:
        found.add(_Tree(tree.path, images=tree.images), None, split)
    elif tree.images:
        found.notices.append(
            f"{len(tree.images):,} images in {shown(tree.path)} lie beside the class folders and were ignored."
        )
