"""Networks from scratch: pixels → features → logits, trained on labels.

The loss is that of :mod:`dlkit.supervised.objective`, or with ``--loss svm`` the multi-class hinge

    L = Σ_{j ≠ y} max(0, 1 + z_j − z_y)

of Weston and Watkins 1999, section 3, as a loss on scores z in the form of Stanford's CS231n notes on linear
classification. (Crammer and Singer 2001 take the maximum over j in place of the sum; with two classes they agree.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Self

from torch import Tensor, nn
from torch.nn import functional as F

from dlkit.data.spec import LABEL_SAYS, DataSpec
from dlkit.errors import DataError, UsageError
from dlkit.layers import initialise
from dlkit.metrics import Metrics
from dlkit.runtime import Normalize
from dlkit.supervised.objective import Inference, Objective, labelled
from dlkit.supervised.training import fit_labels, normalises_batches
from dlkit.technique import OutputKind, PhasePlan, State
from dlkit_builtin.classifier.networks import build
from dlkit_builtin.classifier.options import ClassifierOptions

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.report import Picture
    from dlkit.run import Run
    from dlkit.runtime import Runtime

PHASE = "train"


class Network(nn.Module):
    """Normalisation, the layers up to the features, the output layer."""

    def __init__(self, options: ClassifierOptions, spec: DataSpec) -> None:
        super().__init__()
        self.normalize = Normalize(spec.normalization)
        self.objective = Objective(spec, options)
        self.body, self.size = build(options, spec.shape)
        self.output = nn.Linear(self.size, self.objective.outputs)

    def features(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → features ``(B, D)``."""
        features: Tensor = self.body(self.normalize(images))
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → logits ``(B, K)``."""
        logits: Tensor = self.output(self.features(images))
        return logits


class Classifier:
    """See the module's docstring; capabilities: classify (where labels are classes) and encode."""

    def __init__(self, options: ClassifierOptions, spec: DataSpec) -> None:
        if options.loss == "svm" and spec.target != "classes":
            raise UsageError(
                f"--loss svm separates classes, but the labels of {spec.name} are {LABEL_SAYS[spec.target]}.",
                "Leave it out: the loss then follows the labels.",
            )
        self.options = options
        self.spec = spec
        self.seconds: float | None = None  # of training
        self.network = Network(options, spec)
        initialise(self.network, options.init)
        self.batch_norm = normalises_batches(self.network)
        if self.batch_norm and options.batch_size == 1:
            raise UsageError("Batch norm needs the statistics of several images, but --batch-size is 1.",
                             "Use a larger --batch-size.")  # fmt: skip

    def plan(self) -> Sequence[PhasePlan]:
        """One phase."""
        return [PhasePlan(PHASE, self.options.epochs, {"network": self.network})]

    def train(self, data: ImageData, runtime: Runtime, run: Run) -> None:
        """Minimise the loss on the labelled training images; the state with the lowest loss on ``data.val`` is kept.

        Raises:
            DataError: no labelled image; a single one, with batch norm.
        """
        options, train = self.options, labelled(data.train)
        if self.batch_norm and len(train) == 1:
            raise DataError("There is one labelled training image; batch norm needs several.", "Give more images.")
        self.network.objective.learn(train)
        network = runtime.prepare(self.network)
        result = fit_labels(
            network, network.objective, train, data.val, options, runtime, run, phase=PHASE, loss=self.loss
        )
        self.seconds = round(result.seconds, 3)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean loss over labelled images, without penalties."""
        objective = self.network.objective
        if self.options.loss == "softmax":
            return objective.loss(logits, targets)
        return hinge(logits.float(), targets, objective.weights)

    def evaluate(self, data: ImageData, runtime: Runtime) -> Metrics:
        """See :mod:`dlkit.supervised`."""
        from dlkit_builtin.classifier.evaluation import evaluate

        return evaluate(self, data, runtime)

    def pictures(self, data: ImageData, runtime: Runtime) -> Iterable[Picture]:
        """See :mod:`dlkit_builtin.classifier.pictures`."""
        from dlkit_builtin.classifier.pictures import pictures

        return pictures(self, data, runtime)

    def predict(self, split: Split, runtime: Runtime) -> Tensor:
        """What the network says of every image of a split, ``(N, K)`` float32 on the CPU, in order."""
        module = self.inference_module()
        return runtime.collect(lambda images: module(images)[0], split)

    def encode(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → the last hidden layer's features ``(B, D)``."""
        return self.network.eval().features(images)

    def classify(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → probabilities ``(B, K)``; with ``--loss svm`` the softmax of the scores."""
        probabilities: Tensor = self.inference_module()(images)[0]
        return probabilities

    def outputs(self) -> Mapping[str, OutputKind]:
        """Probabilities, scores or numbers."""
        kind = self.network.objective.kind
        return {kind: kind}

    def inference_module(self) -> nn.Module:
        """``forward(pixels) -> (outputs,)``."""
        return Inference(self.network, self.network.objective).eval()

    def state(self) -> State:
        """The network's parameters and buffers, and how long training took."""
        return State(self.network.state_dict(), {"seconds": self.seconds})

    @classmethod
    def load(cls, state: State, options: ClassifierOptions, spec: DataSpec) -> Self:
        """The inverse of :meth:`state`."""
        technique = cls(options, spec)
        technique.network.load_state_dict(dict(state.tensors))
        technique.seconds = state.plain["seconds"]
        technique.network.eval()
        return technique


def hinge(scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """The multi-class hinge above, as a mean over labelled images; 0 where there is none.

    Args:
        scores: ``(B, K)``.
        labels: int64 ``(B,)``, -1 for unlabelled; or distributions ``(B, K)``: the mean of the classes' losses.
        weights: of the classes, ``(K,)``.
    """
    if labels.is_floating_point():
        each = (1 + scores[:, None] - scores[:, :, None]).clamp(min=0).sum(2) - 1  # (B, K): were k the class
        return (labels * weights * each).sum(1).mean()
    known = labels >= 0
    losses = F.multi_margin_loss(scores, labels.clamp(min=0), weight=weights, reduction="none") * scores.shape[1]
    return (losses * known).sum() / known.sum().clamp(min=1)
