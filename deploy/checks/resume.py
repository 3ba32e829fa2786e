"""What a resumed run may change: what changes no sample, and the learning rates."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from actors.runs.folder import RunFolder, read_jsonl
from actors.training.evaluate import HELDOUT
from curriculum.datasets.problem_file import problem_digest
from curriculum.errors import IncompatibleState
from curriculum.prompts.fit import named
from curriculum.schedule.make import make_schedule
from deploy.checks.prompts import PromptFit
from deploy.config import RunConfig, differing_keys
from deploy.config.keys import as_yaml, value_of
from deploy.errors import ConfigError
from learner.config import FREE_SETTINGS, RATE_SETTINGS

FREE = (
    *("loop.", "placement.", "pool.", "weights.", "runs_dir", "staging_dir"),
    *("rollout.workers", "rollout.engines_per_collector", "rollout.tensor_parallel"),
    *("rollout.threads", "rollout.max_num_seqs"),
    *("rollout.gpu_memory_utilization", "rollout.kv_cache_mib", "rollout.retries"),
    *("rollout.start_timeout_s", "rollout.heartbeat_s", "rollout.hang_timeout_s"),
    *("sandbox.container_", "sandbox.recycle_after", "sandbox.image_source"),
    *("sandbox.start_seconds", "sandbox.watchdog_seconds", "reward.function_"),
    *(f"learner.{name}" for name in sorted(FREE_SETTINGS)),
)
"""Keys, or their beginnings, that may change: time, place, memory, files and alarms."""
KEPT_LOOP = ("loop.prompts_per_step", "loop.resample_rounds", "loop.max_staleness")
"""Keys of the loop that decide which samples a step has."""
GROWS = "rollout.max_model_len"
"""May become larger: the prompts that fit still fit."""
_REASONS = {
    "model.": "the weights of the checkpoint are those of another model",
    "sft.": "the reference is the warm start that the run began with",
    "data.": "other problems would be asked",
    "curriculum.": "other subtasks would be asked",
    "loop.": "other samples would make a step",
    "prompt.": "the policy would be asked in another way",
    "answer.": "another part of an answer would be run",
    "rollout.": "samples would come from another distribution",
    "sandbox.": "programs would be judged by other rules",
    "reward.": "outcomes would be worth something else",
    "learner.": "the update would be another one",
    "seed": "samples would be other ones",
}


def check_resumable(recorded: Path, former: RunConfig, config: RunConfig) -> None:
    """Refuse to go on with a configuration that makes another run of it; log new learning rates.

    Args:
        recorded: file of the former configuration.
        former: of the run to resume.
        config: to resume it with.

    Raises:
        ConfigError: names each key that may not change, both values and the reason.
    """
    refused: list[str] = []
    for key in differing_keys(former, config):
        before, now = value_of(former, key), value_of(config, key)
        values = f"{as_yaml(before)} there, {as_yaml(now)} here"
        if key.removeprefix("learner.") in RATE_SETTINGS:
            logging.getLogger(__name__).warning("resumed with another %s: %s", key, values)
        elif key == GROWS and now < before:
            refused.append(f"{key} ({values}): prompts that were asked would not fit any more")
        elif key != GROWS and (key in KEPT_LOOP or not key.startswith(FREE)):
            reason = next((why for part, why in _REASONS.items() if key.startswith(part)), "")
            refused.append(f"{key} ({values})" + (f": {reason}" if reason else ""))
    if refused:
        raise ConfigError(
            f"--resume: this configuration differs from {recorded} at\n  "
            + "\n  ".join(refused)
            + "\na resumed run may change what changes no sample, and learning rates "
            "(docs/runs.md). Resume with the former values, or start another run with --name"
        )


def check_curriculum(checkpoint: Path, config: RunConfig, fit: PromptFit) -> None:
    """Refuse problems that are not those of the checkpoint: their file was changed, or prompts that
    did not fit do so now.

    Raises:
        ConfigError: with the remedy.
    """
    try:
        state = json.loads((checkpoint / "trainer.json").read_text())["schedule"]
    except (OSError, KeyError, ValueError):
        return  # the trainer says what is wrong with the checkpoint
    limits = fit.train.stage_limits
    schedule = make_schedule(fit.dataset.train, config.curriculum, config.seed, limits)
    try:
        schedule.load_state_dict(state)
    except IncompatibleState as error:
        raise ConfigError(
            f"--resume: {error}: was the file of problems changed, or does a raised {GROWS} let "
            "prompts in that were left out? Resume with the former ones, or start another run "
            "with --name"
        ) from error


def check_suites(folder: RunFolder, fit: PromptFit) -> None:
    """Refuse to evaluate on other problems than before: the gain would be no gain.

    A suite that was not asked yet may come.

    Raises:
        ConfigError: names suite and problems, with the remedy.
    """
    try:
        rows = read_jsonl(folder.evaluations)
    except ValueError as error:
        raise ConfigError(f"--resume: {folder.evaluations}: {error}") from error
    suites = {HELDOUT: fit.heldout, **fit.suites}
    for suite, part in suites.items():
        recorded = next((row["problems"] for row in rows if row["suite"] == suite), None)
        if recorded is None:
            continue
        before = {key: row["digest"] for key, row in recorded.items()}
        now = {problem.id: problem_digest(problem) for problem in part.problems}
        other = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        if other:
            raise ConfigError(
                f"--resume: suite {suite}: {len(other)} problems are not those that the run was "
                f"evaluated on before: {named(other)}: was the file of problems changed, or does a "
                f"raised {GROWS} let prompts in that were left out? Resume with the former ones, "
                "or start another run with --name"
            )
