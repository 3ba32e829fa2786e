"""Several Ray nodes on one machine, for chaos runs, benchmarks and tests that lose nodes.

A node is a raylet with its own resources; its actors are processes of this machine. Faults of a
real network, such as a partition, are not simulated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psutil
from ray.cluster_utils import Cluster

from deploy.cluster.authentication import auth_token
from deploy.errors import ClusterError

OBJECT_STORE = 120 << 20
"""Object store of one simulated node [bytes]."""


@dataclass
class SimulatedCluster:
    """A head without resources, and named worker nodes that can be killed and started again."""

    cluster: Cluster
    """Ray's own handle."""
    shapes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Resources of every node by its name."""
    nodes: dict[str, Any] = field(default_factory=dict)
    """Ray's handles of the nodes that run, by name."""

    @property
    def address(self) -> str:
        """Value of RAY_ADDRESS for a driver."""
        return str(self.cluster.address)

    def add(self, name: str, cpus: int = 0, resources: dict[str, float] | None = None) -> None:
        """Start the worker node `name`."""
        self.shapes[name] = {"num_cpus": cpus, "resources": resources or {}}
        self.start(name)

    def start(self, name: str) -> None:
        """Start `name` with the resources it was added with.

        Raises:
            ClusterError: the node did not start; Ray gives a busy machine one minute.
        """
        shape = self.shapes[name]
        try:
            node = self.cluster.add_node(object_store_memory=OBJECT_STORE, **shape)
        except Exception as error:  # Ray raises no narrower class here
            raise ClusterError(f"simulated node {name} did not start: {error}") from error
        self.nodes[name] = node

    def kill(self, name: str) -> None:
        """Kill `name` and every process on it at once, as a power failure would."""
        self.cluster.remove_node(self.nodes.pop(name), allow_graceful=False)

    def actors(self, kind: str, node: str | None = None) -> list[psutil.Process]:
        """Living processes of actors whose class is `kind`, on one node or on all."""
        names = [node] if node else list(self.nodes)
        return [p for p in self._processes(names) if _command(p).startswith(f"ray::{kind}")]

    def engines(self) -> list[psutil.Process]:
        """Living vLLM engine processes of this cluster's rollout workers."""
        engines: list[psutil.Process] = []
        for actor in self.actors("RolloutWorker"):
            with suppress(psutil.Error):  # it may end at any time
                engines += [child for child in actor.children() if "Engine" in _command(child)]
        return engines

    def _processes(self, names: Sequence[str]) -> list[psutil.Process]:
        processes: list[psutil.Process] = []
        for name in names:
            for raylet in self.nodes[name].all_processes.get("raylet", []):
                with suppress(psutil.Error):  # it may end at any time
                    processes += psutil.Process(raylet.process.pid).children()
        return processes


def _command(process: psutil.Process) -> str:
    with suppress(psutil.Error):  # it may end at any time
        return " ".join(process.cmdline())
    return ""


@contextmanager
def simulated_cluster() -> Iterator[SimulatedCluster]:
    """A cluster that has only its head; it ends with the context.

    Raises:
        ClusterError: the head did not start.
    """
    auth_token()  # without one Ray's head ends at once where token authentication is on
    try:
        cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "object_store_memory": OBJECT_STORE},
        )
    except Exception as error:  # Ray raises no narrower class here
        raise ClusterError(
            f"the head of the simulated cluster did not start: {error}; a busy machine needs "
            "several attempts"
        ) from error
    try:
        yield SimulatedCluster(cluster)
    finally:
        cluster.shutdown()
