"""The figures of `stepcoder signal`, measured and as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from actors.runs.folder import POLICY
from curriculum.files import write_atomic
from deploy.config import RunConfig
from deploy.errors import ConfigError
from deploy.gradient_signal import MASKS, gradient_grams, recorded_groups
from learner.algorithm.gradient_signal import Estimate, compare_signals
from learner.errors import LearnerError
from learner.models.networks import PolicyModel


@dataclass(frozen=True)
class Signals:
    """Signal-to-noise ratios at one checkpoint."""

    groups: int
    samples: int
    baseline: str
    """The mask that the others are compared with."""
    ratios: dict[str, Estimate]
    """By mask."""
    differences: dict[str, Estimate]
    """Of each other mask from the baseline, paired by group."""


def signals_at(
    checkpoint: Path,
    files: Sequence[Path],
    config: RunConfig,
    masks: Sequence[str],
    most_groups: int | None,
    seed: int,
) -> Signals:
    """Measure the policy of a checkpoint on recorded rollouts; the last mask is the baseline.

    Raises:
        ConfigError: an unknown mask, fewer than two groups, or a file that cannot be used.
    """
    for name in masks:
        if name not in MASKS:
            raise ConfigError(f"--masks: no mask {name!r}; there are {', '.join(MASKS)}")
    if not masks:
        raise ConfigError(f"--masks: names none of {', '.join(MASKS)}")
    groups = recorded_groups(files, most_groups)
    if len(groups) < 2:
        raise ConfigError(
            f"{len(groups)} groups that were learned from: a variance needs more; record more "
            "(loop.record) or raise --steps and --groups"
        )
    policy = _policy(checkpoint, config.model.trust_remote_code)
    grams = gradient_grams(
        policy.float(), groups, config.learner, masks, config.rollout.temperature
    )
    ratios, differences = compare_signals(grams, masks[-1], seed=seed)
    samples = sum(len(group.trajectories) for group in groups)
    return Signals(len(groups), samples, masks[-1], ratios, differences)


def _policy(checkpoint: Path, trust_remote_code: bool) -> PolicyModel:
    """The policy of a checkpoint: its model folder where it has one, or out of its partitions."""
    import torch

    from learner.models.pretrained import load_policy
    from learner.zero.consolidated import read_policy

    try:
        if (checkpoint / POLICY / "config.json").is_file():
            return load_policy(
                checkpoint / POLICY, torch.float32, trust_remote_code=trust_remote_code
            )
        return read_policy(checkpoint / "learner", trust_remote_code).policy
    except LearnerError as error:
        raise ConfigError(f"{checkpoint}: {error}") from error


def print_signals(found: Signals, checkpoint: str, file: Path | None) -> None:
    """Print the table, and write the figures as JSON where a file is given."""
    table = Table(
        title=f"signal / noise of the policy gradient at {checkpoint}, {found.groups} groups"
    )
    for column in ("mask", "ratio", "95 %", f"against {found.baseline}", "95 %"):
        table.add_column(column, justify="left" if column == "mask" else "right")
    for mask, ratio in found.ratios.items():
        cells = [f"{ratio.value:.4f}", _interval(ratio)]
        difference = found.differences.get(mask)
        if difference is not None:
            cells += [f"{difference.value:+.4f}", _interval(difference)]
        table.add_row(mask, *cells)
    Console().print(table)
    if file is not None:
        write_atomic(file, json.dumps(asdict(found) | {"checkpoint": checkpoint}, indent=1))


def _interval(estimate: Estimate) -> str:
    return f"{estimate.low:.4f} to {estimate.high:.4f}"
