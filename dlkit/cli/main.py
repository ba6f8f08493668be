"""The `dlkit` command: its table of verbs, loaded on demand, and the one place where errors become text and codes."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType

import click

from dlkit import ranks
from dlkit.discovery import NO_PLUGINS, registry
from dlkit.errors import DlkitError, Interrupted, LostProcess, UsageError
from dlkit.options.suggest import did_you_mean
from dlkit.shortage import MEMORY_ADVICE, out_of_memory

VERBS: dict[str, tuple[str, str]] = {
    "train": ("Train a technique on images.", "dlkit.cli.train_command:train"),
    "list": ("List techniques, data sets, backbones and what else plugins bring.", "dlkit.cli.listing:list_"),
    "info": ("Describe a technique: what it does, its sources, what it can do.", "dlkit.cli.listing:info"),
    "data": ("Look at data: counts, classes, sizes, bad files, duplicates.", "dlkit.cli.data_command:data"),
    "runs": ("List, compare and remove runs.", "dlkit.cli.runs_command:runs"),
    "resume": ("Go on with a run where it stopped.", "dlkit.cli.run_verbs:resume"),
    "evaluate": ("Evaluate a run beside its baselines.", "dlkit.cli.evaluate_command:evaluate"),
    "predict": ("Use a trained model on images.", "dlkit.cli.predict_command:predict"),
    "encode": ("Turn images into codes.", "dlkit.cli.run_verbs:encode"),
    "decode": ("Turn codes into images.", "dlkit.cli.image_verbs:decode"),
    "generate": ("Make new images.", "dlkit.cli.image_verbs:generate"),
    "morph": ("Turn one image into another, through the code.", "dlkit.cli.image_verbs:morph"),
    "grid": ("Draw what codes stand for.", "dlkit.cli.image_verbs:grid"),
    "augment": ("Enlarge a data set with augmented and generated images.", "dlkit.cli.augment_command:augment"),
    "search": ("Find similar images.", "dlkit.cli.search_command:search"),
    "cluster": ("Group images by their codes.", "dlkit.cli.cluster_command:cluster"),
    "export": ("Export a run's model, checked against the original.", "dlkit.cli.run_verbs:export"),
    "report": ("Write a run's report again.", "dlkit.cli.run_verbs:report"),
    "cache": ("Show the features that are kept, and remove them.", "dlkit.cli.cache_command:cache"),
    "plugins": ("Show the installed plugins and what is wrong with them.", "dlkit.cli.plugins_command:plugins"),
    "doctor": ("Check the installation.", "dlkit.cli.doctor:doctor"),
    "completion": ("Complete commands and options in bash, zsh or fish.", "dlkit.cli.completion:completion"),
}
"""Name → one line of help, and where the command is."""

_PATIENCE = 1.0
"""Seconds in which another process can tell of an error, before torchrun ends all because this one has ended."""

GLOBAL_FLAGS = ("--no-plugins", "--debug")
"""Flags that may stand anywhere on the command line."""


class DlkitGroup(click.Group):
    """The root: core verbs by table, every technique as a short form of ``train``, the plugins' own commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All names that can be typed."""
        return [*VERBS, *registry().techniques, *registry().commands()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name, imported now."""
        if cmd_name in VERBS:
            module, _, attribute = VERBS[cmd_name][1].partition(":")
            command: click.Command = getattr(import_module(module), attribute)
            return command
        if cmd_name in registry().commands():
            own: click.Command = registry().commands()[cmd_name]
            return own
        from dlkit.cli.train_command import technique_command

        return technique_command(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with a suggestion for a name that nothing has.

        Raises:
            UsageError: there is no such command.
        """
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            hint = did_you_mean(args[0], self.list_commands(ctx)) or "`dlkit --help` shows the commands."
            raise UsageError(f"There is no command or technique {args[0]!r}.", hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Techniques, then verbs, then what plugins add; summaries come from tables and cards, nothing is imported."""
        sections = {
            "Techniques (short for dlkit train NAME)": [
                (name, registered.card.summary) for name, registered in registry().techniques.items()
            ],
            "Commands": [(name, summary) for name, (summary, _) in VERBS.items()],
            "From plugins": [
                (name, command.get_short_help_str(200)) for name, command in registry().commands().items()
            ],
        }
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        from dlkit import __version__

        click.echo(f"dlkit {__version__}")
        ctx.exit()


@click.group(
    cls=DlkitGroup,
    invoke_without_command=True,
    epilog="Start with: dlkit train autoencoder --denoise",
    context_settings={"max_content_width": 110, "help_option_names": ["-h", "--help"]},
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@click.option("--no-plugins", is_flag=True, help="Load only what dlkit ships; any place in the line.")
@click.option("--debug", is_flag=True, help="Show tracebacks of errors; any place in the line.")
@click.pass_context
def cli(ctx: click.Context, no_plugins: bool, debug: bool) -> None:  # noqa: ARG001 - main() acts on them
    """Learn from images: train a technique, see what it learned, use and export it."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: errors become text on standard error here and nowhere else."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    flags, arguments = _split_global(arguments)
    if "--no-plugins" in flags:
        os.environ[NO_PLUGINS] = "1"
    debug = "--debug" in flags
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that lacks σ still shows the rest
    try:
        with _terminable():
            return _run(arguments)
    except BrokenPipeError:
        return _broken_pipe()
    except (KeyboardInterrupt, click.Abort) as stop:
        return _fail(*_stopped(stop), debug=debug)
    except DlkitError as error:
        return _explained(error, debug=debug)
    except click.ClickException as error:
        return _fail(f"Error: {_click_message(error)}", _click_hint(error), error.exit_code, debug=debug)
    except Exception as error:
        return _unexpected(error, debug=debug)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM unwind as Ctrl-C does, so that no verb leaves a temporary file; training has its own handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signum)


def _stopped(stop: BaseException) -> tuple[str, str, int]:
    """Message, hint and exit code: a signal, which click may have turned into its ``Abort``, or the end of input."""
    signalled = stop.__cause__ if isinstance(stop, click.Abort) else stop
    if not isinstance(signalled, KeyboardInterrupt):
        return "Aborted.", "", 1
    return "Stopped.", "", 128 + (signal.SIGTERM if signal.SIGTERM in signalled.args else signal.SIGINT)


def _run(arguments: list[str]) -> int:
    result = cli.main(arguments, prog_name="dlkit", standalone_mode=False)
    if ranks.count() > 1 and "torch" in sys.modules:
        from dlkit.runtime.processes import leave

        leave()
    if sys.stdout is not None:
        sys.stdout.flush()
    return result if isinstance(result, int) and not isinstance(result, bool) else 0


def _split_global(arguments: list[str]) -> tuple[set[str], list[str]]:
    """The global flags that stand before ``--``, and the arguments without them."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    flags = {argument for argument in arguments[:end] if argument in GLOBAL_FLAGS}
    return flags, [argument for argument in arguments[:end] if argument not in GLOBAL_FLAGS] + arguments[end:]


def _explained(error: DlkitError, *, debug: bool) -> int:
    if isinstance(error, LostProcess) and ranks.count() > 1:
        return error.exit_code  # the process that was lost has more to tell
    prefix = "" if isinstance(error, Interrupted) else "Error: "
    return _fail(prefix + error.message, error.hint, error.exit_code, debug=debug)


def _unexpected(error: Exception, *, debug: bool) -> int:
    """What no code foresaw: memory, the disk behind standard output, or a bug."""
    if out_of_memory(error):
        return _fail(f"Error: out of memory: {error or type(error).__name__}", MEMORY_ADVICE, 1, debug=debug)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        _silence()
        return _fail(f"Error: Cannot write the output: {error.strerror}.", "Free some space.", 1, debug=debug)
    import traceback

    traceback.print_exc()
    return _fail("Error: this is a bug in dlkit or in a plugin.", "Please report it with the lines above.", 1)


def _fail(message: str, hint: str, code: int, *, debug: bool = False) -> int:
    if debug:
        import traceback

        traceback.print_exc()
    if not _speaks():
        time.sleep(_PATIENCE)
        return code
    text = message + (f"\n{hint}" if hint else "")
    click.echo("".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text), err=True)
    return code


def _speaks() -> bool:
    """Whether this process is to tell of an error: of several that train together the first that has one to tell."""
    if ranks.count() == 1:
        return True
    if "torch" not in sys.modules:  # they have not met: all read the same command line
        return ranks.rank() == 0
    from dlkit.runtime.processes import speaks_first

    return speaks_first()


def _click_message(error: click.ClickException) -> str:
    if isinstance(error, click.NoSuchOption):
        return f"There is no option {error.option_name!r}."
    return " ".join(error.format_message().split())


def _click_hint(error: click.ClickException) -> str:
    ctx = getattr(error, "ctx", None)
    if ctx is None:
        return ""
    if isinstance(error, click.NoSuchOption):
        flags = [
            flag for parameter in ctx.command.get_params(ctx) for flag in parameter.opts + parameter.secondary_opts
        ]
        suggestion = did_you_mean(error.option_name, flags)
        if suggestion:
            return suggestion
    return f"`{ctx.command_path} --help` shows how it is used."


def _broken_pipe() -> int:
    """Whoever read our output has gone: say nothing."""
    _silence()
    return 128 + signal.SIGPIPE


def _silence() -> None:
    """No more standard output, also not what Python flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
