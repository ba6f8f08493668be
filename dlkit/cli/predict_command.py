"""`dlkit predict`: use a run or an exported ONNX file on images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from dlkit.cli.evaluate_command import parsed_policy, views_flags
from dlkit.cli.shared import DEVICE, make_display, opened, output_flags, run_argument
from dlkit.errors import UsageError
from dlkit.files import user_path
from dlkit.predict.plan import FORMATS

if TYPE_CHECKING:
    from dlkit.augment import Policy
    from dlkit.predict import Predictor

_NOT_MODELS = {
    ".pt2": "loading a torch.export program can execute code that its maker put there",
    ".pt": "loading a pickle executes what its maker put there",
    ".pth": "loading a pickle executes what its maker put there",
    ".ckpt": "loading a pickle executes what its maker put there",
    ".pkl": "loading a pickle executes what its maker put there",
    ".safetensors": "it holds weights alone, no model",
}


@click.command("predict")
@run_argument
@click.argument("images", nargs=-1, required=True, metavar="IMAGES...")
@click.option("--out", metavar="DIR|FILE", help="Where to write; tables go to standard output without it.")
@click.option("--format", "format_name", type=click.Choice(FORMATS),
              help="By default by the suffix of --out, else PNG for images and CSV for anything else.")  # fmt: skip
@click.option("--top-k", type=click.IntRange(min=1), default=5, show_default=True, metavar="N",
              help="How many of the most probable classes are named.")  # fmt: skip
@click.option("--on-bad-image", type=click.Choice(["stop", "skip"]), default="stop", show_default=True,
              help="An image that cannot be read is an error, or is left out and reported.")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, metavar="N",
              help="Images at once.")  # fmt: skip
@views_flags
@DEVICE
@output_flags
def predict(
    run: str,
    runs: str,
    images: tuple[str, ...],
    out: str | None,
    format_name: str | None,
    top_k: int,
    on_bad_image: Literal["stop", "skip"],
    batch_size: int,
    tta: bool,
    views: int | None,
    policy: str | None,
    device: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Predict for IMAGES with RUN, or with a MODEL.onnx that `dlkit export` wrote.

    IMAGES are files, folders, or - for a list of them on standard input (one a line, or separated by NUL).
    What is written depends on what the model yields: images as PNG files in --out DIR, class probabilities and codes
    as a table.
    """
    from dlkit.data.decode import EXTENSIONS
    from dlkit.predict import collect_images
    from dlkit.predict import predict as predict_images
    from dlkit.runtime.signals import interruptible

    if as_json and out is None:
        if format_name not in (None, "json"):
            raise UsageError(f"--json prints JSON; --format {format_name} needs --out.", "Leave out one of them.")
        format_name = "json"  # the table itself is then the one document
    parsed = parsed_policy(policy, views, tta=tta)
    display = make_display(quiet, as_json)
    with interruptible():
        paths = collect_images(images, sys.stdin.buffer, EXTENSIONS)
        predictor = open_predictor(run, runs, device)
        summary = predict_images(
            viewing(predictor, run, runs, parsed, views) if tta else predictor,
            paths,
            out=None if out is None else user_path(out),
            format=format_name,
            top_k=top_k,
            on_bad_image=on_bad_image,
            batch_size=batch_size,
            display=display,
        )
    for bad in summary["skipped"]:
        display.warn(f"skipped {bad['file']}: {bad['reason']}")
    if out is not None:
        display.text(f"Wrote predictions for {summary['images']:,} images to {summary['out']}")
        display.result(summary)


def viewing(predictor: Predictor, reference: str, runs: str, policy: Policy | None, views: int | None) -> Predictor:
    """The predictor, averaging over augmented views (heavy).

    Raises:
        UsageError: it does not predict, or the policy makes no views.
    """
    from dlkit.augment import Policy
    from dlkit.views import DEFAULT, VIEWS, ViewingPredictor, Views, default_policy

    if policy is None:
        is_file = Path(reference).suffix.lower() == ".onnx"
        policy = Policy.parse(DEFAULT) if is_file else default_policy(opened(reference, runs))
    return ViewingPredictor(predictor, Views(policy, predictor.spec, views or VIEWS))


def open_predictor(reference: str, runs: str, device: str | None) -> Predictor:
    """The predictor that RUN names: an ``.onnx`` file, else a run (heavy).

    Raises:
        UsageError: a file that predictions cannot be made from, a device that ONNX files are not run on, no such run.
        DataError: a broken or foreign ONNX file, a run without a model.
    """
    path = user_path(reference)
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        return _onnx(path, device)
    if suffix in _NOT_MODELS and not path.is_dir():
        raise UsageError(
            f"No predictions from {reference!r}: {_NOT_MODELS[suffix]}.",
            "Use the run, or `dlkit export RUN --format onnx`.",
        )
    from dlkit.predict import TechniquePredictor
    from dlkit.runtime.device import resolve_device

    run = opened(reference, runs)
    # The device is a matter of where it runs now; the precision is always float32, as in the export.
    where = resolve_device(device or run.settings.runtime.device)
    return TechniquePredictor(run.load_technique(), run.spec, where)


def _onnx(path: Path, device: str | None) -> Predictor:
    if device not in (None, "auto", "cpu"):
        raise UsageError(f"--device {device}: ONNX files are run on the CPU.", "Use the run itself on a GPU.")
    from dlkit.predict import OnnxPredictor

    return OnnxPredictor(path)
