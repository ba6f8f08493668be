"""Other data for a trained run: its classes, in the run's order, by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dlkit.data.listing import UNLABELLED, Listing
from dlkit.data.spec import DataSpec
from dlkit.data.targets import match_targets
from dlkit.errors import DataError


def relabel(listing: Listing, like: DataSpec, *, drop_unknown: bool = False) -> Listing:
    """Number the labels as the run does. A run without classes has no order to hold.

    Args:
        listing: the other data, its labels interpreted as the run's are.
        like: the run's spec.
        drop_unknown: images of classes that the run does not know become unlabelled, which is told.

    Raises:
        DataError: images of a class that the run does not know.
    """
    if listing.targets is not None and like.classes:
        return match_targets(listing, like.classes, drop_unknown=drop_unknown)
    if not like.classes:
        return listing
    if listing.labels is None:
        return replace(listing, classes=like.classes, target=like.target)
    present = [listing.classes[number] for number in np.unique(listing.labels) if number != UNLABELLED]
    unknown = [name for name in present if name not in like.classes]
    if unknown and not drop_unknown:
        raise DataError(
            f"{listing.name}: the run does not know the classes {_few(unknown)}.\nIt knows {_few(like.classes)}.",
            "Name the classes as in training, or leave their images out.",
        )
    number = {name: index for index, name in enumerate(like.classes)}
    # One entry more, for -1 to index.
    table = np.array([number.get(name, UNLABELLED) for name in listing.classes] + [UNLABELLED], dtype=np.int64)
    notices = listing.notices
    if unknown:
        notices += (f"The run does not know the classes {_few(unknown)}: their images are taken as unlabelled.",)
    return replace(listing, labels=table[listing.labels], classes=like.classes, notices=notices)


def _few(names: tuple[str, ...] | list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown
