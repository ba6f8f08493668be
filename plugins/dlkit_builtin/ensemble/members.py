"""The members of an ensemble: from runs, checked against the data, kept without them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dlkit.data.spec import DataSpec, ImageForm
from dlkit.discovery import registry
from dlkit.errors import UsageError
from dlkit.places import recipe_of
from dlkit.run import Run, open_run
from dlkit.settings import resolve
from dlkit.supervised.objective import OUTPUT_KINDS
from dlkit.technique import State, Technique
from dlkit_builtin.ensemble.options import EnsembleOptions

_FORM = ("channels", "height", "width", "resize")
_FINE = ("crop", "interpolation")  # of which pretrained networks have their own; others cost a little


@dataclass(frozen=True)
class Member:
    """A trained technique in an ensemble.

    Attributes:
        name: of the run that it was.
        recipe: technique, options and spec, as JSON can hold them.
        technique: it.
        spec: of its data.
        output: index of the output that is averaged.
        order: for each class of the ensemble's, which of the member's it is.
    """

    name: str
    recipe: Mapping[str, Any]
    technique: Technique[Any]
    spec: DataSpec
    output: int
    order: tuple[int, ...]


def image_form(options: EnsembleOptions) -> ImageForm:
    """Images are read as the first member wants them; all must want the same.

    Raises:
        UsageError: there are no members.
    """
    spec = _runs(options)[0].spec
    return ImageForm(
        height=spec.height, width=spec.width, channels=spec.channels, crop=spec.crop, interpolation=spec.interpolation
    )


def members_of(options: EnsembleOptions, spec: DataSpec) -> list[Member]:
    """The members that the options name, loaded and checked.

    Raises:
        UsageError: no such run, or one that does not fit the others or the data.
        DataError: a run without a model.
    """
    runs = _runs(options)
    for run in runs:
        _check(run, spec)
    return [
        _member(name, recipe_of(run.settings, run.spec), run.load_technique(), spec)
        for name, run in zip(_names(runs), runs, strict=True)
    ]


def _runs(options: EnsembleOptions) -> list[Run]:
    if len(options.members) < 2:
        raise UsageError(
            f"--members: an ensemble has at least two members, got {len(options.members)}.",
            "--members RUN,RUN,… takes paths and names; `dlkit runs` lists them.",
        )
    return [open_run(member) for member in options.members]


def _names(runs: list[Run]) -> Iterator[str]:
    """Unique names: a run's own, with its technique where two are called alike, with a number where that is no help."""
    for number, run in enumerate(runs, 1):
        alike = [other for other in runs if other.name == run.name]
        same = [other for other in alike if other.technique == run.technique]
        name = run.name if len(alike) == 1 else f"{run.technique}/{run.name}"
        yield name if len(same) == 1 else f"{name} ({number})"


def _check(run: Run, spec: DataSpec) -> None:
    """The member takes images as the data gives them, and says the same things about them."""
    differ = [key for key in _FORM if getattr(run.spec, key) != getattr(spec, key)]
    if differ:
        theirs, ours = (", ".join(f"{key} {getattr(each, key)}" for key in differ) for each in (run.spec, spec))
        raise UsageError(
            f"The member {run.name} takes images of another form: {theirs}; the ensemble's have {ours}.",
            "Members must share one form: train them with the same --image-size, --channels and --resize, and give "
            "these here where they are not the first member's own.",
        )
    if (run.spec.target, set(run.spec.classes)) != (spec.target, set(spec.classes)):
        theirs, ours = (
            f"{each.target}: {', '.join(each.classes[:8])}{', …' if len(each.classes) > 8 else ''}"
            for each in (run.spec, spec)
        )
        raise UsageError(
            f"The member {run.name} predicts others than the data has ({theirs}; the data {ours}).",
            f"Give the data of the members with --data; {run.name} learned from {run.spec.source!r}.",
        )


def finely_different(member: Member, spec: DataSpec) -> str:
    """In words, where the member's images were cropped or resized otherwise than these; empty where they were not."""
    return ", ".join(f"{key} {getattr(member.spec, key)}" for key in _FINE
                     if getattr(member.spec, key) != getattr(spec, key))  # fmt: skip


def _member(name: str, recipe: Mapping[str, Any], technique: Technique[Any], spec: DataSpec) -> Member:
    own = DataSpec.from_json(recipe["spec"])
    kinds = list(technique.outputs().values())
    wanted = OUTPUT_KINDS[spec.target]
    if wanted not in kinds:
        raise UsageError(
            f"The member {name} ({recipe['technique']}) gives {', '.join(kinds)}, but no {wanted} to average.",
            "Members must classify: `dlkit info TECHNIQUE` says what a technique can do.",
        )
    order = tuple(own.classes.index(each) for each in spec.classes)
    return Member(name, recipe, technique, own, kinds.index(wanted), order)


def states(members: list[Member]) -> State:
    """All members' states as one; the tensors of member i begin with ``members.i.``."""
    tensors, plain = {}, []
    for number, member in enumerate(members):
        state = member.technique.state()
        tensors.update({f"members.{number}.{name}": tensor for name, tensor in state.tensors.items()})
        plain.append({"name": member.name, "recipe": dict(member.recipe), "plain": dict(state.plain)})
    return State(tensors, {"members": plain})


def restored(state: State, spec: DataSpec) -> list[Member]:
    """The inverse of :func:`states`.

    Raises:
        UsageError: a member's technique is not installed, or does not know an option any more.
    """
    members = []
    for number, kept in enumerate(state.plain["members"]):
        prefix = f"members.{number}."
        tensors = {name.removeprefix(prefix): t for name, t in state.tensors.items() if name.startswith(prefix)}
        card = registry().technique(kept["recipe"]["technique"])
        options = resolve(card, config=kept["recipe"]["options"]).options
        own = DataSpec.from_json(kept["recipe"]["spec"])
        technique = card.load().load(State(tensors, kept["plain"]), options, own)
        members.append(_member(kept["name"], kept["recipe"], technique, spec))
    return members
