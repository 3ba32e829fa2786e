"""Seconds of a step as a run measured them, instead of an estimate."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import yaml

from deploy.config import RunConfig
from deploy.errors import ConfigError
from deploy.plan.speed import StepSeconds
from learner.config import flat_settings

_FREE = ("name", "runs_dir", "staging_dir", "seed", "loop.steps", "loop.eval_", "loop.sinks",
         "loop.checkpoint_", "loop.keep_", "loop.record", "data.train_path",
         "data.heldout_path")  # fmt: skip
"""Keys that do not change how long a step takes, by their beginnings."""


def measured_seconds(folder: Path, config: RunConfig) -> tuple[StepSeconds, float]:
    """Means over the steps of a run but its first, and its seconds for a program.

    Args:
        folder: of the run.
        config: whose steps are asked for.

    Raises:
        ConfigError: the folder holds no run of two steps, or one of another configuration.
    """
    try:
        recorded = yaml.safe_load((folder / "config.yaml").read_text())
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        settings = flat_settings(recorded)
        # Evaluations have a `suite`; the first step loads and compiles what later ones have.
        steps = [row for row in rows if "suite" not in row][1:]
        seconds = StepSeconds(
            rollout=fmean(row["seconds/rollout"] + row["seconds/sandbox"] for row in steps),
            learn=fmean(row["seconds/learn"] for row in steps),
            broadcast=fmean(row["seconds/broadcast"] for row in steps),
            step=fmean(row["seconds/step"] for row in steps),
        )
        program_s = fmean(row["sandbox/program_ms"] for row in steps) / 1e3
    except (OSError, ValueError, LookupError, AttributeError, TypeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"--run {folder}: not the folder of a run with at least two steps ({error}); leave "
            "--run out for an estimate from data sheets"
        ) from error
    wanted = flat_settings(config.model_dump(mode="json"))
    for key in sorted(wanted.keys() | settings.keys()):
        if not key.startswith(_FREE) and wanted.get(key) != settings.get(key):
            raise ConfigError(
                f"--run {folder}: its {key} is {settings.get(key)!r}, and {wanted.get(key)!r} is "
                f"planned: its seconds are not this configuration's; plan with --config "
                f"{folder / 'config.yaml'}, or leave --run out"
            )
    return seconds, program_s
