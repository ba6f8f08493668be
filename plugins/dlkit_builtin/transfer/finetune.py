"""Fine-tuning: a pretrained network is trained further, whole or from a stage on, with a new head.

The head learns at the rate η, pretrained weights at a smaller one (:func:`.freezing.groups`); frozen stages stay as
they are to the bit, running statistics included, and are computed once (:mod:`.shortcut`). Strategies:

================  ==============================================================================================
``finetune-top``   the last stage, or ``--unfreeze``
``finetune-deep``  the last half of the stages
``finetune``       all weights
``lp-ft``          all weights, from a head that is the linear probe (Kumar et al. 2022: a random head's first
                   gradients distort the features)
``gradual``        first the head, then one more stage from the top every few epochs (Howard and Ruder 2018,
                   section 3.3)
``scratch``        all weights of another network, from random ones (:mod:`.scratch`)
================  ==============================================================================================
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dlkit.errors import DataError, UsageError
from dlkit.supervised.mixup import with_mixup
from dlkit.supervised.objective import labelled
from dlkit.supervised.sampling import sample_weights
from dlkit.supervised.validation import validation
from dlkit.technique import PhasePlan
from dlkit_builtin.transfer.finetune_options import FinetuneOptions
from dlkit_builtin.transfer.freezing import batch_norm, depends_on_batch, freeze, groups, set_modes
from dlkit_builtin.transfer.l2sp import Anchor
from dlkit_builtin.transfer.levels import Finetuning, Level, counted, levels
from dlkit_builtin.transfer.network import Network
from dlkit_builtin.transfer.scratch import training_options
from dlkit_builtin.transfer.shortcut import Shortcut

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.runtime import Batch, FitResult, Runtime
    from dlkit.runtime.phase import RunLike
    from dlkit_builtin.transfer.options import TransferOptions

STRATEGIES = ("finetune-top", "finetune-deep", "finetune", "lp-ft", "gradual", "scratch")
PHASE = "finetune"
_VALIDATION_BATCH = 16  # photos, not digits


@dataclass(frozen=True)
class Step:
    """A phase of a strategy: its name, what trains, for how many epochs."""

    phase: str
    plan: Finetuning
    epochs: int


def steps(strategy: str, options: FinetuneOptions, stages: Sequence[Level]) -> list[Step]:
    """The phases of a strategy.

    Raises:
        UsageError: options that do not fit the strategy or the network.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"{strategy} is no strategy of fine-tuning")
    if options.unfreeze is not None and strategy in ("finetune", "finetune-deep", "scratch"):
        raise UsageError(f"--unfreeze {options.unfreeze}: {strategy} itself says which stages train.",
                         "Use --strategy finetune-top.")  # fmt: skip
    chosen = None if options.unfreeze is None else Finetuning.top(options.unfreeze)
    if strategy == "gradual":
        return _gradual(options, stages, (chosen or Finetuning.all()).first(stages))
    plans = {"finetune-top": Finetuning.top(1), "finetune-deep": Finetuning.deep()}
    plan = chosen or plans.get(strategy, Finetuning.all())
    plan.first(stages)
    return [Step(PHASE, plan, options.epochs)]


def check(network: Network, options: TransferOptions, shape: Sequence[int]) -> None:
    """See that the options fit ``options.strategy`` and the network; arguments as :func:`phases`'.

    Raises:
        UsageError: they do not.
    """
    strategy = options.strategy
    if strategy in STRATEGIES:
        steps(strategy, options, levels(network, shape))
    elif options.unfreeze is not None:
        raise UsageError(f"--unfreeze {options.unfreeze}: --strategy {strategy} does not take it.",
                         "Use --strategy finetune-top, lp-ft or gradual.")  # fmt: skip


def _gradual(options: FinetuneOptions, stages: Sequence[Level], first: int) -> list[Step]:
    names = [stages[index].name for index in reversed(counted(stages)) if index >= first]
    every = options.unfreeze_every
    last = options.epochs - every * len(names)
    if last < 1:
        raise UsageError(
            f"--strategy gradual unfreezes {len(names)} stages after the head, one every {every} epochs: "
            f"--epochs {options.epochs} is too few.",
            f"Use --epochs {every * len(names) + 1} or more, or fewer stages: --unfreeze N.",
        )
    plans = [Step(f"{PHASE}-head", Finetuning.head_only(), every)]
    for depth, name in enumerate(names, 1):
        plans.append(Step(f"{PHASE}-{depth}-{name}", Finetuning.top(depth), every if depth < len(names) else last))
    return plans


