"""The keys of a configuration: their types, defaults and docstrings, and the nearest to a typo."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from deploy.config.run_config import RunConfig
from learner.config import flat_settings


@dataclass(frozen=True)
class Key:
    """One key of the configuration."""

    name: str
    """Dotted path, such as `rollout.temperature`."""
    section: str
    """Dotted path of the section that holds it; empty for the keys of the run itself."""
    kind: str
    """Its type in one word, such as `float` or `choice`; `section` for a section."""
    choices: tuple[str, ...]
    """Its values where they can be listed."""
    bounds: str
    """Its bounds, such as `> 0, <= 2`; empty where there are none."""
    nullable: bool
    """Whether `null` is a value."""
    default: Any
    """Its default as plain data; a mapping for a section."""
    docstring: str
    """The field's docstring on one line."""

    @property
    def is_section(self) -> bool:
        """Whether other keys lie below it."""
        return self.kind == "section"

    @property
    def type(self) -> str:
        """Its whole type, such as `float > 0, <= 2` or `fgo | random | none`."""
        text = " | ".join(self.choices) if self.choices else self.kind
        text = f"{text} {self.bounds}" if self.bounds else text
        return f"{text} or null" if self.nullable else text

    @property
    def default_text(self) -> str:
        """The default as YAML."""
        return as_yaml(self.default)


@cache
def all_keys() -> dict[str, Key]:
    """Every key of `RunConfig` by name, sections included, in the models' order."""
    defaults = RunConfig().model_dump(mode="json")
    return {key.name: key for key in _keys(RunConfig, defaults, "")}


def _keys(model: type[BaseModel], defaults: dict[str, Any], section: str) -> Iterator[Key]:
    for field_name, field in model.model_fields.items():
        name = f"{section}.{field_name}" if section else field_name
        inner, nullable = _without_null(field.annotation)
        is_section = isinstance(inner, type) and issubclass(inner, BaseModel)
        yield Key(
            name=name,
            section=section,
            kind="section" if is_section else _kind(inner),
            choices=_choices(inner),
            bounds=", ".join(_bounds(field)),
            nullable=nullable,
            default=defaults[field_name],
            docstring=" ".join((field.description or "").split()),
        )
        if is_section:
            yield from _keys(inner, defaults[field_name], name)


def _without_null(annotation: Any) -> tuple[Any, bool]:
    """The annotation without `| None`, and whether it had it."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False
    others = [argument for argument in get_args(annotation) if argument is not types.NoneType]
    return others[0], len(others) < len(get_args(annotation))


def _kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return "any value"
    if origin is Annotated:
        return _kind(arguments[0])
    if origin is Literal:
        return "choice"
    if origin is tuple:
        return f"list of {_values(arguments[0])}"
    if origin is dict:
        return f"mapping of {_values(arguments[0])} to {_values(arguments[1])}"
    return {Path: "path", str: "string", bool: "bool"}.get(annotation) or annotation.__name__


def _values(annotation: Any) -> str:
    return " | ".join(_choices(annotation)) or _kind(annotation)


def _choices(annotation: Any) -> tuple[str, ...]:
    if annotation is bool:
        return ("true", "false")
    if get_origin(annotation) is Literal:
        return tuple(map(str, get_args(annotation)))
    return ()


def _bounds(field: FieldInfo) -> Iterator[str]:
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    for constraint in field.metadata:
        for attribute, sign in signs.items():
            if (bound := getattr(constraint, attribute, None)) is not None:
                yield f"{sign} {bound}"


def as_yaml(value: Any) -> str:
    """A value on one line, as one types it."""
    return (
        yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n...\n").strip()
    )


def nearest_keys(typed: str, most: int = 1) -> list[str]:
    """The existing keys most like `typed`: spelled alike as a whole, or in their last part.

    Keys of just this last part come first, those of the section that was typed before others.
    """
    names = list(all_keys())
    section, _, last_part = typed.rpartition(".")
    if same := [name for name in names if name.rpartition(".")[2] == last_part]:
        # `learner.lr` is learner.policy.lr rather than sft.optimizer.lr.
        return sorted(same, key=lambda name: not name.startswith(f"{section}."))[:most]
    nearest = difflib.get_close_matches(typed, names, n=most, cutoff=0.75)
    if nearest:
        return nearest
    by_last_part = {name.rpartition(".")[2]: name for name in reversed(names)}
    similar = difflib.get_close_matches(last_part, list(by_last_part), n=most, cutoff=0.7)
    return [by_last_part[name] for name in similar]


def differing_keys(a: RunConfig, b: RunConfig) -> list[str]:
    """Dotted keys at which two configurations differ."""
    left, right = (flat_settings(config.model_dump(mode="json")) for config in (a, b))
    return sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))


def value_of(config: RunConfig, key: str) -> Any:
    """The value of a dotted key as plain data; None where a mapping lacks it."""
    return flat_settings(config.model_dump(mode="json")).get(key)
