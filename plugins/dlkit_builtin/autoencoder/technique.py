"""The autoencoder: x → z = f(x) → g(z), trained so that g(f(x̃)) is close to x.

x̃ = x for the plain autoencoder (Hinton and Salakhutdinov 2006), x̃ ~ q(x̃ | x) a corrupted copy for the
denoising one (Vincent et al. 2008, section 2.3). The loss is the mean over pixels of

    mse:  (g(f(x̃)) − x)²
    bce:  −x log y − (1 − x) log(1 − y),  y = σ(g(f(x̃)))        Vincent et al. 2008, equation 2
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
from dlkit.runtime import Normalize
from dlkit.technique import OutputKind, PhasePlan, State
from dlkit_builtin.autoencoder.corruption import corrupt
from dlkit_builtin.autoencoder.networks import build, code_size
from dlkit_builtin.autoencoder.options import AutoencoderOptions

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.report import Picture
    from dlkit.run import Run
    from dlkit.runtime import Batch, Runtime

PHASE = "train"


class Network(nn.Module):
    """Normalisation, encoder, decoder and the way back to pixels.

    Without ``--normalize`` the output is a sigmoid, so that it is a pixel value; with it the output is linear in
    normalised units.
    """

    def __init__(self, options: AutoencoderOptions, spec: DataSpec) -> None:
        super().__init__()
        self.normalize = Normalize(spec.normalization)
        self.encoder, self.decoder = build(options, spec.shape)
        self.sigmoid = spec.normalization.mode == "none"

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels ``(B, C, H, W)`` → the decoder's output before the sigmoid, same shape, and code ``(B, Z)``."""
        code, switches = self.encoder(self.normalize(images))
        return self.decoder(code, switches), code

    def pixels(self, activations: Tensor) -> Tensor:
        """The decoder's output → pixels in [0, 1]."""
        if self.sigmoid:
            return torch.sigmoid(activations)
        return self.normalize.inverse(activations).clamp(0, 1)


class Inference(nn.Module):
    """The network as it is used: pixels in, pixels and code out."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels ``(B, C, H, W)`` → reconstruction, same shape, and code ``(B, Z)``."""
        activations, code = self.network(images)
        return self.network.pixels(activations), code


