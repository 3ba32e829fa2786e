"""Distils a finished run's folder into its stored result."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from actors.runs.folder import RunFolder, read_jsonl
from actors.training.evaluate import HELDOUT
from deploy.ablation.stored import Machine, StoredEvaluation, StoredRun
from deploy.config import RunConfig, load_config
from deploy.errors import ConfigError
from learner.config import flat_settings
from learner.models.source import ModelSource

WITHOUT_EFFECT = (
    *("name", "runs_dir", "staging_dir", "seed", "placement.", "pool.", "weights."),
    *("loop.checkpoint", "loop.keep_", "loop.sinks", "loop.record", "loop.verify_every"),
    *("loop.step_timeout_s", "loop.learner_restarts", "rollout.workers", "rollout.threads"),
)
"""Keys, or their beginnings, that may differ between runs that are compared."""
PATHS = ("model.path", "data.train_path", "data.heldout_path")
"""Keys that name files."""
SERIES = (
    *("reward", "pass_rate", "outcome/", "curriculum/revealed", "curriculum/full_task_share"),
    *("learner/entropy", "learner/kl", "learner/masked_share", "learner/tokens"),
    *("learner/policy_grad_norm", "learner/clip_share"),
    "length/completion/mean",
)
"""Figures of steps that are kept; a name that ends in a slash, or goes on with one, is a family."""
_DIGITS = 4
"""Significant digits of kept figures."""


def collect_run(
    folder: RunFolder, grid: str, arm: str, seed: int, rerun: int, switch: Mapping[str, Any]
) -> StoredRun:
    """What is kept of a finished run.

    Args:
        folder: the run's folder.
        grid: name of the grid.
        arm: name of the arm.
        seed: of the run.
        rerun: 0, or the number of the repetition.
        switch: what the arm sets.

    Raises:
        ConfigError: the run has not finished, or a file of it holds something else.
    """
    if not folder.result.is_file():
        raise ConfigError(f"{folder.root}: the run has not finished (no result.json)")
    try:
        config = load_config(folder.config)
        result = json.loads(folder.result.read_text())
        rows = folder.step_rows()
        counted = [row for row in read_jsonl(folder.evaluations) if row["suite"] == HELDOUT]
        measured = {
            row["step"]: row for row in read_jsonl(folder.metrics) if row.get("suite") == HELDOUT
        }
        return StoredRun(
            grid=grid,
            arm=arm,
            seed=seed,
            rerun=rerun,
            switch=dict(switch),
            settings=deciding_settings(config),
            config_digest=result["config_digest"],
            commit=result["git_commit"],
            date=time.strftime("%Y-%m-%d", time.localtime(folder.result.stat().st_mtime)),
            machine=this_machine(),
            isolation=result["isolation"],
            versions=result["versions"],
            heldout_digest=_digest(counted[0]["problems"]),
            eval_samples=config.loop.eval_samples,
            steps=len(rows),
            samples={fate: result["samples"].get(fate, 0) for fate in FATES},
            tokens=_sum(rows, "learner/tokens"),
            optimizer_steps=_sum(rows, "learner/optimizer_steps"),
            seconds={stage: round(value, 1) for stage, value in result["seconds"].items()},
            evaluations=[
                _evaluation(row, measured.get(row["step"], {}), rows, config.loop.eval_samples)
                for row in counted
            ],
            series=_series(rows),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise ConfigError(f"{folder.root}: not the folder of a finished run: {reason}") from None


FATES = ("asked", "trained", "dropped")


def deciding_settings(config: RunConfig) -> dict[str, Any]:
    """The keys that decide figures and differ from their defaults, with their values.

    Of a path there is the last part alone, and of a model on the hub its name without a revision:
    where files lie differs between machines.
    """
    defaults = flat_settings(RunConfig().model_dump(mode="json"))
    return {
        key: _placeless(key, value)
        for key, value in sorted(flat_settings(config.model_dump(mode="json")).items())
        if defaults.get(key) != value and not key.startswith(WITHOUT_EFFECT)
    }


def _placeless(key: str, value: Any) -> Any:
    if key == "model.path" and (hub_name := ModelSource(str(value)).hub_name) is not None:
        return hub_name[0]
    return Path(str(value)).name if key in PATHS else value


def this_machine() -> Machine:
    """This machine's processor and cores; not its name."""
    model = "unknown processor"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        pass
    return Machine(processor=model, cores=len(os.sched_getaffinity(0)))


def _evaluation(
    row: dict[str, Any], measured: dict[str, Any], steps: list[dict[str, Any]], samples: int
) -> StoredEvaluation:
    passed: dict[str, list[int]] = {}
    judged: dict[str, list[int]] = {}
    for problem in row["problems"].values():
        passed.setdefault(problem["tier"], []).append(problem["passed"])
        judged.setdefault(problem["tier"], []).append(problem["judged"])
    before = [step for step in steps if step["step"] <= row["step"]]
    return StoredEvaluation(
        step=row["step"],
        samples=_sum(before, "ledger/trained"),
        tokens=_sum(before, "learner/tokens"),
        passed=passed,
        judged={tier: of for tier, of in judged.items() if any(n != samples for n in of)},
        truncated=_rounded(measured.get(f"eval/{HELDOUT}/truncated", 0.0)),
        completion_tokens=_rounded(measured.get(f"eval/{HELDOUT}/completion_tokens", 0.0)),
    )


def _series(rows: list[dict[str, Any]]) -> dict[str, list[float | None]]:
    names = sorted({name for row in rows for name in row if _is_kept(name)})
    return {
        name: [_rounded(row[name]) if name in row else None for row in rows]
        for name in names
        if any(row.get(name) for row in rows)  # an outcome that never came is left out
    }


def _is_kept(name: str) -> bool:
    if name.startswith("pass_rate/") and not name.startswith("pass_rate/full_task"):
        return False
    return any(
        name == kept or name.startswith(kept if kept.endswith("/") else f"{kept}/")
        for kept in SERIES
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _sum(rows: list[dict[str, Any]], name: str) -> int:
    return round(sum(row.get(name, 0.0) for row in rows))


def _digest(problems: Mapping[str, Mapping[str, Any]]) -> str:
    text = json.dumps([[key, row["tier"], row["digest"]] for key, row in problems.items()])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
