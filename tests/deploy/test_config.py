"""Configurations: profiles parse, overrides apply, mistakes are named before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from deploy.config import RunConfig, differing_keys, load_config
from deploy.config.keys import all_keys
from deploy.errors import ConfigError

PROFILES = sorted((Path(__file__).resolve().parents[2] / "deploy" / "profiles").glob("*.yaml"))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_every_shipped_profile_parses_and_names_only_differences(profile: Path) -> None:
    config = load_config(profile)
    assert config.name == "smoke" or profile.stem != "local"
    defaults = yaml.safe_load(RunConfig().to_yaml())
    for key, value in _leaves(yaml.safe_load(profile.read_text())):
        assert _at(defaults, key) != value, f"{profile.name}: {key} repeats the default {value!r}"


def test_a_resolved_configuration_reads_back_as_itself(tmp_path: Path) -> None:
    config = load_config(PROFILES[0], ["--rollout.temperature", "0.9"])
    path = tmp_path / "config.yaml"
    path.write_text(config.to_yaml())
    assert load_config(path) == config
    assert load_config(path).digest() == config.digest()


def test_overrides_win_over_the_profile_in_both_spellings() -> None:
    arguments = ["--rollout.temperature", "0.9", "--learner.mask=none", "--loop.eval-every", "5"]
    config = load_config(PROFILES[0], arguments)
    assert (config.rollout.temperature, config.learner.mask, config.loop.eval_every) == (
        0.9,
        "none",
        5,
    )
    assert differing_keys(load_config(PROFILES[0]), config) == [
        "learner.mask",
        "loop.eval_every",
        "rollout.temperature",
    ]


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["--rollout.temprature", "1"], ["rollout.temprature: unknown key", "rollout.temperature"]),
        (["--temperature", "1"], ["temperature: unknown key", "rollout.temperature"]),
        (["--rolout.workers", "1"], ["rolout", "did you mean rollout?"]),
        (["--rollout.temperature", "hot"], ["rollout.temperature", "must be a number", "'hot'"]),
        (["--rollout.temperature", "-1"], ["rollout.temperature", "greater than 0", "-1"]),
        (["--learner.zero.stage", "7"], ["learner.zero.stage", "7"]),
        (["--rollout.stop", '["```", ""]'], ["rollout.stop.1", "''"]),
        (["--reward.passed", ".nan"], ["reward.passed", "finite number", "nan"]),
        (
            [
                "--learner.lr_schedule.kind",
                "cosine",
                "--learner.lr_schedule.updates",
                "10",
                "--learner.lr_schedule.warmup_updates",
                "10",
            ],
            ["learner.lr_schedule", "before warmup_updates 10 are over"],
        ),
        (["--rollout.temperature"], ["--rollout.temperature: a value must follow"]),
        (["rollout.temperature=1"], ["expected an override like"]),
        (["--name.deeper", "1"], ["name"]),
        (["--rollout", "3"], ["  rollout: is a section, not a value (got 3)"]),
        (["--prompt.style", "chat"], ["\n  prompt.style chat needs model.path", "template$"]),
        (["--data.train_path", "x"], ["  data: train_path is not read", "set data.kind to jsonl$"]),
        (["--name", "../escape"], ["name"]),
        (
            ["--loop.sinks", "wandb"],
            ["loop.sinks: must be a list, not str 'wandb'; write [wandb]$"],
        ),
        (["--rollout.stop", r"\n#"], [r'; write ["\n#"]$']),
        (["--model.revision", "main"], ["unknown key; write it behind the name on the hub"]),
        (["--reward.function", "math"], ["must be module:name or package.module:name", "'math'"]),
        (["--learner.lr", "1"], ["learner.lr: unknown key; did you mean learner.policy.lr?"]),
        (
            ["--prompt.chat_arguments", "{enable_thinking:false}"],
            ["'enable_thinking:false' is no name of an argument; write a space behind each colon"],
        ),
        (["--runs_dir", "[1]"], ["runs_dir: must be a folder or a URL"]),
    ],
)
def test_a_wrong_key_or_value_is_named_with_the_nearest_key(
    arguments: list[str], messages: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, arguments)
    for part in messages:
        assert part in f"{caught.value}$"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rollout: [1, 2]", "rollout"),
        ("- a\n- b", "expected a mapping"),
        ("rollout: {temperature: 1", "not readable as YAML"),
        ("rollout:\n  tempo: 1\nlop: {}", "lop: unknown key; did you mean loop?"),
    ],
)
def test_a_broken_profile_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert message in str(caught.value)
    assert "broken.yaml" in str(caught.value)


def test_a_missing_profile_names_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file; shipped profiles: .*local\.yaml"):
        load_config(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ question }}", "{{ question }}"),
        ("{% if stdin %}a{% endif %}", "{% if stdin %}a{% endif %}"),
        ("# Task\n{{ question }}\n\nSolve: it\n", "# Task\n{{ question }}\n\nSolve: it\n"),
        ('"""\n{{ question }}\n"""\n', '"""\n{{ question }}\n"""\n'),
        ("'{{ question }}'", "{{ question }}"),
        ('"a\\n{{ question }}"', "a\n{{ question }}"),
    ],
)
def test_text_on_the_command_line_is_taken_as_it_is_unless_it_is_quoted(
    text: str, value: str
) -> None:
    arguments = ["--model.path", "none", "--prompt.template", text]
    assert load_config(None, arguments).prompt.template == value


def test_a_key_that_takes_text_can_be_null_and_may_look_like_a_number() -> None:
    config = load_config(None, ["--model.path", "null", "--name", "2024"])
    assert (config.model.path, config.name) == (None, "2024")


def test_every_field_has_a_docstring() -> None:
    undocumented = [name for name, field in _fields(RunConfig) if not field.description]
    assert not undocumented
    assert len(all_keys()) > 50


def _fields(model, prefix=""):
    for name, field in model.model_fields.items():
        yield prefix + name, field
        if hasattr(field.annotation, "model_fields"):
            yield from _fields(field.annotation, f"{prefix}{name}.")


def _leaves(tree, prefix=()):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*prefix, name))
        else:
            yield (*prefix, name), value


def _at(tree, key):
    for part in key:
        tree = tree[part]
    return tree


def test_other_than_synthetic_problems_need_a_model_path() -> None:
    arguments = ["--data.kind", "jsonl", "--data.train_path", "a.jsonl", "--data.heldout_path", "b"]
    with pytest.raises(ConfigError, match=r"data.kind jsonl needs model.path: .*stepcoder sft"):
        load_config(None, arguments)
    assert load_config(None, [*arguments, "--model.path", "models/warm"]).data.kind == "jsonl"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rollout.workers", "2"], "rollout.workers must equal placement.learner_ranks"),
        (["--loop.max_staleness", "1"], "loop.max_staleness must be 0"),
        (["--weights.backend", "nccl"], "weights.backend cannot be nccl"),
    ],
)
def test_roles_that_cannot_share_a_gpu_are_refused(arguments: list[str], message: str) -> None:
    assert load_config(None, ["--placement.colocate", "true"]).placement.colocate
    with pytest.raises(ConfigError, match=message):
        load_config(None, ["--placement.colocate", "true", *arguments])


def test_engines_compute_in_the_learners_precision_unless_told() -> None:
    config = load_config(None, [])
    assert config.rollout.dtype == "auto"
    for gpu, dtype in ((False, "float32"), (True, "bfloat16")):
        assert config.learner_dtype(gpu) == config.resolved_rollout(gpu).dtype == dtype
        assert config.exact(gpu) is not gpu
    config = load_config(None, ["--learner.dtype", "float32"])
    assert config.resolved_rollout(True).dtype == "float32"
    config = load_config(None, ["--rollout.dtype", "float32"])
    assert config.resolved_rollout(True).dtype == "float32"
    assert not config.exact(True)


def test_stale_samples_need_an_importance_cap() -> None:
    stale = ["--loop.max_staleness", "1"]
    with pytest.raises(ConfigError, match=r"max_staleness 1 needs learner.importance_cap, for ex"):
        load_config(None, stale)
    config = load_config(None, [*stale, "--learner.importance_cap", "2"])
    assert config.resolved_learner().importance_cap == 2


def test_dynamic_sampling_of_stale_rounds_is_refused() -> None:
    stale = ["--loop.max_staleness", "1", "--learner.importance_cap", "2"]
    with pytest.raises(ConfigError, match=r"resample_rounds needs loop\.max_staleness 0"):
        load_config(None, [*stale, "--loop.resample_rounds", "2"])


def test_a_learning_rate_decays_over_the_steps_of_the_run() -> None:
    steps = ["--loop.steps", "70", "--seed", "5", "--learner.seed", "2"]
    learner = load_config(None, steps).resolved_learner()
    assert (learner.seed, learner.lr_schedule.updates) == (7, None)
    assert learner.max_response_tokens == load_config(None).rollout.max_new_tokens
    decay = [*steps, "--learner.lr_schedule.kind", "cosine"]
    assert load_config(None, decay).resolved_learner().lr_schedule.updates == 70
    named = [*decay, "--learner.lr_schedule.updates", "90"]
    assert load_config(None, named).resolved_learner().lr_schedule.updates == 90


@pytest.mark.parametrize("name", ["top_p", "top_k", "min_p"])
def test_a_truncated_distribution_is_for_evaluations_only(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} is not supported in training"):
        load_config(None, [f"--rollout.{name}", "0.9"])
    loop = load_config(None, ["--loop.eval_top_p", "0.9", "--loop.eval_temperature", "0"]).loop
    assert (loop.eval_top_p, loop.eval_temperature) == (0.9, 0)


def test_types_of_keys_are_told_without_names_of_the_implementation() -> None:
    kinds = {name: key.kind for name, key in all_keys().items()}
    assert kinds["rollout.stop_token_ids"] == "list of int"
    assert kinds["prompt.chat_arguments"] == "mapping of string to any value"
    assert [name for name, kind in kinds.items() if "Annotated" in kind or "Any" in kind] == []
