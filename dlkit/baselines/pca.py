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
        self._shape = images.shape[1:]
        self._pca = PCA(n_components=self.components, random_state=seed).fit(images.flatten(1).numpy())

    @property
    def shares(self) -> NDArray[np.float64]:
        """Of the variance of the images, what each component explains, ``(components,)``."""
        return np.asarray(self._pca.explained_variance_ratio_, dtype=np.float64)

    def encode(self, images: Tensor) -> NDArray[np.float32]:
        """``(N, C, H, W)`` → ``(N, components)``."""
        return np.asarray(self._pca.transform(images.flatten(1).numpy()), dtype=np.float32)

    def reconstruct(self, images: Tensor) -> Tensor:
        """``(N, C, H, W)`` → the same images projected onto the components."""
        return self.decode(self.encode(images)).view_as(images)

    def decode(self, codes: NDArray[np.float32]) -> Tensor:
        """``(N, components)``, or as many of the first ones as there are, → images ``(N, C, H, W)``."""
        whole = np.zeros((len(codes), self.components), dtype=np.float32)
        whole[:, : codes.shape[1]] = codes
        restored = self._pca.inverse_transform(whole)
        return torch.from_numpy(np.asarray(restored, dtype=np.float32)).view(len(codes), *self._shape)
