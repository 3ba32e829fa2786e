"""The options that every command with a configuration shares: `--config`, and one for each key."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Concatenate, Literal, ParamSpec

from cyclopts import Group, Parameter, Token

from deploy.config import RunConfig, load_config
from deploy.config.keys import Key, all_keys

P = ParamSpec("P")


@dataclass(frozen=True)
class Configuration:
    """A profile and overrides as given on the command line."""

    profile: Path | None = None
    """File of the profile; None for the defaults."""
    overrides: Mapping[str, str] = field(default_factory=dict)
    """Text in YAML by dotted key."""

    def load(self) -> RunConfig:
        """The resolved configuration.

        Raises:
            ConfigError: the configuration is not valid.
        """
        return load_config(self.profile, self.override_arguments())

    def override_arguments(self) -> list[str]:
        """The overrides as arguments, `--key=value`."""
        return [f"--{key}={text}" for key, text in self.overrides.items()]


def takes_configuration(
    *shown: str, profile: Sequence[str] = ("--config",)
) -> Callable[[Callable[Concatenate[Configuration, P], int]], Callable[P, int]]:
    """Give a command `--config` and an option for every key of the configuration.

    The command gets them as a `Configuration`, its first argument. The options are real parameters
    of the returned function, so that its `--help` and the shell's completion show them.

    Args:
        shown: the sections and keys that the command reads, which its `--help` lists; without any,
            it lists all. The other keys are options too, for they may decide whether the
            configuration is valid.
        profile: the names of the option that gives the profile.
    """
    return functools.partial(_with_options, shown, profile)


def _with_options(
    shown: tuple[str, ...],
    profile_names: Sequence[str],
    command: Callable[Concatenate[Configuration, P], int],
) -> Callable[P, int]:
    signature = inspect.signature(command, eval_str=True)
    own = list(signature.parameters.values())[1:]
    # An option of the command hides a section of the same name, such as `--model` of `sft`.
    taken = {parameter.name for parameter in own}
    keys = {_python_name(key): key for key in all_keys().values() if key.name not in taken}
    options = [_key_parameter(key, _is_shown(key, shown)) for key in keys.values()]
    parameters = [*own, _profile_parameter(profile_names), *options]

    @functools.wraps(command)
    def with_options(*args: Any, **options: Any) -> int:
        profile = options.pop("config", None)
        given = [name for name in options if name in keys]
        overrides = {keys[name].name: options.pop(name) for name in given}
        return command(Configuration(profile, overrides), *args, **options)

    # cyclopts reads the signature, and follows `__wrapped__` where there is one.
    del with_options.__wrapped__
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_options


def _profile_parameter(names: Sequence[str]) -> inspect.Parameter:
    option = Parameter(name=names, help="Profile in YAML; names what differs from defaults.")
    return _keyword("config", Annotated[Path | None, option])


def _is_shown(key: Key, shown: tuple[str, ...]) -> bool:
    below = (f"{key.name}.".startswith(f"{name}.") for name in shown)
    return not key.is_section and (not shown or any(below))


def _key_parameter(key: Key, shown: bool) -> inspect.Parameter:
    option = Parameter(
        name=f"--{key.name}",
        group=_groups()[key.section],
        help=key.docstring + (f" [{key.bounds}]" if key.bounds else ""),
        metavar=key.kind.partition(" ")[0].upper() + ("|NULL" if key.nullable else ""),
        show=shown,
        show_default=_constant(key.default_text),
        converter=_last,
        n_tokens=1,
        allow_repeating=True,
    )
    # `| str`: cyclopts shows the choices, and the configuration checks them, as it says more.
    text: Any = Literal[key.choices] | str if key.kind == "choice" else str
    return _keyword(_python_name(key), Annotated[text | None, option])


def _keyword(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _python_name(key: Key) -> str:
    return key.name.replace(".", "__")


def _last(_type: Any, tokens: Sequence[Token]) -> str:
    """The text as typed: `load_config` reads it as YAML. The last of several wins."""
    return tokens[-1].value


def _constant(text: str) -> Callable[[Any], str]:
    return lambda _value: text


@functools.cache
def _groups() -> dict[str, Group]:
    """The panel of each section in `--help`, in the order of the keys."""
    sections = {key.name: key.docstring for key in all_keys().values() if key.is_section}
    groups = {"": Group("The run", sort_key=10)}
    for position, (section, docstring) in enumerate(sections.items(), 11):
        groups[section] = Group(section, help=docstring, sort_key=position)
    return groups
