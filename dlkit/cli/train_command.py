"""`dlkit train NAME` and its short form `dlkit NAME`: flags from option declarations, values resolved elsewhere."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from dlkit.card import Card
from dlkit.discovery import registry
from dlkit.errors import UsageError
from dlkit.files import remove_left, write_new
from dlkit.options.coerce import bounds, metavar, to_text
from dlkit.options.declare import Option
from dlkit.settings import Settings, option_groups, resolve, technique_of

if TYPE_CHECKING:
    from dlkit.display import Display

_HELP_ALL = "dlkit.help_all"


class TrainGroup(click.Group):
    """``dlkit train``: one command for each technique, made when it is asked for."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """``dlkit train --config FILE``: the file names the technique, where the command line does not."""
        words = [word for arg in args for word in (arg.split("=", 1) if arg.startswith("--config=") else [arg])]
        config = next((b for a, b in pairwise(words) if a == "--config"), None)
        if config is not None and args[0].startswith("-"):
            args = [technique_of(Path(config), registry()).name, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The techniques' names."""
        return list(registry().techniques)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that technique, or None."""
        return technique_command(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with our error for a name that no technique has.

        Raises:
            UsageError: there is no such technique.
        """
        if not args[0].startswith("-"):
            registry().technique(args[0])
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The techniques and their summaries, from cards."""
        with formatter.section("Techniques"):
            formatter.write_dl([(name, entry.card.summary) for name, entry in registry().techniques.items()])


@click.group(cls=TrainGroup, invoke_without_command=True)
@click.pass_context
def train(ctx: click.Context) -> None:
    """Train a technique on images.

    `dlkit train NAME --help` shows a technique's options.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


