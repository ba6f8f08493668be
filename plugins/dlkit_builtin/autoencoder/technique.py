"""The autoencoder: x → z = f(x) → g(z), trained so that g(f(x̃)) is close to x.

x̃ = x for the plain autoencoder (Hinton and Salakhutdinov 2006), x̃ ~ q(x̃ | x) a corrupted copy for the
denoising one (Vincent et al. 2008, section 2.3). The loss is the mean over pixels of

    mse:  (g(f(x̃)) − x)²
    bce:  −x log y − (1 − x) log(1 − y),  y = σ(g(f(x̃)))        Vincent et al. 2008, equation 2

plus what the code is asked for besides: see :mod:`dlkit_builtin.autoencoder.constraints`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlkit.data.spec import DataSpec
from dlkit.errors import DataError, UsageError
from dlkit.layers import initialise, l1_penalty, limit_norm
from dlkit.losses import binary_cross_entropy
from dlkit.metrics import Metrics
from dlkit.runtime import Normalize
from dlkit.technique import OutputKind, PhasePlan, State
from dlkit_builtin.autoencoder import greedy
from dlkit_builtin.autoencoder.constraints import closed_form, signs, sparsity, squared_jacobian
from dlkit_builtin.autoencoder.corruption import corrupt
from dlkit_builtin.autoencoder.networks import activation, build, code_size
from dlkit_builtin.autoencoder.options import AutoencoderOptions

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.report import Picture
    from dlkit.run import Run
    from dlkit.runtime import Batch, Runtime

PHASE = "train"


class Network(nn.Module):
    """Normalisation, encoder, decoder and the way back to pixels.

    Args:
        options: what it is made of.
        spec: of the data.
        output: the decoder's last non-linearity, or ``linear``. A sigmoid gives pixel values; what is linear is in
            normalised units.
    """

    def __init__(self, options: AutoencoderOptions, spec: DataSpec, output: str) -> None:
        super().__init__()
        self.normalize = Normalize(spec.normalization)
        self.encoder, self.decoder = build(options, spec.shape)
        self.output_name = output
        self.output = activation(output)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels ``(B, C, H, W)`` → the decoder's output before its non-linearity, same shape, and code ``(B, Z)``."""
        return self.through(self.normalize(images))

    def through(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The same of what is normalised already."""
        code, switches = self.encoder(inputs)
        return self.decoder(code, switches), code

    def pixels(self, activations: Tensor) -> Tensor:
        """The decoder's output → pixels in [0, 1]."""
        outputs: Tensor = self.output(activations)
        return outputs if self.output_name == "sigmoid" else self.normalize.inverse(outputs).clamp(0, 1)


def total(terms: Mapping[str, Tensor]) -> Tensor:
    """The sum of scalars."""
    return reduce(add, terms.values())


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

    def __init__(self, options: AutoencoderOptions, spec: DataSpec, output: str | None = None) -> None:
        mode = spec.normalization.mode
        if options.loss == "bce" and mode != "none":
            raise UsageError(
                f"--loss bce takes pixels as probabilities; with --normalize {mode} they are none.",
                "Use --loss mse, or --normalize none.",
            )
        if options.output == "sigmoid" and mode != "none":
            raise UsageError(
                f"--output sigmoid gives pixels; with --normalize {mode} the network computes in other units.",
                "Use --output linear, or --normalize none.",
            )
        if options.batch_norm and options.batch_size == 1:
            raise UsageError(
                "--batch-norm needs the statistics of several images, but --batch-size is 1.",
                "Use a larger --batch-size, or leave --batch-norm out.",
            )
        self.options = options
        self.spec = spec
        self.code = code_size(options, spec.shape)
        auto = "sigmoid" if mode == "none" else "linear"
        self.network = Network(options, spec, output or (auto if options.output == "auto" else options.output))
        initialise(self.network, options.init)
        self.probing = options.contractive is not None and not closed_form(self.network.encoder, options.unit)

    @property
    def linear(self) -> bool:
        """Whether it is PCA's relative (Baldi and Hornik 1989): linear throughout, squared error, no constraint."""
        options, forms = self.options, (self.options.unit, self.network.output_name, self.options.loss)
        asked = options.denoise or options.sparse or options.contractive
        return options.shallow and forms == ("linear", "linear", "mse") and not asked

    def plan(self) -> Sequence[PhasePlan]:
        """One phase; with ``--greedy`` one for each layer before it."""
        layers = greedy.plan(self.options, self.network) if self.options.greedy else []
        return [*layers, PhasePlan(PHASE, self.options.epochs, {"network": self.network})]

    def train(self, data: ImageData, runtime: Runtime, run: Run) -> None:
        """Train with the options' optimizer and schedule; the val split's lowest loss chooses the weights.

        Raises:
            DataError: a single image, with batch norm.
        """
        if self.options.batch_norm and len(data.train) == 1:
            raise DataError("There is one training image; batch norm needs several.", "Leave --batch-norm out.")
        if self.options.greedy:
            greedy.pretrain(self, data, runtime, run)
        self.fit(data, runtime, run, PHASE)

    def fit(self, data: ImageData, runtime: Runtime, run: Run, phase: str) -> None:
        """The whole network in one phase."""
        options, network = self.options, runtime.prepare(self.network)
        optimizer = runtime.optimizer(network.parameters(), options)

        def step(batch: Batch) -> Mapping[str, Tensor]:
            corrupted = self.corrupted(batch.images, runtime.rng)
            probes = self.probes(len(corrupted), runtime.rng)
            losses = runtime.update(optimizer, self.loss, corrupted, batch.images, probes)
            if options.max_norm is not None:
                limit_norm(network, options.max_norm)
            return losses

        def validate() -> Mapping[str, float]:
            return {"loss": self.mean_loss(data.val, runtime)}

        over_the_batch = options.sparse is not None and options.sparse.kind == "kl"
        runtime.fit(
            run,
            phase=phase,
            data=data.train,
            options=options,
            state={"network": network, "optimizer": optimizer},
            step=step,
            validate=validate if len(data.val) else None,
            independent=not (options.batch_norm or over_the_batch),
        )

    def loss(self, corrupted: Tensor, images: Tensor, probes: Tensor | None = None) -> Tensor | dict[str, Tensor]:
        """What is minimised: the terms below plus the L1 penalty on weights; where they are several, by name too."""
        terms = self.terms(corrupted, images, probes)
        loss = total(terms) + l1_penalty(self.network, self.options)
        return {"loss": loss, **terms} if len(terms) > 1 else loss

    def terms(self, corrupted: Tensor, images: Tensor, probes: Tensor | None = None) -> dict[str, Tensor]:
        """The reconstruction loss and the constraints' penalties; scalars.

        Args:
            corrupted, images: ``(B, C, H, W)``.
            probes: ``(B, Z)`` where :attr:`probing`, as :meth:`probes` draws them.
        """
        options, network = self.options, self.network
        if options.sparse is None and options.contractive is None:
            return {"reconstruction": self.reconstruction_loss(corrupted, images)}
        inputs = network.normalize(corrupted)
        if probes is not None:
            inputs = inputs.detach().requires_grad_()
        activations, code = network.through(inputs)
        terms = {"reconstruction": self.error(activations, images)}
        if options.sparse is not None:
            terms["sparsity"] = sparsity(code, options.sparse)
        if options.contractive is not None:
            squares = squared_jacobian(network.encoder, options.unit, code, inputs, probes)
            terms["contraction"] = options.contractive / images[0].numel() * squares.mean()
        return terms

    def reconstruction_loss(self, corrupted: Tensor, images: Tensor) -> Tensor:
        """Mean over images and pixels."""
        return self.error(self.network(corrupted)[0], images)

    def error(self, activations: Tensor, images: Tensor) -> Tensor:
        """How far the decoder's output, before its non-linearity, is from images; mean over images and pixels."""
        if self.options.loss == "bce":
            return binary_cross_entropy(activations, images).mean()
        return F.mse_loss(self.network.output(activations), self.network.normalize(images))

    def corrupted(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The encoder's input x̃: fresh draws for each call, or the images themselves without ``--denoise``."""
        return images if self.options.denoise is None else corrupt(images, self.options.denoise, generator)

    def probes(self, count: int, generator: torch.Generator) -> Tensor | None:
        """Random directions ``(count, Z)`` in which the contraction is estimated; None where it needs no estimate."""
        return signs(count, self.code, generator) if self.probing else None

    def mean_loss(self, split: Split, runtime: Runtime) -> float:
        """The terms' sum, with the same corruption and probes each time."""
        self.network.eval()
        noise, directions = runtime.generator("validation noise"), runtime.generator("validation probes")
        losses = torch.zeros((), dtype=torch.float64, device=runtime.device)
        with nullcontext() if self.probing else runtime.inference():
            for batch in runtime.batches(split, 500):
                probes = self.probes(len(batch), directions)
                terms = self.terms(self.corrupted(batch.images, noise), batch.images, probes)
                losses += total(terms).detach().double() * len(batch)
        self.network.train()
        return float(losses) / len(split)

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
