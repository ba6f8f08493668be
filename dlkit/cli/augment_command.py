"""`dlkit augment`: enlarge a data set on disk, or see what augmenters do."""

from __future__ import annotations

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
    from dlkit.enlarge.copying import Copying
    from dlkit.enlarge.material import Material
    from dlkit.runtime import Runtime

_TAKEN = (
    "label", "target", "image_size", "channels", "resize", "val_fraction", "test_fraction", "split_seed",
    "on_bad_image",
)  # fmt: skip
_OPTIONS = {option.name: option for option in options_of(DataOptions) if option.name in _TAKEN}
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
def augment(
    what: str | None,
    policy: str | None,
    copies: int | None,
    masks: str | None,
    generator: str | None,
    per_class: int | None,
    count: int | None,
    truncation: float | None,
    out: str | None,
    preview: bool,
    gallery: bool,
    image: str | None,
    seed: int | None,
    device: str,
    runs: str,
    quiet: bool,
    as_json: bool,
    **raw: str | None,
) -> None:
    """Enlarge the data set DATA on disk: augmented copies of its training images, and images that a run generates.

    Classes and splits are kept, val and test images stay as they are, and nothing of DATA is changed. The folder is
    data that --data takes; its manifest.csv says of every file what it was made of, how, and with which seed.
    """
    display = make_display(quiet, as_json)
    if gallery:
        _only("--gallery draws all augmenters on one image (--image); {} has no meaning there.", augment=policy,
              copies=copies, masks=masks, preview=preview or None, data=what, per_class=per_class, n=count,
              truncation=truncation, **{"from": generator, **raw})  # fmt: skip
        _draw_gallery(image, out, seed, device, display)
        return
    _only("{} is for --gallery.", image=image)
    if what is None:
        raise UsageError("There is no DATA to enlarge.", 'For example: dlkit augment digits --augment "rotate:10" '
                         "--out larger, or dlkit augment --gallery.")  # fmt: skip
    parsed = None if policy is None else _policy(policy)
    if masks is not None:
        _only("--masks: {} cannot be given with it; generated images have no masks, and masks keep their size.",
              image_size=raw["image_size"], **{"from": generator})  # fmt: skip
    _check(parsed, copies, masks, generator, per_class, count, truncation, preview=preview, out=out)
    values: dict[str, Any] = {
        name: coerce(_OPTIONS[name], text, _OPTIONS[name].flag) for name, text in raw.items() if text is not None
    }
    options = DataOptions(data=what, **values)
    from dlkit.enlarge.copying import Copying
    from dlkit.enlarge.masks import Masks
    from dlkit.enlarge.material import Material

    runtime = _runtime(seed, device, display)
    material = Material(options, display)
    for notice in material.listing.notices:
        display.warn(notice)
    known = None if masks is None else Masks(user_path(masks), material)
    copying = None if parsed is None else Copying(parsed, copies or _COPIES, material.train, runtime, known)
    if preview and copying is not None:
        _preview(material, copying, out, display)
        return
    from dlkit.enlarge import generating
    from dlkit.enlarge.enlarging import enlarge

    wanted = None
    if generator is not None:
        run = opened(generator, runs)
        own = run.settings.runtime.seed if seed is None else seed
        wanted = generating.Wanted(run, per_class, count, truncation, own)
        for warning in generating.warnings(wanted, material):
            display.warn(warning)
    _show(enlarge(material, user_path(str(out)), runtime, display, copying, wanted), display)


augment.params.extend(_flag(option) for option in _OPTIONS.values())


def _preview(material: Material, copying: Copying, out: str | None, display: Display) -> None:
    from dlkit.enlarge.sheets import preview, write_sheet

    target = free_file("preview.png") if out is None else new_file(out, ".png")
    write_sheet(preview(material, copying), target)
    display.text(f"Wrote {target}")
    display.result({"preview": target})


def _policy(text: str) -> Policy:
    from dlkit.augment import Policy

    try:
        return Policy.parse(text)
    except ValueError as error:
        raise UsageError(f"--augment: {error}", "`dlkit list augmenters` shows what there is.") from None


def _only(message: str, **given: object) -> None:
    """Refuse what has no meaning here; ``message`` has a place for the flag."""
    for name, value in given.items():
        if value is not None:
            flag = {"data": "DATA", "n": "-n"}.get(name, "--" + name.replace("_", "-"))
            raise UsageError(message.format(flag))


def _check(
    policy: Policy | None,
    copies: int | None,
    masks: str | None,
    generator: str | None,
    per_class: int | None,
    count: int | None,
    truncation: float | None,
    *,
    preview: bool,
    out: str | None,
) -> None:
    """What fits together, before anything is loaded."""
    if preview:
        _only("--preview draws augmented copies; {} has no meaning there. What a run generates: dlkit generate RUN.",
              **{"from": generator})  # fmt: skip
    if policy is None:
        _only("{}: nothing says how copies are made; add --augment.", copies=copies, masks=masks)
        if preview or generator is None:
            raise UsageError("Nothing says what is to be added.",
                             'Give --augment "rotate:10 translate:0.1", or --from RUN --per-class 100.')  # fmt: skip
    if generator is None:
        _only("{} is about generated images; add --from RUN.", per_class=per_class, n=count, truncation=truncation)
    elif (per_class is None) == (count is None):
        raise UsageError("--from: there must be either --per-class N or -n N.",
                         "--per-class 100 adds 100 images of each class.")  # fmt: skip
    if out is None and not preview:
        raise UsageError("Nothing says where the enlarged data set goes.", "Add --out DIR, a new folder.")


def _runtime(seed: int | None, device: str, display: Display) -> Runtime:
    from dlkit.options.core import RuntimeOptions
    from dlkit.runtime import Runtime

    return Runtime(RuntimeOptions(seed=seed or 0, device=device), display)


def _draw_gallery(image: str | None, out: str | None, seed: int | None, device: str, display: Display) -> None:
    target = free_file("gallery.png") if out is None else new_file(out, ".png")
    from dlkit.enlarge.sheets import gallery, gallery_images, write_sheet

    one, other = gallery_images(None if image is None else user_path(image))
    figure, left_out = gallery(one, other, _runtime(seed, device, display))
    write_sheet(figure, target)
    display.text(f"Wrote {target}")
    if left_out:
        display.info(f"Not on it, since they need masks or files: {', '.join(left_out)}")
    display.result({"gallery": target, "left_out": left_out})


def _show(told: dict[str, Any], display: Display) -> None:
    added = [f"{told[kind]:,} {kind}" for kind in ("augmented", "generated") if told[kind]]
    display.text(f"Wrote {told['folder']}: {told['original']:,} images as they were, {' and '.join(added)}")
    counts = ", ".join(f"{name} {count:,}" for name, count in told["counts"].items() if count)
    display.text(f"Now {counts}. Manifest: {told['manifest']}" + (f", masks: {told['masks']}" if told["masks"] else ""))
    for line in told["skipped"]:
        display.warn(f"skipped {line}")
    columns = "" if told["labels"] == ["label"] else f" --label {','.join(told['labels'])}"
    display.text(f"Use it: dlkit train classifier --data {told['folder']}{columns}")
    display.result(told)
