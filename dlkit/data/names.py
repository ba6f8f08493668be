"""The data sets that ``--data`` knows by name; light, for lists and did-you-mean."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Download:
    """A file of a data set.

    Attributes:
        path: where it belongs, below the directory of data sets.
        md5: its checksum, as torchvision publishes it.
        urls: where it can be had; the first that answers.
    """

    path: str
    md5: str
    urls: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DatasetCard:
    """A named data set.

    Attributes:
        name: kebab-case, unique.
        summary: one line.
        loader: ``"module:function"`` with ``function(card, folder) -> Listing``; folder is the directory of data sets,
            in which all of ``downloads`` are.
        downloads: the files it needs.
    """

    name: str
    summary: str
    loader: str
    downloads: tuple[Download, ...] = ()


_DATASETS = (
    DatasetCard(
        name="digits",
        summary="1,797 scanned digits, 8x8 grey, 10 classes; part of scikit-learn, no download.",
        loader="dlkit.data.named:digits",
    ),
)

DATASETS: dict[str, DatasetCard] = {card.name: card for card in _DATASETS}
