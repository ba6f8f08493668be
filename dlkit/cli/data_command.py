"""`dlkit data`: look at data before training on it."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from dlkit.cli.shared import make_display, output_flags
from dlkit.discovery import registry
from dlkit.files import new_file
from dlkit.options.coerce import coerce, metavar, to_text
from dlkit.options.core import DataOptions
from dlkit.options.declare import Option, options_of

# The others do not change what there is to see: bad images are always listed, mean and std always computed.
_TAKEN = (
    "label", "target", "labels", "image_size", "channels", "resize", "val_fraction", "test_fraction", "split_seed"
)  # fmt: skip
_OPTIONS = {option.name: option for option in options_of(DataOptions) if option.name in _TAKEN}


def _complete_data(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    names = [CompletionItem(name) for name in registry().listed("datasets") if name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="file")]


def _flag(option: Option) -> click.Option:
    default = "" if option.default in (None, ()) else f"  [default: {to_text(option, option.default)}]"
    return click.Option([option.flag, option.name], metavar=metavar(option), help=option.help + default)


@click.command("data")
@click.argument("what", metavar="WHAT", shell_complete=_complete_data)
@click.option("--picture", metavar="FILE", help="Write a grid of sample images to this new PNG file.")
@output_flags
def data(what: str, picture: str | None, quiet: bool, as_json: bool, **raw: str | None) -> None:
    """Look at the data WHAT: counts, classes, sizes, mean and std, bad files, duplicates.

    WHAT is a data set's name, a folder, a CSV manifest, an .npz archive or IDX files, as --data takes it.
    """
    values: dict[str, Any] = {
        name: coerce(_OPTIONS[name], text, _OPTIONS[name].flag) for name, text in raw.items() if text is not None
    }
    target = None if picture is None else new_file(picture, ".png", "--picture")
    options = DataOptions(data=what, normalize="channel", on_bad_image="skip", in_memory="no", **values)
    from dlkit.data import describe, load_data

    display = make_display(quiet, as_json)
    loaded = load_data(options, progress=display)
    found = describe.facts(loaded)
    describe.show(found, display)
    if target is not None:
        describe.write_samples(loaded, target)
        display.text(f"Samples: {target}")
    elif not as_json:
        display.info("--picture FILE.png writes a grid of samples.")
    display.result(found | {"picture": target})


data.params.extend(_flag(option) for option in _OPTIONS.values())
