"""The settings of an evaluation: its options, and the configuration of prompts and sandboxes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from actors.evaluation.evaluator import Sampling
from curriculum.errors import first_fault
from curriculum.files import write_atomic
from deploy.config import RunConfig
from deploy.config.load import read_profile, resolve
from deploy.errors import ConfigError
from deploy.evaluation.subject import Subject
from learner.config import flat_settings

DEFAULTS: dict[str, Any] = {
    # One engine has the machine to itself; 1 GiB holds some 80,000 tokens of a 0.5 B model.
    "rollout": {"kv_cache_mib": 1024, "max_num_seqs": 64, "hang_timeout_s": 600},
}
"""What differs from a training run's defaults."""

_OF_THE_RUN = ("prompt", "answer", "sandbox", "data")
"""Sections that a run's policy is evaluated with as it was trained."""

_OPTION_OF = {
    "rollout.temperature": "--temperature",
    "rollout.max_new_tokens": "--max-new-tokens",
    "rollout.samples_per_prompt": "--samples",
    "rollout.dtype": "--dtype",
}
"""Keys of training that an evaluation does not read, and its own options in their place."""


class EvaluationSettings(BaseModel):
    """What decides the samples and verdicts of an evaluation: the same settings give the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    model_digest: str | None
    suites: dict[str, str]
    """Name to digest of the problems."""
    judged_file: str | None
    """The file whose samples are judged; None where they are generated."""
    judged_sha256: str | None
    """Digest of that file."""
    sampling: Sampling | None
    """How completions are drawn; None where no model generates."""
    dtype: str | None
    """As asked: `auto` may come out differently on another processor."""
    prompt: dict[str, Any] | None
    """The section `prompt` of the configuration."""
    answer: dict[str, Any] | None
    """The section `answer`; None where no program is found in an answer."""
    sandbox: dict[str, Any]
    """The keys of the section `sandbox` that decide verdicts: `limits`, `packages`, `image`."""

    def write(self, path: Path) -> None:
        """Write them as JSON."""
        write_atomic(path, json.dumps(self.model_dump(mode="json"), indent=2) + "\n")

    def require_same(self, path: Path) -> None:
        """Refuse to continue an evaluation of other settings.

        Raises:
            ConfigError: names what differs, with both values, or the file cannot be read.
        """
        try:
            other = EvaluationSettings.model_validate_json(path.read_text())
        except FileNotFoundError:
            raise ConfigError(
                f"--resume: no evaluation in {path.parent}; start it without --resume"
            ) from None
        except ValidationError as error:
            fault = ": ".join(part for part in first_fault(error) if part)
            raise ConfigError(
                f"{path}: not the settings of an evaluation by this version: {fault}; begin again "
                f"with --overwrite"
            ) from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: not the settings of an evaluation: {error}") from None
        now, before = (flat_settings(each.model_dump(mode="json")) for each in (self, other))
        changed = [
            f"{key} was {_shown(before, key)} and is now {_shown(now, key)}"
            for key in dict.fromkeys([*before, *now])
            if _shown(before, key) != _shown(now, key)
        ]
        if changed:
            raise ConfigError(
                f"--resume: this evaluation differs from {path}: {'; '.join(changed)}. Give the "
                f"former values, or evaluate into another --out"
            )


def evaluation_config(
    profile: Path | None,
    overrides: Sequence[str],
    subject: Subject,
    dtype: str,
    has_chat_template: bool,
) -> RunConfig:
    """The configuration of an evaluation.

    From the weakest to the strongest: this module's defaults, the prompts, answers, sandbox and
    synthetic problems of the run that is evaluated, the profile, the options of single keys. The
    prompt is a chat where nothing sets its style and the tokenizer has a chat template.

    Raises:
        ConfigError: it is not valid, or a key is given that an evaluation does not read.
    """
    for override in overrides:
        key = override.removeprefix("--").partition("=")[0]
        if key in _OPTION_OF:
            raise ConfigError(f"--{key} is training's; of an evaluation it is {_OPTION_OF[key]}")
    tree: dict[str, Any] = {}
    _merge(tree, DEFAULTS)
    if subject.run_config is not None:
        of_run = read_profile(subject.run_config)
        _merge(tree, {name: of_run[name] for name in _OF_THE_RUN if name in of_run})
    if profile is not None:
        _merge(tree, read_profile(profile))
    source = str(profile or subject.run_config or "the defaults")
    if has_chat_template and isinstance(prompt := tree.setdefault("prompt", {}), dict):
        prompt.setdefault("style", "chat")
    fixed = [f"--rollout.dtype={dtype}"]
    if subject.folder is not None:
        fixed.append(f"--model.path={json.dumps(str(subject.folder))}")
    return resolve(tree, source, [*overrides, *fixed])


def _shown(settings: Mapping[str, Any], key: str) -> str:
    """A setting for a message; a long digest by its beginning."""
    value = json.dumps(settings[key]) if key in settings else "absent"
    return f'{value[:13]}..."' if len(value) == 66 else value


def _merge(tree: dict[str, Any], other: dict[str, Any]) -> None:
    """Put the values of `other` into `tree`, section by section."""
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = dict(value) if isinstance(value, dict) else value
