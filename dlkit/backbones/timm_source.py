"""Backbones by timm's names: ``resnet50``, ``resnet50.a1_in1k``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import timm
from safetensors import SafetensorError

from dlkit.backbones.hub import from_hub, from_url
from dlkit.backbones.preprocessing import Preprocessing, averaged, interpolation
from dlkit.backbones.source import Draft, Size
from dlkit.data.spec import ImageForm
from dlkit.errors import DataError, UnknownBackbone, UsageError


class TimmSource:
    """A network of timm's registry.

    Args:
        name: of the architecture, with or without the tag of its weights.
        arguments: for ``timm.create_model``.

    Raises:
        UsageError: timm has no such name, or the arguments meddle with the weights.
    """

    def __init__(self, name: str, arguments: Mapping[str, Any]) -> None:
        self.name = name
        self.arguments = dict(arguments)
        try:
            self.cfg: Any = timm.get_pretrained_cfg(name)
        except RuntimeError:  # a tag that there is not
            self.cfg = None
        if self.cfg is None:
            raise unknown(name)
        taken = {"pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path"} & set(arguments)
        if taken:
            raise UsageError(
                f"--backbone-arg {taken.pop()} is not for you to set: which weights are loaded is an option.",
                "Use --weights FILE or --random-init; a tag chooses among published ones: resnet50.a1_in1k.",
            )

    def preprocessing(self) -> Preprocessing:
        """What timm's registry says; a size or number of channels among the arguments goes before it."""
        channels, height, width = self.cfg.input_size
        channels = self.arguments.get("in_chans", channels)
        size = self.arguments.get("img_size", (height, width))
        height, width = (size, size) if isinstance(size, int) else size
        return Preprocessing(
            form=ImageForm(
                height=height, width=width, channels=1 if channels == 1 else 3,
                crop=self.cfg.crop_pct or 1.0, interpolation=interpolation(self.cfg.interpolation),
            ),
            mean=averaged(tuple(self.cfg.mean), channels),
            std=averaged(tuple(self.cfg.std), channels),
        )  # fmt: skip

    def fetch(self) -> None:
        """See :class:`dlkit.backbones.source.Source`."""
        self._weights_file()

    def draft(self, *, pretrained: bool, size: Size | None) -> Draft:
        """See :class:`dlkit.backbones.source.Source`."""
        preprocessing = self.preprocessing()
        arguments = dict(self.arguments)
        form = preprocessing.form
        if size is not None and size != (form.height, form.width) and self.cfg.fixed_input_size:
            arguments["img_size"] = list(size)
            preprocessing = replace(preprocessing, form=replace(form, height=size[0], width=size[1]))
        network = self._created(arguments, self._weights_file() if pretrained else None)
        own_head = arguments.get("num_classes", self.cfg.num_classes) == self.cfg.num_classes
        return Draft(
            network=network,
            preprocessing=preprocessing,
            weights=f"timm/{self._full_name()}" if pretrained else "random",
            arguments=arguments,
            names=frozenset({self.cfg.architecture, self.name.partition(".")[0]}),
            package="timm",
            licence=(self.cfg.license or "") if pretrained else "",
            classes=_class_names(network) if own_head and pretrained else (),
            headed=own_head or not pretrained,
        )

    def _full_name(self) -> str:
        return f"{self.cfg.architecture}.{self.cfg.tag}" if self.cfg.tag else str(self.cfg.architecture)

    def _weights_file(self) -> str:
        if self.cfg.hf_hub_id:
            return str(from_hub(self.cfg.hf_hub_id, self.cfg.hf_hub_filename))
        if self.cfg.url:
            return str(from_url(self.cfg.url))
        raise UsageError(
            f"There are no published weights of {self.name!r}.",
            "Give --weights FILE, or --random-init for a network without pretraining. "
            f"`dlkit list backbones '{self.name.partition('.')[0]}*'` shows what there is.",
        )

    def _created(self, arguments: Mapping[str, Any], file: str | None) -> Any:
        overlay = {} if file is None else {"pretrained_cfg_overlay": {"file": file}}
        try:
            return timm.create_model(self.name, pretrained=file is not None, **overlay, **_tuples(arguments)).eval()
        except (SafetensorError, OSError, EOFError) as error:
            raise DataError(
                f"The weights {file!r} cannot be read: {error}.", "Remove this file, so that it is fetched again."
            ) from error
        except (TypeError, ValueError, AssertionError, KeyError, AttributeError, RuntimeError) as error:
            given = ", ".join(f"{key}={value}" for key, value in arguments.items()) or "no arguments"
            raise UsageError(
                f"timm cannot build {self.name!r} with {given}: {error}.",
                f"--backbone-arg takes what {self._entry()} takes; what that fixes itself can be given to the "
                "functions it calls: --backbone package.module:function.",
            ) from error

    def _entry(self) -> str:
        entry = timm.model_entrypoint(self.cfg.architecture)
        return f"{entry.__module__}:{entry.__name__}"


def _tuples(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}


def unknown(name: str) -> UsageError:
    """What to say of a name that nobody has."""
    from dlkit.discovery import registry
    from dlkit.options.suggest import did_you_mean

    names = [*timm.list_models(), *registry().listed("backbones")]
    architecture, _, tag = name.partition(".")
    if tag and architecture in names:
        tags = [full.partition(".")[2] for full in timm.list_models(f"{architecture}.*", pretrained=True)]
        return UsageError(f"There are no weights {tag!r} of {architecture!r}; there are {', '.join(tags) or 'none'}.")
    if "/" in name:
        return UnknownBackbone(f"There is no backbone {name!r}.", f"The encoder of a run is named run:{name}.")
    return UnknownBackbone(
        f"There is no backbone {name!r}.",
        did_you_mean(name, names) or "`dlkit list backbones PATTERN` lists the names.",
    )


def _class_names(network: Any) -> tuple[str, ...]:
    """Names of ImageNet's classes, where the classifier is one of its sets that timm knows."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset(network)
    if not subset:
        return ()
    info = ImageNetInfo(subset)
    return tuple(info.index_to_description(index) for index in range(info.num_classes()))


def knows(name: str) -> bool:
    """Whether timm has an architecture of that name, whatever the tag."""
    return bool(timm.is_model(name.partition(".")[0]))
