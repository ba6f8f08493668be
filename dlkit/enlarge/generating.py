"""Images that a run generates, added to the training images."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dlkit.capabilities import capabilities_of, require, who
from dlkit.data.decode import fit_array
from dlkit.data.resolve import source_of
from dlkit.display import Display
from dlkit.enlarge.material import Material
from dlkit.errors import UsageError
from dlkit.generation import Generating
from dlkit.run import Run
from dlkit.runtime import Runtime


@dataclass(frozen=True)
class Wanted:
    """What a run is to generate: so many of each class, or so many altogether.

    Attributes:
        run: a trained run.
        per_class: of each of the data's classes; None where ``count`` says how many.
        count: altogether, with the labels that the run gives, or none.
        truncation: as `dlkit generate` takes it.
        seed: of the draws; images of the data's class k are those of ``dlkit generate --class K --seed seed + k``.
    """

    run: Run
    per_class: int | None
    count: int | None
    truncation: float | None
    seed: int

    def facts(self) -> dict[str, Any]:
        """What decides which images they are, as plain JSON."""
        model = self.run.path / "model.safetensors"
        digest = hashlib.sha256(model.read_bytes()).hexdigest() if model.is_file() else ""
        numbers = {"per_class": self.per_class, "n": self.count, "truncation": self.truncation, "seed": self.seed}
        return {"run": str(self.run.path), "model": digest, **numbers}


@dataclass(frozen=True)
class Share:
    """Images of one label that are drawn with one seed.

    Attributes:
        label: the cells of a manifest's label columns.
        number: of the class, as the run numbers it; None: what it gives.
        count, seed: of the images.
    """

    label: tuple[str, ...]
    number: int | None
    count: int
    seed: int


def shares(wanted: Wanted, material: Material) -> list[Share]:
    """What is drawn for which class.

    Raises:
        UsageError: the run does not generate, or not by class, or does not know one of the classes.
    """
    run, classes = wanted.run, material.listing.classes
    require(run, "generate")
    if wanted.per_class is None:
        return [Share(("",) * len(material.columns), None, wanted.count or 0, wanted.seed)]
    if material.listing.target != "classes" or not classes:
        raise UsageError(f"--per-class {wanted.per_class}: {material.listing.name} has no classes.", "Use -n N.")
    if "condition" not in capabilities_of(run) or run.spec.target != "classes" or not run.spec.classes:
        raise UsageError(
            f"--per-class {wanted.per_class}: {run.name} ({run.technique}) cannot be told which class to generate.",
            f"{who('generate', 'condition')} Or add images without labels: -n N in place of --per-class.",
        )
    unknown = [name for name in classes if name not in run.spec.classes]
    if unknown:
        raise UsageError(
            f"{run.name} does not know the classes {', '.join(unknown[:20])} of {material.listing.name}; "
            f"it knows {', '.join(run.spec.classes[:20])}.",
            "Give a run that learned from images of these classes.",
        )
    return [Share((name,), run.spec.classes.index(name), wanted.per_class, wanted.seed + place)
            for place, name in enumerate(classes)]  # fmt: skip


def drawn(share: Share, wanted: Wanted, material: Material, runtime: Runtime, display: Display) -> Iterator[
    tuple[Tensor, tuple[str, ...]]
]:  # fmt: skip
    """The images of a share in order: raw pixels ``(C, H, W)`` in the data's form, and their label cells."""
    own = Runtime(dataclasses.replace(runtime.options, seed=share.seed), display)
    generating = Generating(wanted.run, display, own, truncation=wanted.truncation)
    form = _form(wanted.run, material)
    for images, labels in generating.chunks(share.count, share.number):
        for place, image in enumerate(images):
            values = np.rint(image.clamp(0, 1).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
            raw = torch.from_numpy(fit_array(values, form).copy())
            label = share.label
            if share.number is None and labels is not None and gives_labels(wanted.run, material):
                known = wanted.run.spec.classes
                label = (known[int(labels[place])],) if generating.by_class else material.cells(labels[place].numpy())
            yield raw, label


def parameters(share: Share, wanted: Wanted, place: int) -> str:
    """How the image with this number can be made again, as JSON."""
    told = None if share.number is None else wanted.run.spec.classes[share.number]
    facts = {"number": place, "class": told, "truncation": wanted.truncation}
    return json.dumps({key: value for key, value in facts.items() if value is not None})


def gives_labels(run: Run, material: Material) -> bool:
    """Whether a run says what its images are, as the data says it; classes of any kind where the data says nothing."""
    ours, theirs = material.listing, run.spec
    if "condition" not in capabilities_of(run):
        return False
    if theirs.target == "classes":
        return ours.target == "classes" and (not ours.classes or set(theirs.classes) <= set(ours.classes))
    return (ours.target, ours.classes) == (theirs.target, theirs.classes)


def _form(run: Run, material: Material) -> Any:
    """The data's channels, and its size where all its images have one."""
    sizes = np.unique(material.sizes[material.splits >= 0], axis=0)
    size: list[int] = sizes[0].tolist() if len(sizes) == 1 else [run.spec.height, run.spec.width]
    return dataclasses.replace(material.spec(size), pixel_type="uint8", resize=material.options.resize)


def warnings(wanted: Wanted, material: Material) -> Iterator[str]:
    """What a user should know of a generator and the data that it is to enlarge."""
    run, form = wanted.run, _form(wanted.run, material)
    if (run.spec.height, run.spec.width) != (form.height, form.width):
        yield (
            f"{run.name} makes images of {run.spec.height}x{run.spec.width}; they are brought to the data's "
            f"{form.height}x{form.width}."
        )
    if wanted.per_class is None and material.listing.classes and not gives_labels(run, material):
        was = "was told no labels"
        if "condition" in capabilities_of(run):
            was = f"was told {', '.join(run.spec.classes[:20])}, which the labels of {material.listing.name} are not"
        yield f"{run.name} {was}: its images are added without any, and techniques that need labels leave them out."
    ours, theirs = material.options, run.settings.data
    same = ("val_fraction", "test_fraction", "split_seed", "fold", "label", "target")
    if run.spec.source != source_of(ours.data) or any(getattr(ours, key) != getattr(theirs, key) for key in same):
        yield (
            f"{run.name} learned from other data or other splits ({run.spec.source}): if images that are tested here "
            "were among them, figures on the enlarged data are too good."
        )