def phases(network: Network, strategy: str, options: FinetuneOptions, shape: Sequence[int]) -> list[PhasePlan]:
    """The phases with what trains and what is frozen in each, for ``--dry-run``; the network is not changed.

    Args:
        network: backbone and head.
        strategy: one of :data:`STRATEGIES`.
        options: depths and epochs.
        shape: ``(C, H, W)`` of an image.
    """
    stages = levels(network, shape)
    found = []
    for step in steps(strategy, options, stages):
        shadow = copy.deepcopy(network).to("meta")
        freeze(shadow, stages[step.plan.first(stages) :])
        found.append(PhasePlan(step.phase, step.epochs, {"network": shadow}))
    return found


def train_strategy(
    network: Network, strategy: str, data: ImageData, runtime: Runtime, run: RunLike, options: TransferOptions
) -> list[FitResult]:
    """Train a network by one of :data:`STRATEGIES`, in place; arguments and errors as :func:`finetune`'s.

    For ``lp-ft`` the head is the linear probe when it comes here.
    """
    if strategy == "scratch":
        options = training_options(options)
    anchor = _anchor(network, options)  # before a phase that was finished earlier is restored
    return [
        finetune(network, step.plan, data, runtime, run, options, phase=step.phase, epochs=step.epochs, anchor=anchor)
        for step in steps(strategy, options, levels(network, data.spec.shape))
    ]


def finetune(
    network: Network,
    plan: Finetuning,
    data: ImageData,
    runtime: Runtime,
    run: RunLike,
    options: FinetuneOptions,
    *,
    phase: str = PHASE,
    epochs: int | None = None,
    anchor: Anchor | None = None,
) -> FitResult:
    """Train the head and some stages, in place; the state with the least loss on ``data.val`` is kept.

    Args:
        network: prepared by the runtime; its objective has learned from ``data.train``.
        plan: which stages train.
        data: the labelled images of train are learned from, those of val choose between epochs.
        runtime: where.
        run: what is recorded.
        options: rates, epochs, regularisation.
        phase: unique within the run.
        epochs: in place of ``options.epochs``.
        anchor: where the weights of ``--l2-sp`` started, if not here.

    Raises:
        UsageError: options that do not fit the network.
        DataError: no training image is labelled; a single one, with batch norm in training.
    """
    stages = levels(network, data.spec.shape)
    first = plan.first(stages)
    train, val = with_mixup(labelled(data.train), options, network.objective), labelled(data.val)
    if len(train) == 0:
        raise DataError("No training image is labelled.", "Give labels, or another --data.")
    anchor = anchor or _anchor(network, options)
    freeze(network, stages[first:])
    statistics, words = batch_norm(network, stages[first:], options, len(train))
    set_modes(network, stages[first:], statistics)
    if runtime.display is not None and words:
        runtime.display.info(words)
    optimizer = runtime.optimizer(groups(network, stages, first, options), options)
    try:
        shortcut = Shortcut(network, stages, first, data.spec.shape)
        with _above(shortcut, network, (train, val), runtime) as (logits, train, val):
            return runtime.fit(
                run,
                phase=phase,
                data=train,
                options=options,
                state={"network": network, "optimizer": optimizer},
                step=_step(network, logits, optimizer, runtime, anchor),
                validate=validation(logits, network.objective, val, runtime, batch_size=_VALIDATION_BATCH),
                epochs=epochs,
                independent=not depends_on_batch(network),
                weights=sample_weights(options, train),
            )
    finally:
        network.eval()


def _anchor(network: Network, options: FinetuneOptions) -> Anchor | None:
    return Anchor(network, options.l2_sp, options.l2_sp_head) if options.l2_sp > 0 else None


@contextmanager
def _above(
    shortcut: Shortcut, network: Network, splits: tuple[Split, Split], runtime: Runtime
) -> Iterator[tuple[nn.Module, Split, Split]]:
    """What gives logits, and the splits that it takes: maps above the frozen stages where these are the
    same in all epochs and fit in memory, else the images and the whole network."""
    train, val = splits
    # Augmented images are new each time; a compiled network does not notice that modules of it return at once.
    usable = train.augmentation is None and not runtime.options.compile and shortcut.fits(len(train) + len(val))
    if not (usable and shortcut.works(train, runtime)):
        yield network, train, val
        return
    maps = [shortcut.split(split, runtime) for split in splits]
    with shortcut.taken():
        yield shortcut, maps[0], maps[1]


def _step(
    network: Network,
    logits: nn.Module,
    optimizer: torch.optim.Optimizer,
    runtime: Runtime,
    anchor: Anchor | None,
) -> Callable[[Batch], Mapping[str, Tensor]]:
    objective = network.objective

    def loss(images: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
        loss = objective.loss(logits(images), targets)
        return {"loss": loss} if anchor is None else {"loss": loss + anchor.penalty(), "task_loss": loss}

    def step(batch: Batch) -> Mapping[str, Tensor]:
        return runtime.update(optimizer, loss, batch.images, objective.targets(batch))

    return step
