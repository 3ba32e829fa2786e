"""RunConfig: every package's own configuration, composed; read from YAML and the command line."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from actors.config import (
    LoopConfig,
    PlacementConfig,
    RolloutConfig,
    SandboxPoolConfig,
    WeightsConfig,
)
from curriculum.config import CurriculumConfig, DataConfig, PromptConfig
from learner.config import LearnerConfig, ModelConfig, RewardConfig, SFTConfig
from sandbox import SandboxConfig


class ConfigError(ValueError):
    """A configuration that cannot be run; the message is for the person who wrote it."""


class RunConfig(BaseModel):
    """One run, whole. `stepcoder config --config P` prints it resolved."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str = Field(default="run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """The run's folder below `runs_dir`, and its label in the dashboards."""
    runs_dir: Path = Path("runs")
    """Where run folders and the cache of warm starts lie."""
    seed: int = Field(default=0, ge=0, lt=2**30)
    """Seed of the schedule, the sampling and the learner (which adds its own `learner.seed`). The
    warm start has `sft.seed`, so that runs of several seeds share one."""
    model: ModelConfig = ModelConfig()
    """The policy: a Hugging Face folder, or a small Llama warm-started here."""
    data: DataConfig = DataConfig()
    """Training and held-out problems."""
    sft: SFTConfig = SFTConfig()
    """The warm start, when `model.path` is not given."""
    curriculum: CurriculumConfig = CurriculumConfig()
    """What is asked: CCCS."""
    prompt: PromptConfig = PromptConfig()
    """How the policy is asked: as a base model or in a chat."""
    rollout: RolloutConfig = RolloutConfig()
    """vLLM workers and sampling."""
    sandbox: SandboxConfig = SandboxConfig()
    """One sandbox."""
    pool: SandboxPoolConfig = SandboxPoolConfig()
    """How many sandboxes, and where."""
    reward: RewardConfig = RewardConfig()
    """Reward by outcome."""
    learner: LearnerConfig = LearnerConfig()
    """Masked PPO."""
    weights: WeightsConfig = WeightsConfig()
    """The weight broadcast."""
    loop: LoopConfig = LoopConfig()
    """Steps, evaluation, checkpoints."""
    placement: PlacementConfig = PlacementConfig()
    """Roles to resources."""

    @model_validator(mode="after")
    def _the_bundled_model_is_no_chat_model(self) -> RunConfig:
        if self.prompt.style == "chat" and self.model.path is None:
            raise ValueError(
                "prompt.style chat needs model.path, an instruction-tuned model: the one that is "
                "warm-started here has no chat template"
            )
        return self

    @model_validator(mode="after")
    def _the_bundled_model_knows_the_bundled_problems(self) -> RunConfig:
        if self.data.kind != "synthetic" and self.model.path is None:
            raise ValueError(
                f"data.kind {self.data.kind} needs model.path: the model that is warm-started here "
                "learns the synthetic problems; `stepcoder sft` makes one for yours"
            )
        return self

    @model_validator(mode="after")
    def _who_shares_a_gpu_takes_turns(self) -> RunConfig:
        if not self.placement.colocate:
            if self.weights.backend == "ipc":
                raise ValueError("weights.backend ipc needs placement.colocate: true")
            return self
        wrong = {
            "rollout.workers must equal placement.learner_ranks": (
                self.rollout.workers != self.placement.learner_ranks
            ),
            "rollout.tensor_parallel must be 1": self.rollout.tensor_parallel != 1,
            "loop.max_staleness must be 0": self.loop.max_staleness != 0,
            "weights.backend cannot be nccl": self.weights.backend == "nccl",
        }
        if found := [rule for rule, broken in wrong.items() if broken]:
            raise ValueError(f"placement.colocate: {'; '.join(found)}")
        return self

    def digest(self) -> str:
        """Twelve hex digits that name this configuration's content."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_yaml(self) -> str:
        """The whole resolved configuration."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load_config(path: Path | None, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a profile, apply `--a.b value` overrides, validate.

    Args:
        path: YAML file that names only what differs from the defaults; None for all defaults.
        overrides: command-line words, `--a.b value` or `--a.b=value`, values in YAML.

    Raises:
        ConfigError: names the file, the key, what is wrong, and the nearest key that exists.
    """
    tree: dict[str, Any] = {}
    origin = "the defaults"
    if path is not None:
        origin = str(path)
        tree = _read_yaml(path)
    for key, value in parse_overrides(overrides):
        _set(tree, key, value)
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        lines = [f"  {_explain(problem)}" for problem in error.errors()]
        raise ConfigError("\n".join([f"{origin}: not a valid configuration", *lines])) from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        shipped = ", ".join(str(p) for p in sorted(Path(__file__).parent.glob("profiles/*.yaml")))
        raise ConfigError(f"{path}: no such file; shipped profiles: {shipped}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: not readable as YAML: {error}") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a mapping of sections, found {type(tree).__name__}")
    return tree


def parse_overrides(words: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """`--a.b value` and `--a.b=value` as (key, value) pairs.

    Raises:
        ConfigError: a word that is no option, or an option without its value.
    """
    rest = iter(words)
    for word in rest:
        if not word.startswith("--") or word == "--":
            raise ConfigError(f"{word!r}: expected an override like --rollout.temperature 0.9")
        key, given, text = word[2:].partition("=")
        if not given:
            text = next(rest, None)
            if text is None:
                raise ConfigError(f"--{key}: a value must follow")
        key = key.replace("-", "_")
        try:
            yield key, yaml.safe_load(text)
        except yaml.YAMLError:
            raise ConfigError(f"--{key}: {text!r} is not a YAML value") from None


def _set(tree: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        child = tree.setdefault(section, {})
        if not isinstance(child, dict):
            raise ConfigError(f"--{key}: {section} is a value, not a section")
        tree = child
    tree[last] = value


def _explain(problem: Any) -> str:
    """One pydantic error for a person: the key, what is wrong, the nearest key."""
    location = [str(part) for part in problem["loc"]]
    key = ".".join(location)
    if problem["type"] == "extra_forbidden":
        near = _nearest(key)
        return f"{key}: unknown key" + (f"; did you mean {near}?" if near else "")
    shown = repr(problem["input"])
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key or 'the file'}: {message[0].lower()}{message[1:]} (got {shown[:80]})"


def _nearest(key: str) -> str | None:
    """The existing key most like this one: spelt alike as a whole, or with the same last word."""
    known = list(keys(RunConfig))
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.75)
    if close:
        return close[0]
    by_last = {name.rsplit(".", 1)[-1]: name for name in reversed(known)}
    close = difflib.get_close_matches(key.rsplit(".", 1)[-1], list(by_last), n=1, cutoff=0.7)
    return by_last[close[0]] if close else None


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every dotted key of a configuration, sections included."""
    for name, field in model.model_fields.items():
        yield prefix + name
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from keys(inner, f"{prefix}{name}.")


def differing_keys(a: RunConfig, b: RunConfig) -> list[str]:
    """Dotted keys at which two configurations differ."""

    def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        rows: dict[str, Any] = {}
        for name, value in tree.items():
            inner = flat(value, f"{prefix}{name}.") if isinstance(value, dict) else None
            rows |= inner if inner is not None else {prefix + name: value}
        return rows

    left, right = flat(a.model_dump(mode="json")), flat(b.model_dump(mode="json"))
    return sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))
