"""From the options to a backbone: which source builds it, with which weights, and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from dlkit.backbones.architecture import check_architecture
from dlkit.backbones.backbone import Backbone, Origin, Stage
from dlkit.backbones.dissect import (
    Trace,
    detach_classifier,
    find_classifier,
    find_stages,
    is_before_pooling,
    trace,
)
from dlkit.backbones.options import BackboneOptions
from dlkit.backbones.preprocessing import Preprocessing
from dlkit.backbones.source import Draft, Size, Source
from dlkit.backbones.weights import WeightsFile, load_weights, read_metadata, read_weights
from dlkit.data.spec import ImageForm
from dlkit.errors import DataError, UsageError
from dlkit.options.literals import literal


def arguments_of(options: BackboneOptions) -> dict[str, Any]:
    """``KEY=VALUE`` pairs; a value is a Python literal where it reads as one, else a string."""
    pairs = (argument.partition("=") for argument in options.backbone_arg)
    return {key.strip(): literal(value) for key, _, value in pairs}


def source_of(reference: str, arguments: Mapping[str, Any]) -> Source:
    """Where a reference other than ``run:RUN`` leads.

    Raises:
        UsageError: there is no such backbone.
    """
    from dlkit.backbones import callable_source, timm_source, torchvision_source
    from dlkit.backbones.card import BackboneCard
    from dlkit.discovery import registry

    if reference.startswith(torchvision_source.PREFIX):
        return torchvision_source.TorchvisionSource(reference, arguments)
    if ":" in reference:
        return callable_source.CallableSource(reference, arguments)
    card = registry().listed("backbones").get(reference)
    if isinstance(card, BackboneCard) and not timm_source.knows(reference):
        return callable_source.CallableSource(reference, arguments, card)
    return timm_source.TimmSource(reference, arguments)


def image_form(options: BackboneOptions) -> ImageForm:
    """The images that the backbone's weights were trained for; builds no network and needs none.

    Raises:
        UsageError: there is no such backbone.
        DataError: the weights file cannot be read.
    """
    if _is_run(options):
        from dlkit.backbones.run_source import RunSource

        return RunSource(options.backbone).preprocessing().form
    preprocessing = source_of(options.backbone, arguments_of(options)).preprocessing()
    if options.weights is not None:
        preprocessing = preprocessing.told_by(read_metadata(options.weights), options.weights)
    return preprocessing.form


def fetched_form(options: BackboneOptions) -> ImageForm:
    """:func:`image_form` once the weights are there, so that a training fails before it reads its images, not after.

    Raises:
        UsageError: there is no such backbone.
        DataError: the weights cannot be fetched, or their file cannot be read.
    """
    form = image_form(options)
    if options.weights is None and not options.random_init and not _is_run(options):
        source_of(options.backbone, arguments_of(options)).fetch()
    return form


def build_backbone(options: BackboneOptions, size: Size | None = None) -> Backbone:
    """The backbone that the options name, with its weights, in eval mode on the CPU.

    Args:
        options: which one.
        size: height and width of the images, where they are not the weights' own; a network of fixed size adapts
            to it where it can.

    Raises:
        UsageError: there is no such network, its arguments do not fit, or it takes no images of that size.
        DataError: the weights cannot be fetched or read, or are not this network's.
    """
    if _is_run(options):
        draft, run = run_draft(options.backbone)
        return assembled(options.backbone, draft, size, None, run, keep_classifier=False)
    source = source_of(options.backbone, arguments_of(options))
    draft = source.draft(pretrained=options.weights is None and not options.random_init, size=size)
    notices = list(draft.notices)
    file = None
    if options.weights is not None:
        file = read_weights(options.weights)
        notices += check_architecture(file, draft)
        draft = _told(draft, file, size)
    if options.random_init:
        notices.append(f"{options.backbone} begins with random weights: no pretraining at all.")
    if ":" in options.backbone and not (file and {"mean", "std"} <= set(file.metadata)):
        notices.append("Mean and std of the pixels are ImageNet's, for want of better knowledge.")
    draft = replace(draft, notices=tuple(notices))
    keep = draft.headed and not options.random_init
    return assembled(options.backbone, draft, size, file, keep_classifier=keep)


def _told(draft: Draft, file: WeightsFile, size: Size | None) -> Draft:
    """The draft with what the file says about its images; but a network that was built for a size keeps it."""
    form = draft.preprocessing.form
    told = draft.preprocessing.told_by(file.metadata, file.path)
    if size == (form.height, form.width):
        told = replace(told, form=replace(told.form, height=form.height, width=form.width))
    return replace(draft, preprocessing=told, weights=file.name)


def restore_backbone(options: BackboneOptions, recipe: Mapping[str, Any]) -> Backbone:
    """The same network as when ``recipe`` (its ``origin.recipe``) was kept, without its weights: for loading a run.

    Needs neither a network nor the files and runs that the backbone came from.

    Raises:
        UsageError: it cannot be built any more: a package is missing, or changed.
    """
    size = tuple(recipe["size"]) if recipe["size"] else None
    if "run" in recipe:
        from dlkit.backbones.run_source import untrained

        network: nn.Module = untrained(recipe["run"])
        draft = Draft(network=network, preprocessing=Preprocessing.from_json(recipe))
    else:
        # What a callable is called with is the options' alone: those were looked at, a model may be a stranger's.
        arguments = arguments_of(options) if ":" in options.backbone else recipe["arguments"]
        source = source_of(options.backbone, arguments)
        draft = replace(source.draft(pretrained=False, size=size), preprocessing=Preprocessing.from_json(recipe))
    draft = replace(
        draft, weights=recipe["weights"], licence=recipe["licence"], classes=tuple(recipe["classes"]),
        notices=tuple(recipe["notices"]),
    )  # fmt: skip
    keep = recipe["classifier"]
    return assembled(options.backbone, draft, size, None, recipe.get("run"), keep_classifier=keep)


def _is_run(options: BackboneOptions) -> bool:
    if not options.backbone.startswith("run:"):
        return False
    given = {"weights": options.weights, "backbone-arg": options.backbone_arg, "random-init": options.random_init}
    for name, value in given.items():
        if value:
            raise UsageError(f"--{name} does not go with --backbone {options.backbone}, whose weights are the run's.")
    return True


def run_draft(reference: str) -> tuple[Draft, dict[str, Any]]:
    """The encoder of an earlier run, and the recipe by which it can be built without the run.

    Raises:
        UsageError: there is no such run, or it does not encode.
        DataError: its encoder cannot be read, or not be built again.
    """
    from dlkit.backbones.run_source import RunSource

    source = RunSource(reference)
    network, recipe = source.encoder()
    return Draft(network=network, preprocessing=source.preprocessing(), weights=f"run:{source.run.name}"), recipe


def assembled(
    reference: str,
    draft: Draft,
    size: Size | None,
    file: WeightsFile | None,
    run: Mapping[str, Any] | None = None,
    *,
    keep_classifier: bool,
) -> Backbone:
    """Load the file, detach the classifier (of an encoder, nothing), find the stages."""
    network, preprocessing = draft.network, draft.preprocessing
    whole = _traced(reference, draft, preprocessing.shape)
    if size is not None and size != whole.size:
        _traced(reference, draft, (preprocessing.shape[0], *size))
    path = "" if run is not None else find_classifier(network, whole)
    if file is not None:
        inside = {f"{path}.{name}" for name in network.get_submodule(path).state_dict()} if path else set()
        complete, told = load_weights(network, file, inside)
        keep_classifier = keep_classifier and complete
        draft = replace(draft, notices=(*draft.notices, *told))
    if path and keep_classifier and is_before_pooling(network, path):
        notice = (
            f"The classifier of {reference} is a convolution of maps; on pooled features its logits are approximate."
        )
        draft = replace(draft, notices=(*(told for told in draft.notices if told != notice), notice))
    classifier = None if run is not None else detach_classifier(network, path)
    headless = whole if run is not None else _traced(reference, draft, preprocessing.shape)
    stages = find_stages(network, whole, headless, path)
    classifier = _fitting(classifier, stages[-1]) if keep_classifier else None
    recipe = _recipe(draft, size) | {"classifier": classifier is not None} | ({"run": run} if run else {})
    return Backbone(
        network, stages, form=preprocessing.form, mean=preprocessing.mean, std=preprocessing.std,
        origin=_origin(reference, draft, recipe), classifier=classifier,
    ).eval()  # fmt: skip


def _recipe(draft: Draft, size: Size | None) -> dict[str, Any]:
    """All that :func:`restore_backbone` needs, as JSON can hold it."""
    return {
        **draft.preprocessing.to_json(),
        "arguments": dict(draft.arguments),
        "size": list(size) if size else None,
        "weights": draft.weights,
        "licence": draft.licence,
        "classes": list(draft.classes),
        "notices": list(draft.notices),
    }


def _origin(reference: str, draft: Draft, recipe: Mapping[str, Any]) -> Origin:
    return Origin(
        reference=reference,
        arguments=draft.arguments,
        weights=draft.weights,
        licence=draft.licence,
        recipe=recipe,
        classes=draft.classes if recipe["classifier"] else (),
        notices=draft.notices,
    )


def _traced(reference: str, draft: Draft, shape: tuple[int, int, int]) -> Trace:
    try:
        return trace(draft.network, shape)
    except Exception as error:  # whatever a network may raise for images that it cannot take
        form = draft.preprocessing.form
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        own = shape[1:] == (form.height, form.width)
        raise UsageError(
            f"The backbone {reference!r} cannot take images of {shape[1]} × {shape[2]}: {reason}",
            "Is it a network from (B, C, H, W) to features?" if own
            else f"Its weights are for {form.height} × {form.width}: leave --image-size out, or give a larger one.",
        ) from error  # fmt: skip


def _fitting(classifier: nn.Module | None, top: Stage) -> nn.Module | None:
    """The classifier, if it takes the top features."""
    import torch

    if classifier is None:
        return None
    try:
        with torch.no_grad():
            logits = classifier.eval()(torch.zeros(1, top.channels))
    except (RuntimeError, TypeError, ValueError, DataError):
        return None
    return classifier if isinstance(logits, torch.Tensor) and logits.ndim == 2 else None
