"""Backbones by torchvision's names: ``torchvision/squeezenet1_0``, ``torchvision/resnet50.IMAGENET1K_V1``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchvision import models

from dlkit.backbones.hub import from_url
from dlkit.backbones.preprocessing import Preprocessing, interpolation
from dlkit.backbones.source import Draft, Size
from dlkit.backbones.weights import read_weights
from dlkit.data.spec import ImageForm
from dlkit.errors import DataError, UsageError
from dlkit.options.suggest import did_you_mean

PREFIX = "torchvision/"


def names() -> list[str]:
    """The classifiers that torchvision has, without the prefix."""
    return list(models.list_models(module=models))


class TorchvisionSource:
    """A classifier of torchvision's.

    Args:
        name: ``torchvision/NAME`` or ``torchvision/NAME.WEIGHTS``.
        arguments: for its builder.

    Raises:
        UsageError: torchvision has no such name or weights.
    """

    def __init__(self, name: str, arguments: Mapping[str, Any]) -> None:
        self.name, _, tag = name.removeprefix(PREFIX).partition(".")
        self.arguments = dict(arguments)
        if self.name not in names():
            raise UsageError(
                f"There is no backbone {name!r}: torchvision has no classifier of that name.",
                did_you_mean(self.name, names()).replace("'", f"'{PREFIX}", 1)
                or "`dlkit list backbones torchvision/` lists the names.",
            )
        if "weights" in arguments or "progress" in arguments:
            raise UsageError(
                "Which weights are loaded is an option, not an argument of the builder.",
                "Use --weights FILE or --random-init; among published ones choose by torchvision/NAME.WEIGHTS.",
            )
        known: Any = models.get_model_weights(self.name)
        if tag and tag not in known.__members__:
            raise UsageError(
                f"There are no weights {tag!r} of {self.name!r}; there are {', '.join(known.__members__)}."
            )
        self.published: Any = known[tag] if tag else known.DEFAULT

    def preprocessing(self) -> Preprocessing:
        """That of the weights: ``crop_size`` pixels out of ``resize_size`` are kept of the shorter side."""
        form = self.published.transforms()
        side, resized = form.crop_size[0], form.resize_size[0]
        return Preprocessing(
            form=ImageForm(
                height=side, width=side, crop=min(side / resized, 1.0),
                interpolation=interpolation(form.interpolation.value),
            ),
            mean=tuple(form.mean),
            std=tuple(form.std),
        )  # fmt: skip

    def fetch(self) -> None:
        """See :class:`dlkit.backbones.source.Source`."""
        from_url(self.published.url)

    def draft(self, *, pretrained: bool, size: Size | None) -> Draft:  # noqa: ARG002 - none adapts to a size
        """See :class:`dlkit.backbones.source.Source`."""
        arguments = {**self._implied(pretrained), **self.arguments}
        try:
            network: Any = models.get_model(self.name, weights=None, **arguments).eval()
        except (TypeError, ValueError, AssertionError) as error:
            given = ", ".join(f"{key}={value}" for key, value in arguments.items())
            raise UsageError(
                f"torchvision cannot build {self.name!r} with {given or 'no arguments'}: {error}."
            ) from error
        if pretrained:
            self._load(network, arguments)
        return Draft(
            network=network,
            preprocessing=self.preprocessing(),
            weights=f"{PREFIX}{self.name}.{self.published.name}" if pretrained else "random",
            arguments=arguments,
            names=frozenset({self.name}),
            package="torchvision",
            licence=self.published.meta.get("license", "") if pretrained else "",
            classes=tuple(self.published.meta["categories"]) if pretrained else (),
        )

    def _implied(self, pretrained: bool) -> dict[str, Any]:
        """What torchvision's builders change where they are given weights, which they would also unpickle."""
        if self.name in ("googlenet", "inception_v3"):  # their own initialisation takes most of a minute
            return {"init_weights": False} | ({"transform_input": True} if pretrained else {})
        if self.name.startswith("vit_") and pretrained:
            return {"image_size": self.published.meta["min_size"][0]}
        return {}

    def _load(self, network: Any, arguments: Mapping[str, Any]) -> None:
        path = from_url(self.published.url)
        tensors = read_weights(str(path)).tensors
        try:
            network.load_state_dict(dict(tensors))
        except RuntimeError as error:
            given = ", ".join(f"{key}={value}" for key, value in arguments.items())
            reason = str(error).splitlines()[-1].strip()
            raise DataError(
                f"The weights of torchvision/{self.name} do not fit it with {given or 'no arguments'}: {reason}",
                f"Leave --backbone-arg out, use --random-init, or remove {str(path)!r} so that it is fetched again.",
            ) from error
