"""The Python API: what the command line does, importable.

import dlkit

model = dlkit.train("autoencoder", data="digits", denoise=True, epochs=5)
model = dlkit.load("latest")
codes = model.encode(["a.png", "b.png"])
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from dlkit import session
from dlkit.data.spec import LABEL_SAYS
from dlkit.discovery import registry
from dlkit.display import Display
from dlkit.errors import UsageError
from dlkit.metrics import Metrics
from dlkit.run import Run, open_run
from dlkit.runtime import Runtime
from dlkit.settings import resolve
from dlkit.technique import CAPABILITIES

if TYPE_CHECKING:
    from dlkit.export import ExportReport
    from dlkit.technique import Technique

CHUNK = 256
"""So many images go through the model at once."""

Images = Tensor | str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""Pixels in [0, 1], floating ``(B, C, H, W)`` in the run's shape, or the path of an image file, or several."""


class Model:
    """A trained run, ready for use. Images are :data:`Images`; results are float32 tensors on the CPU.

    Attributes:
        run: the run directory.
    """

    def __init__(self, run: Run, *, device: str | None = None, display: Display | None = None) -> None:
        import dataclasses

        self.run = run
        self._display = display or Display(quiet=True)
        options = run.settings.runtime
        self._options = options if device is None else dataclasses.replace(options, device=device)

    @cached_property
    def runtime(self) -> Runtime:
        """Device, precision and threads, as in training unless said otherwise."""
        return Runtime(self._options, self._display)

    @cached_property
    def technique(self) -> Technique[Any]:
        """The trained technique itself."""
        return self.run.load_technique()

    @property
    def metrics(self) -> Metrics:
        """The figures on the run's own data, as they were when training ended."""
        kept = self.run.load_evaluation()
        return Metrics(()) if kept is None else kept

    def evaluate(self, data: str | os.PathLike[str] | None = None, **judging: object) -> Metrics:
        """Figures on the run's own data, or on other data brought into the same form.

        Args:
            data: what ``--data`` takes.
            judging: ``features``, ``inception_weights`` and ``judged``, where generated images are to be judged in
                another way than in training.
        """
        from dlkit.run.changes import judged_by

        run = judged_by(self.run, judging) if judging else self.run
        return session.evaluate(
            run, self._display, data=None if data is None else os.fspath(data), runtime=self.runtime
        )

    def encode(self, images: Images) -> Tensor:
        """Images → codes ``(B, Z)``."""
        return self._apply("encode", self._pixels(images))

    def decode(
        self, codes: Tensor, *, label: str | int | None = None, values: Mapping[str, float] | None = None
    ) -> Tensor:
        """Codes ``(B, Z)`` → pixels ``(B, C, H, W)``.

        Args:
            codes: as :meth:`encode` gives them, or noise, of techniques that make images of noise.
            label: the class of all images, by name or number; asked only of techniques that were told classes.
            values: label or number → what it is to be; asked only of techniques that were told such.
        """
        if label is None and not values:
            return self._apply("decode", codes)
        from dlkit.asking import labels_for
        from dlkit.decoding import Decoder

        told = labels_for(self.run, None, *self._asked(label, values))
        return Decoder(self.run, self._display, self.runtime, labels=told).images(codes)

    def generate(
        self,
        count: int = 64,
        *,
        label: str | int | None = None,
        seed: int | None = None,
        truncation: float | None = None,
        values: Mapping[str, float] | None = None,
    ) -> Tensor:
        """New images ``(count, C, H, W)``: those of `dlkit generate`.

        Args:
            count: how many; fewer are the first of more.
            label: their class, by name or number; asked only of techniques that were told classes.
            seed: of all draws; by default the run's own.
            truncation: no number of the noise lies beyond ± this; of techniques that draw noise.
            values: label or number → what it is to be; asked only of techniques that were told such.

        Raises:
            UsageError: the technique does not generate, or takes no class, or there is no such class, label or number.
        """
        import dataclasses

        from dlkit.generation import Generating

        options = self._options if seed is None else dataclasses.replace(self._options, seed=seed)
        asked, wanted = self._asked(label, values)
        runtime = Runtime(options, self._display)
        generating = Generating(self.run, self._display, runtime, truncation=truncation, values=wanted)
        return generating.images(count, asked)

    def morph(
        self,
        start: str | os.PathLike[str] | Tensor | int,
        end: str | os.PathLike[str] | Tensor | int,
        *,
        steps: int = 12,
        path: Literal["linear", "spherical"] = "linear",
        label: str | int | None = None,
        values: Mapping[str, float] | None = None,
    ) -> Tensor:
        """From one image, a file or pixels ``(1, C, H, W)``, to another: ``(steps, C, H, W)``, see `dlkit morph`.

        With techniques that make images of noise both are numbers of generated images; ``label`` and ``values`` say
        what all of them are to be, as in :meth:`generate`.

        Raises:
            UsageError: the technique does not encode or decode, or there are fewer than two steps.
        """
        from dlkit.morphing import between_draws, between_images

        if steps < 2:
            raise UsageError(f"steps = {steps}: a path has two ends, so at least 2 steps.")
        if isinstance(start, int) and isinstance(end, int):
            asked, wanted = self._asked(label, values)
            return between_draws(
                self.run, (start, end), steps, self._display, self.runtime, label=asked, values=wanted
            ).images(path)
        if isinstance(start, int) or isinstance(end, int):
            raise UsageError("A path leads between two images, or between two generated ones by their numbers.")
        if label is not None or values:
            raise UsageError("`label` and `values` are about generated images.")
        ends = torch.cat([self._pixels(start), self._pixels(end)])
        return between_images(self.run, ends, steps, self._display, self.runtime).images(path)

    def _asked(
        self, label: str | int | None, values: Mapping[str, float] | None
    ) -> tuple[int | None, dict[int, float]]:  # fmt: skip
        from dlkit.asking import class_of, values_of

        wanted = values_of(self.run, {name: str(each) for name, each in (values or {}).items()})
        return None if label is None else class_of(self.run, str(label)), wanted

    def reconstruct(self, images: Images) -> Tensor:
        """Images → the same images as the model sees them, ``(B, C, H, W)``."""
        return self._apply("reconstruct", self._pixels(images))

    def classify(self, images: Images) -> Tensor:
        """Images → probabilities ``(B, K)`` in the order of ``run.spec.classes``.

        Raises:
            UsageError: the run does not classify, or it learned from labels that are no classes.
        """
        target = self.run.spec.target
        if target != "classes":
            raise UsageError(f"{self.run.name} predicts {LABEL_SAYS[target]}, not classes.", "Use predict().")
        return self._apply("classify", self._pixels(images))

    def predict(self, images: Images) -> dict[str, Tensor]:
        """All outputs of the model by name, as an export gives them."""
        module = self.runtime.prepare(self.technique.inference_module())
        with self.runtime.inference():
            parts = [module(chunk.to(self.runtime.device)) for chunk in torch.split(self._pixels(images), CHUNK)]
        outputs = [torch.cat([tensor.float().cpu() for tensor in tensors]) for tensors in zip(*parts, strict=True)]
        return dict(zip(self.technique.outputs(), outputs, strict=True))

    def export(
        self, format: str | None = None, out: str | os.PathLike[str] | None = None, *, part: str | None = None
    ) -> ExportReport:
        """Export, reload, compare with the model on real images (see ``dlkit export``)."""
        from dlkit.export import export_run

        return export_run(self.run, format, None if out is None else Path(out), display=self._display, part=part)

    def _apply(self, capability: str, values: Tensor) -> Tensor:
        if not isinstance(self.technique, CAPABILITIES[capability]):
            raise UsageError(f"A run of {self.run.technique} does not {capability}.")
        self.runtime.prepare(self.technique.inference_module())
        with self.runtime.inference():
            use = getattr(self.technique, capability)
            return torch.cat([use(chunk.to(self.runtime.device)).float().cpu() for chunk in torch.split(values, CHUNK)])

    def _pixels(self, images: Images) -> Tensor:
        if isinstance(images, Tensor):
            shape = self.run.spec.shape
            if images.ndim != 4 or images.shape[1:] != torch.Size(shape) or not images.is_floating_point():
                raise UsageError(
                    f"Images are {images.dtype} of shape {tuple(images.shape)}; expected floating-point pixels in "
                    f"[0, 1], (B, C, H, W) with (C, H, W) = {shape}.",
                    "Divide 8-bit pixels by 255. Give file names to have images resized as the run's data was.",
                )
            return images.float()
        from dlkit.data import read_images, to_pixels

        paths = [images] if isinstance(images, str | os.PathLike) else images
        raw = read_images([Path(path) for path in paths], self.run.spec)
        return to_pixels(raw)


def train(
    technique: str,
    *,
    config: str | os.PathLike[str] | None = None,
    quiet: bool = True,
    **options: object,
) -> Model:
    """Train a technique in a new run directory, as ``dlkit train`` does.

    Args:
        technique: its name, as ``dlkit list`` shows it.
        config: a TOML file; ``options`` win over it.
        quiet: show no progress.
        options: any option by its key (``data="digits"``, ``denoise=True``, ``epochs=5``), typed or as text.

    Raises:
        DlkitError: see :mod:`dlkit.errors`.
    """
    flags: Mapping[str, object] = {
        key: os.fspath(value) if isinstance(value, os.PathLike) else value for key, value in options.items()
    }
    path = None if config is None else Path(config)
    settings = resolve(registry().technique(technique), config=path, flags=flags)
    display = Display(quiet=quiet)
    return Model(session.train(settings, display), display=display)


def load(
    run: str | os.PathLike[str] = "latest", *, runs: str | os.PathLike[str] = "runs", device: str | None = None
) -> Model:
    """A trained run by path, name or ``latest``.

    Raises:
        UsageError: there is no such run.
    """
    return Model(open_run(os.fspath(run), Path(runs)), device=device)
