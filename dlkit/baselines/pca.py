"""Principal component analysis at a given code size: the linear autoencoder that cannot be beaten linearly."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import Tensor


class PCABaseline:
    """PCA of images by scikit-learn, fitted on training images.

    Args:
        images: ``(N, C, H, W)`` float32.
        components: code size; limited by the number of images and of pixels.
        seed: of the randomised solver that scikit-learn takes for large problems.
    """

    def __init__(self, images: Tensor, components: int, seed: int = 0) -> None:
        self.components = min(components, len(images), images[0].numel())
        self._pca = PCA(n_components=self.components, random_state=seed).fit(images.flatten(1).numpy())

    def encode(self, images: Tensor) -> NDArray[np.float32]:
        """``(N, C, H, W)`` → ``(N, components)``."""
        return np.asarray(self._pca.transform(images.flatten(1).numpy()), dtype=np.float32)

    def reconstruct(self, images: Tensor) -> Tensor:
        """``(N, C, H, W)`` → the same images projected onto the components."""
        restored = self._pca.inverse_transform(self.encode(images))
        return torch.from_numpy(np.asarray(restored, dtype=np.float32)).view_as(images)
