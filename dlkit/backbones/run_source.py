"""The encoder of an earlier run as a backbone: ``run:latest``, ``run:digits-001``, ``run:PATH``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dlkit.backbones.preprocessing import Preprocessing
from dlkit.data.spec import DataSpec, ImageForm
from dlkit.discovery import registry
from dlkit.errors import DataError, UsageError
from dlkit.options import Options
from dlkit.places import recipe_of
from dlkit.run import open_run
from dlkit.settings import resolve
from dlkit.technique import Encodes, State

PREFIX = "run:"


class Encoder(nn.Module):
    """A technique's ``encode`` as a module, whose submodules are the technique's.

    Args:
        technique: has the capability ``encode``.
    """

    def __init__(self, technique: Any) -> None:
        super().__init__()
        self.technique = technique
        for name, value in vars(technique).items():
            if isinstance(value, nn.Module):
                self.add_module(name, value)

    def forward(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → codes ``(B, Z)``."""
        codes: Tensor = self.technique.encode(images)
        return codes


class RunSource:
    """A run's encoder; its normalisation is inside.

    Args:
        reference: ``run:RUN``.

    Raises:
        UsageError: there is no such run, or its technique does not encode.
    """

    def __init__(self, reference: str) -> None:
        self.reference = reference
        self.run = open_run(reference.removeprefix(PREFIX))
        card, options = self.run.settings.card, self.run.settings.options
        if "encode" not in card.capabilities(options):
            can = ", ".join(sorted(card.capabilities(options))) or "nothing"
            raise UsageError(
                f"--backbone {reference}: a run of {card.name} does not encode; it can {can}.",
                "Name a run whose technique has the capability encode; `dlkit info NAME` shows it.",
            )

    def preprocessing(self) -> Preprocessing:
        """The form of the run's images."""
        return form_of(self.run.spec)

    def encoder(self) -> tuple[Encoder, dict[str, Any]]:
        """The trained encoder in eval mode; and the recipe by which :func:`untrained` builds the like without the run.

        Raises:
            DataError: the run has no model yet, or its technique's weights do not lie in modules.
        """
        technique = self.run.load_technique()
        if not isinstance(technique, Encodes):
            raise UsageError(f"--backbone {self.reference}: {self.run.technique} does not encode as it says it would.")
        state = technique.state()
        recipe = {
            **recipe_of(self.run.settings, self.run.spec),
            "plain": dict(state.plain),
            "tensors": {
                name: [str(t.dtype).removeprefix("torch."), list(t.shape)] for name, t in state.tensors.items()
            },
        }
        encoder = Encoder(technique).eval()
        _prove(encoder, recipe, self.run.spec)
        return encoder, recipe


def form_of(spec: DataSpec) -> Preprocessing:
    """Of a run's images; pixels go to the technique as they are."""
    channels = spec.channels
    return Preprocessing(
        form=ImageForm(
            height=spec.height, width=spec.width, channels=channels, crop=spec.crop, interpolation=spec.interpolation
        ),
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )


def untrained(recipe: Mapping[str, Any]) -> Encoder:
    """An encoder of the same structure, whose weights are still to be loaded.

    Raises:
        UsageError: the technique is not installed, or does not know an option any more.
    """
    card = registry().technique(recipe["technique"])
    options: Options = resolve(card, config=recipe["options"]).options
    tensors = {
        name: torch.zeros(shape, dtype=getattr(torch, dtype)) for name, (dtype, shape) in recipe["tensors"].items()
    }
    spec = DataSpec.from_json(recipe["spec"])
    return Encoder(card.load().load(State(tensors, recipe["plain"]), options, spec)).eval()


def _prove(encoder: Encoder, recipe: Mapping[str, Any], spec: DataSpec) -> None:
    """A run that reuses this encoder keeps its modules' tensors and the recipe only: try that they are enough."""
    image = torch.rand(1, *spec.shape, generator=torch.Generator().manual_seed(0))
    try:
        copy = untrained(recipe)
        copy.load_state_dict(encoder.state_dict())
        with torch.no_grad():
            same = torch.equal(copy(image), encoder(image))
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise _not_reusable(recipe, f": {type(error).__name__}: {error}") from error
    if not same:
        raise _not_reusable(recipe, ": a copy of its modules gives another code")


def _not_reusable(recipe: Mapping[str, Any], why: str) -> DataError:
    return DataError(
        f"The encoder of a run of {recipe['technique']} cannot be reused as a backbone{why}.",
        "A technique's weights must lie in modules that are its attributes, and `load` must rebuild it from them.",
    )
