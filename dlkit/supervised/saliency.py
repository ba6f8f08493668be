"""Where a network looks: which places of an image speak for its answer.

Source: Draelos and Carin 2020, Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural
networks, equation 4: Σ over channels of activation × gradient. Where the map is averaged over its places and a linear
layer follows, as after the last stage of most convolutional networks, it is Grad-CAM (Selvaraju et al. 2017), section
3.1 there; unlike Grad-CAM it is meant for other stages and for tokens too. Captum computes it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlkit.report import Picture, plots
from dlkit.report.style import short


def saliency_maps(module: nn.Module, layer: nn.Module, images: Tensor, targets: Tensor, axis: int = 1) -> Tensor | None:
    """How much each place of a layer's output speaks for the target, for each image.

    Args:
        module: pixels → logits ``(B, K)``; in eval mode, on the images' device.
        layer: a part of it whose output is a map ``(B, C, h, w)`` or ``(B, h, w, C)``, or tokens ``(B, N, C)``, of
            which the last h · w, in the images' ratio, are places.
        images: pixels ``(B, C, H, W)``.
        targets: int ``(B,)``, which logit to explain.
        axis: of the channels in the layer's output.

    Returns:
        ``(B, h, w)``, from 0 to 1 (the image's most telling place), 0 where nothing speaks for the target; None where
        the layer's output has no places, or one only.
    """
    from captum.attr import LayerGradientXActivation

    # Captum wants gradients down to its input. Only those from the layer upwards are needed, and recording the rest
    # takes as long as the forward pass itself: so its input is a stand-in, and the graph begins at the layer.
    stand_in = torch.zeros(len(images), 1, device=images.device, requires_grad=True)
    begin = layer.register_forward_hook(lambda _layer, _given, output: _leaf(output))
    try:
        with torch.enable_grad():
            found = LayerGradientXActivation(lambda _: module(images), layer).attribute(
                stand_in, target=targets, attribute_to_layer_input=False
            )
    finally:
        begin.remove()
    values = (found[0] if isinstance(found, tuple) else found).detach().float()
    if values.ndim < 3:
        return None
    places = values.sum(axis)
    if places.ndim == 2:
        rows, columns = _grid(places.shape[1], images.shape[-2] / images.shape[-1])
        if rows * columns == 0:
            return None
        places = places[:, places.shape[1] - rows * columns :].unflatten(1, (rows, columns))
    if places[0].numel() == 1:  # the whole image
        return None
    maps: Tensor = places.clamp_min(0)
    return maps / maps.amax((1, 2), keepdim=True).clamp_min(torch.finfo(maps.dtype).tiny)


def _leaf(output: Any) -> Any:
    """The same values, from which a graph begins."""
    return tuple(map(_leaf, output)) if isinstance(output, tuple) else output.detach().requires_grad_()


def _grid(tokens: int, ratio: float) -> tuple[int, int]:
    """Rows and columns of patches among so many tokens, a few of which (class, registers) stand before them."""
    for extra in range(9):
        rows = round(math.sqrt((tokens - extra) * ratio)) if tokens > extra else 0
        if rows and (tokens - extra) % rows == 0 and round(rows / ratio) == (tokens - extra) // rows:
            return rows, (tokens - extra) // rows
    return 0, 0


def saliency_picture(
    module: nn.Module,
    layer: nn.Module,
    images: Tensor,
    labels: Tensor | None,
    classes: Sequence[str],
    *,
    axis: int = 1,
    files: Sequence[str] | None = None,
    probabilities: Tensor | None = None,
) -> Picture | None:
    """A few images, each beside itself with the places marked that speak for the network's answer.

    Args:
        module, layer, images, axis: as for :func:`saliency_maps`.
        labels: int ``(B,)``, the right classes, −1 where unknown; None where all are.
        classes: names of the logits.
        files: the images' names, shown below.
        probabilities: ``(B, K)`` that the module gives for the images, where they are known already.

    Returns:
        None where the layer's output has no places.
    """
    if probabilities is None:
        with torch.inference_mode():
            probabilities = module(images).float().softmax(1)
    confidence, answers = (each.clone() for each in probabilities.max(1))
    maps = saliency_maps(module, layer, images, answers.to(images.device), axis)
    if maps is None:
        return None
    pairs, captions = [], []
    for index, (image, places) in enumerate(zip(images.cpu(), maps.cpu(), strict=True)):
        label = -1 if labels is None else int(labels[index])
        answer = f"{short(classes[int(answers[index])], 16)} {float(confidence[index]):.2f}"
        truth = "" if label < 0 else "right" if label == int(answers[index]) else f"is {short(classes[label], 18)}"
        name = "" if files is None else short(files[index].rpartition("/")[2], 18, end=True)
        pairs += [image.expand(3, -1, -1), overlay(image, places)]
        captions += ["\n".join(line for line in (answer, truth, name) if line), ""]
    caption = (
        "Each image, and the places that speak for the network's answer (HiResCAM, which is Grad-CAM at the last stage "
        "of a network that averages over places)."
    )
    return Picture("saliency", "Where it looks", caption, plots.captioned(pairs, captions))


def overlay(image: Tensor, places: Tensor) -> Tensor:
    """An image ``(C, H, W)`` in grey, with a map ``(h, w)`` in [0, 1] in colours over it → ``(3, H, W)``."""
    smooth = F.interpolate(places[None, None], image.shape[-2:], mode="bicubic", antialias=False)[0, 0].clamp(0, 1)
    colours = torch.from_numpy(mpl.colormaps["inferno"](smooth.numpy())[..., :3]).float().permute(2, 0, 1)
    grey = image.mean(0, keepdim=True).expand(3, -1, -1)
    strength = 0.25 + 0.5 * smooth
    return grey * (1 - strength) + colours * strength
