"""PodGroup: how many pods of which size a run takes on Kubernetes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from actors.cluster.placement import SANDBOX_RESOURCE
from deploy.config import RunConfig
from deploy.errors import ConfigError
from deploy.plan.fit import MemoryPlan
from deploy.plan.host import host_parts
from deploy.plan.shape import ModelShape

HEAD, LEARNER, ROLLOUT, MODELS, SANDBOX = "head", "learner", "rollout", "models", "sandbox"
_GIB = 1 << 30
_OBJECTS = 2 * _GIB
"""Ray's object store of a pod with models or the driver, which lies in its shared memory."""
_FEW_OBJECTS = _GIB // 2
"""The same of a sandbox's pod: programs and verdicts are small."""
_NCCL = 6 * _GIB
"""Shared memory that NCCL and vLLM's processes use beside it. An assumption."""


@dataclass(frozen=True)
class PodGroup:
    """Equal pods; memory in bytes."""

    name: str
    replicas: int
    cpus: int
    """Processors of a pod, requested and limited."""
    memory: int
    """Memory of a pod's processes."""
    objects: int
    """Ray's object store of a pod."""
    others: int = 0
    """Shared memory of a pod beside the object store."""
    gpus: int = 0
    """GPUs of a pod."""
    ray_cpus: int = 0
    """Processors that Ray hands out; 0 keeps every actor with a processor away."""
    sandboxes: int = 0
    """Units of Ray's resource `sandbox`."""

    @property
    def shared_memory(self) -> int:
        """`/dev/shm` of a pod."""
        return self.objects + self.others

    @property
    def limit(self) -> int:
        """Memory of a pod: its processes' and its shared memory."""
        return self.memory + self.shared_memory

    @property
    def is_sandbox(self) -> bool:
        """Whether untrusted programs run in it."""
        return self.name == SANDBOX

    @property
    def resources(self) -> dict[str, float]:
        """Custom Ray resources of a pod."""
        return {SANDBOX_RESOURCE: self.sandboxes} if self.sandboxes else {}


def pod_groups(
    config: RunConfig, shape: ModelShape, gpu: bool, gpus_per_pod: int
) -> list[PodGroup]:
    """The groups of a run: the head, learner and rollout apart, sandboxes.

    Ray sees GPUs and not roles, and may place a rank in a pod of the rollout group: pods have the
    same memory for each GPU, so that either fits.

    Args:
        config: of the run; `placement.colocate` null counts as false.
        shape: of the policy.
        gpu: whether models run on GPUs.
        gpus_per_pod: most GPUs of one pod, those of a node.

    Raises:
        ConfigError: an engine needs more GPUs than a pod has.
    """
    hosts = {role: sum(parts.values()) for role, parts in _hosts(config, shape, gpu).items()}
    head = PodGroup(HEAD, 1, 2, hosts["driver and Ray's head"], _OBJECTS)
    sandbox = PodGroup(
        SANDBOX,
        config.pool.workers,
        max(1, config.pool.slots_per_worker),
        hosts["sandbox worker"],
        _FEW_OBJECTS,
        sandboxes=1,
    )
    if gpu:
        return [head, *_gpu_groups(config, hosts, gpus_per_pod), sandbox]
    return [head, *_cpu_groups(config, hosts), sandbox]


def _hosts(config: RunConfig, shape: ModelShape, gpu: bool) -> dict[str, dict[str, int]]:
    return host_parts(config, shape, MemoryPlan.of(config, shape, gpu), gpu)


def _gpu_groups(config: RunConfig, hosts: dict[str, int], gpus_per_pod: int) -> list[PodGroup]:
    placement, rollout = config.placement, config.rollout
    tensor_parallel = rollout.tensor_parallel
    if tensor_parallel > gpus_per_pod:
        raise ConfigError(
            f"rollout.tensor_parallel {tensor_parallel} is more than the {gpus_per_pod} GPUs of a "
            f"pod: an engine lies within one; lower it, or raise --gpus-per-pod"
        )
    learner, engine = hosts["learner rank"], hosts["engine"] // tensor_parallel
    threads = max(placement.learner_threads, rollout.threads)

    def group(name: str, gpus: int, memory: int, cpus: int) -> PodGroup:
        # Engines do not straddle pods, so a pod of several holds whole ones.
        most = gpus_per_pod - gpus_per_pod % (tensor_parallel if name == ROLLOUT else 1)
        pods = math.ceil(gpus / most)
        each = math.ceil(gpus / pods)
        each += -each % (tensor_parallel if name == ROLLOUT else 1)
        return PodGroup(
            name, pods, each * cpus + 1, each * memory, _OBJECTS, _NCCL, each, each * cpus
        )

    if placement.colocate:
        both = threads + rollout.threads
        return [group(MODELS, placement.learner_ranks, learner + engine, both)]
    memory = max(learner, engine)
    return [
        group(LEARNER, placement.learner_ranks, memory, threads),
        group(ROLLOUT, rollout.workers * tensor_parallel, memory, threads),
    ]


def _cpu_groups(config: RunConfig, hosts: dict[str, int]) -> list[PodGroup]:
    placement, rollout = config.placement, config.rollout
    memory = max(hosts["learner rank"], hosts["engine"])
    threads = max(placement.learner_threads, placement.sft_threads, rollout.threads)

    def group(name: str, replicas: int, ray_cpus: int) -> PodGroup:
        return PodGroup(name, replicas, threads, memory, _OBJECTS, ray_cpus=ray_cpus)

    return [
        group(LEARNER, placement.learner_ranks, max(1, rollout.threads)),
        group(ROLLOUT, rollout.workers, max(1, rollout.threads)),
    ]
