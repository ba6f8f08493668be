"""Features of the Inception network that published FID figures are about (Heusel et al. 2017, section 2).

The network and its resizing are torch-fidelity's, which repeat those of the authors' TensorFlow graph; the weights, of
2015, are a file that the user has. torch-fidelity would unpickle it with whatever it holds; here it is read as tensors.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dlkit.errors import DataError, UsageError
from dlkit.files import scratch_folder

LAYER = "2048"
"""The mean over places of the last maps: what FID, KID and precision are defined on."""
RESIZER = "resized to 299 x 299 as TensorFlow 1 does, bilinear"


class Inception(nn.Module):
    """Pixels ``(B, C, H, W)`` in [0, 1], grey or RGB → features float32 ``(B, 2048)``.

    Args:
        extractor: torch-fidelity's, which takes RGB as uint8.
    """

    def __init__(self, extractor: nn.Module) -> None:
        super().__init__()
        self.extractor = extractor

    def forward(self, images: Tensor) -> Tensor:
        """Images are rounded to 8 bits first, as files hold them and published figures had them."""
        pixels = (255 * images.float().clamp(0, 1)).round().to(torch.uint8)
        (features,) = self.extractor(pixels.expand(-1, 3, -1, -1))
        found: Tensor = features
        return found


def inception(weights: Path | None) -> tuple[Inception, str]:
    """The network with the weights of a file, and the file's hash.

    Args:
        weights: torch-fidelity's ``weights-inception-2015-12-05-6726825d.pth``, or the same as safetensors.

    Raises:
        UsageError: no file, or torch-fidelity is not installed.
        DataError: the file cannot be read, or holds something else.
    """
    if weights is None:
        raise UsageError(
            "--features inception needs the network's weights.",
            "Give torch-fidelity's weights-inception-2015-12-05-6726825d.pth by --inception-weights.",
        )
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise UsageError(
            "--features inception needs torch-fidelity, which is not installed.", "pip install 'dlkit[inception]'"
        ) from error
    tensors = _read(weights)
    with torch.random.fork_rng(devices=[]), scratch_folder("inception") as folder:
        own = folder / "weights.pth"
        torch.save(tensors, own)  # tensors alone: nothing that unpickling could execute
        try:
            extractor: Any = FeatureExtractorInceptionV3("inception", [LAYER], feature_extractor_weights_path=str(own))
        except (RuntimeError, AttributeError, TypeError) as error:
            raise DataError(
                f"{str(weights)!r} does not hold the weights of the Inception network of 2015.",
                "torch-fidelity's releases have weights-inception-2015-12-05-6726825d.pth.",
            ) from error
    return Inception(extractor).eval(), hashlib.sha256(weights.read_bytes()).hexdigest()[:12]


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except OSError as error:
        raise DataError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
    except Exception as error:  # SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, …
        kind = "safetensors" if isinstance(error, SafetensorError) else "a file of tensors"
        raise DataError(f"{str(path)!r} is not {kind}: {str(error).splitlines()[0][:200]}") from error
