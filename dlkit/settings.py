"""Everything that is settled before training begins, resolved in one place for CLI, config files and Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlkit.augment.options import AugmentOptions
from dlkit.discovery import BUILT_IN
from dlkit.errors import PluginError, UsageError
from dlkit.options.coerce import coerce, expectation, to_plain
from dlkit.options.core import DataOptions, RunOptions, RuntimeOptions
from dlkit.options.declare import Option, Options, options_of
from dlkit.options.suggest import did_you_mean
from dlkit.trust import check as check_code

if TYPE_CHECKING:
    from dlkit.card import Card
    from dlkit.discovery import Registry

TECHNIQUE = "technique"
"""The config key beside the options: which technique the file is for."""

RESERVED = frozenset(
    {TECHNIQUE, "config", "set", "dry_run", "write_config", "quiet", "json", "debug", "help", "help_all", "version",
     "no_plugins", "seeds", "kfold"}
)  # fmt: skip
"""Names that no option may have: the flags of the commands themselves."""

_MOST_BYTES = 1 << 20
"""Of a config; a thousand times what dlkit writes would take minutes."""

_CORE: tuple[type[Options], ...] = (DataOptions, AugmentOptions, RuntimeOptions, RunOptions)


@dataclass(frozen=True)
class Settings:
    """The resolved options of one training.

    Attributes:
        card: the technique.
        options: an instance of ``card.options``.
        data, augment, runtime, run: the core's options.
        from_file: names of those options that a file said, and neither the command line nor Python.
    """

    card: Card
    options: Any
    data: DataOptions
    augment: AugmentOptions
    runtime: RuntimeOptions
    run: RunOptions
    from_file: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    def value(self, name: str) -> Any:
        """The value of the option of that name, wherever it is declared."""
        for part in (self.options, self.data, self.augment, self.runtime, self.run):
            if hasattr(part, name):
                return getattr(part, name)
        raise KeyError(name)

    def to_plain(self) -> dict[str, Any]:
        """Every resolved value as plain JSON, flat, with the technique's name first; ``None`` is ``"none"``."""
        values = {option.name: to_plain(option, self.value(option.name)) for option in all_options(self.card)}
        return {TECHNIQUE: self.card.name, **values}

    def to_toml(self) -> str:
        """A config file with every resolved value, which :func:`resolve` reads back to equal settings."""
        return "\n".join(_toml_lines(self))


def resolve(
    card: Card,
    *,
    config: Path | Mapping[str, object] | None = None,
    sets: Sequence[str] = (),
    flags: Mapping[str, object] | None = None,
) -> Settings:
    """Settle every option: defaults < config file < ``--set`` < flags.

    Args:
        card: the technique.
        config: a flat TOML file, or what one held; every option's name is a key, and ``technique`` is allowed. What
            it says may come from a stranger: code that it names is not taken (see :mod:`dlkit.trust`).
        sets: ``key=value`` strings, the later one wins.
        flags: option name → what the flag gave (text), or a value of the option's type (Python).

    Raises:
        UsageError: an unknown key, or a value that does not fit.
        PluginError: the technique declares an option that the core or another of its options has.
    """
    options = {option.name: option for option in all_options(card)}
    values = {name: option.default for name, option in options.items()}
    said: dict[str, str] = {}  # by a file, and by nobody since
    for key, raw, where in _given(card, options, config, sets, flags or {}):
        option = options.get(key)
        if option is None:
            raise UsageError(f"{where}: {card.name} has no option of that name.", _suggestion(key, options, card))
        values[key] = coerce(option, raw, where)
        if where.startswith("--"):
            said.pop(key, None)
        else:
            said[key] = where
    check_code(list(options.values()), values, said)
    settings = Settings(card, *(_build(cls, values) for cls in (card.options, *_CORE)))
    return replace(settings, from_file=frozenset(said))


def settings_from_toml(path: Path, registry: Registry, distribution: str = "") -> Settings:
    """Read the settings that :meth:`Settings.to_toml` wrote, or any config that names its technique.

    Raises:
        UsageError: the file cannot be read, names no known technique, or has values that do not fit.
    """
    return resolve(technique_of(path, registry, distribution), config=path)


def technique_of(path: Path, registry: Registry, distribution: str = "") -> Card:
    """The card of the technique that a config file names.

    Args:
        path: the file.
        registry: where to look.
        distribution: whose technique it is to be, where that is known; a rival's of the same name is another one.

    Raises:
        UsageError: the file cannot be read, or names no known technique.
    """
    name = _read_toml(path).get(TECHNIQUE)
    if not isinstance(name, str):
        raise UsageError(f"{path}: says not which technique it is for.", 'Add a line like technique = "autoencoder".')
    if distribution in ("", BUILT_IN) or "/" in name:
        return registry.technique(name)
    same = [each for each in registry.techniques.values() if each.card.name.rpartition("/")[2] == name]
    for registered in same:
        if registered.distribution == distribution:
            return registered.card
    others = f" {same[0].distribution} has one of that name, which is another." if same else ""
    raise UsageError(
        f"{path}: the technique {name!r} is of {distribution}, which is not installed or does not work.{others}",
        "Install that package, if you trust it; `dlkit plugins` shows what there is, and what is wrong with it.",
    )


