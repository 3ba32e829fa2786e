"""One key or section of a configuration, explained: type, default, value, and what set it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deploy.config.keys import Key, all_keys, as_yaml
from deploy.config.load import load_config, parse_overrides, read_profile, unknown_key
from deploy.errors import ConfigError


def explain(name: str, profile: Path | None, overrides: Sequence[str]) -> str:
    """Describe a key or a section in the configuration that `profile` and `overrides` make.

    Raises:
        ConfigError: no such key (names the nearest ones), or the configuration is not valid.
    """
    keys = all_keys()
    name = name.removeprefix("--").replace("-", "_")
    if name not in keys:
        raise ConfigError(f"{unknown_key(name, most=3)} (`stepcoder config` prints every key)")
    values = load_config(profile, overrides).model_dump(mode="json")
    set_by = dict(_sources(profile, overrides))
    key = keys[name]
    lines = _section(key, values, set_by) if key.is_section else _leaf(key, values, set_by)
    return "\n".join(lines)


def _leaf(key: Key, values: dict[str, Any], set_by: dict[str, str]) -> Iterator[str]:
    yield key.name
    yield _wrapped(key.docstring, "  ")
    yield f"  type     {key.type}"
    yield f"  default  {key.default_text}"
    yield f"  value    {as_yaml(_at(values, key.name))}   ({set_by.get(key.name, 'the default')})"


def _section(key: Key, values: dict[str, Any], set_by: dict[str, str]) -> Iterator[str]:
    yield f"{key.name}: {key.docstring}"
    inside = [k for k in all_keys().values() if k.name.startswith(f"{key.name}.")]
    for leaf in (k for k in inside if not k.is_section):
        source = f"   ({set_by[leaf.name]})" if leaf.name in set_by else ""
        yield f"\n  {leaf.name}  {leaf.type}"
        yield _wrapped(leaf.docstring, "    ")
        yield f"    value {as_yaml(_at(values, leaf.name))}{source}"


def _wrapped(text: str, indent: str) -> str:
    return textwrap.fill(text, 100, initial_indent=indent, subsequent_indent=indent)


def _sources(profile: Path | None, overrides: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of a key and what sets it; later pairs win, as later values do."""
    if profile is not None:
        for name in _leaves(read_profile(profile)):
            yield name, f"set by {profile}"
    for override, value in parse_overrides(overrides):
        for name in _leaves(value, override):
            yield name, f"set by the override --{override}"


def _leaves(tree: Any, name: str = "") -> Iterator[str]:
    """Names of the keys that `tree` gives a value; a mapping may itself be the value of a key."""
    key = all_keys().get(name)
    if isinstance(tree, dict) and (key is None or key.is_section):
        for part, inner in tree.items():
            yield from _leaves(inner, f"{name}.{part}" if name else str(part))
    else:
        yield name


def _at(values: dict[str, Any], name: str) -> Any:
    for part in name.split("."):
        values = values[part]
    return values
