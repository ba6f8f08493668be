"""Deep features and scikit-learn (Donahue et al. 2014; Sharif Razavian et al. 2014).

x → frozen backbones → stages, pooled, side by side → (rectified, normalised) → (standardised, PCA) → estimator
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from dlkit.backbones import Backbone, restore_backbone
from dlkit.data.spec import DataSpec
from dlkit.display import Progress
from dlkit.errors import UsageError
from dlkit.files import write_json
from dlkit.metrics import Metrics, Table
from dlkit.probes.targets import SCORES, Targets, targets_of
from dlkit.supervised.metrics import Costs, supervised_metrics, supervised_tables
from dlkit.supervised.objective import OUTPUT_KINDS
from dlkit.supervised.pictures import supervised_pictures
from dlkit.technique import OutputKind, PhasePlan, State
from dlkit.trust import TRUST
from dlkit_builtin.features.fitting import Fitted, check_estimator, classifier_name, fit
from dlkit_builtin.features.head import Estimator, Head, Linear, make_head
from dlkit_builtin.features.inputs import Inputs, build_backbones
from dlkit_builtin.features.options import FeaturesOptions
from dlkit_builtin.features.sealed import seal

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.report import Picture
    from dlkit.run import Run
    from dlkit.runtime import Runtime

_BATCH = 4096  # rows of features; the head is small beside them
_INPUTS, _HEAD = "inputs.", "head."


class Model(nn.Module):
    """Pixels → features → outputs."""

    def __init__(self, inputs: Inputs, head: Head | None) -> None:
        super().__init__()
        self.inputs = inputs
        self.head = head

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Pixels ``(B, C, H, W)`` → ``(outputs,)``, ``(B, K)``."""
        assert self.head is not None  # noqa: S101 - trained or loaded
        return (self.head(self.inputs(images)),)


