"""`dlkit augment`: enlarge a data set on disk, or see what augmenters do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from dlkit.cli.data_command import _complete_data, _flag
from dlkit.cli.shared import RUNS, make_display, opened, output_flags
from dlkit.errors import UsageError
from dlkit.files import free_file, new_file, user_path
from dlkit.options.coerce import coerce
from dlkit.options.core import DataOptions
from dlkit.options.declare import options_of

if TYPE_CHECKING:
    from dlkit.augment import Policy
    from dlkit.display import Display
    from dlkit.enlarge import Copying, Material, Wanted
    from dlkit.runtime import Runtime

_TAKEN = (
    "label", "target", "image_size", "channels", "resize", "val_fraction", "test_fraction", "split_seed",
    "on_bad_image",
)  # fmt: skip
_OPTIONS = {option.name: option for option in options_of(DataOptions) if option.name in _TAKEN}
_FLAGS = {"what": "DATA", "policy": "--augment", "generator": "--from", "count": "-n"}
"""Of parameters that are not named after theirs."""
_COPIES = 5


@click.command("augment")
@click.argument("what", required=False, metavar="[DATA]", shell_complete=_complete_data)
@click.option("--augment", "policy", metavar="POLICY|FILE", help='How copies are made: "rotate:15 flip", trivial, or a '
              "TOML file; `dlkit list augmenters` shows them all.")  # fmt: skip
@click.option("--copies", type=click.IntRange(min=1), metavar="N",
              help=f"Augmented copies of each training image.  [default: {_COPIES}]")  # fmt: skip
@click.option("--masks", metavar="FOLDER", help="Masks of the images, by the same names: grey, palette or 1-bit files "
              "that are transformed along.")  # fmt: skip
@click.option("--from", "generator", metavar="RUN", help="Add images that this run generates.")
@click.option("--per-class", type=click.IntRange(min=1), metavar="N", help="So many generated images of each class.")
@click.option("-n", "--count", "count", type=click.IntRange(min=1), metavar="N",
              help="So many generated images altogether, with the labels that the run gives, or none.")  # fmt: skip
@click.option("--truncation", type=click.FloatRange(min=0, min_open=True), metavar="T",
              help="Of generated images, as `dlkit generate` takes it.")  # fmt: skip
@click.option("--out", metavar="DIR", help="The folder of the enlarged data set, new or begun by the same command; or "
              "the .png file of a picture.")  # fmt: skip
@click.option("--preview", is_flag=True, help="Draw some images and their copies instead, as preview.png.")
@click.option("--gallery", is_flag=True, help="Draw every augmenter at five strengths instead, as gallery.png.")
@click.option("--image", metavar="FILE", help="The image of the gallery; by default a photograph.")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Of all draws.  [default: 0, or the run's own]")
@click.option("--device", default="auto", show_default=True, metavar="DEVICE", help="auto, cpu, cuda, cuda:1, mps.")
@RUNS
@output_flags
def augment(quiet: bool, as_json: bool, **given: Any) -> None:
    """Enlarge the data set DATA on disk: augmented copies of its training images, and images that a run generates.

    Classes and splits are kept, val and test images stay as they are, and nothing of DATA is changed. The folder is
    data that --data takes; its manifest.csv says of every file what it was made of, how, and with which seed.
    """
    asked = _Asked(data={name: given.pop(name) for name in _OPTIONS}, **given)
    do = _gallery if asked.gallery else _preview if asked.preview else _enlarge
    do(asked, make_display(quiet, as_json))


augment.params.extend(_flag(option) for option in _OPTIONS.values())


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What the command line says: None where it says nothing; ``data`` are the options of DATA, as they are written."""

    what: str | None
    policy: str | None
    copies: int | None
    masks: str | None
    generator: str | None
    per_class: int | None
    count: int | None
    truncation: float | None
    out: str | None
    preview: bool
    gallery: bool
    image: str | None
    seed: int | None
    device: str
    runs: str
    data: Mapping[str, str | None]

    def refuse(self, message: str, *names: str) -> None:
        """Refuse what has no meaning here, where it is given; ``message`` has a place for the flag."""
        values = {**vars(self), **self.data}
        for name in names:
            if values[name] not in (None, False):
                raise UsageError(message.format(_FLAGS.get(name, "--" + name.replace("_", "-"))))

    def check(self) -> None:
        """What fits together, before anything is loaded."""
        self.refuse("{} is for --gallery.", "image")
        if self.what is None:
            raise UsageError("There is no DATA to enlarge.", 'For example: dlkit augment digits --augment "rotate:10" '
                             "--out larger, or dlkit augment --gallery.")  # fmt: skip
        if self.masks is not None:
            self.refuse("--masks: {} cannot be given with it; generated images have no masks, and masks keep their "
                        "size.", "image_size", "generator")  # fmt: skip
        if self.policy is None:
            self.refuse("{}: nothing says how copies are made; add --augment.", "copies", "masks")
            if self.preview or self.generator is None:
                raise UsageError(
                    "Nothing says what is to be added.",
                    'Give --augment "rotate:10 translate:0.1", or --from RUN --per-class 100.',
                )
        if self.generator is None:
            self.refuse("{} is about generated images; add --from RUN.", "per_class", "count", "truncation")
        elif (self.per_class is None) == (self.count is None):
            raise UsageError("--from: there must be either --per-class N or -n N.",
                             "--per-class 100 adds 100 images of each class.")  # fmt: skip

    def runtime(self, display: Display) -> Runtime:
        """Of the device and the seed."""
        from dlkit.options.core import RuntimeOptions
        from dlkit.runtime import Runtime

        return Runtime(RuntimeOptions(seed=self.seed or 0, device=self.device), display)

    def material(self, display: Display) -> Material:
        """The data."""
        from dlkit.enlarge import Material

        given = {name: text for name, text in self.data.items() if text is not None}
        values: dict[str, Any] = {
            name: coerce(_OPTIONS[name], text, _OPTIONS[name].flag) for name, text in given.items()
        }
        material = Material(DataOptions(data=str(self.what), **values), display)
        for notice in material.listing.notices:
            display.warn(notice)
        return material


