"""Greedy layer-wise training, then labels.

With h⁰ = x and hᵏ = s(Wᵏ hᵏ⁻¹ + bᵏ), the five steps of Hinton et al. 2006 and Bengio et al. 2007:

    1.  learn W¹, b¹ from h⁰ alone
    2.  freeze them, learn W², b² from h¹
    3.  and so on up to hᴸ
    4.  learn the output layer z = V hᴸ + c on the frozen hᴸ, from labels
    5.  unfreeze all, and train all on the labels
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Self

from torch import Tensor, nn

from dlkit.data.spec import DataSpec
from dlkit.errors import DataError, UsageError
from dlkit.layers import initialise
from dlkit.layerwise import layer_phase
from dlkit.metrics import Metrics
from dlkit.supervised.objective import Inference, labelled
from dlkit.supervised.training import fit_labels
from dlkit.technique import OutputKind, PhasePlan, State
from dlkit_builtin.stacked.network import Network
from dlkit_builtin.stacked.options import StackedOptions
from dlkit_builtin.stacked.pretraining import HEAD, Pretraining

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.report import Picture
    from dlkit.run import Run
    from dlkit.runtime import Runtime

FINETUNE, ALONE = "finetune", "train"
"""The last phase, after the others; and where it is the only one, as the classifier's."""

_BEFORE = "before."


class Stacked:
    """See the module's docstring; capabilities: classify (where labels are classes) and encode.

    Attributes:
        network: the stack.
        before: its parameters and buffers after step 4; empty with ``--pretrain none``.
        seconds: of training, all phases; None before.
    """

    def __init__(self, options: StackedOptions, spec: DataSpec) -> None:
        self.options = options
        self.spec = spec
        self.seconds: float | None = None
        self.before: dict[str, Tensor] = {}
        self.network = Network(options, spec)
        initialise(self.network, options.init)
        if options.batch_norm and options.batch_size == 1:
            raise UsageError("Batch norm needs the statistics of several images, but --batch-size is 1.",
                             "Use a larger --batch-size.")  # fmt: skip

    def plan(self) -> Sequence[PhasePlan]:
        """A phase for each layer, one for the output layer, one for all together."""
        options, network = self.options, self.network
        if options.pretrain == "none":
            return [PhasePlan(ALONE, options.epochs, {"network": network})]
        return [
            *(PhasePlan(layer_phase(number), options.pretrain_epochs, {"layer": layer})
              for number, layer in enumerate(network.layers, start=1)),
            PhasePlan(HEAD, options.head_epochs, {"output": network.output}),
            PhasePlan(FINETUNE, options.epochs, {"network": network}),
        ]  # fmt: skip

    def train(self, data: ImageData, runtime: Runtime, run: Run) -> None:
        """The five steps; the state of the last one with the lowest loss on ``data.val`` is kept.

        Raises:
            DataError: no labelled training image; a single one, with batch norm.
        """
        options, train = self.options, labelled(data.train)
        if options.batch_norm and len(train) == 1:
            raise DataError("There is one labelled training image; batch norm needs several.", "Give more images.")
        self.network.objective.learn(train)
        network = runtime.prepare(self.network)
        if options.pretrain != "none":
            steps = Pretraining(network, data, options, runtime, run)
            steps.head(*steps.layers())
            self.before = {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
        fit_labels(network.train(), network.objective, train, data.val, options, runtime, run,
                   phase=FINETUNE if self.before else ALONE)  # fmt: skip
        self.seconds = round(runtime.trained_seconds, 3)

    def evaluate(self, data: ImageData, runtime: Runtime) -> Metrics:
        """See :mod:`dlkit_builtin.stacked.evaluation`."""
        from dlkit_builtin.stacked.evaluation import evaluate

        return evaluate(self, data, runtime)

    def pictures(self, data: ImageData, runtime: Runtime) -> Iterable[Picture]:
        """See :mod:`dlkit_builtin.stacked.pictures`."""
        from dlkit_builtin.stacked.pictures import pictures

        return pictures(self, data, runtime)

    def predict(self, split: Split, runtime: Runtime) -> Tensor:
        """What the network says of every image of a split, ``(N, K)`` float32 on the CPU, in order."""
        module = self.inference_module()
        return runtime.collect(lambda images: module(images)[0], split)

    def encode(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → the last hidden layer's features ``(B, D)``."""
        return self.network.eval().features(images)

    def classify(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → probabilities ``(B, K)``."""
        probabilities: Tensor = self.inference_module()(images)[0]
        return probabilities

    def frozen(self, runtime: Runtime) -> Network | None:
        """The network after step 4, in eval mode on the runtime's device; None with ``--pretrain none``."""
        if not self.before:
            return None
        network = Network(self.options, self.spec)
        network.load_state_dict(self.before)
        return runtime.prepare(network).eval()

    def outputs(self) -> Mapping[str, OutputKind]:
        """Probabilities, scores or numbers."""
        kind = self.network.objective.kind
        return {kind: kind}

    def inference_module(self) -> nn.Module:
        """``forward(pixels) -> (outputs,)``."""
        return Inference(self.network, self.network.objective).eval()

    def state(self) -> State:
        """The network's parameters and buffers, those after step 4, and how long training took."""
        before = {f"{_BEFORE}{name}": tensor for name, tensor in self.before.items()}
        return State(self.network.state_dict() | before, {"seconds": self.seconds})

    @classmethod
    def load(cls, state: State, options: StackedOptions, spec: DataSpec) -> Self:
        """The inverse of :meth:`state`."""
        technique = cls(options, spec)
        tensors = dict(state.tensors)
        technique.before = {
            name.removeprefix(_BEFORE): tensors.pop(name) for name in list(tensors) if name.startswith(_BEFORE)
        }
        if technique.before:
            technique.network.load_state_dict(technique.before)  # to see whether they fit: evaluation does it
        technique.network.load_state_dict(tensors)
        technique.seconds = state.plain["seconds"]
        technique.network.eval()
        return technique
