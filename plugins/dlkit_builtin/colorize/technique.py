"""Colorization: lightness in, colour out.

Of an image in CIE Lab the network sees L and predicts (a, b) for each pixel; the result is put together from the
input's own L and what was predicted. With ``--mode regression`` the loss is (Zhang, Isola and Efros 2016, equation 1,
as a mean)

    L = mean over pixels and a, b of (ŷ − y)²,   y = (a, b) / 110

which is best solved by the mean of all colours that a thing may have. With ``--mode bins`` the network gives a
probability for each of the bins that the plane of a and b is divided into, learned by a cross-entropy in which rare
colours count more (equation 2), and the colour is the distribution's annealed mean (equation 5): see ``bins.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlkit.data.spec import DataSpec
from dlkit.errors import DataError, UsageError
from dlkit.layers import initialise, l1_penalty, limit_norm
from dlkit.metrics import Metrics
from dlkit.technique import OutputKind, PhasePlan, State
from dlkit_builtin.colorize.bins import (
    SoftEncoding,
    annealed_mean,
    balanced_cross_entropy,
    balancing_weights,
    gamut_bins,
    smoothed,
)
from dlkit_builtin.colorize.colours import colours_of
from dlkit_builtin.colorize.lab import lab_to_rgb, rgb_to_lab
from dlkit_builtin.colorize.networks import UNet, code_of, subsampling
from dlkit_builtin.colorize.options import ColorizeOptions

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.report import Picture
    from dlkit.run import Run
    from dlkit.runtime import Batch, Runtime

PHASE = "train"
SCALE = 110.0
"""Units of ab in one unit of the network's: colours then lie within ±1."""
KNEE = 10.0
"""Where smooth-l1 turns from squared to absolute, in units of ab: the width of a colour bin."""
RAREST = 1e-3
"""Of a uniform share: at first no bin is less likely, so that any can still be learned."""
REMEDY = "Give colour images: photo-tiles (no download), cifar10, a folder of photographs; leave --channels at auto."


