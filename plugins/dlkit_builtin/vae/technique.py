"""The variational autoencoder: z ~ N(0, I), x ~ p(x|z), with q(z|x) in place of the posterior that nobody can compute.

Training minimises the mean over images of (Kingma and Welling 2014, equation 10; Higgins et al. 2017, equation 4)

    −log p(x|z) + β KL(q(z|x) ‖ N(0, I)),   z = μ(x) + σ(x) ε,   ε ~ N(0, I)

in nats per image; with β = 1 it is the negative ELBO, an upper bound of −log p(x). With ``--conditional`` q, p and so
everything else are given the class (Sohn et al. 2015); the prior of z is the same for all classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from dlkit.data.spec import LABEL_SAYS, DataSpec
from dlkit.data.spread import evenly
from dlkit.errors import DataError, UsageError
from dlkit.layers import initialise, l1_penalty, limit_norm
from dlkit.metrics import Metrics
from dlkit.technique import OutputKind, PhasePlan, State
from dlkit_builtin.vae.bound import kl_divergence, penalty
from dlkit_builtin.vae.model import ConditionalInference, Inference, Network
from dlkit_builtin.vae.options import VaeOptions

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from dlkit.data import ImageData, Split
    from dlkit.report import Picture
    from dlkit.run import Run
    from dlkit.runtime import Batch, Runtime

PHASE = "train"
MEASURED = 5_000
"""So many images say what pixels are like before training."""
NOISE_RATE = 10.0
"""The learned variance is one number that must move by orders of magnitude: its rate is so many times ``--lr``."""


class Vae:
    """See the module's docstring. Encodes, reconstructs, generates, draws; decodes, or conditions and classifies."""

    def __init__(self, options: VaeOptions, spec: DataSpec) -> None:
        if options.conditional and (spec.target != "classes" or not spec.classes):
            says = LABEL_SAYS[spec.target] if spec.classes else "nothing"
            raise DataError(
                f"--conditional needs one class per image; the labels of {spec.source} say {says}.",
                "Use labelled data (a folder for each class, say), or leave --conditional out.",
            )
        if options.batch_norm and options.batch_size == 1:
            raise UsageError(
                "--batch-norm needs the statistics of several images, but --batch-size is 1.",
                "Use a larger --batch-size, or leave --batch-norm out.",
            )
        self.options = options
        self.spec = spec
        self.network = Network(options, spec)
        initialise(self.network, options.init)

    def plan(self) -> Sequence[PhasePlan]:
        """One phase."""
        return [PhasePlan(PHASE, self.options.epochs, {"network": self.network})]

    def train(self, data: ImageData, runtime: Runtime, run: Run) -> None:
        """Minimise the loss on the training images; the state that is best on ``data.val`` is kept.

        Raises:
            DataError: training images without a class, with ``--conditional``; a single image, with batch norm.
        """
        options = self.options
        self._check(data.train)
        self.measure(data.train)
        network = runtime.prepare(self.network)
        optimizer = self._optimizer(runtime)
        updates = torch.zeros((), dtype=torch.int64, device=runtime.device)
        horizon = options.kl_warmup * math.ceil(len(data.train) / options.batch_size)

        def step(batch: Batch) -> Mapping[str, Tensor]:
            images = self.observed(batch.images, runtime.rng)
            noise = self.noise(len(images), runtime.rng)
            weight: Tensor | float = options.beta
            if horizon > 0:
                weight = options.beta * (updates / horizon).clamp(max=1)
                updates.add_(1)
            loss = partial(self.loss, weight=weight)
            losses = runtime.update(optimizer, loss, images, noise, batch.labels if options.conditional else None)
            if options.max_norm is not None:
                limit_norm(network, options.max_norm)
            return losses

        def validate() -> Mapping[str, float]:
            return self.validation(data.val, runtime)

        runtime.fit(
            run,
            phase=PHASE,
            data=data.train,
            options=options,
            state={"network": network, "optimizer": optimizer, "updates": updates},
            step=step,
            validate=validate if len(data.val) else None,
            independent=not (options.batch_norm or options.free_bits > 0),
        )

    def loss(
        self, images: Tensor, noise: Tensor, labels: Tensor | None, weight: Tensor | float
    ) -> Mapping[str, Tensor]:
        """Images ``(B, C, H, W)``, noise ``(B, Z)`` and classes ``(B,)`` → the loss and the ELBO's two parts, in nats.

        Args:
            images: as :meth:`observed` gives them.
            noise: of a standard normal.
            labels: where the model is conditional.
            weight: β, or less while it is warming up.
        """
        activations, mean, log_variance = self.network(images, noise, self.network.one_hot(labels))
        reconstruction = -self.network.log_likelihood(activations, images).mean()
        kl = kl_divergence(mean, log_variance)
        loss = reconstruction + weight * penalty(kl, self.options.free_bits) + l1_penalty(self.network, self.options)
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl.detach().sum(1).mean()}

    def observed(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The images that the model is to explain: themselves, or 0 and 1 as ``--binarize`` says."""
        if self.options.binarize == "dynamic":
            draw = torch.rand(images.shape, generator=generator, device=images.device)
            return (draw < images).to(images.dtype)
        return (images >= 0.5).to(images.dtype) if self.options.binarize == "threshold" else images

    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        """ε, of a standard normal, ``(count, Z)``."""
        return torch.randn(count, self.options.code, generator=generator, device=generator.device)

    def known(self, images: Tensor, labels: Tensor | None) -> Tensor | None:
        """The classes to condition on, int64 ``(B,)``: those that are known, else the model's guesses; or None."""
        if not self.network.classes:
            return None
        if labels is not None and bool((labels >= 0).all()):
            return labels
        guesses = self.network.by_class(images)[3].argmax(1)
        return guesses if labels is None else torch.where(labels >= 0, labels, guesses)

    def validation(self, split: Split, runtime: Runtime) -> Mapping[str, float]:
        """Loss (with full β) and the ELBO's parts on a split, with the same draws each time."""
        network = self.network.eval()
        generator = runtime.generator("validation noise")
        reconstruction = torch.zeros((), dtype=torch.float64, device=runtime.device)
        units = torch.zeros(self.options.code, dtype=torch.float64, device=runtime.device)
        with runtime.inference():
            for batch in runtime.batches(split, 500):
                images = self.observed(batch.images, generator)
                condition = network.one_hot(self.known(images, batch.labels))
                noise = self.noise(len(images), generator)
                activations, mean, log_variance = network(images, noise, condition)
                reconstruction -= network.log_likelihood(activations, images).double().sum()
                units += kl_divergence(mean, log_variance).double().sum(0)
        network.train()
        error, kl = float(reconstruction) / len(split), units[None] / len(split)
        loss = error + self.options.beta * float(penalty(kl, self.options.free_bits))
        return {"loss": loss, "reconstruction": error, "kl": float(kl.sum())}

    def _check(self, train: Split) -> None:
        if self.options.batch_norm and len(train) == 1:
            raise DataError("There is one training image; batch norm needs several.", "Leave --batch-norm out.")
        if self.options.conditional and train.labels is not None and bool((train.labels < 0).any()):
            missing = int((train.labels < 0).sum())
            raise DataError(
                f"{missing:,} of {len(train):,} training images have no class, which --conditional needs.",
                "Leave them out, or leave --conditional out.",
            )

    @torch.no_grad()
    def measure(self, train: Split) -> None:
        """What is counted and not learned by gradients: the classes' shares, and where biases and variance begin.

        The decoder's biases make it give each pixel's mean at first, as in the code of Burda et al. 2016.
        """
        network = self.network
        if network.classes and train.labels is not None:
            counts = torch.bincount(train.labels, minlength=network.classes)
            network.class_shares.copy_(counts / counts.sum())
        some = train.pixels(evenly(len(train), MEASURED))
        network.decoder.start_from(network.activations(some.mean(0)))
        if isinstance(getattr(network, "log_noise", None), nn.Parameter):
            network.log_noise.fill_(float(some.var().clamp_min(1e-6).log()))

    def _optimizer(self, runtime: Runtime) -> Optimizer:
        named = dict(self.network.named_parameters())
        noise = named.pop("log_noise", None)
        groups: list[dict[str, object]] = [{"params": list(named.values())}]
        if noise is not None:
            groups.append({"params": [noise], "lr": NOISE_RATE * self.options.lr, "weight_decay": 0.0})
        return runtime.optimizer(groups, self.options)

    def evaluate(self, data: ImageData, runtime: Runtime) -> Metrics:
        """See :mod:`dlkit_builtin.vae.evaluation`."""
        from dlkit_builtin.vae.evaluation import evaluate

        return evaluate(self, data, runtime)

    def pictures(self, data: ImageData, runtime: Runtime) -> Iterable[Picture]:
        """See :mod:`dlkit_builtin.vae.pictures`."""
        from dlkit_builtin.vae.pictures import pictures

        return pictures(self, data, runtime)

    def encode(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → the mean of q(z|x), ``(B, Z)``; a conditional model guesses the class."""
        if not self.network.classes:
            return self.network.eval().posterior(images, None)[0]
        code: Tensor = self.inference_module()(images)[1]
        return code

    def decode(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Codes ``(B, Z)``, and classes int64 ``(B,)`` where the model is conditional → pixels ``(B, C, H, W)``.

        Raises:
            UsageError: codes of another size; no classes for a conditional model.
        """
        if codes.ndim != 2 or codes.shape[1] != self.options.code:
            raise UsageError(f"Codes have the shape {tuple(codes.shape)}; expected (B, {self.options.code}).")
        if self.network.classes and labels is None:
            raise UsageError("A conditional decoder needs the class beside the code.", "Give `labels`.")
        network = self.network.eval()
        return network.pixels(network.decoder(codes, network.one_hot(labels)).float())

    def reconstruct(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → pixels, through the mean code."""
        reconstruction: Tensor = self.inference_module()(images)[0]
        return reconstruction

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Codes from the prior, ``(count, Z)``."""
        return self.noise(count, generator)

    def generate(self, count: int, generator: torch.Generator, labels: Tensor | None = None) -> Tensor:
        """Images of codes from the prior, ``(count, C, H, W)``: the mean of p(x|z), not a draw from it.

        Args:
            count: how many.
            generator: of the codes, and of the classes where they are not given; on the network's device.
            labels: int64 ``(count,)``, for a conditional model; None: in the proportions of the training images.
        """
        codes = self.draw(count, generator)
        if self.network.classes and labels is None:
            labels = torch.multinomial(self.network.class_shares, count, replacement=True, generator=generator)
        return self.decode(codes, labels)

    def classify(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → p(y|x) by Bayes' rule, ``(B, K)``: see :meth:`.model.Network.by_class`."""
        return self.network.eval().by_class(images)[3].exp()

    def outputs(self) -> Mapping[str, OutputKind]:
        """Reconstruction, code (the mean), its log variance; a conditional model also the classes' probabilities."""
        kinds: dict[str, OutputKind] = {"reconstruction": "image", "code": "code", "log_variance": "values"}
        return kinds | ({"probabilities": "probabilities"} if self.network.classes else {})

    def inference_module(self) -> nn.Module:
        """``forward(pixels) -> outputs``."""
        return (ConditionalInference if self.network.classes else Inference)(self.network).eval()

    def state(self) -> State:
        """The network's parameters and buffers."""
        return State(self.network.state_dict())

    @classmethod
    def load(cls, state: State, options: VaeOptions, spec: DataSpec) -> Self:
        """The inverse of :meth:`state`."""
        technique = cls(options, spec)
        technique.network.load_state_dict(dict(state.tensors))
        technique.network.eval()
        return technique
