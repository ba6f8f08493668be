"""What an implementation provides: one small protocol, and one more for each capability.

Shapes: ``B`` images of ``C`` channels, ``H`` rows and ``W`` columns; a code has ``Z`` units.

**Images** are always *pixels*: float32 in [0, 1], ``(B, C, H, W)``, as the data's spec says. A technique
that wants them normalised puts :class:`dlkit.runtime.Normalize` into its own module, so that pre- and
post-processing belong to the model and travel with its export.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar, runtime_checkable

from torch import Generator, Tensor, nn

from dlkit.data.spec import DataSpec
from dlkit.metrics import Metrics

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.report import Picture
    from dlkit.run import Run
    from dlkit.runtime import Runtime

OptionsT = TypeVar("OptionsT", contravariant=True)

OutputKind = Literal["image", "code", "probabilities", "scores", "numbers", "values"]
"""What a named output of a trained model is, so that ``predict`` knows how to write it:

``image``: pixels in [0, 1], ``(B, C, H, W)`` → PNG; ``code``: ``(B, Z)`` → CSV / JSON / npz;
``probabilities``: ``(B, K)`` over the spec's classes, rows sum to one → CSV / JSON with class names;
``scores``: ``(B, K)`` in [0, 1], one for each label of the spec (``target="multi-label"``) → CSV / JSON, a column each;
``numbers``: ``(B, K)``, one for each numeric column of the spec (``target="number"``) → CSV / JSON, likewise;
``values``: ``(B, K)`` numbers of any meaning → CSV / JSON.
"""


@dataclass(frozen=True)
class State:
    """A trained technique as tensors (kept as safetensors) and plain JSON; never a pickle."""

    tensors: Mapping[str, Tensor]
    plain: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GraphInput:
    """What a graph takes for each image.

    Attributes:
        kind: ``float32`` numbers, or ``int64``.
        shape: of one image's, without the batch.
        means: what it is, in a few words, for whoever uses the export.
    """

    kind: Literal["float32", "int64"]
    shape: tuple[int, ...]
    means: str


@dataclass(frozen=True)
class Graph:
    """A part of a trained model whose input is not an image, such as a generator.

    Attributes:
        module: in eval mode; ``forward(*inputs)`` returns a tuple, one tensor for each of the outputs.
        inputs: name → what it is, in order.
        outputs: name → kind, in order. Pixels of the kind ``image`` leave the exported graph as uint8.
        draw: so many inputs as the graph is used with, to compare the export with the model on.
    """

    module: nn.Module
    inputs: Mapping[str, GraphInput]
    outputs: Mapping[str, OutputKind]
    draw: Callable[[int, Generator], Sequence[Tensor]]


@dataclass(frozen=True)
class PhasePlan:
    """A stretch of training that is going to happen, for ``--dry-run``.

    Attributes:
        name: the phase's name, as given to ``runtime.fit``.
        epochs: how many at most.
        modules: what takes part; parameters that do not require gradients count as frozen.
    """

    name: str
    epochs: int
    modules: Mapping[str, nn.Module]


class Technique(Protocol[OptionsT]):
    """A way of learning from images. Built from its options and the data's spec; torch from here on."""

    def __init__(self, options: OptionsT, spec: DataSpec) -> None: ...

    def plan(self) -> Sequence[PhasePlan]:
        """The phases of training, in order; none for a technique without gradients."""
        ...

    def train(self, data: ImageData, runtime: Runtime, run: Run) -> None:
        """Learn from ``data.train``; ``data.val`` may choose between states, ``data.test`` is never looked at."""
        ...

    def evaluate(self, data: ImageData, runtime: Runtime) -> Metrics:
        """Figures beside their baselines, for the splits that ``data`` has. Repeatable."""
        ...

    def outputs(self) -> Mapping[str, OutputKind]:
        """What :meth:`inference_module` returns, in order."""
        ...

    def inference_module(self) -> nn.Module:
        """The model as it is used and exported, in eval mode: ``forward(pixels)`` returns a tuple, one tensor
        for each of :meth:`outputs`."""
        ...

    def state(self) -> State:
        """All that the model needs: what it was given (a backbone's weights, say) with what it learned."""
        ...

    @classmethod
    def load(cls, state: State, options: OptionsT, spec: DataSpec) -> Self:
        """The inverse of :meth:`state`. Tensors may take eight times the state's bytes on the way and 1 GiB more:
        ``options`` and ``spec`` may be a stranger's, and what they ask for beyond that is refused."""
        ...


