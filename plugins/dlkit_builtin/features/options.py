"""The options of deep features with scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from dlkit.backbones import BackboneOptions
from dlkit.features import FeatureOptions
from dlkit.options import option
from dlkit.options.values import Size
from dlkit.probes.estimators import ESTIMATORS, parse_parameters


@dataclass(frozen=True)
class Components:
    """How many principal components: a number (``64``), or the share of variance that they must explain (``0.95``)."""

    value: int | float

    @classmethod
    def parse(cls, text: str) -> Self:
        """``"64"`` → 64 components; ``"0.95"`` → as many as explain 95 % of the variance."""
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if 0 < number < 1:
            return cls(number)
        if number >= 1 and number.is_integer():
            return cls(int(number))
        raise ValueError(f"expected a number of components (64) or a share of variance between 0 and 1, got {text!r}")

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True, kw_only=True)
class FeaturesOptions(FeatureOptions):
    """Deep features"""

    backbone: tuple[str, ...] = option(
        ("resnet50",), "A timm name, torchvision/NAME, package.module:function, or run:RUN (the encoder of an earlier "
        "run); of several the features are put side by side. `dlkit list backbones` lists names.",
        group="Backbone", metavar="NAME,…", place="backbone", code="builder",
    )  # fmt: skip
    weights: tuple[str, ...] = option(
        (), "Files of weights (.safetensors, or .pth state dicts) in place of the published ones, in the order of the "
        "backbones; `-` for one that keeps its own.", group="Backbone", metavar="FILE,…", place="file",
    )  # fmt: skip
    backbone_arg: tuple[str, ...] = option(
        (), "Arguments for what builds them: pad_type=same, or resnet18:drop_path_rate=0.1 for that one only.",
        group="Backbone", metavar="KEY=VALUE,…", advanced=True, code="arguments",
    )  # fmt: skip
    random_init: bool = option(False, "Random weights: no pretraining at all.", group="Backbone")

    stage: tuple[str, ...] = option(
        ("top",), "Where features are taken: top, or stages of the backbone (`dlkit info BACKBONE`), put side by side; "
        "resnet18:layer3 means that backbone only.", metavar="NAME,…",
    )  # fmt: skip
    pool: Literal["avg", "max", "flat"] = option(
        "avg", "How a stage's map becomes a vector: mean or maximum over places, or flattened."
    )
    relu: bool = option(False, "Rectify the features: max(0, x).")
    l2: bool = option(False, "Divide each backbone's features by their Euclidean norm, image by image.")
    standardize: bool = option(
        True, "Shift and scale each feature to mean 0 and standard deviation 1 over the train split."
    )
    pca: Components | None = option(
        None, "Keep that many principal components, or as many as explain that share of variance.", metavar="N|SHARE"
    )
    concat: Literal["raw"] | None = option(None, "raw: put the pixels beside the features.")
    raw_size: Size = option(Size(16, 16), "Height x width of these pixels.", metavar="N|HxW", advanced=True)

    classifier: str | None = option(
        None, f"{', '.join(ESTIMATORS)}, or the dotted path of any class with fit and predict (sklearn.svm.NuSVC). "
        "By default softmax for classes, ridge for numbers.", metavar="NAME", code="class",
    )  # fmt: skip
    param: tuple[str, ...] = option(
        (), "The estimator's parameters: C=0.1,kernel=poly; with --search candidates too: C=0.1|1|10.",
        metavar="KEY=VALUE,…", code="arguments",
    )  # fmt: skip
    search: Literal["grid", "random"] | None = option(
        None, "Choose parameters by cross-validation on the train split: all combinations, or random draws.",
        bare="grid",
    )  # fmt: skip
    trials: int = option(20, "Draws of --search random.", min=1)
    folds: int = option(5, "Folds of the cross-validation that searches and calibrates.", min=2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.backbone:
            raise ValueError("--backbone names no network")
        if not self.stage:
            raise ValueError("--stage names no stage; say top")
        if self.weights and len(self.weights) != len(self.backbone):
            raise ValueError(
                f"--weights names {len(self.weights)} files for {len(self.backbone)} backbones; give one for each, "
                "or - for one that keeps its own"
            )
        if self.random_init and any(file != "-" for file in self.weights):
            raise ValueError("--random-init and --weights contradict each other; give one of them")
        if self.random_init and all(name.startswith("run:") for name in self.backbone):
            raise ValueError("--random-init and a run's own weights (run:) contradict each other; give one of them")
        if self.concat is None and self.raw_size != Size(16, 16):
            raise ValueError("--raw-size is the size of the pixels beside the features; add --concat raw")
        if self.search != "random" and self.trials != 20:
            raise ValueError("--trials are the draws of --search random; add it")
        candidates = [key for key, values in self.parameters.items() if len(values) > 1]
        if candidates and self.search is None:
            raise ValueError(f"--param {candidates[0]} has several candidates; add --search to choose among them")

    @property
    def parameters(self) -> dict[str, tuple[Any, ...]]:
        """Key → candidates of ``--param``."""
        return parse_parameters(self.param)

    def backbones(self) -> list[BackboneOptions]:
        """The options of each backbone."""
        files = self.weights or ("-",) * len(self.backbone)
        return [
            BackboneOptions(
                backbone=name,
                weights=None if file == "-" else file,
                backbone_arg=tuple(addressed(self.backbone_arg, name, self.backbone)),
                random_init=self.random_init and not name.startswith("run:"),
            )
            for name, file in zip(self.backbone, files, strict=True)
        ]


def addressed(items: Sequence[str], name: str, names: Sequence[str]) -> list[str]:
    """The items that are meant for the backbone ``name``: ``NAME:ITEM``, and those that name no backbone."""
    found = []
    for item in items:
        owner = next((each for each in names if item.startswith(f"{each}:")), None)
        if owner is None:
            found.append(item)
        elif owner == name:
            found.append(item.removeprefix(f"{name}:"))
    return found
