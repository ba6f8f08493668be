"""The one object through which techniques reach devices, seeds, batches, updates and checkpoints."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.weak import WeakIdKeyDictionary

from dlkit.options import RuntimeOptions, TrainOptions
from dlkit.runtime.batches import Batch, Feed, cut
from dlkit.runtime.device import available_threads, configure, own_threads, resolve_device, resolve_precision
from dlkit.runtime.fit import Fit
from dlkit.runtime.memory import foresee
from dlkit.runtime.optimizers import Parameters, make_optimizer
from dlkit.runtime.phase import FitResult, RunLike
from dlkit.runtime.processes import Processes
from dlkit.runtime.update import LossFunction, Updater, in_parts

if TYPE_CHECKING:
    from dlkit.data import Split
    from dlkit.display import Display

M = TypeVar("M", bound=nn.Module)


class Runtime:
    """Device, precision, seed and threads of one command.

    Make it before anything is drawn or computed: it seeds PyTorch's generators, and its setting of denormal
    numbers reaches only threads that start later.

    Args:
        options: what the user asked for.
        display: where progress and warnings go; None: nowhere.
        processes: those that train together; None: this one alone.

    Attributes:
        device: where training happens.
        precision: ``fp32``, or ``bf16``: autocast in :meth:`update` and :meth:`inference`; weights stay float32.
        seed: of every random draw.
        threads: CPU threads. Results on a CPU repeat to the bit with the same number of them.
        rng: the training stream, on ``device``. ``fit`` seeds it from (seed, phase, epoch) at the start of each
            epoch and keeps it in checkpoints, so draws in ``step`` repeat on resume.
        learning_rate: within ``fit``, the options' ``lr`` as the schedule has it at this step: for a technique whose
            updates no optimizer makes.

    Raises:
        UsageError: a device or a precision that this machine lacks.
    """

    def __init__(
        self, options: RuntimeOptions, display: Display | None = None, processes: Processes | None = None
    ) -> None:
        self.options = options
        self.display = display
        self.processes = processes or Processes()
        self.device = resolve_device(options.device)
        self.precision = resolve_precision(options.precision, self.device)
        self.threads = configure(self.device, options.threads)
        self.seed = options.seed
        torch.manual_seed(self.seed)
        self.rng = self.generator("training")
        autocast = self._autocast if self.precision == "bf16" else None
        self.updater = Updater(autocast, self.warn, self.processes)
        self.finished: list[list[Any]] = []  # [phase, updates] of the phases that fit has been through, in order
        self.trained_seconds = 0.0  # in those, for max_time
        self.learning_rate = math.nan
        self._feeds: Any = WeakIdKeyDictionary()

    def derive(self, *key: object) -> int:
        """A seed for ``key`` under this runtime's seed; the same everywhere, unlike any other key's."""
        digest = hashlib.sha256(repr((self.seed, *key)).encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1

    def generator(self, *key: object, device: torch.device | str | None = None) -> torch.Generator:
        """A fresh generator for repeatable draws outside training (evaluation noise, initialisation).

        Args:
            key: strings and numbers that name the draws.
            device: where its numbers are drawn; the training device if None.
        """
        generator = torch.Generator(self.device if device is None else device)
        return generator.manual_seed(self.derive(*key))

    def prepare(self, module: M) -> M:
        """Bring a module to the device in place; do this before its optimizer is made.

        Networks with 2-d convolutions become channels_last: large ones and bf16 gain up to twice the speed, small
        ones in fp32 lose nothing. ``--compile`` compiles it.
        """
        module.to(self.device)
        if any(isinstance(part, nn.Conv2d | nn.ConvTranspose2d) for part in module.modules()):
            module.to(memory_format=torch.channels_last)
        if self.options.compile:
            module.compile()
        return module

    def feed(self, split: Split) -> Feed:
        """The split's images on their way to the device."""
        if split not in self._feeds:
            self._feeds[split] = Feed(split, self.device, self.options.workers or own_threads())
        feed: Feed = self._feeds[split]
        return feed

    def batches(self, split: Split, batch_size: int) -> Iterator[Batch]:
        """All images of a split in order, for evaluation; the last batch may be smaller."""
        return self.feed(split).batches(None, cut(len(split), batch_size))

    def collect(self, function: Callable[[Tensor], Tensor], split: Split, batch_size: int = 250) -> Tensor:
        """What a function of pixels ``(B, C, H, W)`` gives for all images of a split, in order and without gradients.

        Where memory does not suffice for a batch it is done in smaller parts: nothing of an image may depend on others.
        Among several processes, each does its share; all must call it, then.

        Returns:
            ``(N, …)`` float32 on the CPU. Of no images it is what the function gives for none.

        Raises:
            DataError: an image cannot be read any more.
        """
        count = len(split)
        sharing = self.processes if count >= self.processes.count else Processes()
        rows = sharing.share(count)
        cuts = [(rows.start + start, rows.start + end) for start, end in cut(rows.stop - rows.start, batch_size)]
        batches = self.feed(split).batches(None, cuts or [(0, 0)])
        with self.inference():
            part = torch.cat([in_parts(function, batch.images) for batch in batches])
        return sharing.whole(part, count)

    @contextmanager
    def inference(self) -> Iterator[None]:
        """No gradients, and autocast where the precision says so. Modules stay in the mode that they are in."""
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if self.precision == "bf16":
                stack.enter_context(self._autocast())
            yield

    def optimizer(self, parameters: Parameters, options: TrainOptions, **overrides: Any) -> Optimizer:
        """The optimizer that the options name, of PyTorch or timm; see :func:`.optimizers.make_optimizer`.

        Args:
            parameters: of modules that :meth:`prepare` has brought to the device; groups are allowed.
            options: ``optimizer``, ``lr``, ``weight_decay``, ``momentum``.
            overrides: the optimizer's own arguments (``betas=(0.5, 0.999)``), which win over the options.

        Raises:
            UsageError: an unknown name, or parameters that it refuses.
            TrainingError: memory will not suffice for gradients and the optimizer's state.
        """
        optimizer = make_optimizer(parameters, options, overrides)
        foresee(optimizer, options)
        return optimizer

    def update(self, optimizer: Optimizer, loss_fn: LossFunction, *tensors: Tensor | None) -> dict[str, Tensor]:
        """One update: gradients set to zero, forward, backward, clipping, step.

        Within ``fit`` the options' ``clip`` and ``accumulate`` hold, and ``lr`` follows the schedule. The loss is
        computed in micro-batches where ``accumulate`` or lack of memory demands it, so ``loss_fn`` may be called
        several times with parts of the tensors, and again from the start: draw random numbers (from :attr:`rng`)
        before, and pass them as tensors.

        Args:
            optimizer: of the parameters that change.
            loss_fn: ``loss_fn(*tensors)`` → the loss, a mean over samples, or a dict of such means with ``"loss"``.
                Under bf16, take losses from logits: autocast refuses ``binary_cross_entropy``.
            tensors: with one row per sample each, or None.

        Returns:
            The values, detached, as means over the whole batch; ``{"loss": …}`` for a plain loss.

        Raises:
            TrainingError: out of memory, and the batch cannot be computed in smaller parts.
        """
        return self.updater(optimizer, loss_fn, tensors)

    def fit(
        self,
        run: RunLike,
        *,
        phase: str,
        data: Split,
        options: TrainOptions,
        state: Mapping[str, Any],
        step: Callable[[Batch], Mapping[str, Tensor]],
        validate: Callable[[], Mapping[str, float]] | None = None,
        monitor: str | None = "loss",
        epochs: int | None = None,
        independent: bool = True,
        weights: Tensor | None = None,
    ) -> FitResult:
        """Train for a phase, or restore it, or finish what an earlier process began of it.

        A finished phase is given back untouched; an unfinished one goes on exactly where its last checkpoint was
        (on a CPU with the same number of threads: the same bits). Each epoch is a new permutation of ``data``,
        derived from (seed, phase, epoch).

        Args:
            run: where checkpoints and metrics go.
            phase: its name, unique within the run.
            data: the images to learn from.
            options: ``epochs``, ``batch_size``, ``schedule``, ``patience``…
            state: everything that training changes, by name: modules, optimizers, tensors, and what else has
                ``state_dict`` and ``load_state_dict``.
            step: trains on a batch (through :meth:`update`, or in its own way) and gives scalars by name, which are
                averaged over samples. Modules are in the mode in which the technique left them.
            validate: figures of the val split; what ``best`` and early stopping look at. It may switch modules to
                eval mode; ``fit`` switches them back. It should draw from :meth:`generator` only.
            monitor: the figure of ``validate`` to minimise. None: they are recorded, and nothing is chosen by them.
            epochs: in place of ``options.epochs``.
            independent: the loss is a mean over independent samples, so updates may be split. If not (batch norm,
                contrastive losses), running out of memory is an error, ``accumulate`` is refused, and a last batch
                of a single image joins the one before it.
            weights: float ``(N,)`` on the CPU: an epoch is then N draws with replacement, each image in proportion to
                its weight, in place of a permutation.

        Returns:
            How it ended; the modules hold the best weights where a figure of ``validate`` is monitored, else the last.

        Raises:
            TrainingError: a loss that is not finite; memory that does not suffice.
            UsageError: ``accumulate`` with samples that depend on each other.
            DataError: no images; a checkpoint that is damaged.
            Interrupted: SIGINT or SIGTERM, after saving (see :func:`dlkit.runtime.signals.interruptible`).
        """
        return Fit(
            self,
            run,
            phase,
            data,
            options,
            state,
            step,
            validate,
            monitor,
            epochs or options.epochs,
            independent,
            weights,
        ).run()

    def take_all_threads(self) -> None:
        """Where other processes took their share of the threads, and compute nothing any more."""
        if self.options.threads is None and torch.get_num_threads() == self.threads != available_threads():
            torch.set_num_threads(available_threads())

    def warn(self, text: str) -> None:
        """Tell the user, where there is a display."""
        if self.display is not None:
            self.display.warn(text)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16)