@runtime_checkable
class Illustrates(Protocol):
    """Optional: pictures for the report."""

    def pictures(self, data: ImageData, runtime: Runtime) -> Iterable[Picture]:
        """What a person would want to look at."""
        ...


@runtime_checkable
class HasGraphs(Protocol):
    """Optional: other things to export than the inference module; `dlkit export` takes the first of them."""

    def graphs(self) -> Mapping[str, Graph]:
        """Name of a part → the part."""
        ...


@runtime_checkable
class HasTexts(Protocol):
    """Optional: texts to export besides the model, such as a policy that was found; `dlkit export` takes the first of
    them unless a format, a part or a file of another suffix is named."""

    def text_names(self) -> Sequence[str]:
        """File names: ``policy.toml``."""
        ...

    def texts(self) -> Mapping[str, str]:
        """File name → content."""
        ...


@runtime_checkable
class Advises(Protocol):
    """Optional: what it would do with this data, and why, before training (``card.advises``)."""

    def advise(self, data: ImageData, runtime: Runtime) -> Mapping[str, Any]:
        """Tell the user through ``runtime.display``, and give the same as plain JSON; no state is kept."""
        ...


@runtime_checkable
class Encodes(Protocol):
    """Capability ``encode``: images → codes."""

    def encode(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → codes ``(B, Z)``."""
        ...


@runtime_checkable
class Decodes(Protocol):
    """Capability ``decode``: codes → images."""

    def decode(self, codes: Tensor) -> Tensor:
        """Codes ``(B, Z)`` → pixels ``(B, C, H, W)`` in [0, 1]."""
        ...


@runtime_checkable
class Reconstructs(Protocol):
    """Capability ``reconstruct``: images → the same images, as the model sees them."""

    def reconstruct(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → pixels ``(B, C, H, W)``."""
        ...


@runtime_checkable
class Generates(Protocol):
    """Capability ``generate``: noise → new images."""

    def generate(self, count: int, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """New images, pixels ``(count, C, H, W)`` in [0, 1], on the technique's device.

        Args:
            count: how many.
            generator: of all its draws, on that device; the same state gives the same images.
            labels: int64 ``(count,)``, the classes wanted. None: all that the technique knows, in the proportions it
                learned. Asked only of techniques with the capability ``condition``.
        """
        ...


@runtime_checkable
class Draws(Protocol):
    """Capability ``draw``: images are made of latents, which are drawn rather than found.

    Where such a technique encodes but does not ``decode``, its codes may be something else than its latents.
    """

    def draw(self, count: int, generator: Generator) -> Tensor:
        """Latents ``(count, Z)``, z ~ N(0, I); :meth:`Generates.generate` begins with the same draws."""
        ...

    def decode(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents ``(B, Z)`` → pixels ``(B, C, H, W)`` in [0, 1]; ``labels`` as :meth:`Generates.generate` takes
        them, one for each."""
        ...


@runtime_checkable
class DrawsLabels(Protocol):
    """For the capability ``condition`` on labels that are no classes: which ones to take where nobody says."""

    def draw_labels(self, count: int, generator: Generator) -> Tensor:
        """As the training images have them: float32 ``(count, K)``."""
        ...


@runtime_checkable
class Classifies(Protocol):
    """Capability ``classify``: images → class probabilities. Asked only where labels are classes."""

    def classify(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → probabilities ``(B, K)``, rows sum to one."""
        ...


CAPABILITIES: dict[str, type[Any]] = {
    "encode": Encodes,
    "decode": Decodes,
    "reconstruct": Reconstructs,
    "generate": Generates,
    "draw": Draws,
    "classify": Classifies,
}
"""Name of a capability, as ``card.capabilities`` gives it → its protocol.

``condition`` has none of its own: whoever has it besides ``generate`` takes labels there.
"""