class Autoencoder:
    """See the module's docstring; capabilities: encode, reconstruct and (but for max-unpooling) decode."""

    def __init__(self, options: AutoencoderOptions, spec: DataSpec) -> None:
        if options.loss == "bce" and spec.normalization.mode != "none":
            raise UsageError(
                f"--loss bce takes pixels as probabilities; with --normalize {spec.normalization.mode} they are none.",
                "Use --loss mse, or --normalize none.",
            )
        if options.batch_norm and options.batch_size == 1:
            raise UsageError(
                "--batch-norm needs the statistics of several images, but --batch-size is 1.",
                "Use a larger --batch-size, or leave --batch-norm out.",
            )
        self.options = options
        self.spec = spec
        self.code = code_size(options, spec.shape)
        self.network = Network(options, spec)
        initialise(self.network, options.init)

    def plan(self) -> Sequence[PhasePlan]:
        """One phase."""
        return [PhasePlan(PHASE, self.options.epochs, {"network": self.network})]

    def train(self, data: ImageData, runtime: Runtime, run: Run) -> None:
        """Minimise the loss on the training images; the state that is best on ``data.val`` is kept.

        Raises:
            DataError: a single image, with batch norm.
        """
        if self.options.batch_norm and len(data.train) == 1:
            raise DataError("There is one training image; batch norm needs several.", "Leave --batch-norm out.")
        options, network = self.options, runtime.prepare(self.network)
        optimizer = runtime.optimizer(network.parameters(), options)

        def step(batch: Batch) -> Mapping[str, Tensor]:
            losses = runtime.update(optimizer, self.loss, self.corrupted(batch.images, runtime.rng), batch.images)
            if options.max_norm is not None:
                limit_norm(network, options.max_norm)
            return losses

        def validate() -> Mapping[str, float]:
            return {"loss": self.mean_loss(data, runtime)}

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

    def loss(self, corrupted: Tensor, images: Tensor) -> Tensor:
        """The loss above plus the L1 penalty; both ``(B, C, H, W)``, scalar out."""
        return self.reconstruction_loss(corrupted, images) + l1_penalty(self.network, self.options)

    def reconstruction_loss(self, corrupted: Tensor, images: Tensor) -> Tensor:
        """Mean over images and pixels."""
        activations, _ = self.network(corrupted)
        if self.options.loss == "bce":
            return F.binary_cross_entropy_with_logits(activations, images)
        if self.network.sigmoid:
            return F.mse_loss(torch.sigmoid(activations), images)
        return F.mse_loss(activations, self.network.normalize(images))

    def corrupted(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The encoder's input x̃: fresh draws for each call, or the images themselves without ``--denoise``."""
        return images if self.options.denoise is None else corrupt(images, self.options.denoise, generator)

    def mean_loss(self, data: ImageData, runtime: Runtime) -> float:
        """The reconstruction loss on the val split, with the same corruption each time."""
        self.network.eval()
        generator = runtime.generator("validation noise")
        total = torch.zeros((), dtype=torch.float64, device=runtime.device)
        with runtime.inference():
            for batch in runtime.batches(data.val, 500):
                loss = self.reconstruction_loss(self.corrupted(batch.images, generator), batch.images)
                total += loss.double() * len(batch.images)
        self.network.train()
        return float(total) / len(data.val)

    def evaluate(self, data: ImageData, runtime: Runtime) -> Metrics:
        """See :mod:`dlkit_builtin.autoencoder.evaluation`."""
        from dlkit_builtin.autoencoder.evaluation import evaluate

        return evaluate(self, data, runtime)

    def pictures(self, data: ImageData, runtime: Runtime) -> Iterable[Picture]:
        """See :mod:`dlkit_builtin.autoencoder.pictures`."""
        from dlkit_builtin.autoencoder.pictures import pictures

        return pictures(self, data, runtime)

    def encode(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → codes ``(B, Z)``."""
        network = self.network.eval()
        code: Tensor = network.encoder(network.normalize(images))[0]
        return code

    def decode(self, codes: Tensor) -> Tensor:
        """Codes ``(B, Z)`` → pixels ``(B, C, H, W)``.

        Raises:
            UsageError: codes of another size; max-unpooling, whose decoder needs the switches of an encoded image.
        """
        if self.options.net == "conv" and self.options.upsample == "unpool":
            raise UsageError(
                "A decoder with max-unpooling needs the encoder's switches and cannot decode a code alone.",
                "Train with --upsample transposed or nearest.",
            )
        if codes.ndim != 2 or codes.shape[1] != self.code:
            raise UsageError(f"Codes have the shape {tuple(codes.shape)}; expected (B, {self.code}).")
        self.network.eval()
        return self.network.pixels(self.network.decoder(codes, []))

    def reconstruct(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → pixels; with ``--denoise`` the images are taken as the corrupted ones."""
        reconstruction: Tensor = self.inference_module()(images)[0]
        return reconstruction

    def outputs(self) -> Mapping[str, OutputKind]:
        """The reconstruction and the code."""
        return {"reconstruction": "image", "code": "code"}

    def inference_module(self) -> nn.Module:
        """``forward(pixels) -> (reconstruction, code)``."""
        return Inference(self.network).eval()

    def state(self) -> State:
        """The network's parameters and buffers."""
        return State(self.network.state_dict())

    @classmethod
    def load(cls, state: State, options: AutoencoderOptions, spec: DataSpec) -> Self:
        """The inverse of :meth:`state`."""
        technique = cls(options, spec)
        technique.network.load_state_dict(dict(state.tensors))
        technique.network.eval()
        return technique
