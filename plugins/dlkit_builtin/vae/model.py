"""The model: q(z|x), p(x|z), and what follows from them; as it is trained, and as it is used.

``B`` images, codes of ``Z`` units, ``K`` classes where the model is conditional.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlkit.data.spec import DataSpec
from dlkit.runtime import Normalize
from dlkit_builtin.vae.bound import bernoulli_log_likelihood, gaussian_log_likelihood, kl_divergence
from dlkit_builtin.vae.networks import build
from dlkit_builtin.vae.options import VaeOptions


class Network(nn.Module):
    """Encoder, decoder, the likelihood's variance and the classes' shares.

    ``--normalize`` is for the encoder's input only: the likelihood is one of pixels. The decoder gives logits
    (Bernoulli) or means (Gaussian), called *activations* here.
    """

    log_noise: Tensor
    class_shares: Tensor

    def __init__(self, options: VaeOptions, spec: DataSpec) -> None:
        super().__init__()
        self.classes = len(spec.classes) if options.conditional else 0
        self.normalize = Normalize(spec.normalization)
        self.encoder, self.decoder = build(options, spec.shape, self.classes)
        self.gaussian = options.likelihood == "gaussian"
        self.threshold = options.binarize == "threshold"
        if self.gaussian and options.variance is None:
            self.log_noise = nn.Parameter(torch.zeros(()))
        elif options.variance is not None:
            self.register_buffer("log_noise", torch.tensor(math.log(options.variance)))
        if self.classes:
            self.register_buffer("class_shares", torch.full((self.classes,), 1 / self.classes))

    def forward(self, images: Tensor, noise: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Through a code drawn from q(z|x) (the reparametrisation of Kingma and Welling 2014, section 2.4).

        Args:
            images: pixels, ``(B, C, H, W)``.
            noise: of a standard normal, ``(B, Z)``.
            condition: one-hot classes ``(B, K)``, or None.

        Returns:
            Activations ``(B, C, H, W)``; mean and log variance of q(z|x), ``(B, Z)``.
        """
        mean, log_variance = self.posterior(images, condition)
        codes = torch.addcmul(mean, torch.exp(0.5 * log_variance), noise)
        return self.decoder(codes, condition).float(), mean, log_variance

    def posterior(self, images: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z|x), ``(B, Z)`` twice; arguments as for :meth:`forward`."""
        if self.threshold:
            images = (images >= 0.5).to(images.dtype)
        mean, log_variance = self.encoder(self.normalize(images), condition)
        return mean.float(), log_variance.float()

    def log_likelihood(self, activations: Tensor, images: Tensor) -> Tensor:
        """log p(x|z) in nats; both ``(B, C, H, W)`` → ``(B,)``."""
        if self.gaussian:
            return gaussian_log_likelihood(activations, images, self.log_noise)
        return bernoulli_log_likelihood(activations, images)

    def pixels(self, activations: Tensor) -> Tensor:
        """The mean of p(x|z), within [0, 1]."""
        return activations.clamp(0, 1) if self.gaussian else torch.sigmoid(activations)

    def activations(self, means: Tensor) -> Tensor:
        """The inverse of :meth:`pixels`; a Bernoulli mean is taken to be within [0.001, 0.999]."""
        return means if self.gaussian else means.clamp(1e-3, 1 - 1e-3).logit()

    def one_hot(self, labels: Tensor | None) -> Tensor | None:
        """Classes, int64 ``(B,)`` → ``(B, K)`` float32; None where the model is not conditional."""
        if not self.classes or labels is None:
            return None
        return F.one_hot(labels, self.classes).float()

    def by_class(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images ``(B, C, H, W)`` as members of each class in turn, with their mean codes.

        Returns:
            Activations ``(B, K, C, H, W)``; mean and log variance of q(z|x, y), ``(B, K, Z)``; log p(y|x) up to the
            gap of the bound, ``(B, K)``: Bayes' rule with the ELBO in place of log p(x|y), at the mean code.
        """
        classes, each = self.classes, (-1, self.classes)
        repeated = images.unsqueeze(1).expand(-1, classes, -1, -1, -1).flatten(0, 1)
        condition = torch.eye(classes, device=images.device).repeat(images.shape[0], 1)
        mean, log_variance = self.posterior(repeated, condition)
        activations = self.decoder(mean, condition).float()
        elbo = self.log_likelihood(activations, repeated) - kl_divergence(mean, log_variance).sum(1)
        joint = elbo.view(each) + self.class_shares.clamp_min(1e-12).log()
        by_class = (values.unflatten(0, each) for values in (activations, mean, log_variance))
        activations, mean, log_variance = by_class
        return activations, mean, log_variance, torch.log_softmax(joint, 1)


class Inference(nn.Module):
    """The network as it is used: pixels in; reconstruction, code and log variance out."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels ``(B, C, H, W)`` → reconstruction of the mean code, same shape; mean and log variance ``(B, Z)``."""
        mean, log_variance = self.network.posterior(images, None)
        return self.network.pixels(self.network.decoder(mean, None).float()), mean, log_variance


class ConditionalInference(nn.Module):
    """The same where a class must be told: each image is taken for one of its most probable class."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As :class:`Inference`, and the probabilities of the classes, ``(B, K)``."""
        activations, mean, log_variance, log_posterior = self.network.by_class(images)
        best = log_posterior.argmax(1)
        chosen = (_at(values, best) for values in (self.network.pixels(activations), mean, log_variance))
        reconstruction, code, log_variances = chosen
        return reconstruction, code, log_variances, log_posterior.exp()


def _at(values: Tensor, index: Tensor) -> Tensor:
    """``(B, K, …)`` at ``(B,)`` → ``(B, …)``. By gather, which every exporter knows."""
    places = index.view(-1, 1, *[1] * (values.ndim - 2)).expand(-1, 1, *values.shape[2:])
    return values.gather(1, places).squeeze(1)
