"""Backbones from any callable: ``package.module:function``, or the one that a plugin's card names."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from dlkit.backbones.card import BackboneCard
from dlkit.backbones.preprocessing import Preprocessing
from dlkit.backbones.source import Draft, Size
from dlkit.data.spec import ImageForm
from dlkit.errors import UsageError
from dlkit.options.suggest import did_you_mean

_OWN_WEIGHTS: Mapping[str, Any] = {"pretrained": False, "weights": None, "checkpoint_path": ""}
"""Arguments by which builders are usually told to load weights, and their values for none."""


class CallableSource:
    """Whatever a function builds.

    Args:
        reference: ``package.module:function``, as it was typed.
        arguments: for the function.
        card: of the plugin that it comes from, which knows the preprocessing.
    """

    def __init__(self, reference: str, arguments: Mapping[str, Any], card: BackboneCard | None = None) -> None:
        self.reference = reference
        self.arguments = dict(arguments)
        self.card = card
        self.builder = card.builder if card else reference

    def preprocessing(self) -> Preprocessing:
        """The card's, else ImageNet's at 224 × 224."""
        if self.card is None:
            return Preprocessing()
        height, width = self.card.image_size
        form = ImageForm(height=height, width=width, channels=1 if len(self.card.mean) == 1 else 3)
        return Preprocessing(form=form, mean=self.card.mean, std=self.card.std)

    def fetch(self) -> None:
        """See that it is there; whatever it fetches, it fetches when it is called."""
        _imported(self.builder)

    def draft(self, *, pretrained: bool, size: Size | None) -> Draft:  # noqa: ARG002 - it has its own arguments
        """See :class:`dlkit.backbones.source.Source`; with ``pretrained`` the weights are what the callable makes."""
        if pretrained and self.card and not self.card.pretrained:
            raise UsageError(
                f"There are no published weights of {self.reference!r}.",
                "Give --weights FILE, or --random-init for a network without pretraining.",
            )
        function = _imported(self.builder)
        off = {} if pretrained else {key: none for key, none in _OWN_WEIGHTS.items() if key in self.arguments}
        network = _called(function, self.builder, {**self.arguments, **off})
        architecture = (getattr(network, "pretrained_cfg", None) or {}).get("architecture")
        return Draft(
            network=network.eval(),
            preprocessing=self.preprocessing(),
            weights=f"whatever {self.builder} makes" if pretrained else "random",
            arguments=self.arguments,
            names=frozenset({getattr(function, "__name__", ""), architecture or ""} - {""}),
            package=self.builder.partition(":")[0].partition(".")[0],
            licence=self.card.licence if self.card and pretrained else "",
            notices=self._notices(pretrained),
        )

    def _notices(self, pretrained: bool) -> tuple[str, ...]:
        if not pretrained or self.card:
            return ()
        return (
            f"The weights are whatever {self.builder} makes, which may be random ones: give --weights FILE, or "
            "--random-init where no pretraining is meant.",
        )


def _imported(builder: str) -> Callable[..., Any]:
    module_name, _, attribute = builder.partition(":")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        raise UsageError(f"--backbone {builder}: there is no module {error.name!r}.", _where(module_name)) from error
    except Exception as error:  # a stranger's module
        raise UsageError(
            f"--backbone {builder}: importing {module_name!r} failed: {type(error).__name__}: {error}"
        ) from error
    function = getattr(module, attribute, None)
    if function is None:
        hint = did_you_mean(attribute, [name for name, value in vars(module).items() if callable(value)])
        raise UsageError(f"--backbone {builder}: {module_name!r} has no {attribute!r}.", hint)
    if not callable(function):
        raise UsageError(f"--backbone {builder}: {attribute!r} is a {type(function).__name__}, not a function.")
    return function  # type: ignore[no-any-return]


def _where(module_name: str) -> str:
    top = module_name.partition(".")[0]
    if (Path.cwd() / f"{top}.py").is_file() or (Path.cwd() / top).is_dir():
        return "It lies in this directory, which Python does not search by itself: set PYTHONPATH=."
    if importlib.util.find_spec(top) is None:
        return "Is the package installed in this environment, or its directory in PYTHONPATH?"
    return f"The package {top!r} is there; check the rest of the name."


def _called(function: Callable[..., Any], builder: str, arguments: Mapping[str, Any]) -> nn.Module:
    given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    try:
        network = function(**arguments)
    except Exception as error:  # a stranger's function
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise UsageError(
            f"--backbone {builder}: calling it with {given or 'no arguments'} failed: {reason}.",
            f"It takes {_signature(function)}; --backbone-arg KEY=VALUE gives it arguments.",
        ) from error
    if not isinstance(network, nn.Module):
        raise UsageError(
            f"--backbone {builder}: it gave a {type(network).__name__}; expected a torch.nn.Module.",
            "Name a function or class that builds a network, not one that uses it.",
        )
    return network


def _signature(function: Callable[..., Any]) -> str:
    try:
        return str(inspect.signature(function))
    except (TypeError, ValueError):
        return "arguments that cannot be told"
