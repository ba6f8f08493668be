"""The data sets that dlkit knows by name; light, for lists and did-you-mean.

Addresses and checksums are torchvision's (0.29, ``torchvision/datasets/``), except for CIFAR: torchvision takes the
pickled version, here it is the binary one with the checksums of https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Download:
    """A file of a data set.

    Attributes:
        path: where it belongs, below the directory of data sets.
        md5: its published checksum.
        urls: where it can be had; the first that answers.
        unpacked: of an archive, the directory (below the directory of data sets) that it becomes; the archive holds
            one of the same name at its top.
    """

    path: str
    md5: str
    urls: tuple[str, ...]
    unpacked: str = ""


@dataclass(frozen=True, kw_only=True)
class DatasetCard:
    """A named data set.

    Attributes:
        name: kebab-case, unique.
        summary: one line.
        loader: ``"module:function"`` with ``function(card, folder) -> Listing``; ``folder`` is the directory of data
            sets, in which all of ``downloads`` are by then.
        downloads: the files it needs.
        classes: names of the classes, where the files do not hold them.
    """

    name: str
    summary: str
    loader: str
    downloads: tuple[Download, ...] = ()
    classes: tuple[str, ...] = ()


_READERS = "dlkit.data.named"
_DIGITS = tuple("0123456789")


def _idx(folder: str, mirrors: tuple[str, ...], *md5s: str) -> tuple[Download, ...]:
    """The four files of MNIST's layout, in the order of their checksums."""
    files = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(
        Download(f"{folder}/raw/{file}-ubyte.gz", md5, tuple(f"{mirror}{file}-ubyte.gz" for mirror in mirrors))
        for file, md5 in zip(files, md5s, strict=True)
    )


_STL10 = (
    Download(
        "stl10_binary.tar.gz",
        "91f7769df0f17e558f3565bffb0c7dfb",
        ("http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",),
        unpacked="stl10_binary",
    ),
)
_FLOWERS = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
_PETS = "https://www.robots.ox.ac.uk/~vgg/data/pets/data/"
_HOUSE_NUMBERS = "http://ufldl.stanford.edu/housenumbers/"
_CIFAR = "https://www.cs.toronto.edu/~kriz/"

