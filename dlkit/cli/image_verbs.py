"""Verbs that make images from a run: decode, generate, morph, grid."""

from __future__ import annotations

import click

from dlkit.cli.shared import DEVICE, make_display, make_runtime, opened, output_flags, run_argument
from dlkit.errors import UsageError
from dlkit.files import new_file, new_folder, user_path

WITH = click.option("--with", "wanted", multiple=True, metavar="NAME=VALUE", help="With this label (1; 0: without) or "
                    "this number; of techniques that were told such. Again for several.")  # fmt: skip


@click.command("decode")
@run_argument
@click.argument("codes", required=False, metavar="[CODES.npz]")
@click.option("--code", "typed", multiple=True, metavar="Z1,Z2,…", help="A code, typed; may be given several times.")
@click.option("--class", "class_", metavar="NAME", help="What to make, by its name or number; of techniques that make "
              "images of latents and were told the classes.")  # fmt: skip
@WITH
@click.option("--out", metavar="DIR|FILE.png", help="A new folder for the images; with --code also a .png file, a "
              "sheet where there are several. By default in the run's folder decoded/.")  # fmt: skip
@DEVICE
@output_flags
def decode(
    run: str,
    runs: str,
    codes: str | None,
    typed: tuple[str, ...],
    class_: str | None,
    wanted: tuple[str, ...],
    out: str | None,
    device: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Turn codes into images with RUN: those of a file that `dlkit encode` wrote, or typed ones."""
    if (codes is None) == (not typed):
        raise UsageError("There must be either CODES.npz or --code.", "For example: dlkit decode latest --code 20,20")
    one_file = bool(typed) and out is not None and out.lower().endswith(".png")
    target = None if out is None else new_file(out, ".png") if one_file else new_folder(out)
    from torch import from_numpy

    from dlkit.asking import class_of, labels_for, values_of
    from dlkit.codes import read_codes
    from dlkit.decoding import Decoder, typed_codes, write_images, write_picture

    found = None if codes is None else read_codes(user_path(codes))
    values = typed_codes(typed) if found is None else from_numpy(found.values)
    display = make_display(quiet, as_json)
    opened_run = opened(run, runs)
    label = None if class_ is None else class_of(opened_run, class_)
    labels = labels_for(opened_run, found, label, values_of(opened_run, _pairs(wanted)))
    decoder = Decoder(opened_run, display, make_runtime(opened_run, device, display), labels=labels)
    if one_file and target is not None:
        write_picture(decoder.images(values), typed, target)
        told: dict[str, object] = {"picture": target, "images": len(values)}
        display.text(f"Wrote {target}")
    else:
        names = [f"code-{number:02d}" for number, _ in enumerate(typed, 1)] if found is None else found.names
        told = write_images(decoder, values, names, target)
        display.text(f"Wrote {told['images']:,} images to {told['folder']}")
    display.result({"run": opened_run.path, **told})


@click.command("generate")
@run_argument
@click.option("-n", "--count", "count", type=click.IntRange(min=1), default=64, show_default=True, metavar="N",
              help="How many images.")  # fmt: skip
@click.option("--class", "class_", metavar="NAME", help="Of this class, by its name or number; of techniques that "
              "were told the classes.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Of the draws; by default the run's own.")
@WITH
@click.option("--truncation", type=click.FloatRange(min=0, min_open=True), metavar="T", help="No number of the noise "
              "beyond ±T (1.5 for instance): more typical images, more alike; of generators from noise.")  # fmt: skip
@click.option("--out", metavar="DIR", help="A new folder; by default in the run's folder generated/.")
@DEVICE
@output_flags
def generate(
    run: str,
    runs: str,
    count: int,
    class_: str | None,
    seed: int | None,
    wanted: tuple[str, ...],
    truncation: float | None,
    out: str | None,
    device: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make new images with RUN: as files, with a contact sheet and a manifest.

    The same seed gives the same images, and the first ten of 64 are those of -n 10.
    """
    folder = None if out is None else new_folder(out)
    from dlkit.asking import class_of, values_of
    from dlkit.generation import Generating, write_generated

    display = make_display(quiet, as_json)
    opened_run = opened(run, runs)
    runtime = make_runtime(opened_run, device, display, seed)
    values = values_of(opened_run, _pairs(wanted))
    label = None if class_ is None else class_of(opened_run, class_)
    generating = Generating(opened_run, display, runtime, truncation=truncation, values=values)
    told = write_generated(generating, count, label, folder)
    display.text(f"Wrote {told['images']:,} images to {told['folder']}")
    display.text(f"Sheet: {told['sheet']}")
    display.result({"run": opened_run.path, **told})


def _pairs(texts: tuple[str, ...]) -> dict[str, str]:
    """``smiling=1`` and so on."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        if not equals:
            raise UsageError(f"--with {text!r} is not NAME=VALUE.", "For example: --with smiling=1")
        if name in found:
            raise UsageError(f"--with {name}={found[name]} and {text}: which one?", "Name it once.")
        found[name] = value
    return found


@click.command("morph")
@run_argument
@click.argument("start", metavar="A")
@click.argument("end", metavar="B")
@click.option("--path", "kind", type=click.Choice(("linear", "spherical", "both")), default="both", show_default=True,
              help="Straight through the codes, or along a sphere.")  # fmt: skip
@click.option("--steps", type=click.IntRange(2, 500), default=12, show_default=True, metavar="N",
              help="Images of a path, both ends included.")  # fmt: skip
@click.option("--class", "class_", metavar="NAME", help="Of generated images, by its name or number; by default that "
              "of A.")  # fmt: skip
@WITH
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Of generated images; by default the run's own.")
@click.option("--out", metavar="DIR", help="A new folder; by default in the run's folder morphs/.")
@DEVICE
@output_flags
def morph(
    run: str,
    runs: str,
    start: str,
    end: str,
    kind: str,
    steps: int,
    class_: str | None,
    wanted: tuple[str, ...],
    seed: int | None,
    out: str | None,
    device: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Turn image A into image B through the codes of RUN: as a strip, and as a GIF for each path.

    A and B are image files; with a technique that makes images of noise, the numbers of two images of `dlkit generate`.
    """
    folder = None if out is None else new_folder(out)
    from dlkit.asking import class_of, values_of
    from dlkit.capabilities import capabilities_of
    from dlkit.morphing import PATHS, between_draws, between_images

    display = make_display(quiet, as_json)
    opened_run = opened(run, runs)
    runtime = make_runtime(opened_run, device, display, seed)
    if "draw" in capabilities_of(opened_run) and start.isdecimal() and end.isdecimal():
        label = None if class_ is None else class_of(opened_run, class_)
        ends = int(start), int(end)
        values = values_of(opened_run, _pairs(wanted))
        between = between_draws(opened_run, ends, steps, display, runtime, label=label, values=values)
    elif class_ is not None or wanted or seed is not None:
        raise UsageError("--class, --with and --seed are about generated images; A and B are image files.")
    else:
        between = between_images(opened_run, [user_path(start), user_path(end)], steps, display, runtime)
    told = between.write(PATHS if kind == "both" else [kind], folder)
    display.text(f"The codes are {told['distance']:.3g} apart, at an angle of {told['angle']:.0f}°.")
    display.text("\n".join(f"Wrote {path}" for path in (told["strip"], *told["gifs"])))
    display.result({"run": opened_run.path, "a": start, "b": end, **told})


@click.command("grid")
@run_argument
@click.option("--range", "span", metavar="LOW,HIGH[,LOW,HIGH]", help="Of the units, or of a plane's first and second "
              "unit; by default where the training images' codes are.")  # fmt: skip
@click.option("--size", type=click.IntRange(2, 100), metavar="N", help="Images in a row; by default 20 in a plane, 11 "
              "in a traversal, 10 of a class, 8 between corners.")  # fmt: skip
@click.option("--units", type=click.IntRange(1, 64), default=8, show_default=True, metavar="N",
              help="How many units of a larger code are traversed, the most variable first.")  # fmt: skip
@click.option("--image", metavar="FILE", help="The image around which they vary; by default a held-out one.")
@click.option("--class", "class_", metavar="NAME", help="Between four images of this class, by its name or number.")
@WITH
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Of generated images; by default the run's own.")
@click.option("--out", metavar="FILE.png", help="The picture; by default in the run's folder grids/.")
@DEVICE
@output_flags
def grid(
    run: str,
    runs: str,
    span: str | None,
    size: int | None,
    units: int,
    image: str | None,
    class_: str | None,
    wanted: tuple[str, ...],
    seed: int | None,
    out: str | None,
    device: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Draw what the codes of RUN stand for.

    A code of two units: the plane of decoded images. A larger code: each unit varied around an image. Without codes:
    generated images of each class, or what lies between four generated images.
    """
    target = None if out is None else new_file(out, ".png")
    from dlkit.asking import class_of, values_of
    from dlkit.grids import Grid, parse_ranges

    display = make_display(quiet, as_json)
    opened_run = opened(run, runs)
    made = Grid(
        opened_run,
        display,
        make_runtime(opened_run, device, display, seed),
        size=size,
        ranges=None if span is None else parse_ranges(span),
        units=units,
        image=None if image is None else user_path(image),
        label=None if class_ is None else class_of(opened_run, class_),
        values=values_of(opened_run, _pairs(wanted)),
    )
    told = made.write(target)
    display.text(f"Wrote {told['picture']}")
    display.result({"run": opened_run.path, **told})