class TechniqueCommand(click.Command):
    """Training of one technique; its help is grouped as the options are."""

    def __init__(self, card: Card) -> None:
        self.groups = [
            (heading, [(option, _parameters(option)) for option in options]) for heading, options in option_groups(card)
        ]
        self.own = _command_parameters(card)
        declared = [parameter for _, rows in self.groups for _, made in rows for parameter in made]
        super().__init__(
            name=card.name,
            callback=_callback(card),
            params=[*declared, *self.own],
            help=_help(card),
            short_help=card.summary,
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it, after giving flags that stand alone (``--denoise``) their value.

        Not with click's own ``flag_value``, which some of its versions (8.3.0, 8.3.1) do not apply.
        """
        bare = {option.flag: option.bare for _, rows in self.groups for option, _ in rows if option.bare is not None}
        end = args.index("--") if "--" in args else len(args)
        for place, flag in enumerate(args[:end]):
            if flag in bare and (place + 1 == len(args) or args[place + 1].startswith("-")):
                args[place] = f"{flag}={bare[flag]}"
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Sections by group; advanced options only with --help-all."""
        show_all = bool(ctx.meta.get(_HELP_ALL))
        hidden = 0
        for heading, rows in self.groups:
            shown = [made[0] for option, made in rows if show_all or not option.advanced]
            hidden += len(rows) - len(shown)
            _write_section(ctx, formatter, heading, shown)
        help_option = self.get_help_option(ctx)
        _write_section(ctx, formatter, "Command", [*self.own, *([help_option] if help_option else [])])
        if hidden:
            formatter.write_paragraph()
            formatter.write_text(f"{hidden} more options with --help-all.")


def technique_command(name: str) -> click.Command | None:
    """The command that trains a technique, or None where there is no technique of that name."""
    try:
        card = registry().technique(name)
    except UsageError:
        return None
    return TechniqueCommand(card)


def _write_section(
    ctx: click.Context, formatter: click.HelpFormatter, heading: str, parameters: Sequence[click.Parameter]
) -> None:
    records = [record for parameter in parameters if (record := parameter.get_help_record(ctx))]
    if records:
        with formatter.section(heading):
            formatter.write_dl(records)


def _help(card: Card) -> str:
    parts = [card.summary]
    if card.examples:
        parts.append("\b\nExamples:\n" + "\n".join(f"  {example}" for example in card.examples))
    parts.append(f"`dlkit info {card.name}` says more about it.")
    return "\n\n".join(parts)


def _parameters(option: Option) -> list[click.Option]:
    """The flags of an option, the one for help first. Texts stay texts: click checks nothing, ``resolve`` does."""
    notes = [] if option.default in (None, ()) else [f"default: {to_text(option, option.default)}"]
    notes += [f"alone: {option.bare}"] if option.bare is not None else []
    notes += [bounds(option).strip().removeprefix("of ")] if bounds(option) else []
    common: dict[str, Any] = {"default": None, "help": option.help + (f"  [{'; '.join(notes)}]" if notes else "")}
    negative = f"--no-{option.flag[2:]}"
    if option.type is bool and not option.many:
        return [click.Option([f"{option.flag}/{negative}", option.name], **common)]
    common |= {"type": click.STRING, "metavar": metavar(option), "shell_complete": _completer(option)}
    made = [click.Option([option.flag, option.name], **common)]
    if option.bare is not None:
        made.append(click.Option([negative, f"no_{option.name}"], is_flag=True, default=None, hidden=True))
    return made


_Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completer(option: Option) -> _Completer:
    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        words = list(registry().listed("datasets")) if option.name == "data" else list(option.choices)
        found = [CompletionItem(word) for word in words if word.startswith(incomplete)]
        if not found and option.name in ("data", "runs"):
            return [CompletionItem(incomplete, type="file" if option.name == "data" else "dir")]
        return found

    return complete


def _complete_file(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(incomplete, type="file")]


def _show_all(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[_HELP_ALL] = True
        click.echo(ctx.get_help())
        ctx.exit()


def _command_parameters(card: Card) -> list[click.Option]:
    file: dict[str, Any] = {"metavar": "FILE", "shell_complete": _complete_file}
    several: dict[str, Any] = {"type": click.IntRange(min=2)}
    shown: dict[str, Any] = {"is_flag": True, "is_eager": True, "expose_value": False, "callback": _show_all}
    advise: dict[str, Any] = {"is_flag": True, "hidden": not card.advises}
    return [
        click.Option(["--config"], **file, help="Take options from a TOML file; --set and flags win over it."),
        click.Option(["--set", "sets"], metavar="KEY=VALUE", multiple=True, help="An option by its key; repeatable."),
        click.Option(
            ["--seeds"], **several, metavar="N", help="Train N runs with the seeds s, s + 1, …: figures over all."
        ),
        click.Option(
            ["--kfold"], **several, metavar="K", help="Train K runs, each tested on another K-th of the images."
        ),
        click.Option(["--dry-run"], is_flag=True, help="Show options, data, phases, parameters, memory; no training."),
        click.Option(["--advise"], **advise, help="Say what it would do with this data, and why; no training."),
        click.Option(["--write-config"], **file, help="Write the resolved options to a new file; no training."),
        click.Option(["--quiet"], is_flag=True, help="Show results and errors only."),
        click.Option(["--json"], is_flag=True, help="Print the result as JSON."),
        click.Option(["--help-all"], **shown, help="Show this message with every option."),
    ]


def _callback(card: Card) -> Callable[..., None]:
    def run(
        config: str | None,
        sets: Sequence[str],
        seeds: int | None,
        kfold: int | None,
        dry_run: bool,
        advise: bool,
        write_config: str | None,
        quiet: bool,
        json: bool,
        **raw: Any,
    ) -> None:
        settings = resolve(card, config=Path(config) if config else None, sets=sets, flags=flags_of(raw))
        instead = "--dry-run" if dry_run else "--write-config" if write_config else "--advise" if advise else ""
        _check_repeats(seeds, kfold, instead)
        from dlkit.cli.shared import make_display

        display = make_display(quiet, json)
        if write_config:
            _write_config(settings, Path(write_config), display)
        elif dry_run:
            from dlkit.dry_run import dry_run as show_plan

            show_plan(settings, display)
        elif advise:
            from dlkit import session

            session.advise(settings, display)
        else:
            _train(settings, seeds, kfold, display)

    return run


def _check_repeats(seeds: int | None, kfold: int | None, instead: str) -> None:
    given = [flag for flag, value in (("--seeds", seeds), ("--kfold", kfold), (instead, instead)) if value]
    if len(given) > 1 and given != [instead]:
        raise UsageError(f"{' and '.join(given)} cannot be combined.", "Give one of them.")


def _train(settings: Settings, seeds: int | None, kfold: int | None, display: Display) -> None:
    from dlkit.cli.shared import show_repeats, show_run

    if seeds or kfold:
        from dlkit import repeats

        made = (
            repeats.train_seeds(settings, seeds, display)
            if seeds
            else repeats.train_folds(settings, kfold or 0, display)
        )
        show_repeats(made, display)
    else:
        from dlkit import session

        show_run(session.train(settings, display), display)


def flags_of(raw: Mapping[str, Any]) -> dict[str, object]:
    """What was typed: options that were not are None; ``no_x`` beside ``x`` means none."""
    flags: dict[str, object] = {name: value for name, value in raw.items() if value is not None}
    for name in [name for name in flags if name.startswith("no_") and name[3:] in raw]:
        if not flags.pop(name):
            continue
        if name[3:] in flags:
            flag = name[3:].replace("_", "-")
            raise UsageError(f"--{flag} and --no-{flag} contradict each other.", "Give one of them.")
        flags[name[3:]] = None
    return flags


def _write_config(settings: Settings, path: Path, display: Display) -> None:
    remove_left(path.parent, path.name)
    try:
        write_new(path, settings.to_toml().encode())
    except FileExistsError:
        raise UsageError(f"{path} exists, and is never overwritten.", "Choose another name, or remove it.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from error
    command = f"dlkit train {settings.card.name} --config {shlex.quote(str(path))}"
    display.info(f"Wrote {path}. Use it with: {command}")
    display.result({"config": path, "command": command})
