"""Reading a configuration: a YAML profile, then overrides from the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from curriculum.errors import plain_reason
from deploy.config.keys import all_keys, nearest_keys
from deploy.config.run_config import RunConfig
from deploy.errors import ConfigError

PROFILES = Path(__file__).resolve().parents[1] / "profiles"
"""Folder of the profiles that come with this package."""


def load_config(path: Path | None, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a profile, apply overrides, validate.

    Args:
        path: YAML file that names only what differs from the defaults; None for all defaults.
        overrides: arguments `--a.b value` or `--a.b=value`, values in YAML.

    Raises:
        ConfigError: names the file, the key, what is wrong, and the nearest key that exists.
    """
    tree = read_profile(path) if path is not None else {}
    return resolve(tree, str(path) if path is not None else "the defaults", overrides)


def resolve(tree: dict[str, Any], source: str, overrides: Sequence[str] = ()) -> RunConfig:
    """Apply overrides to the content of a profile, in place, and validate it.

    Args:
        tree: what differs from the defaults, as `read_profile` returns it.
        source: names it in error messages.
        overrides: as for `load_config`.

    Raises:
        ConfigError: as for `load_config`.
    """
    for key, value in parse_overrides(overrides):
        _set(tree, key, value)
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        if overrides:
            source += " with overrides"
        lines = [f"  {_describe(problem)}" for problem in error.errors()]
        raise ConfigError("\n".join([f"{source}: not a valid configuration", *lines])) from None


def read_profile(path: Path) -> dict[str, Any]:
    """The content of a profile, not validated.

    Raises:
        ConfigError: no such file, or it does not hold a mapping in YAML.
    """
    try:
        tree = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        shipped = ", ".join(str(profile) for profile in sorted(PROFILES.glob("*.yaml")))
        raise ConfigError(f"{path}: no such file; shipped profiles: {shipped}") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; expected a profile in YAML") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: not readable as YAML: {error}") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a mapping of sections, found {type(tree).__name__}")
    return tree


def parse_overrides(arguments: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """`--a.b value` and `--a.b=value` as pairs of key and value.

    Raises:
        ConfigError: an argument that is no option, or an option without its value.
    """
    remaining = iter(arguments)
    for argument in remaining:
        if not argument.startswith("--") or argument == "--":
            raise ConfigError(f"{argument!r}: expected an override like --rollout.temperature 0.9")
        key, equals, text = argument[2:].partition("=")
        if not equals:
            following = next(remaining, None)
            if following is None:
                raise ConfigError(f"--{key}: a value must follow")
            text = following
        key = key.replace("-", "_")
        yield key, _value(key, text)


def _value(key: str, text: str) -> Any:
    """The value that a text stands for: YAML, but the text itself where the key takes text.

    YAML would fold the lines of a Jinja template, and refuse its braces.

    Raises:
        ConfigError: the text is not YAML.
    """
    known = all_keys().get(key)
    takes_text = known is not None and known.kind == "string"
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        if takes_text:
            return text
        raise ConfigError(f"--{key}: {text!r} is not a YAML value") from None
    is_quoted = text.lstrip()[:1] in ("'", '"') and isinstance(value, str)
    is_null = text.strip().lower() in ("", "~", "null")
    return value if not takes_text or is_quoted or is_null else text


def _set(tree: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        child = tree.setdefault(section, {})
        if not isinstance(child, dict):
            raise ConfigError(f"--{key}: {section} is a value, not a section")
        tree = child
    tree[last] = value


def _describe(problem: Any) -> str:
    """One of pydantic's errors: the key, what is wrong, the nearest key."""
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return unknown_key(key)
    if problem["type"] == "model_type":
        return f"{key}: is a section, not a value (got {_short(problem['input'])})"
    message = plain_reason(problem)
    if problem["type"] == "string_pattern_mismatch":
        message = _FORMS.get(key, message)
    message = f"{key}: {message}" if key else message
    if problem["type"] in ("list_type", "tuple_type") and isinstance(
        value := problem["input"], str
    ):
        # YAML reads escapes such as \n in double quotes only.
        message += f'; write ["{value}"]' if "\\" in value else f"; write [{value}]"
    # A validator of several keys gets all of them as its input, and names those that matter.
    several = isinstance(problem["input"], dict)
    named = several or repr(problem["input"]) in message
    return message if named else f"{message} (got {_short(problem['input'])})"


_FORMS = {
    "name": "must begin with a letter or digit and hold only these, `.`, `_` and `-`",
    "reward.function": "must be module:name or package.module:name, such as my_rewards:speed",
}
"""What the patterns of keys ask for."""

_WHOLE = (
    "the learner has the log-probabilities of the whole distribution, so training samples from it; "
    "loop.eval_top_p truncates in evaluations"
)
_INSTEAD = {
    **dict.fromkeys(("rollout.top_p", "rollout.top_k", "rollout.min_p"), _WHOLE),
    "model.revision": "write it behind the name on the hub: model.path NAME@REVISION",
}
"""Keys that other programs have, and what to do here."""


def _short(value: Any) -> str:
    return f"{value!r:.80}"


def unknown_key(key: str, most: int = 1) -> str:
    """The message for a key that does not exist, with at most `most` that do."""
    if key in _INSTEAD:
        return f"{key}: unknown key; {_INSTEAD[key]}"
    nearest = nearest_keys(key, most)
    return f"{key}: unknown key" + (f"; did you mean {' or '.join(nearest)}?" if nearest else "")