class Network(nn.Module):
    """Pixels → colours and code."""

    bins: Tensor
    weights: Tensor

    def __init__(self, options: ColorizeOptions, spec: DataSpec) -> None:
        super().__init__()
        self.size = (spec.height, spec.width)
        self.temperature = options.temperature
        bins = gamut_bins(options.grid) if options.mode == "bins" else torch.zeros(0, 2)
        self.register_buffer("bins", bins.clone())
        self.register_buffer("weights", torch.ones(len(bins)))  # of the bins in the loss
        self.unet = UNet(1, len(bins) or 2, self.size, options, subsampling(options, self.size))

    def lightness(self, lab: Tensor) -> Tensor:
        """L, a, b ``(B, 3, H, W)`` → what the U-Net sees, ``(B, 1, H, W)`` within ±1."""
        return lab[:, :1] / 50 - 1

    def colours(self, maps: Tensor) -> Tensor:
        """The U-Net's result → a and b in their own units, ``(B, 2, H, W)``."""
        colours = annealed_mean(maps, self.bins, self.temperature) if len(self.bins) else maps.float() * SCALE
        if colours.shape[-2:] == self.size:
            return colours
        return F.interpolate(colours, size=self.size, mode="bilinear")

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels ``(B, 3, H, W)``, in any colours or grey → the same in the predicted colours, and code ``(B, Z)``."""
        lab = rgb_to_lab(images)
        maps, code = self.unet(self.lightness(lab))
        return lab_to_rgb(torch.cat([lab[:, :1], self.colours(maps)], 1)), code


class Colorize:
    """See the module's docstring; capability: encode (the mean over the U-Net's smallest maps)."""

    def __init__(self, options: ColorizeOptions, spec: DataSpec) -> None:
        if spec.channels != 3:
            raise DataError(f"colorize learns from colours; the images of {spec.name} are grey (one channel).", REMEDY)
        if spec.normalization.mode != "none":
            raise UsageError(
                f"--normalize {spec.normalization.mode}: colorize sees lightness on its own scale, 0 to 100.",
                "Leave --normalize out.",
            )
        if options.batch_norm and options.batch_size == 1:
            raise UsageError(
                "Batch norm needs the statistics of several images, but --batch-size is 1.",
                "Use a larger --batch-size, or --no-batch-norm.",
            )
        self.options = options
        self.spec = spec
        self.network = Network(options, spec)
        initialise(self.network, options.init)
        nn.init.zeros_(self.network.unet.output.weight)  # at first all is grey, or all bins are alike

    def plan(self) -> Sequence[PhasePlan]:
        """One phase."""
        return [PhasePlan(PHASE, self.options.epochs, {"network": self.network})]

    def train(self, data: ImageData, runtime: Runtime, run: Run) -> None:
        """Minimise the loss on the training images; the state that is best on ``data.val`` is kept.

        Raises:
            DataError: no training image has any colour; a single image, with batch norm.
        """
        options = self.options
        if options.batch_norm and len(data.train) == 1:
            raise DataError("There is one training image; batch norm needs several.", "Use --no-batch-norm.")
        network = runtime.prepare(self.network)
        self.count_colours(data.train, runtime)
        encoding = SoftEncoding(options.grid, runtime.device) if options.mode == "bins" else None
        optimizer = runtime.optimizer(network.parameters(), options)

        def step(batch: Batch) -> Mapping[str, Tensor]:
            losses = runtime.update(optimizer, self.loss, *self.targets(batch.images, encoding))
            if options.max_norm is not None:
                limit_norm(network, options.max_norm)
            return losses

        def validate() -> Mapping[str, float]:
            return self.validate(data, runtime, encoding)

        runtime.fit(
            run,
            phase=PHASE,
            data=data.train,
            options=options,
            state={"network": network, "optimizer": optimizer},
            step=step,
            validate=validate if len(data.val) else None,
            independent=not options.batch_norm,
        )

    def count_colours(self, train: Split, runtime: Runtime) -> None:
        """What is counted and not learned by gradients: the bins' weights, and where their distribution begins.

        Raises:
            DataError: no training image has any colour.
        """
        colours = colours_of(train, self.spec, self.options.grid, runtime)
        if colours.grey:
            raise DataError("No training image has any colour: in each pixel red, green and blue are the same.", REMEDY)
        if self.options.mode == "bins":
            bins = self.network.bins
            sigma = self.options.grid / 2
            weights = balancing_weights(smoothed(colours.counts, bins, sigma), self.options.rebalance)
            self.network.weights.copy_(weights)
            # Training starts where the loss is least for whoever knows nothing but how often colours occur.
            usual = smoothed(colours.counts * weights, bins, sigma)
            self.network.unet.start_from(usual.clamp_min(RAREST / len(bins)).log())

    def targets(self, images: Tensor, encoding: SoftEncoding | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """What :meth:`loss` takes, for pixels ``(B, 3, H, W)``.

        Returns:
            The U-Net's input ``(B, 1, H, W)``; then the colours ``(B, 2, h, w)`` and None, or with an ``encoding`` the
            bins ``(B, 5, h, w)`` that share each colour, and their shares.
        """
        lab = rgb_to_lab(images)
        seen, colours = self.network.lightness(lab), lab[:, 1:]
        step = subsampling(self.options, self.network.size)
        if step > 1:
            height, width = (-(-side // step) for side in self.network.size)
            colours = F.adaptive_avg_pool2d(colours, (height, width))
        if encoding is None:
            return seen, colours, None
        count, _, height, width = colours.shape
        chosen, shares = encoding(colours.movedim(1, -1).flatten(0, 2))
        chosen, shares = (each.view(count, height, width, -1).movedim(-1, 1) for each in (chosen, shares))
        return seen, chosen, shares

    def loss(self, seen: Tensor, target: Tensor, shares: Tensor | None) -> Tensor:
        """The loss above plus the L1 penalty, of what :meth:`targets` gives; scalar."""
        return self.colour_loss(self.network.unet(seen)[0], target, shares) + l1_penalty(self.network, self.options)

    def colour_loss(self, maps: Tensor, target: Tensor, shares: Tensor | None) -> Tensor:
        """Mean over images and places."""
        if shares is not None:
            return balanced_cross_entropy(maps, target, shares, self.network.weights)
        predicted, wanted = maps.float(), target / SCALE
        if self.options.loss == "smooth-l1":
            return F.smooth_l1_loss(predicted, wanted, beta=KNEE / SCALE)
        return F.mse_loss(predicted, wanted)

    def validate(self, data: ImageData, runtime: Runtime, encoding: SoftEncoding | None) -> Mapping[str, float]:
        """On the val split: the loss, and the root of the mean squared error of a and b before the gamut is seen to."""
        network = self.network.eval()
        totals = torch.zeros(2, dtype=torch.float64, device=runtime.device)
        with runtime.inference():
            for batch in runtime.batches(data.val, 100):
                seen, target, shares = self.targets(batch.images, encoding)
                maps = network.unet(seen)[0]
                errors = (network.colours(maps) - rgb_to_lab(batch.images)[:, 1:]).square().mean()
                totals += torch.stack([self.colour_loss(maps, target, shares), errors]).double() * len(batch)
        network.train()
        loss, errors = (totals / len(data.val)).tolist()
        return {"loss": loss, "ab_rmse": errors**0.5}

    def evaluate(self, data: ImageData, runtime: Runtime) -> Metrics:
        """See :mod:`dlkit_builtin.colorize.evaluation`."""
        from dlkit_builtin.colorize.evaluation import evaluate

        return evaluate(self, data, runtime)

    def pictures(self, data: ImageData, runtime: Runtime) -> Iterable[Picture]:
        """See :mod:`dlkit_builtin.colorize.pictures`."""
        from dlkit_builtin.colorize.pictures import pictures

        return pictures(self, data, runtime)

    def encode(self, images: Tensor) -> Tensor:
        """Pixels ``(B, 3, H, W)`` → the mean over the smallest maps, ``(B, Z)``."""
        network = self.network.eval()
        return code_of(network.unet.encode(network.lightness(rgb_to_lab(images))))

    def colorize(self, images: Tensor) -> Tensor:
        """Pixels ``(B, 3, H, W)``, whose colours are not looked at → the same with predicted colours."""
        colorized: Tensor = self.inference_module()(images)[0]
        return colorized

    def outputs(self) -> Mapping[str, OutputKind]:
        """The image in colours, and the code."""
        return {"colorized": "image", "code": "code"}

    def inference_module(self) -> nn.Module:
        """``forward(pixels) -> (colorized, code)``."""
        return self.network.eval()

    def state(self) -> State:
        """The network's parameters and buffers."""
        return State(self.network.state_dict())

    @classmethod
    def load(cls, state: State, options: ColorizeOptions, spec: DataSpec) -> Self:
        """The inverse of :meth:`state`."""
        technique = cls(options, spec)
        technique.network.load_state_dict(dict(state.tensors))
        technique.network.eval()
        return technique
