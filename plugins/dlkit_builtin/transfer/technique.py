"""Transfer learning: a network trained on a large data set, reused for other classes.

Its features φ(x) tell many things apart, so a linear classifier on them may be all that is needed (Donahue et al.
2014); the earlier the stage, the more general they are (Yosinski et al. 2014). With more images its weights can be
trained further. Which way is best depends on how many images there are and how like the source's they look;
``--strategy auto`` finds out (:mod:`dlkit_builtin.transfer.auto`).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from dlkit.backbones import Backbone, Tap, build_backbone, restore_backbone
from dlkit.backbones.backbone import TOP
from dlkit.data.spec import DataSpec
from dlkit.files import write_json
from dlkit.metrics import Metrics
from dlkit.runtime import count_parameters
from dlkit.supervised.objective import Inference, objective
from dlkit.technique import OutputKind, PhasePlan, State
from dlkit_builtin.transfer.finetune import STRATEGIES as TUNED
from dlkit_builtin.transfer.finetune import check, phases
from dlkit_builtin.transfer.heads import mlp
from dlkit_builtin.transfer.network import Network
from dlkit_builtin.transfer.options import TransferOptions
from dlkit_builtin.transfer.scratch import scratch_backbone
from dlkit_builtin.transfer.stages import stage_estimates
from dlkit_builtin.transfer.strategies import Job, carry_out, check_stage, with_features_augmented
from dlkit_builtin.transfer.taken import check_taken

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.report import Picture
    from dlkit.run import Run
    from dlkit.runtime import Runtime
    from dlkit_builtin.transfer.advice import Advice


class Transfer:
    """See the module's docstring; capabilities: encode, and classify where labels are classes.

    Attributes:
        strategy: the one that was carried out; the options' own before training.
        advice: what ``auto`` found.
        stages: what simple models make of each stage's features, where all stages were looked at.
        before: the backbone as it was before its weights were trained further; only where that was just now.
    """

    def __init__(self, options: TransferOptions, spec: DataSpec, backbone: Backbone | None = None) -> None:
        self.options = options
        self.spec = spec
        aim = objective(spec, options)
        loaded = backbone is not None
        if backbone is None:
            check_taken(options)
            size = (spec.height, spec.width)
            scratch = options.strategy == "scratch"
            backbone = scratch_backbone(options, max(size)) if scratch else build_backbone(options, size)
        self.network = Network(backbone, (Tap(TOP),), nn.Linear(backbone.size, aim.outputs), aim)
        if not loaded:  # what does not fit is told before there is a run
            check_stage(backbone, options)
            check(self.network, options, spec.shape)
        self.strategy: str = options.strategy
        self.advice: Mapping[str, Any] | None = None
        self.stages: Sequence[Mapping[str, Any]] = ()
        self.before: Backbone | None = None
        self.seconds, self.trainable = 0.0, 0
        self.kept: Any = WeakIdKeyDictionary()  # split → features, while the split lives

    def plan(self) -> Sequence[PhasePlan]:
        """The phases with gradients; those of ``auto`` are not known before it has chosen."""
        options = self.options
        if options.strategy in TUNED:
            return phases(self.network, options.strategy, options, self.spec.shape)
        if options.strategy == "mlp-head":
            sizes = (self.network.backbone.stage(options.stage).channels, *options.hidden, len(self.spec.classes))
            return [PhasePlan("mlp-head", options.head_epochs, {"head": mlp(sizes, options.dropout)})]
        return []

    def train(self, data: ImageData, runtime: Runtime, run: Run) -> None:
        """Carry out the strategy; ``auto`` chooses it first, and keeps why in ``advice.json``."""
        start = time.perf_counter()
        network = self._prepared(data, runtime)
        self.kept.clear()
        for notice in network.backbone.origin.notices if self.options.strategy != "scratch" else ():
            runtime.warn(notice)
        if self.options.strategy == "auto":
            self.strategy = self._choose(data, runtime, run)
            data = with_features_augmented(data, self.strategy, runtime)
        if self.strategy in TUNED and self.strategy != "scratch":
            self.before = copy.deepcopy(network.backbone)
        job = Job(network, data, runtime, run, self.options)
        carry_out(self.strategy, job)
        if self.strategy == "stage-probe" and job.study is not None:
            self.stages = [vars(row) for row in stage_estimates(job.study)]
        trained = network if self.strategy in TUNED else network.head
        self.trainable, _ = count_parameters(trained)
        network.eval().requires_grad_(False)
        self.seconds = time.perf_counter() - start

    def _prepared(self, data: ImageData, runtime: Runtime) -> Network:
        network = runtime.prepare(self.network)
        network.eval().objective.learn(data.train)
        return network

    def _choose(self, data: ImageData, runtime: Runtime, run: Run) -> str:
        """Among several processes the first one chooses, since a race against the clock ends differently in each."""
        from dlkit_builtin.transfer.auto import advise

        def weighed() -> dict[str, Any]:
            advice = advise(self.network, data, runtime, self.options, run.path / "race.json")
            found = advice.to_json()
            write_json(run.path / "advice.json", found)
            show(advice, runtime)
            return found

        self.advice = found = runtime.processes.first(weighed)
        self.stages = found["stages"]
        return str(found["choice"])

    def advise(self, data: ImageData, runtime: Runtime) -> Mapping[str, Any]:
        """What ``auto`` would do, and why; nothing is trained that is kept."""
        from dlkit_builtin.transfer.auto import advise

        network = self._prepared(data, runtime)
        advice = advise(network, data, runtime, self.options)
        show(advice, runtime)
        return advice.to_json()

    def evaluate(self, data: ImageData, runtime: Runtime) -> Metrics:
        """See :mod:`dlkit_builtin.transfer.evaluation`."""
        from dlkit_builtin.transfer.evaluation import evaluate

        return evaluate(self, data, runtime)

    def pictures(self, data: ImageData, runtime: Runtime) -> Iterable[Picture]:
        """See :mod:`dlkit_builtin.transfer.pictures`."""
        from dlkit_builtin.transfer.pictures import pictures

        return pictures(self, data, runtime)

    def encode(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → features ``(B, D)``."""
        return self.network.eval().features(images)

    def classify(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → probabilities ``(B, K)``."""
        probabilities: Tensor = self.inference_module()(images)[0]
        return probabilities

    def outputs(self) -> Mapping[str, OutputKind]:
        """Probabilities, scores of labels, or numbers."""
        return {self.network.objective.kind: self.network.objective.kind}

    def inference_module(self) -> nn.Module:
        """``forward(pixels) -> (outputs,)``."""
        return Inference(self.network, self.network.objective).eval()

    def state(self) -> State:
        """The whole network: the run needs nothing else."""
        plain = {
            "strategy": self.strategy,
            "taps": [[tap.stage, tap.pool] for tap in self.network.taps],
            "head": [list(tensor.shape) for tensor in self.network.head.parameters() if tensor.ndim == 2],
            "recipe": dict(self.network.backbone.origin.recipe),
            "advice": self.advice,
            "stages": self.stages,
            "seconds": self.seconds,
            "trainable": self.trainable,
        }
        return State(self.network.state_dict(), plain)

    @classmethod
    def load(cls, state: State, options: TransferOptions, spec: DataSpec) -> Self:
        """The inverse of :meth:`state`."""
        plain = state.plain
        if plain["strategy"] == "scratch":
            backbone = scratch_backbone(options, max(spec.height, spec.width))
        else:
            backbone = restore_backbone(options, plain["recipe"])
        technique = cls(options, spec, backbone)
        network = technique.network
        network.taps = tuple(Tap(stage, pool) for stage, pool in plain["taps"])
        sizes = [plain["head"][0][1], *(shape[0] for shape in plain["head"])]
        network.head = nn.Linear(*sizes) if len(sizes) == 2 else mlp(sizes, options.dropout)
        network.load_state_dict(dict(state.tensors))
        network.eval().requires_grad_(False)
        technique.strategy, technique.advice, technique.stages = plain["strategy"], plain["advice"], plain["stages"]
        technique.seconds, technique.trainable = plain["seconds"], plain["trainable"]
        return technique


def show(advice: Advice, runtime: Runtime) -> None:
    """Print the advice."""
    from dlkit_builtin.transfer.words import lines

    if runtime.display is not None:
        for line in lines(advice):
            runtime.display.info(line)
