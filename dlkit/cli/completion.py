"""`dlkit completion SHELL [--install]`: click's completion scripts, and where each shell looks for them."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from dlkit.errors import DlkitError
from dlkit.files import write_text

_VARIABLE = "_DLKIT_COMPLETE"
_MARK = "# dlkit completion"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.option("--install", is_flag=True, help="Put the script where the shell finds it, instead of printing it.")
@click.pass_context
def completion(ctx: click.Context, shell: str, install: bool) -> None:
    """Print the completion script for SHELL, or install it; installing twice changes nothing."""
    completer = get_completion_class(shell)
    if completer is None:  # click knows all three
        raise DlkitError(f"click has no completion for {shell}.")
    script = completer(ctx.find_root().command, {}, "dlkit", _VARIABLE).source()
    if not install:
        click.echo(script)
        return
    try:
        _install(shell, script)
    except OSError as error:
        raise DlkitError(f"{error.filename or shell}: {error.strerror or error}.", "Install it by hand.") from error


def _install(shell: str, script: str) -> None:
    home = Path.home()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    if shell == "fish":  # fish reads this folder by itself
        _write(config / "fish" / "completions" / "dlkit.fish", script)
        return
    target = config / "dlkit" / f"completion.{shell}"
    _write(target, script)
    if shell == "bash":
        _add_line(home / ".bashrc", f"[ -r '{target}' ] && . '{target}'  {_MARK}")
        return
    # compdef is there only after compinit, which a bare .zshrc does not call.
    start = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }"
    rc = Path(os.environ.get("ZDOTDIR") or home) / ".zshrc"
    _add_line(rc, f"[ -r '{target}' ] && {{ {start}; . '{target}'; }}  {_MARK}")


def _write(path: Path, text: str) -> None:
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        click.echo(f"{path} is up to date.")
        return
    write_text(path, text)
    click.echo(f"Wrote {path}.")


def _add_line(path: Path, line: str) -> None:
    """Append the line to a file that is the user's own, once; what stands there is never touched."""
    text = path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else ""
    if line in text.splitlines():
        click.echo(f"{path} loads it already.")
        return
    with path.open("a", encoding="utf-8") as file:
        file.write(("" if not text or text.endswith("\n") else "\n") + line + "\n")
    click.echo(f"Added a line to {path}. It takes effect in a new shell.")
