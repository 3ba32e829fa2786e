"""Signal and noise of the policy gradient at a checkpoint of a run."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from actors.runs.folder import POLICY
from deploy.ablation.collect import this_machine
from deploy.config import RunConfig
from deploy.errors import ConfigError
from deploy.signal.gradients import MASKS, gradient_grams
from deploy.signal.positions import positions
from deploy.signal.recorded import recorded_groups
from deploy.signal.stored import StoredMask, StoredPart, StoredSignal
from deploy.signal.strata import FACTORS, Stratum, strata
from learner.algorithm.gradient_signal import compare_signals
from learner.errors import LearnerError
from learner.models.networks import PolicyModel


def measure_signal(
    name: str,
    checkpoint: Path,
    files: Sequence[Path],
    config: RunConfig,
    masks: Sequence[str],
    most_groups: int | None,
    seed: int,
) -> StoredSignal:
    """Measure the policy of a checkpoint on recorded rollouts; the last mask is the baseline.

    Raises:
        ConfigError: an unknown mask, fewer than two groups, or a file that cannot be used.
    """
    for mask in masks:
        if mask not in MASKS:
            raise ConfigError(f"--masks: no mask {mask!r}; there are {', '.join(MASKS)}")
    if not masks:
        raise ConfigError(f"--masks: names none of {', '.join(MASKS)}")
    groups = recorded_groups(files, most_groups)
    if len(groups) < 2:
        raise ConfigError(
            f"{len(groups)} groups that were learned from: a variance needs more; record more "
            "(loop.record) or raise --steps and --groups"
        )
    policy = _policy(checkpoint, config.model.trust_remote_code).float()
    grams = gradient_grams(policy, groups, config.learner, masks, config.rollout.temperature)
    every = Stratum("all", "all", None, tuple(range(len(groups))))
    parts = [
        StoredPart(
            factor=part.factor,
            level=part.level,
            mean=None if part.mean is None else round(part.mean, 4),
            groups=len(part.groups),
            masks={
                mask: StoredMask.of(signal)
                for mask, signal in compare_signals(grams.of(part.groups), seed=seed).items()
            },
        )
        for part in (every, *strata(groups))
    ]
    return StoredSignal(
        name=name,
        run=config.name,
        checkpoint=checkpoint.name,
        steps=len(files),
        baseline=grams.baseline,
        curriculum=config.curriculum.mode,
        advantage=config.learner.advantage,
        lr=config.learner.policy.lr,
        samples=sum(len(group.trajectories) for group in groups),
        shares={
            factor: round(sum(map(share, groups)) / len(groups), 4)
            for factor, share in FACTORS.items()
        },
        parts=parts,
        positions=positions(groups, config.learner, masks),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        machine=this_machine(),
    )


def _policy(checkpoint: Path, trust_remote_code: bool) -> PolicyModel:
    """The policy of a checkpoint: its model folder where it has one, or out of its partitions."""
    import torch

    from learner.models.pretrained import load_policy
    from learner.zero.consolidated import read_policy

    try:
        with TemporaryDirectory() as folder:
            model = checkpoint / POLICY
            if not (model / "config.json").is_file():
                # Read as a model's folder, because partitions hold no computed buffers.
                model = Path(folder)
                read_policy(checkpoint / "learner", trust_remote_code).write(model)
            return load_policy(model, torch.float32, trust_remote_code=trust_remote_code)
    except LearnerError as error:
        raise ConfigError(f"{checkpoint}: {error}") from error
