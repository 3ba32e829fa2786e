"""What to change first where a run does not fit a GPU: changes that were tried, not guessed."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.config import RunConfig
from deploy.config.load import resolve
from deploy.errors import ConfigError
from deploy.plan.fit import MemoryPlan
from deploy.plan.shape import ModelShape


@dataclass(frozen=True)
class Remedy:
    """A change of the configuration with which both roles fit."""

    overrides: tuple[str, ...]
    """As arguments of the command line."""
    learns_otherwise: bool
    """Whether it changes what is learned, beside where and how fast."""


def remedies(config: RunConfig, shape: ModelShape, memory: int) -> list[Remedy]:
    """Changes with which the run fits, those that change nothing that is learned first.

    Every single change that suffices is listed. Where none does, the changes are added one by one,
    in their order, until the run fits; empty where it never does.

    Args:
        config: of the run, its placement resolved.
        shape: of the policy.
        memory: of a GPU [bytes].
    """
    changes = _changes(config)
    single = [
        Remedy((override,), learns)
        for override, learns in changes
        if _fits(config, shape, memory, [override])
    ]
    if single:
        return single
    together: list[tuple[str, bool]] = []
    for change in changes:
        if _valid(config, [*(override for override, _ in together), change[0]]):
            together.append(change)
        overrides = [override for override, _ in together]
        if _fits(config, shape, memory, overrides):
            return [Remedy(tuple(overrides), any(learns for _, learns in together))]
    return []


def _changes(config: RunConfig) -> list[tuple[str, bool]]:
    """(override, whether it changes what is learned), in the order in which they are tried."""
    learner, placement, rollout = config.learner, config.placement, config.rollout
    budget = max(rollout.max_model_len, learner.token_budget // 4)
    wanted = [
        ("--rollout.gpu_memory_utilization=null", rollout.gpu_memory_utilization, None, False),
        ("--learner.gradient_checkpointing=true", learner.gradient_checkpointing, True, False),
        (f"--learner.token_budget={budget}", learner.token_budget, budget, False),
        ("--placement.colocate=false", bool(placement.colocate), False, False),
        ("--learner.zero.stage=3", learner.zero.stage, 3, False),
        (f"--placement.learner_ranks={2 * placement.learner_ranks}", None, 1, False),
        (f"--rollout.tensor_parallel={2 * rollout.tensor_parallel}", None, 1, False),
        ("--learner.zero.offload_optimizer=true", learner.zero.offload_optimizer, True, False),
        ("--learner.advantage=rloo", learner.advantage == "gae", False, True),
        ("--learner.lora.rank=16", bool(learner.lora.rank), True, True),
    ]
    return [(override, learns) for override, now, then, learns in wanted if now != then]


def _valid(config: RunConfig, overrides: list[str]) -> RunConfig | None:
    try:
        return resolve(config.model_dump(mode="json"), "plan", overrides)
    except ConfigError:
        return None


def _fits(config: RunConfig, shape: ModelShape, memory: int, overrides: list[str]) -> bool:
    changed = _valid(config, overrides)
    if changed is None:
        return False
    plan = MemoryPlan.of(changed, shape)
    return plan.learner_fits(memory) and plan.engine_fits(memory)
