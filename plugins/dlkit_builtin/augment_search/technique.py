"""Which augmentations help on this data: many short trainings (:mod:`.search`), then a comparison of what was found.

The search tests on training images; val chooses epochs, as in any training. The comparison trains on all of them, with
each of four policies and several seeds: none, the usual (mirroring and jittered crops), TrivialAugment, and what was
found; their accuracies on the held-out images, which nothing was chosen by, are what :func:`.evaluation.evaluate`
tells.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from torch import Tensor, nn

from dlkit.augment import Policy
from dlkit.data.spec import DataSpec
from dlkit.errors import UsageError
from dlkit.metrics import Metrics, Row
from dlkit.technique import OutputKind, PhasePlan, State, Technique
from dlkit_builtin.augment_search.arms import COMPARED, FOUND, NONE, WORDS, single_arms
from dlkit_builtin.augment_search.learner import Learner, restored, seeded
from dlkit_builtin.augment_search.options import AugmentSearchOptions
from dlkit_builtin.augment_search.search import Search
from dlkit_builtin.augment_search.trials import Trials

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.report import Picture
    from dlkit.run import Run
    from dlkit.runtime import Runtime

TRIALS, FOLDER = "search.json", "compared"
"""In the run's directory: what was tried; checkpoints of the trainings that are compared, while they go on."""