_DATASETS = (
    DatasetCard(
        name="digits",
        summary="1,797 scanned digits, 8x8 grey, 10 classes; part of scikit-learn, no download.",
        loader=f"{_READERS}:digits",
        classes=_DIGITS,
    ),
    DatasetCard(
        name="photo-tiles",
        summary="520 tiles of two photographs, 32x32 RGB, 2 classes; part of scikit-learn, no download.",
        loader=f"{_READERS}:photo_tiles",
        classes=("temple", "flower"),
    ),
    DatasetCard(
        name="mnist",
        summary="70,000 handwritten digits, 28x28 grey, 10 classes (12 MB).",
        loader=f"{_READERS}:idx_files",
        downloads=_idx(
            "MNIST",
            ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        classes=_DIGITS,
    ),
    DatasetCard(
        name="fashion-mnist",
        summary="70,000 pieces of clothing, 28x28 grey, 10 classes (31 MB).",
        loader=f"{_READERS}:idx_files",
        downloads=_idx(
            "FashionMNIST",
            ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        classes=(
            "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
            "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
        ),
    ),
    DatasetCard(
        name="kmnist",
        summary="70,000 cursive Japanese characters, 28x28 grey, 10 classes (21 MB).",
        loader=f"{_READERS}:idx_files",
        downloads=_idx(
            "KMNIST",
            ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
        classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    ),
    DatasetCard(
        name="cifar10",
        summary="60,000 photographs of animals and vehicles, 32x32 RGB, 10 classes (170 MB).",
        loader=f"{_READERS}:cifar10",
        downloads=(
            Download(
                "cifar-10-binary.tar.gz",
                "c32a1d4ab5d03f1284b67883e8d87530",
                (f"{_CIFAR}cifar-10-binary.tar.gz",),
                unpacked="cifar-10-batches-bin",
            ),
        ),
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    ),
    DatasetCard(
        name="cifar100",
        summary="60,000 photographs, 32x32 RGB, 100 classes (170 MB).",
        loader=f"{_READERS}:cifar100",
        downloads=(
            Download(
                "cifar-100-binary.tar.gz",
                "03b5dce01913d631647c71ecec9e9cb8",
                (f"{_CIFAR}cifar-100-binary.tar.gz",),
                unpacked="cifar-100-binary",
            ),
        ),
    ),
    DatasetCard(
        name="svhn",
        summary="99,289 house numbers' digits from street views, 32x32 RGB, 10 classes (250 MB).",
        loader=f"{_READERS}:svhn",
        downloads=(
            Download(
                "train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373", (f"{_HOUSE_NUMBERS}train_32x32.mat",)
            ),
            Download("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3", (f"{_HOUSE_NUMBERS}test_32x32.mat",)),
        ),
        classes=_DIGITS,
    ),
    DatasetCard(
        name="stl10",
        summary="13,000 photographs of animals and vehicles, 96x96 RGB, 10 classes (2.6 GB).",
        loader=f"{_READERS}:stl10",
        downloads=_STL10,
    ),
    DatasetCard(
        name="stl10-unlabeled",
        summary="STL-10 with its 100,000 unlabelled training images (2.6 GB).",
        loader=f"{_READERS}:stl10_unlabeled",
        downloads=_STL10,
    ),
    DatasetCard(
        name="flowers102",
        summary="8,189 photographs of flowers, RGB, 102 classes (345 MB).",
        loader=f"{_READERS}:flowers102",
        downloads=(
            Download(
                "flowers-102/102flowers.tgz",
                "52808999861908f626f3c1f4e79d11fa",
                (f"{_FLOWERS}102flowers.tgz",),
                unpacked="flowers-102/jpg",
            ),
            Download(
                "flowers-102/imagelabels.mat", "e0620be6f572b9609742df49c70aed4d", (f"{_FLOWERS}imagelabels.mat",)
            ),
            Download("flowers-102/setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c", (f"{_FLOWERS}setid.mat",)),
        ),
    ),
    DatasetCard(
        name="oxford-iiit-pet",
        summary="7,349 photographs of cats and dogs, RGB, 37 breeds (811 MB).",
        loader=f"{_READERS}:oxford_iiit_pet",
        downloads=(
            Download(
                "oxford-iiit-pet/images.tar.gz",
                "5c4f3ee8e5d25df40f4fd59a7f44e54c",
                (f"{_PETS}images.tar.gz",),
                unpacked="oxford-iiit-pet/images",
            ),
            Download(
                "oxford-iiit-pet/annotations.tar.gz",
                "95a8c909bbe2e81eed6a22bccdf3f68f",
                (f"{_PETS}annotations.tar.gz",),
                unpacked="oxford-iiit-pet/annotations",
            ),
        ),
    ),
    DatasetCard(
        name="dtd",
        summary="5,640 photographs of textures, RGB, 47 classes (625 MB).",
        loader=f"{_READERS}:dtd",
        downloads=(
            Download(
                "dtd/dtd-r1.0.1.tar.gz",
                "fff73e5086ae6bdbea199a49dfb8a4c1",
                ("https://www.robots.ox.ac.uk/~vgg/data/dtd/download/dtd-r1.0.1.tar.gz",),
                unpacked="dtd/dtd",
            ),
        ),
    ),
    DatasetCard(
        name="eurosat",
        summary="27,000 satellite images of land use, 64x64 RGB, 10 classes (94 MB).",
        loader=f"{_READERS}:eurosat",
        downloads=(
            Download(
                "eurosat/EuroSAT.zip",
                "c8fa014336c82ac7804f0398fcb19387",
                (
                    "https://huggingface.co/datasets/torchgeo/eurosat/resolve/"
                    "c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip",
                ),
                unpacked="eurosat/2750",
            ),
        ),
    ),
    DatasetCard(
        name="food101",
        summary="101,000 photographs of dishes, RGB, 101 classes (5 GB).",
        loader=f"{_READERS}:food101",
        downloads=(
            Download(
                "food-101.tar.gz",
                "85eeb15f3717b99a5da872d97d918f87",
                ("http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",),
                unpacked="food-101",
            ),
        ),
    ),
    DatasetCard(
        name="imagenette",
        summary="13,394 photographs, ten easy classes of ImageNet, RGB, shorter side 160 (99 MB).",
        loader=f"{_READERS}:imagenette",
        downloads=(
            Download(
                "imagenette2-160.tgz",
                "e793b78cc4c9e9a4ccc0c1155377a412",
                ("https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz",),
                unpacked="imagenette2-160",
            ),
        ),
    ),
)  # fmt: skip

DATASETS: dict[str, DatasetCard] = {card.name: card for card in _DATASETS}
"""Name → card."""
