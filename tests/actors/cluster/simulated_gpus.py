"""Run as a program: two learner ranks and two engines on a Ray cluster that is told of two GPUs;
prints what each actor sees. A cluster of its own, because other tests' runs would use them.
"""

from __future__ import annotations

import json
import logging
import os
from typing import Any

import ray

from actors.cluster.devices import gpu_memory
from actors.cluster.placement import reserve
from actors.config import PlacementConfig, RolloutConfig, SandboxPoolConfig
from actors.errors import RunFailed
from actors.learners.worker import learner_env
from actors.rollout.engine_env import engine_env


class Seer:
    """Tells the GPUs that its process may use."""

    def sees(self) -> str | None:
        """The variable that CUDA reads."""
        return os.environ.get("CUDA_VISIBLE_DEVICES")


def main() -> None:
    """Place them, ask them, print the answers as JSON."""
    ray.init(
        address="local", num_cpus=8, num_gpus=2, resources={"sandbox": 1.0},
        include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR,
        object_store_memory=100 << 20,
    )  # fmt: skip
    rollout = RolloutConfig(workers=2)
    placement = PlacementConfig(learner_ranks=2, colocate=True, timeout_s=30)
    places = reserve(placement, rollout, SandboxPoolConfig(workers=1), gpu=True)
    try:
        memory = str(gpu_memory(places, 60))
    except RunFailed as error:
        memory = str(error)
    seer: Any = ray.remote(Seer)

    def actor(env: dict[str, str], **options: Any) -> Any:
        return seer.options(num_cpus=1, runtime_env={"env_vars": env}, **options).remote()

    actors = {
        "learners": [actor(learner_env(1, True), **places.learner(i)) for i in range(2)],
        "engines": [actor(engine_env(rollout, True, True), **places.rollout(i)) for i in range(2)],
        "others": [actor(learner_env(1, False)), actor(engine_env(rollout, False, False))],
    }
    seen: dict[str, Any] = {
        role: ray.get([one.sees.remote() for one in ones], timeout=120)
        for role, ones in actors.items()
    }
    print(json.dumps({**seen, "memory": memory}))
    ray.shutdown()


if __name__ == "__main__":
    main()
