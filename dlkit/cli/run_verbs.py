"""Verbs on a run: resume, encode, export, report. Nothing needs to be typed again."""

from __future__ import annotations

import math

import click

from dlkit.cli.shared import DEVICE, make_display, make_runtime, opened, output_flags, run_argument, show_run
from dlkit.files import new_file, user_path


@click.command("resume")
@run_argument
@click.option("--epochs", metavar="TOTAL", help="Train until this many epochs, also beyond what was planned.")
@click.option("--schedule", metavar="NAME[:X]", help="State the schedule anew; its horizon is then the new TOTAL.")
@click.option("--patience", metavar="N", help="Another patience, or none.")
@click.option("--max-time", metavar="TIME", help="Another limit on the training time, or none.")
@click.option("--budget", metavar="TIME", help="Another budget of what searches, such as augment-search, in all.")
@click.option("--devices", metavar="N", help="Another number of processes on this machine.")
@click.option("--nodes", metavar="N", help="Another number of machines.")
@click.option("--rendezvous", metavar="HOST:PORT", help="Where the machines' processes find one another now.")
@output_flags
def resume(
    run: str,
    runs: str,
    epochs: str | None,
    schedule: str | None,
    patience: str | None,
    max_time: str | None,
    budget: str | None,
    devices: str | None,
    nodes: str | None,
    rendezvous: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Go on with RUN where it stopped; the result is the same as if it had not.

    A finished run is trained further with --epochs TOTAL. A schedule whose horizon is the planned end (sqrt, cosine,
    one-cycle) keeps its old horizon unless --schedule states it anew.
    """
    from dlkit import session

    given = {"epochs": epochs, "schedule": schedule, "patience": patience, "max_time": max_time,
             "budget": budget, "devices": devices, "nodes": nodes, "rendezvous": rendezvous}  # fmt: skip
    display = make_display(quiet, as_json)
    changes = {name: value for name, value in given.items() if value is not None}
    show_run(session.resume(opened(run, runs), display, changes=changes), display)


@click.command("encode")
@run_argument
@click.option("--data", metavar="NAME|PATH", help="What to encode; by default the run's own data, all splits.")
@click.option("--out", metavar="FILE", default="codes.npz", show_default=True, help="The .npz file to write.")
@click.option("--bits", type=click.IntRange(1, 16), metavar="B", help="Keep each unit in B bits (1 to 16), packed.")
@DEVICE
@output_flags
def encode(
    run: str,
    runs: str,
    data: str | None,
    out: str,
    bits: int | None,
    device: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Turn images into codes with RUN and write them as .npz.

    The file holds codes (N, Z), split and, where there are any, labels, classes and files. `dlkit decode` reads it.
    """
    from dlkit.codes import write_codes

    display = make_display(quiet, as_json)
    target = new_file(out, ".npz")
    opened_run = opened(run, runs)
    runtime = make_runtime(opened_run, device, display)
    summary = write_codes(opened_run, target, display, data=data, runtime=runtime, bits=bits)
    display.text(f"Wrote {summary['images']:,} codes of {summary['size']} units to {summary['path']}")
    if bits is not None:
        display.text(
            f"{summary['bytes_per_image']:,} bytes per image ({summary['stored_bytes_per_image']:.1f} in the file); "
            f"{4 * summary['size']:,} as float32; the image itself has {math.prod(opened_run.spec.shape):,} values"
        )
        if summary["outside"]:
            display.text(
                f"{summary['outside']:.2%} of the numbers lie beyond what the training images span; "
                "the nearest level stands for them"
            )
    display.result(summary)


@click.command("export")
@run_argument
@click.option("--format", "format_name", metavar="FORMAT",
              help="one of `dlkit list exporters`, such as onnx; by default as the suffix of --out says, "
                   "else onnx.")  # fmt: skip
@click.option("--out", metavar="FILE", help="The file to write; by default in the run's folder exports/.")
@click.option("--part", metavar="PART", help="model (images in) or another part that the technique has, such as the "
              "generator of a gan, which is its default.")  # fmt: skip
@click.option("--data", metavar="NAME|PATH", help="Images for the check, where the run's own data is not at hand.")
@click.option("--overwrite", is_flag=True, help="Replace the file where it exists.")
@output_flags
def export(
    run: str,
    runs: str,
    format_name: str | None,
    out: str | None,
    part: str | None,
    data: str | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Export the model of RUN, reload the file and compare it with the model on real images.

    Where they differ by more than 1e-4 nothing is kept and the exit code is 4.
    """
    from dlkit.export import export_run
    from dlkit.export.texts import export_text

    display = make_display(quiet, as_json)
    target = None if out is None else user_path(out)
    opened_run = opened(run, runs)
    text = export_text(opened_run, target, format=format_name, part=part, overwrite=overwrite)
    if text is not None:
        display.text(f"Wrote {text}")
        display.result({"path": text})
        return
    done = export_run(opened_run, format_name, target, display=display, part=part, data=data, overwrite=overwrite)
    compared = "images it differs from the model" if done.part == "model" else "draws it differs, beyond rounding,"
    display.text(
        f"Wrote {done.path} ({done.size:,} bytes); on {done.images:,} {compared} by at most {done.difference:.1e}"
    )
    if done.edges:
        display.text(f"{done.edges} of the images lie on an edge, where rounding decides which way the model goes.")
    display.result(done)


@click.command("report")
@run_argument
@output_flags
def report(run: str, runs: str, quiet: bool, as_json: bool) -> None:
    """Write the report of RUN again, from the files in its directory, and print its path."""
    from dlkit.report import write_report

    display = make_display(quiet, as_json)
    path = write_report(opened(run, runs).path)
    display.text(str(path))
    display.result({"report": path})
