"""Which backbone, with which weights: options that every technique with a backbone shares. Light."""

from __future__ import annotations

from dataclasses import dataclass

from dlkit.options import Options, option


@dataclass(frozen=True, kw_only=True)
class BackboneOptions(Options):
    """Backbone"""

    backbone: str = option(
        "resnet50",
        "A timm name, torchvision/NAME, package.module:function, or run:RUN (the encoder of an earlier run). "
        "`dlkit list backbones` lists names.",
        group="Backbone",
        metavar="NAME",
        place="backbone",
        code="builder",
    )
    weights: str | None = option(
        None,
        "A file of weights for it (.safetensors, or a .pth state dict) in place of the published ones.",
        group="Backbone",
        metavar="FILE",
        place="file",
    )
    backbone_arg: tuple[str, ...] = option(
        (), "Arguments for what builds it: pad_type=same, drop_path_rate=0.1.", group="Backbone",
        metavar="KEY=VALUE,…", advanced=True, code="arguments",
    )  # fmt: skip
    random_init: bool = option(False, "Random weights: no pretraining at all.", group="Backbone")

    def __post_init__(self) -> None:
        if self.random_init and self.weights is not None:
            raise ValueError("--random-init and --weights contradict each other; give one of them")
        for argument in self.backbone_arg:
            if "=" not in argument:
                raise ValueError(f"--backbone-arg takes KEY=VALUE, got {argument!r}")
