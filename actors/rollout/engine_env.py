"""Environment variables of an engine's process, which vLLM reads when it is imported."""

from __future__ import annotations

import os

from actors.config import RolloutConfig
from actors.weights.environment import NO_GPU, nccl_env

ENGINE_ENV = {
    # Without it the engine core gets one more process, and every output one more copy.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "HF_HUB_OFFLINE": "1",
}
CPU_ENV = {
    # Spinning OpenMP threads on a shared core slow each other down twentyfold.
    "OMP_WAIT_POLICY": "passive",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    # The first compilation costs more than a smoke run's whole generation.
    "TORCHDYNAMO_DISABLE": "1",
}


def engine_env(config: RolloutConfig, gpu: bool, colocated: bool) -> dict[str, str]:
    """Environment variables of a rollout actor, set before vLLM is imported.

    Called on the driver, whose NCCL variables every process with a GPU gets.
    """
    if not gpu:
        return {**ENGINE_ENV, **CPU_ENV, **NO_GPU, "OMP_NUM_THREADS": str(config.threads)}
    env = {**ENGINE_ENV, **nccl_env(os.environ), "OMP_NUM_THREADS": str(config.threads)}
    if colocated:
        # The ipc transport sends handles of GPU memory as pickles, which vLLM refuses by default.
        # The engine takes messages from its own actor only.
        env["VLLM_ALLOW_INSECURE_SERIALIZATION"] = "1"
    return env
