"""How learner and engines divide their GPUs, decided before anything is loaded."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pydantic import ValidationError

from actors.cluster.connect import Cluster
from actors.cluster.devices import gpu_memory
from actors.cluster.placement import Placement
from deploy.config import RunConfig
from deploy.errors import ConfigError
from deploy.plan.fit import MemoryPlan
from deploy.plan.shape import model_shape
from learner.models.source import ModelSource

logger = logging.getLogger(__name__)

_GIB = 1 << 30


@dataclass(frozen=True)
class MemoryShare:
    """The decisions; on CPUs there is nothing to divide."""

    engine: float | None = None
    """Share of a GPU that an engine takes."""
    hands_over: bool = False
    """Whether the learner's optimizer state is on the host while the engine has the GPU."""


def place(config: RunConfig, cluster: Cluster) -> RunConfig:
    """The configuration with the placement that the cluster decides.

    Raises:
        ConfigError: on this cluster learner and engine share a GPU, and the configuration does not
            allow that.
    """
    try:
        return config.placed(cluster.placement)
    except ValidationError as error:
        reasons = "; ".join(str(line["msg"]) for line in error.errors())
        raise ConfigError(
            f"the cluster has {cluster.resources.get('GPU', 0):g} GPU(s), so that "
            f"placement.colocate is {str(cluster.placement.colocate).lower()}: {reasons}"
        ) from error


def fit_memory(
    config: RunConfig, cluster: Cluster, placement: Placement, model: ModelSource
) -> MemoryShare:
    """Compare what the roles take with the GPUs in their places.

    Raises:
        ConfigError: a role does not fit; names its parts and the remedies.
        RunFailed: torch sees no GPU in a place.
    """
    if not cluster.gpu:
        return MemoryShare()
    memory = gpu_memory(placement, config.placement.timeout_s)
    shape = model_shape(model.description(), model.trust_remote_code)
    plan = MemoryPlan.of(config, shape)
    plan.check(memory)
    hands_over = plan.hands_over(memory.engine)
    share = MemoryShare(plan.utilization(memory.engine, not hands_over), hands_over)
    logger.info(
        "memory, by arithmetic: a learner rank takes %.1f of %.1f GiB; an engine takes %.0f %% of "
        "%.1f GiB, with room for %d whole sequences%s",
        sum(plan.learner.values()) / _GIB,
        memory.learner / _GIB,
        100 * (share.engine or 0),
        memory.engine / _GIB,
        plan.concurrency(memory.engine),
        "; optimizer state is on the host meanwhile" if hands_over else "",
    )
    return share
