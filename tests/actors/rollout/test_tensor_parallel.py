"""An engine of several processes, on CPUs, in one place of a cluster."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from actors.cluster.placement import reserve
from actors.cluster.ray_calls import gather
from actors.config import PlacementConfig, RolloutConfig, SandboxPoolConfig
from actors.rollout.engine_env import engine_env
from actors.rollout.worker import RolloutWorker
from learner.config import ModelConfig
from learner.models.networks import create_llama
from learner.models.published import load_tokenizer
from learner.models.source import ModelSource

pytestmark = pytest.mark.integration


def test_a_tensor_parallel_engine_starts_in_its_place_and_ends_with_its_actor(
    ray_cluster: str, tiny_model: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_model, tmp_path, dirs_exist_ok=True)
    shape = ModelConfig(hidden_size=64, layers=1, heads=2, intermediate_size=128)
    create_llama(shape, load_tokenizer(tiny_model), seed=3).save_pretrained(tmp_path)
    config = RolloutConfig(tensor_parallel=2, kv_cache_mib=16, max_model_len=128, dtype="float32")
    placement = PlacementConfig(timeout_s=30)
    places = reserve(placement, config, SandboxPoolConfig(workers=1), gpu=False)
    actor: Any = ray.remote(RolloutWorker).options(
        num_cpus=1,
        max_concurrency=8,
        runtime_env={"env_vars": engine_env(config, False, False)},
        **places.rollout(0),
    )
    worker = actor.remote(config, "rollout-0")

    async def check() -> None:
        await gather(
            "start", [worker.start.remote(ModelSource(str(tmp_path)), "gloo", False, False)], 150
        )
        [[logprobs]] = await gather("logprobs", [worker.prompt_logprobs.remote([[5, 6, 7]])], 60)
        assert len(logprobs) == 2
        [pids] = await gather("pids", [worker.pids.remote()], 30)
        assert len(pids) >= 4, "the actor, its engine core and two workers"
        psutil.Process(pids[0]).kill()
        deadline = time.monotonic() + 30
        while left := [pid for pid in pids if _runs(pid)]:
            assert time.monotonic() < deadline, left
            await asyncio.sleep(0.2)

    try:
        asyncio.run(check())
    finally:
        ray.kill(worker)
        places.release()


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