def all_options(card: Card) -> list[Option]:
    """The technique's options, then the core's.

    Raises:
        PluginError: two have the same name or flag, or an option takes a name of the command line's own.
    """
    return [option for _, options in option_groups(card) for option in options]


def option_groups(card: Card) -> list[tuple[str, list[Option]]]:
    """Headings and their options: the technique's own first, then what it inherits, then the core's.

    Raises:
        PluginError: as :func:`all_options`.
    """
    groups: dict[str, list[Option]] = {}
    owners = dict.fromkeys(RESERVED, "the command line")
    for owner, cls in (("itself", card.options), *((f"dlkit's own ({_heading(cls)})", cls) for cls in _CORE)):
        try:
            declared = options_of(cls)
        except (TypeError, NameError) as error:
            raise PluginError(f"Technique {card.name!r}: its options are invalid: {error}.") from error
        for option in declared:
            for name in _names(option):
                if name in owners:
                    taken = f"its option {name!r} takes a name of {owner if cls in _CORE else owners[name]}"
                    raise PluginError(f"Technique {card.name!r}: {taken}.", "Its authors must rename the option.")
                owners[name] = owner
            if card.data and option.name == "data":
                option = replace(option, default=card.data)
            groups.setdefault(option.group or _heading(cls), []).append(option)
    own = [heading for heading in groups if heading == _heading(card.options)]
    return [(heading, groups[heading]) for heading in [*own, *(h for h in groups if h not in own)]]


def _names(option: Option) -> tuple[str, ...]:
    switched = option.bare is not None or (option.type is bool and not option.many)
    return (option.name, f"no_{option.name}") if switched else (option.name,)


def _heading(cls: type[Options]) -> str:
    text = (cls.__doc__ or "").strip()
    if not text or text.startswith(f"{cls.__name__}("):  # the signature that dataclass writes where nobody wrote one
        return "Technique"
    return text.splitlines()[0].rstrip(".")


def _build(cls: type[Options], values: Mapping[str, Any]) -> Any:
    try:
        return cls(**{option.name: values[option.name] for option in options_of(cls)})
    except ValueError as error:  # what a __post_init__ finds in values that each fit alone
        raise UsageError(f"{str(error).rstrip('.')}.") from error


def _given(
    card: Card,
    options: Mapping[str, Option],
    config: Path | Mapping[str, object] | None,
    sets: Sequence[str],
    flags: Mapping[str, object],
) -> Iterator[tuple[str, object, str]]:
    """Key, raw value and where it was said, weakest first."""
    if config is not None:
        file = str(config) if isinstance(config, Path) else "the model"
        for key, raw in (_read_toml(config) if isinstance(config, Path) else config).items():
            if key != TECHNIQUE:
                yield key, raw, f"{file}: {key}"
            elif str(raw).rpartition("/")[2] != card.name.rpartition("/")[2]:  # a rival's name may be qualified
                raise UsageError(
                    f"{file}: it is a config of technique {raw!r}, not of {card.name!r}.",
                    f"Remove its line {TECHNIQUE!r} to take the options that both have.",
                )
    for text in sets:
        key, equals, value = text.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            raise UsageError(f"--set {text}: expected key=value.", "For example --set epochs=5.")
        given: object = value
        if key in options and options[key].bare is not None:  # takes true and false, as it does in a config
            given = {"true": True, "false": False}.get(value, value)
        yield key, given, f"--set {key}"
    for key, given in flags.items():
        yield key, given, "--" + key.replace("_", "-")


def _suggestion(key: str, options: Mapping[str, Option], card: Card) -> str:
    return did_you_mean(key, options) or f"`dlkit train {card.name} --help-all` lists its options."


def _read_toml(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        with path.open("rb") as stream:  # it may be a pipe: --config <(sed … c.toml)
            content = stream.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise UsageError(f"{path}: has more than {_MOST_BYTES:,} bytes, which no config has.")
        table = tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 text (byte {error.start}).") from error
    except (ValueError, RecursionError) as error:  # also of numbers beyond all bounds, and of a thousand brackets
        raise UsageError(f"{path}: not valid TOML: {error}.", 'Text needs quotes: name = "mine".') from error
    for key, value in table.items():
        if isinstance(value, dict):
            raise UsageError(f"{path}: {key}: tables are not used; a config is flat.", "Write key = value lines only.")
    return table


def _toml_lines(settings: Settings) -> Iterator[str]:
    import textwrap

    import tomli_w

    from dlkit import __version__

    values = settings.to_plain()
    yield f"# dlkit {__version__}: every option of this training. Use it with --config."
    yield tomli_w.dumps({TECHNIQUE: values[TECHNIQUE]}).rstrip()
    for heading, options in option_groups(settings.card):
        yield ""
        yield f"# ---- {heading} ----"
        for option in options:
            yield ""
            yield textwrap.fill(option.help, 110, initial_indent="# ", subsequent_indent="# ")
            yield f"# ({expectation(option)})"
            yield f"{option.name} = {_toml_value(tomli_w, values[option.name])}"
    yield ""


def _toml_value(tomli_w: Any, value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml_value(tomli_w, item) for item in value) + "]"
    text: str = tomli_w.dumps({"x": value})
    return text.removeprefix("x = ").rstrip("\n")