class Features:
    """See the module's docstring; capabilities: classify (of classes), encode.

    Raises:
        UsageError: a wrong name or value, or labels that are several per image.
    """

    def __init__(self, options: FeaturesOptions, spec: DataSpec, backbones: Sequence[Backbone] | None = None) -> None:
        self.options = options
        self.spec = spec
        self.notices: tuple[str, ...] = ()
        self.table: Sequence[Mapping[str, Any]] = ()
        self.seconds: float | None = None
        fresh = backbones is None
        if backbones is None:
            self._check()
            backbones = build_backbones(options, spec)
        self.origins = [each.origin for each in backbones]
        self.model = Model(Inputs(options, spec, backbones), None).eval()
        if fresh:
            self._check_components()

    def _check(self) -> None:
        if self.spec.target == "multi-label":
            raise UsageError(
                f"features learns one class per image, or numbers; {self.spec.name} has several labels per image.",
                "dlkit transfer learns several labels.",
            )
        check_estimator(self.options, Targets(self.spec.target, np.zeros(0), len(self.spec.classes)), 0)

    def _check_components(self) -> None:
        wanted = None if self.options.pca is None else self.options.pca.value
        if not isinstance(wanted, int):
            return
        with torch.inference_mode():
            features = self.model.inputs(torch.zeros(1, *self.spec.shape)).shape[1]
        images = self.spec.counts.get("train", 0)
        if wanted > min(features, images):
            raise UsageError(
                f"--pca {wanted}: there are {features:,} features of {images:,} training images.",
                f"Give at most {min(features, images):,}, or a share of variance such as 0.95.",
            )

    def plan(self) -> Sequence[PhasePlan]:
        """No gradients."""
        return []

    def train(self, data: ImageData, runtime: Runtime, run: Run) -> None:
        """Fit the estimator on the labelled training images' features."""
        start = time.monotonic()
        for notice in (notice for origin in self.origins for notice in origin.notices):
            runtime.warn(notice)
        runtime.prepare(self.model)
        targets, known = targets_of(data.train, self.spec)
        features = self.model.inputs.extract(data.train.subset(torch.from_numpy(known)), runtime)
        fitted = fit(self.options, features, targets, runtime.seed, _progress(runtime))
        head = make_head(fitted, features, targets.outputs, classes=targets.kind == "classes")
        self.model.head = head.to(runtime.device)
        self.table = fitted.table
        self.seconds = time.monotonic() - start
        self._tell(fitted, head, runtime, run)

    def _tell(self, fitted: Fitted, head: Head, runtime: Runtime, run: Run) -> None:
        """What the user should know: warnings, the search's choice, types that loading would ask about."""
        self.notices = fitted.notices
        if isinstance(head.score, Estimator) and (unknown := seal(head.score.pipeline)[1]):
            names = ",".join(unknown)
            self.notices += (f"Loading this run asks for trust in types of other packages: {TRUST}={names}",)
        for notice in self.notices:
            runtime.warn(notice)
        if self.table and runtime.processes.leads:
            write_json(run.path / "search.json", [_plain(row) for row in self.table])
            best = self.table[0]
            text = f"Chosen: {_written(best['parameters'])} ({best['score']:.4f} by cross-validation)"
            run.log(text)
            if runtime.display is not None:
                runtime.display.info(text)

    def evaluate(self, data: ImageData, runtime: Runtime) -> Metrics:
        """Figures on held-out images, and the table of the search."""
        outputs = self._outputs(self._features(data, runtime), runtime)
        return Metrics(
            tuple(supervised_metrics(outputs, data, runtime, costs=self._costs())),
            (*supervised_tables(outputs, data), *self._search_table()),
        )

    def _costs(self) -> Costs:
        score = None if self.model.head is None else self.model.head.score
        # Trees and support vectors are no parameters.
        trainable = score.weight.numel() + score.bias.numel() if isinstance(score, Linear) else None
        return Costs(trainable=trainable, seconds=self.seconds)

    def _features(self, data: ImageData, runtime: Runtime) -> Tensor:
        return torch.from_numpy(self.model.inputs.extract(data.held_out, runtime))

    def _outputs(self, features: Tensor, runtime: Runtime) -> Tensor:
        assert self.model.head is not None  # noqa: S101 - trained or loaded
        with torch.inference_mode():
            parts = [self.model.head(part.to(runtime.device)).cpu() for part in torch.split(features, _BATCH)]
        return torch.cat(parts)

    def _search_table(self) -> list[Table]:
        if not self.table:
            return []
        score = SCORES[self.spec.target]
        rows = tuple(
            {key: _cell(value) for key, value in row["parameters"].items()} | {score: row["score"], "std": row["std"]}
            for row in self.table
        )
        note = f"Cross-validated on {self.options.folds} folds of the training images; the first row was chosen."
        return [Table(name="search", title=f"Search for {classifier_name(self.options, self.spec.target)}",
                      rows=rows, note=note)]  # fmt: skip

    def pictures(self, data: ImageData, runtime: Runtime) -> Iterable[Picture]:
        """What all techniques that learn from labels show, and the images in the space of the features."""
        if not len(data.held_out):
            return []
        features = self._features(data, runtime)
        return supervised_pictures(
            self._outputs(features, runtime), data, features_after=features, titles=("raw pixels", "features"),
            seed=runtime.seed,
        )  # fmt: skip

    def encode(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → features ``(B, D)``, as the estimator's pipeline gets them."""
        features: Tensor = self.model.inputs(images)
        return features

    def classify(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → probabilities ``(B, K)``."""
        return self.model(images)[0]  # type: ignore[no-any-return]

    def outputs(self) -> Mapping[str, OutputKind]:
        """Probabilities, or numbers."""
        kind = OUTPUT_KINDS[self.spec.target]
        return {kind: kind}

    def inference_module(self) -> nn.Module:
        """``forward(pixels) -> (outputs,)``."""
        return self.model.eval()

    def state(self) -> State:
        """Backbones and head: the run needs nothing else, no network and no weights file."""
        head = self.model.head
        assert head is not None  # noqa: S101 - trained or loaded
        inputs = {_INPUTS + name: tensor for name, tensor in self.model.inputs.state_dict().items()}
        learned = {_HEAD + name: tensor for name, tensor in head.tensors().items()}
        plain = {
            "recipes": [dict(each.recipe) for each in self.origins],
            "head": head.plain(),
            "notices": list(self.notices),
            "seconds": self.seconds,
            "search": [_plain(row) for row in self.table],
        }
        return State({**inputs, **learned}, plain)

    @classmethod
    def load(cls, state: State, options: FeaturesOptions, spec: DataSpec) -> Self:
        """The inverse of :meth:`state`."""
        plain = state.plain
        pairs = zip(options.backbones(), plain["recipes"], strict=True)
        technique = cls(options, spec, [restore_backbone(each, recipe) for each, recipe in pairs])
        technique.model.inputs.load_state_dict(_part(state.tensors, _INPUTS))
        technique.model.head = Head.restored(_part(state.tensors, _HEAD), plain["head"])
        technique.notices, technique.seconds = tuple(plain["notices"]), plain["seconds"]
        technique.table = [row | {key: _number(row[key]) for key in ("score", "std")} for row in plain["search"]]
        technique.model.eval()
        return technique


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _progress(runtime: Runtime) -> Any:
    """``display.progress``, or one that shows nothing."""

    def silent(*_: Any) -> AbstractContextManager[Progress]:
        return nullcontext(Progress())

    return silent if runtime.display is None else runtime.display.progress


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "parameters": {key: _cell(value) for key, value in row["parameters"].items()},
        "score": _finite(row["score"]),
        "std": _finite(row["std"]),
    }


def _cell(value: Any) -> str | int | float:
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, (str, int, float)) and not isinstance(value, bool) else str(value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None  # JSON has no NaN


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _written(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={_cell(value)}" for key, value in parameters.items())
