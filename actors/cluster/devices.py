"""The memory of the GPUs in a run's places, asked before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass

import ray

from actors.cluster.placement import Placement
from actors.cluster.ray_calls import ask_everywhere
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
    places = {f"place {i}": options for i, options in enumerate(placement.model_bundles())}
    answers = ask_everywhere(
        "how much memory its GPU has",
        _smallest_gpu,
        {name: {"num_gpus": 0.01, **options} for name, options in places.items()},
        deadline_s,
    )
    sizes: list[int] = []
    for name, size in answers.items():
        if isinstance(size, str):
            raise RunFailed(
                f"torch sees no GPU in {name} of this run, on node {size}: install the "
                f"environment for GPUs there (STEPCODER_EXTRA=gpu make install) and its driver "
                f"(nvidia-smi), or set placement.accelerator cpu"
            )
        sizes.append(size)
    learners = placement.learners
    return GpuMemory(learner=min(sizes[:learners]), engine=min(sizes[learners:] or sizes))


def _smallest_gpu() -> int | str:
    """Memory of the smallest GPU in this place [bytes]; the node's address where there is none."""
    import torch

    if not torch.cuda.is_available():
        return ray.util.get_node_ip_address()
    count = torch.cuda.device_count()
    return min(torch.cuda.get_device_properties(i).total_memory for i in range(count))
