"""Several Ray nodes on one machine, for what needs nodes that can be lost: chaos, benchmarks.

A node is a raylet with its own resources; its actors are processes of this machine. What a real
network adds, such as a partition, is not simulated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psutil
from ray.cluster_utils import Cluster

OBJECT_STORE = 120 << 20
"""Object store of one simulated node [bytes]."""


@dataclass
class SimulatedCluster:
    """A head without resources, and named worker nodes that can be killed and started again."""

    cluster: Cluster
    shapes: dict[str, dict[str, Any]] = field(default_factory=dict)
    nodes: dict[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """What RAY_ADDRESS must hold to join."""
        return str(self.cluster.address)

    def add(self, name: str, cpus: int = 0, resources: dict[str, float] | None = None) -> None:
        """Start the worker node `name`."""
        self.shapes[name] = {"num_cpus": cpus, "resources": resources or {}}
        self.start(name)

    def start(self, name: str) -> None:
        """Start `name` with the shape it was added with.

        Raises:
            RuntimeError: the node did not come up; Ray gives a busy machine one minute.
        """
        shape = self.shapes[name]
        try:
            node = self.cluster.add_node(object_store_memory=OBJECT_STORE, **shape)
        except Exception as error:  # Ray raises no narrower class here
            raise RuntimeError(f"simulated node {name}: {error}") from error
        self.nodes[name] = node

    def kill(self, name: str) -> None:
        """End `name` and everything on it at once, as a power failure would."""
        self.cluster.remove_node(self.nodes.pop(name), allow_graceful=False)

    def actors(self, kind: str, node: str | None = None) -> list[psutil.Process]:
        """Living processes of actors whose class is `kind`, on one node or on all."""
        names = [node] if node else list(self.nodes)
        return [p for p in self._processes(names) if _command(p).startswith(f"ray::{kind}")]

    def engines(self) -> list[psutil.Process]:
        """Living vLLM engine processes of this cluster's rollout workers."""
        engines: list[psutil.Process] = []
        for actor in self.actors("RolloutWorker"):
            with suppress(psutil.Error):  # it may end between being found and being asked
                engines += [child for child in actor.children() if "Engine" in _command(child)]
        return engines

    def _processes(self, names: Sequence[str]) -> list[psutil.Process]:
        found: list[psutil.Process] = []
        for name in names:
            for raylet in self.nodes[name].all_processes.get("raylet", []):
                with suppress(psutil.Error):  # it may end between being found and being asked
                    found += psutil.Process(raylet.process.pid).children()
        return found


def _command(process: psutil.Process) -> str:
    with suppress(psutil.Error):  # it may end between being found and being asked
        return " ".join(process.cmdline())
    return ""


@contextmanager
def simulated_cluster() -> Iterator[SimulatedCluster]:
    """A cluster with nothing but its head, ended on leaving."""
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": OBJECT_STORE},
    )
    try:
        yield SimulatedCluster(cluster)
    finally:
        cluster.shutdown()
