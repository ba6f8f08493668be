"""The options of the autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlkit.options import LayerOptions, TrainOptions, option
from dlkit_builtin.autoencoder.noise import Noise
from dlkit_builtin.autoencoder.sparsity import Sparsity

CodeActivation = Literal["auto", "linear", "relu", "leaky-relu", "elu", "gelu", "silu", "tanh", "sigmoid"]


@dataclass(frozen=True, kw_only=True)
class AutoencoderOptions(TrainOptions, LayerOptions):
    """Autoencoder"""

    net: Literal["dense", "conv"] = option("dense", "Fully connected or convolutional networks.")
    layers: tuple[int, ...] | None = option(
        None, "Units of the encoder's hidden layers, or channels of its stages; the decoder mirrors them. 0: no hidden "
        "layer (dense). By default 1000,500 (dense) and 16,64 (conv).", min=0, metavar="N,N,…",
    )  # fmt: skip
    code: int | None = option(None, "Size of the code z; by default half the pixel values, at most 128.", min=1)
    code_activation: CodeActivation = option(
        "auto", "Non-linearity of the code units. auto: linear; sigmoid with --sparse kl.", advanced=True
    )
    output: Literal["auto", "sigmoid", "linear"] = option(
        "auto", "Of the decoder. auto: sigmoid; linear with --normalize.", advanced=True
    )
    denoise: Noise | None = option(
        None, "Corrupt the input and reconstruct the clean image: gaussian:0.3, mask:0.5, salt-pepper:0.2, bars:4, "
        "block:8, speckle:0.3, or several joined by +.", bare="gaussian:0.3", metavar="NOISE",
    )  # fmt: skip
    sparse: Sparsity | None = option(
        None, "Keep code units quiet: kl:0.05 pulls each one's mean activation to 0.05 (kl:0.05:W: with weight W), "
        "l1:1e-4 penalises absolute activations.", bare="kl:0.05", metavar="PENALTY",
    )  # fmt: skip
    contractive: float | None = option(
        None, "Weight of the squared norm of the code's derivative by the input (Rifai et al. 2011).",
        min=0, exclusive=True, bare="0.1", metavar="X",
    )  # fmt: skip
    tied: bool = option(False, "The decoder's weights are the encoder's, transposed.")
    greedy: bool = option(
        False, "Train layer by layer first, each to reproduce the codes of the one before; then all together."
    )
    greedy_epochs: int = option(10, "Epochs of each layer with --greedy.", min=1)
    loss: Literal["mse", "bce"] = option("mse", "Squared error, or binary cross-entropy (pixels as probabilities).")
    upsample: Literal["transposed", "nearest", "unpool"] = option(
        "transposed", "How the conv decoder grows: transposed convolution, nearest neighbour then convolution, "
        "or max-unpooling with the encoder's switches."
    )  # fmt: skip
    kernel: int = option(3, "Side of the convolution kernels; odd.", min=1, advanced=True)

    @property
    def unit(self) -> CodeActivation:
        """The code units' non-linearity, ``auto`` resolved."""
        if self.code_activation != "auto":
            return self.code_activation
        return "sigmoid" if self.sparse is not None and self.sparse.kind == "kl" else "linear"

    @property
    def shallow(self) -> bool:
        """Whether there is no hidden layer."""
        return self.layers is not None and not any(self.layers)

    def __post_init__(self) -> None:
        for wrong, message in self._contradictions():
            if wrong:
                raise ValueError(message)

    def _contradictions(self) -> list[tuple[bool, str]]:
        """What does not go together, with what to say of it."""
        conv, hidden = self.net == "conv", self.layers
        kinds = set() if self.denoise is None else {part.kind for part in self.denoise.parts}
        return [
            (not conv and (self.upsample, self.kernel) != ("transposed", 3),
             "--upsample and --kernel shape convolutional networks; add --net conv"),
            (self.kernel % 2 == 0,
             f"--kernel must be odd, so that it has a centre (3, 5, 7…), got {self.kernel}"),
            (hidden is not None and len(hidden) > 1 and 0 in hidden,
             f"--layers {','.join(map(str, hidden or ()))}: a layer needs units; 0 alone means no hidden layer"),
            (conv and self.shallow,
             "--layers 0 leaves a convolutional network no stage; use --net dense"),
            (self.sparse is not None and self.sparse.kind == "kl" and self.unit != "sigmoid",
             f"--sparse kl takes activations as probabilities; with --code-activation {self.unit} they are none. "
             "Use sigmoid, or --sparse l1"),
            (self.loss == "bce" and self.output == "linear",
             "--loss bce takes the output as a probability; --output linear is none"),
            (self.contractive is not None and self.batch_norm,
             "--contractive needs the derivative of each image's own code; with --batch-norm it depends on the others"),
            (self.tied and self.upsample != "transposed",
             f"--tied decodes by transposed convolutions; leave --upsample {self.upsample} out"),
            (self.greedy and conv,
             "--greedy trains fully connected layers; use --net dense"),
            (self.greedy and self.shallow,
             "--greedy trains a stack of layers; --layers 0 leaves a single one"),
            (self.greedy and self.batch_norm,
             "--greedy trains layers without batch norm; leave --batch-norm out"),
            (self.greedy and not kinds.isdisjoint({"bars", "block"}),
             "--greedy corrupts codes too, which have no rows and columns; use gaussian, speckle, mask or salt-pepper"),
            (not self.greedy and self.greedy_epochs != 10,
             "--greedy-epochs says how long --greedy trains each layer; add --greedy"),
        ]  # fmt: skip


def capabilities(options: AutoencoderOptions) -> frozenset[str]:
    """With max-unpooling the decoder needs the encoder's switches, so a code alone cannot be decoded."""
    able = {"encode", "reconstruct"}
    return frozenset(able if options.net == "conv" and options.upsample == "unpool" else able | {"decode"})
