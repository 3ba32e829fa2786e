"""Where the roles run: one Ray placement group holds a bundle for every actor of a run.

Ray grants the group whole or not at all, so that two runs on one cluster cannot each hold half of
what the other needs. A restarted actor keeps its bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.placement_group import (
    PlacementGroup,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from actors.config import PlacementConfig, RolloutConfig, SandboxPoolConfig
from actors.errors import RunFailed

SANDBOX_RESOURCE = "sandbox"
"""The custom Ray resource that marks a node as an execution node."""


@dataclass(frozen=True)
class Placement:
    """The reserved bundles, by role."""

    group: PlacementGroup
    learners: int
    """Bundles of learner ranks; they come first."""
    rollouts: int
    """Bundles of rollout workers, unless they share the learner's; then come the sandbox
    workers'."""
    shared: dict[str, Any]
    """Ray options of actors that share a bundle; empty where each has its own."""

    def learner(self, rank: int) -> dict[str, Any]:
        """Ray options of learner rank `rank`."""
        return self._options(rank) | self.shared

    def rollout(self, index: int) -> dict[str, Any]:
        """Ray options of rollout worker `index`."""
        return self._options(index if self.shared else self.learners + index) | self.shared

    def rollout_nodes(self, workers: int) -> list[str]:
        """Ray's id of the node of each rollout worker."""
        node_of = placement_group_table(self.group)["bundles_to_node_id"]
        first = 0 if self.shared else self.learners
        return [node_of[first + index] for index in range(workers)]

    def sandbox(self, index: int) -> dict[str, Any]:
        """Ray options of sandbox worker `index`."""
        return self._options(self.learners + self.rollouts + index)

    def model_nodes(self) -> set[str]:
        """Ray's ids of the nodes with a learner rank or a rollout worker."""
        node_of = placement_group_table(self.group)["bundles_to_node_id"]
        return {node_of[bundle] for bundle in range(self.learners + self.rollouts)}

    def model_bundles(self) -> list[dict[str, Any]]:
        """Ray options of every bundle with a learner rank or a rollout worker, learners first."""
        return [self._options(bundle) for bundle in range(self.learners + self.rollouts)]

    def _options(self, bundle: int) -> dict[str, Any]:
        strategy = PlacementGroupSchedulingStrategy(self.group, placement_group_bundle_index=bundle)
        return {"scheduling_strategy": strategy}

    def release(self) -> None:
        """Give the bundles back; ends whatever still runs in them."""
        remove_placement_group(self.group)


def roles(
    placement: PlacementConfig, rollout: RolloutConfig, pool: SandboxPoolConfig, gpu: bool
) -> list[tuple[str, int, dict[str, float]]]:
    """(who, how many, the bundle of each): learner ranks, then rollout workers, then sandboxes.

    A bundle lies on one node, so the GPUs of a tensor-parallel engine are neighbours. Colocated, an
    engine and a learner rank share a bundle and its GPU.
    """
    learner: dict[str, float] = {"CPU": 1}
    engine: dict[str, float] = {"CPU": rollout.threads}
    if gpu:
        learner["GPU"] = 1
        engine["GPU"] = rollout.tensor_parallel
    sandboxes = ("sandbox", pool.workers, {SANDBOX_RESOURCE: 1.0})
    if placement.colocate:
        both = learner | {"CPU": 1 + rollout.threads}
        return [("learner and rollout", placement.learner_ranks, both), sandboxes]
    return [
        ("learner", placement.learner_ranks, learner),
        ("rollout", rollout.workers, engine),
        sandboxes,
    ]


def required_cpus(placement: PlacementConfig, rollout: RolloutConfig) -> int:
    """Processors of a run's engines and learner ranks."""
    return rollout.workers * rollout.threads + placement.learner_ranks


def check_placement(
    resources: Mapping[str, float],
    placement: PlacementConfig,
    rollout: RolloutConfig,
    pool: SandboxPoolConfig,
    gpu: bool,
) -> None:
    """Compare what the roles require with what the cluster has.

    Raises:
        RunFailed: names each resource that is short, the setting that requires it, and the remedy.
    """
    required = {
        "CPU": (
            required_cpus(placement, rollout),
            "rollout.workers x rollout.threads + placement.learner_ranks",
        ),
        SANDBOX_RESOURCE: (
            pool.workers,
            "pool.workers; start execution nodes with "
            f"`ray start --resources '{{\"{SANDBOX_RESOURCE}\": N}}'`",
        ),
    }
    if gpu:
        required["GPU"] = (
            placement.learner_ranks
            + (0 if placement.colocate else rollout.workers * rollout.tensor_parallel),
            "placement.learner_ranks"
            + ("" if placement.colocate else " + rollout.workers x rollout.tensor_parallel")
            + "; start nodes where `nvidia-smi` lists them, with `ray start --num-gpus N` if Ray "
            "does not find them itself, or set placement.accelerator cpu",
        )
    short = [
        f"{name}: {amount} required ({setting}), the cluster has {resources.get(name, 0):g}"
        for name, (amount, setting) in required.items()
        if resources.get(name, 0) < amount
    ]
    if short:
        raise RunFailed("the cluster cannot place this run:\n  " + "\n  ".join(short))


def reserve(
    placement: PlacementConfig, rollout: RolloutConfig, pool: SandboxPoolConfig, gpu: bool
) -> Placement:
    """Reserve a bundle for every actor of a run; learner ranks and engines packed together.

    Raises:
        RunFailed: the cluster does not grant them within `placement.timeout_s`; names what it
            lacks or, where it has enough in sum, the bundles and what each node has. Or Ray itself
            does not answer.
    """
    required = roles(placement, rollout, pool, gpu)
    bundles = [bundle for _, count, bundle in required for _ in range(count)]
    try:
        group = placement_group(bundles, strategy="PACK")
        granted = group.wait(timeout_seconds=placement.timeout_s)
    except RayError as error:
        raise RunFailed(
            f"Ray did not answer while this run waited for its resources ({error}); check the "
            f"cluster with `ray status`"
        ) from error
    if not granted:
        remove_placement_group(group)
        check_placement(ray.cluster_resources(), placement, rollout, pool, gpu)
        raise RunFailed(
            f"the cluster did not reserve this run's resources within {placement.timeout_s:g} s "
            f"(placement.timeout_s). Each bundle must fit on one node.\n  required: "
            + ", ".join(f"{count} x {bundle} ({who})" for who, count, bundle in required)
            + "\n  "
            + "\n  ".join(node_lines(ray.nodes()))
        )
    if placement.colocate:
        return Placement(group, placement.learner_ranks, 0, {"num_gpus": 0.5 if gpu else 0})
    return Placement(group, placement.learner_ranks, rollout.workers, {})


def node_lines(nodes: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each living node has, by the kinds of resource that a run needs; a line for those that
    have the same.

    Args:
        nodes: as `ray.nodes()` lists them.
    """
    kinds = ("CPU", "GPU", SANDBOX_RESOURCE)
    alike: dict[str, list[str]] = {}
    for node in nodes:
        if node["Alive"]:
            has = ", ".join(f"{node['Resources'].get(kind, 0):g} {kind}" for kind in kinds)
            alike.setdefault(has, []).append(str(node["NodeManagerAddress"]))
    return [
        f"node {first} has {has}"
        if not more
        else f"node {first} and {len(more)} more have {has} each"
        for has, (first, *more) in alike.items()
    ]
