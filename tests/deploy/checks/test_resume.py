"""Resuming: what changes no sample may change, and the rest is refused with its reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actors.runs.folder import RunFolder, append_jsonl
from curriculum.datasets.load import load_dataset
from curriculum.datasets.problem_file import problem_digest
from curriculum.problem import Problem
from curriculum.prompts.fit import Fit
from curriculum.schedule.make import make_schedule
from deploy.checks.prompts import PromptFit
from deploy.checks.resume import (
    FREE,
    KEPT_LOOP,
    check_curriculum,
    check_resumable,
    check_suites,
)
from deploy.config import RunConfig, load_config
from deploy.config.keys import all_keys
from deploy.errors import ConfigError

SMALL = ["--data.train_per_tier", "2", "--data.heldout_per_tier", "1"]


def config(*overrides: str) -> RunConfig:
    return load_config(None, overrides)


def check(*overrides: str, before: tuple[str, ...] = ()) -> None:
    check_resumable(Path("config.yaml"), config(*before), config(*overrides))


@pytest.mark.parametrize(
    "override",
    [
        *("--loop.steps 7", "--loop.keep_checkpoints 9", "--placement.learner_threads 2"),
        *("--rollout.workers 3", "--rollout.kv_cache_mib 256", "--rollout.max_num_seqs 8"),
        *("--rollout.start_timeout_s 900", "--rollout.max_model_len 1024", "--pool.workers 2"),
        *("--sandbox.container_memory_mib 4096", "--weights.timeout_s 9"),
        *("--learner.token_budget 512", "--learner.gradient_checkpointing true"),
        *("--learner.zero.export_bucket_mib 64", "--reward.function_errors drop"),
    ],
)
def test_what_changes_no_sample_may_change(override: str, caplog: pytest.LogCaptureFixture) -> None:
    check(*override.split())
    assert not caplog.records


@pytest.mark.parametrize(
    "override",
    [
        "--learner.policy.lr 1e-6",
        "--learner.lr_schedule.warmup_updates 3",
        "--learner.lr_schedule.kind cosine",
    ],
)
def test_another_learning_rate_is_taken_and_said(
    override: str, caplog: pytest.LogCaptureFixture
) -> None:
    check(*override.split())
    key = override.split()[0].removeprefix("--")
    assert f"resumed with another {key}: " in caplog.text


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("--rollout.temperature 0.7", "another distribution"),
        ("--rollout.max_model_len 256", "would not fit any more"),
        ("--rollout.max_new_tokens 100", "another distribution"),
        ("--loop.prompts_per_step 4", "other samples would make a step"),
        ("--sandbox.limits.wall_seconds 1", "judged by other rules"),
        ("--reward.passed 2", "worth something else"),
        ("--learner.mask none", "the update would be another one"),
        ("--learner.epochs 2", "the update would be another one"),
        ("--curriculum.mode none", "other subtasks"),
        ("--prompt.show_tests 2", "in another way"),
        ("--sft.steps 9", "warm start that the run began with"),
        ("--seed 3", "samples would be other ones"),
    ],
)
def test_the_rest_is_refused_with_both_values_and_the_reason(override: str, reason: str) -> None:
    key, value = override.removeprefix("--").split()
    with pytest.raises(ConfigError, match=rf"{key} \(.* there, {value}.* here\): .*{reason}"):
        check(*override.split())


def test_every_key_that_is_named_exists() -> None:
    for name in (*FREE, *KEPT_LOOP):
        assert any(key.startswith(name) for key in all_keys()), name


def test_problems_that_are_not_those_of_the_checkpoint_are_refused(tmp_path: Path) -> None:
    run = config(*SMALL)
    dataset = load_dataset(run.data)

    def fitted(count: int) -> PromptFit:
        train = Fit(dataset.train[:count], (), {})
        return PromptFit(train, Fit(dataset.heldout, (), {}), (), 448)

    state = make_schedule(dataset.train, run.curriculum, run.seed, {}).state_dict()
    (tmp_path / "trainer.json").write_text(json.dumps({"schedule": state}))
    check_curriculum(tmp_path, run, fitted(len(dataset.train)))
    with pytest.raises(ConfigError, match=r"other problems .*raised rollout\.max_model_len"):
        check_curriculum(tmp_path, run, fitted(3))


def test_other_problems_of_an_evaluation_are_refused(tmp_path: Path) -> None:
    heldout = load_dataset(config(*SMALL).data).heldout
    folder, train = RunFolder(tmp_path), Fit([], (), {})

    def fitted(problems: list[Problem], **suites: list[Problem]) -> PromptFit:
        parts = {name: Fit(part, (), {}) for name, part in suites.items()}
        return PromptFit(train, Fit(problems, (), {}), (), 448, parts)

    def asked(suite: str, problems: list[Problem]) -> dict[str, object]:
        digests = {problem.id: {"digest": problem_digest(problem)} for problem in problems}
        return {"step": 0, "suite": suite, "problems": digests}

    check_suites(folder, fitted(heldout))
    append_jsonl(folder.evaluations, [asked("heldout", heldout), asked("mbpp", heldout[:1])])
    check_suites(folder, fitted(heldout, mbpp=heldout[:1], new=heldout))
    check_suites(folder, fitted(heldout))
    test = heldout[0].tests[0].model_copy(update={"output": 7})
    mended = heldout[0].model_copy(update={"tests": (test, *heldout[0].tests[1:])})
    with pytest.raises(ConfigError, match=rf"suite heldout: 1 problems .*: {mended.id}: was the"):
        check_suites(folder, fitted([mended, *heldout[1:]]))
    with pytest.raises(ConfigError, match="suite heldout: 1 problems"):
        check_suites(folder, fitted(heldout[1:]))
    with pytest.raises(ConfigError, match="suite mbpp: 2 problems"):
        check_suites(folder, fitted(heldout, mbpp=heldout[1:2]))
    with folder.evaluations.open("a") as file:
        file.write("1\n")
    with pytest.raises(ConfigError, match="line 3: not an object"):
        check_suites(folder, fitted(heldout))
