"""The memory of the GPUs in a run's places, asked before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from actors.cluster.placement import Placement
from actors.errors import RunFailed


@dataclass(frozen=True)
class GpuMemory:
    """Memory of the smallest GPU of each role [bytes]."""

    learner: int
    engine: int


def gpu_memory(placement: Placement, deadline_s: float) -> GpuMemory:
    """Ask torch in every place that has a GPU.

    Raises:
        RunFailed: torch sees no GPU in a place, or a place does not answer in time.
    """
    bundles = placement.model_bundles()
    task: Any = ray.remote(_smallest_gpu)
    calls = [
        task.options(num_cpus=0, num_gpus=0.01, max_retries=0, **options).remote()
        for options in bundles
    ]
    try:
        sizes = ray.get(calls, timeout=deadline_s)
    except (GetTimeoutError, RayError) as error:
        raise RunFailed(
            f"the GPUs of this run did not say their memory within {deadline_s:g} s "
            f"(placement.timeout_s): {type(error).__name__}: {error}"
        ) from error
    for options, size in zip(bundles, sizes, strict=True):
        if isinstance(size, str):
            bundle = options["scheduling_strategy"].placement_group_bundle_index
            raise RunFailed(
                f"torch sees no GPU in place {bundle} of this run, on node {size}: install the "
                f"environment for GPUs there (STEPCODER_EXTRA=gpu make install) and its driver "
                f"(nvidia-smi), or set placement.accelerator cpu"
            )
    learners = placement.learners
    return GpuMemory(learner=min(sizes[:learners]), engine=min(sizes[learners:] or sizes))


def _smallest_gpu() -> int | str:
    """Memory of the smallest GPU in this place [bytes]; the node's address where there is none."""
    import torch

    if not torch.cuda.is_available():
        return ray.util.get_node_ip_address()
    count = torch.cuda.device_count()
    return min(torch.cuda.get_device_properties(i).total_memory for i in range(count))
