"""Verbs that make images from a run: decode, generate, morph, grid."""

from __future__ import annotations

import click

from dlkit.cli.shared import DEVICE, make_display, make_runtime, opened, output_flags, run_argument
from dlkit.errors import UsageError
from dlkit.files import new_file, new_folder, user_path


@click.command("decode")
@run_argument
@click.argument("codes", required=False, metavar="[CODES.npz]")
@click.option("--code", "typed", multiple=True, metavar="Z1,Z2,…", help="A code, typed; may be given several times.")
@click.option("--out", metavar="DIR|FILE.png", help="A new folder for the images; with --code also a .png file, a "
              "sheet where there are several. By default in the run's folder decoded/.")  # fmt: skip
@DEVICE
@output_flags
def decode(
    run: str,
    runs: str,
    codes: str | None,
    typed: tuple[str, ...],
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

    from dlkit.codes import read_codes
    from dlkit.decoding import Decoder, typed_codes, write_images, write_picture

    found = None if codes is None else read_codes(user_path(codes))
    values = typed_codes(typed) if found is None else from_numpy(found.values)
    display = make_display(quiet, as_json)
    opened_run = opened(run, runs)
    decoder = Decoder(opened_run, display, make_runtime(opened_run, device, display))
    if one_file and target is not None:
        write_picture(decoder.images(values), typed, target)
        told: dict[str, object] = {"picture": target, "images": len(values)}
        display.text(f"Wrote {target}")
    else:
        names = [f"code-{number:02d}" for number, _ in enumerate(typed, 1)] if found is None else found.names
        told = write_images(decoder, values, names, target)
        display.text(f"Wrote {told['images']:,} images to {told['folder']}")
    display.result({"run": opened_run.path, **told})