class AugmentSearch:
    """See the module's docstring; capability: classify, with the first model of the policy that was found.

    Attributes:
        recipe: of the learner, from which its models are built again.
        arms: the single augmenters to begin with; of a run that is loaded none.
        found: the policy; empty where no augmentation was better than none.
        rows: what was tried, the best first, see :meth:`.search.Gain.row`.
        models: policy's name → its models, one for each seed.
        facts: ``trials``, ``seconds`` of the search, whether it is ``complete`` or the budget was spent, how many
            augmenters were ``left_out`` for it, and whether the gain of what was found is ``proven`` or chance may
            explain it.
    """

    def __init__(self, options: AugmentSearchOptions, spec: DataSpec) -> None:
        if len(spec.classes) < 2:
            raise UsageError(f"{spec.name} has fewer than two classes.", "Give data with several.")
        self.options, self.spec = options, spec
        self.recipe = self.learner.recipe
        self.arms = single_arms(options.augmenters, grey=spec.channels == 1, mixes=self.learner.mixes)
        self.found = NONE
        self.rows: list[Row] = []
        self.models: dict[str, list[Technique[Any]]] = {}
        self.facts: dict[str, Any] = {}

    @cached_property
    def learner(self) -> Learner:
        """What trains; a run that is loaded needs none, so that its config may be gone."""
        return Learner(self.options, self.spec)

    def plan(self) -> Sequence[PhasePlan]:
        """The learner's, of each training."""
        settings = self.learner.settings
        return settings.card.load()(settings.options, self.spec).plan()

    def train(self, data: ImageData, runtime: Runtime, run: Run) -> None:
        """Search, then train what is compared."""
        self.search(data, runtime, run)
        self.compare(data, runtime, run)

    def search(self, data: ImageData, runtime: Runtime, run: Run) -> None:
        """Find out which augmenters help; what was tried is kept in the run's directory.

        Raises:
            DataError: too few labelled images.
        """
        display = runtime.display
        say = display.info if display is not None else lambda _: None
        trials = Trials(self.learner, data, runtime, run.path / TRIALS, _progress(run, say))
        search = Search(trials, self.arms, say)
        say(f"Searching among {len(self.arms)} policies, on {len(trials.images):,} training images")
        search.run()
        self.found = search.found
        self.rows = [gain.row() for gain in search.results]
        seconds = round(trials.spent, 1)
        about = {"complete": search.complete, "left_out": search.left_out, "proven": search.proven}
        self.facts = {"trials": trials.count(), "seconds": seconds, **about}
        doubt = ", though chance may explain its gain" if self.found and not search.proven else ""
        found = f"Found: {self.found or 'nothing better than no augmentation'}{doubt}"
        run.log(found)
        say(found)

    def compare(self, data: ImageData, runtime: Runtime, run: Run) -> None:
        """Train with each policy on all training images; what was stopped goes on from its checkpoint."""
        for name, policy, seed in self._comparisons():
            if runtime.display is not None:
                runtime.display.info(f"Comparing: {WORDS[name]}, seed {seed}")
            own = seeded(runtime, runtime.derive("compared", seed) % 2**31)
            model = self.learner.trained(data, policy, own, run.path / FOLDER / f"{name}-{seed}")
            self.models.setdefault(name, []).append(model)
        shutil.rmtree(run.path / FOLDER, ignore_errors=True)

    def _comparisons(self) -> Iterator[tuple[str, str, int]]:
        for name, policy in (COMPARED | {self.top: self.found}).items():
            for seed in range(self.options.final_seeds):
                yield name, policy, seed

    @property
    def top(self) -> str:
        """The key in :attr:`models` of the policy that was found, which may be one of those it is compared with."""
        return next((name for name, policy in COMPARED.items() if policy == self.found), FOUND)

    @property
    def best(self) -> Technique[Any]:
        """The first model of the policy found."""
        return self.models[self.top][0]

    def evaluate(self, data: ImageData, runtime: Runtime) -> Metrics:
        """See :mod:`dlkit_builtin.augment_search.evaluation`."""
        from dlkit_builtin.augment_search.evaluation import evaluate

        return evaluate(self, data, runtime)

    def pictures(self, data: ImageData, runtime: Runtime) -> Iterable[Picture]:
        """See :mod:`dlkit_builtin.augment_search.pictures`."""
        from dlkit_builtin.augment_search.pictures import pictures

        return pictures(self, data, runtime)

    def classify(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → probabilities ``(B, K)``."""
        place = list(self.best.outputs().values()).index("probabilities")
        answers: Tensor = self.best.inference_module()(images)[place]
        return answers

    def outputs(self) -> Mapping[str, OutputKind]:
        """Those of the learner."""
        return self.best.outputs()

    def inference_module(self) -> nn.Module:
        """That of :attr:`best`."""
        return self.best.inference_module()

    def text_names(self) -> Sequence[str]:
        """``policy.toml``."""
        return ["policy.toml"]

    def texts(self) -> Mapping[str, str]:
        """``policy.toml``, which ``--augment`` takes.

        Raises:
            UsageError: nothing was better than no augmentation.
        """
        if not self.found:
            raise UsageError(
                "There is no policy to write: no augmentation was better than none.",
                "The table of the run's report says what each did; --part model writes the model.",
            )
        return {"policy.toml": Policy.parse(self.found).to_toml()}

    def state(self) -> State:
        """All models, what was found, and what was tried."""
        tensors: dict[str, Tensor] = {}
        plain: dict[str, Any] = {}
        for name, models in self.models.items():
            for seed, model in enumerate(models):
                state = model.state()
                tensors |= {f"{name}.{seed}.{key}": tensor for key, tensor in state.tensors.items()}
                plain[f"{name}.{seed}"] = dict(state.plain)
        told = {"found": self.found, "rows": [dict(row) for row in self.rows], "facts": self.facts}
        return State(tensors, told | {"recipe": dict(self.recipe), "models": plain})

    @classmethod
    def load(cls, state: State, options: AugmentSearchOptions, spec: DataSpec) -> Self:
        """The inverse of :meth:`state`."""
        technique = cls.__new__(cls)  # the learner's config file may be gone: its options are in the state
        technique.options, technique.spec, technique.recipe = options, spec, state.plain["recipe"]
        technique.found, technique.rows, technique.facts = (state.plain[key] for key in ("found", "rows", "facts"))
        technique.arms = []
        technique.models = {}
        for key, plain in state.plain["models"].items():
            tensors = {
                name.removeprefix(f"{key}."): tensor
                for name, tensor in state.tensors.items()
                if name.startswith(f"{key}.")
            }
            model = restored(technique.recipe, State(tensors, plain), spec)
            technique.models.setdefault(key.partition(".")[0], []).append(model)
        return technique


def _progress(run: Run, say: Any) -> Any:
    """Told of each trial: the log keeps all; the terminal sees one every few seconds."""
    shown = time.monotonic()

    def told(policy: str, seed: int, accuracy: float) -> None:
        nonlocal shown
        run.log(f"seed {seed}: {policy or 'no augmentation'}: {accuracy:.4f}")
        if time.monotonic() - shown >= 5:
            shown = time.monotonic()
            say(f"seed {seed}  {policy or 'no augmentation'}  accuracy {accuracy:.4f}")

    return told