def _gallery(asked: _Asked, display: Display) -> None:
    asked.refuse("--gallery draws all augmenters on one image (--image); {} has no meaning there.", "policy", "copies",
                 "masks", "preview", "what", "per_class", "count", "truncation", "generator", *_OPTIONS)  # fmt: skip
    target = free_file("gallery.png") if asked.out is None else new_file(asked.out, ".png")
    from dlkit.enlarge.sheets import gallery, gallery_images, write_sheet

    one, other = gallery_images(None if asked.image is None else user_path(asked.image))
    figure, left_out = gallery(one, other, asked.runtime(display))
    write_sheet(figure, target)
    display.text(f"Wrote {target}")
    if left_out:
        display.info(f"Not on it, since they need masks or files: {', '.join(left_out)}")
    display.result({"gallery": target, "left_out": left_out})


def _preview(asked: _Asked, display: Display) -> None:
    asked.refuse("--preview draws augmented copies; {} has no meaning there. What a run generates: dlkit generate RUN.",
                 "generator")  # fmt: skip
    asked.check()
    policy = _policy(asked)
    target = free_file("preview.png") if asked.out is None else new_file(asked.out, ".png")
    from dlkit.enlarge.sheets import preview, write_sheet

    material = asked.material(display)
    write_sheet(preview(material, _copying(asked, policy, material, asked.runtime(display))), target)
    display.text(f"Wrote {target}")
    display.result({"preview": target})


def _enlarge(asked: _Asked, display: Display) -> None:
    asked.check()
    if asked.out is None:
        raise UsageError("Nothing says where the enlarged data set goes.", "Add --out DIR, a new folder.")
    policy = None if asked.policy is None else _policy(asked)
    from dlkit.enlarge import enlarge

    material, runtime = asked.material(display), asked.runtime(display)
    copying = None if policy is None else _copying(asked, policy, material, runtime)
    wanted = None if asked.generator is None else _wanted(asked, asked.generator, material, display)
    _show(enlarge(material, user_path(asked.out), runtime, display, copying, wanted), display)


def _policy(asked: _Asked) -> Policy:
    from dlkit.augment import Policy

    try:
        return Policy.parse(str(asked.policy))
    except ValueError as error:
        raise UsageError(f"--augment: {error}", "`dlkit list augmenters` shows what there is.") from None


def _copying(asked: _Asked, policy: Policy, material: Material, runtime: Runtime) -> Copying:
    from dlkit.enlarge import Copying
    from dlkit.enlarge.masks import Masks

    masks = None if asked.masks is None else Masks(user_path(asked.masks), material)
    return Copying(policy, asked.copies or _COPIES, material.train, runtime, masks)


def _wanted(asked: _Asked, generator: str, material: Material, display: Display) -> Wanted:
    from dlkit.enlarge.generating import Wanted, warnings

    run = opened(generator, asked.runs)
    seed = run.settings.runtime.seed if asked.seed is None else asked.seed
    wanted = Wanted(run, asked.per_class, asked.count, asked.truncation, seed)
    for warning in warnings(wanted, material):
        display.warn(warning)
    return wanted


def _show(told: dict[str, Any], display: Display) -> None:
    added = [f"{told[kind]:,} {kind}" for kind in ("augmented", "generated") if told[kind]]
    done = "Everything is there already, in" if told["was_complete"] else "Wrote"
    display.text(f"{done} {told['folder']}: {told['original']:,} images as they were, {' and '.join(added)}")
    counts = ", ".join(f"{name} {count:,}" for name, count in told["counts"].items() if count)
    display.text(f"Now {counts}. Manifest: {told['manifest']}" + (f", masks: {told['masks']}" if told["masks"] else ""))
    for line in told["skipped"]:
        display.warn(f"skipped {line}")
    columns = "" if told["labels"] == ["label"] else f" --label {','.join(told['labels'])}"
    display.text(f"Use it: dlkit train classifier --data {told['folder']}{columns}")
    display.result(told)
