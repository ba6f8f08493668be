"""Backbones by timm's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlkit.backbones.backbone import TOP, Backbone, Origin, Stage
from dlkit.backbones.options import BackboneOptions
from dlkit.backbones.weights import load_weights, read_weights
from dlkit.data.spec import ImageForm
from dlkit.errors import UsageError


def form(options: BackboneOptions) -> ImageForm:
    """What timm knows about the weights' input."""
    import timm

    try:
        cfg = timm.get_pretrained_cfg(options.backbone)
    except RuntimeError as error:
        raise unknown(options.backbone) from error
    if cfg is None:
        raise unknown(options.backbone)
    _, height, width = cfg.input_size
    return ImageForm(height=height, width=width, crop=cfg.crop_pct or 1.0, interpolation=cfg.interpolation)


def unknown(name: str) -> UsageError:
    """What to say of a name that timm does not have."""
    import timm

    from dlkit.options.suggest import did_you_mean

    hint = did_you_mean(name, timm.list_models()) or "`dlkit list backbones PATTERN` lists the names."
    return UsageError(f"There is no backbone {name!r}.", hint)


def build(options: BackboneOptions, arguments: Mapping[str, Any]) -> Backbone:
    """The network, with published weights, a file's, or random ones."""
    import timm

    wanted = form(options)
    pretrained = options.weights is None and not options.random_init
    network: Any = timm.create_model(options.backbone, pretrained=pretrained, **arguments).eval()
    cfg = network.pretrained_cfg
    words, notices = ("random", tuple[str, ...]()) if options.random_init else (f"timm/{options.backbone}", ())
    if options.weights is not None:
        notices = load_weights(network, read_weights(options.weights))
        words = options.weights
    classifier = network.get_classifier()
    network.reset_classifier(0)
    stages = [
        Stage(info["module"], info["module"], info["num_chs"], reduction=info["reduction"])
        for info in network.feature_info
    ]
    size = getattr(classifier, "in_features", network.num_features)
    return Backbone(
        network,
        [*stages, Stage(TOP, "", size)],
        form=wanted,
        mean=cfg["mean"],
        std=cfg["std"],
        origin=Origin(
            reference=options.backbone, arguments=dict(arguments), weights=words, licence=cfg.get("license", ""),
            notices=tuple(notices),
        ),
        classifier=classifier,
    ).eval()  # fmt: skip
