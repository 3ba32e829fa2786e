"""Parts of learner and engines together: the same log-probabilities, broadcasts, sleep, speed."""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
import torch

from actors.cluster.connect import start_private_cluster
from actors.cluster.placement import Placement, reserve
from actors.config import PlacementConfig, RolloutConfig, SandboxPoolConfig, WeightsConfig
from actors.learners.group import LearnerGroup
from actors.rollout.dispatcher import Dispatcher
from actors.rollout.fleet import RolloutFleet
from actors.rollout.samples import Request
from actors.training.weight_sync import WeightSync
from deploy.bench.fleet.vllm_worker import BenchWorker
from deploy.machine.part import Figure, NotHere, Scale
from deploy.machine.random_model import random_groups, random_model
from learner.agreement import EXACT_LIMIT, ROUNDED_LIMIT, compare_logprobs
from learner.config import LearnerConfig, OptimizerConfig
from learner.models.source import ModelSource
from learner.trajectory import pack

_DEADLINE_S = 300.0
_BROADCASTS = 3
_TURNS = 3
_UNLIKE = (
    "engine and learner do not compute the same: look for a different temperature, precision or "
    "attention backend (VLLM_ATTENTION_BACKEND), or set rollout.dtype and learner.dtype float32"
)


def engines(scale: Scale) -> list[Figure]:
    """Learner and engine on one device, which sleeps and wakes before each broadcast."""
    return _measure(scale, colocated=scale.gpus > 0, sleeps=True)


def nccl(scale: Scale) -> list[Figure]:
    """Learner and engine on two GPUs, with broadcasts by NCCL."""
    if scale.gpus < 2:
        raise NotHere(f"NCCL needs two GPUs, this machine has {scale.gpus}")
    return _measure(scale, colocated=False, sleeps=False)


def _measure(scale: Scale, colocated: bool, sleeps: bool) -> list[Figure]:
    large = scale.gpus > 0 and not scale.quick
    rollout = RolloutConfig(
        dtype="bfloat16" if scale.gpus else "float32",
        max_new_tokens=256 if large else 24,
        max_model_len=1024 if large else 128,
        max_num_seqs=256 if large else 16,
        gpu_memory_utilization=0.4 if colocated else 0.85,
        kv_cache_mib=32,
    )
    placement = PlacementConfig(colocate=colocated, learner_threads=1)
    with _cluster(placement, rollout, scale) as places:
        return asyncio.run(_run(scale, rollout, placement, places, large, sleeps))


@contextmanager
def _cluster(
    placement: PlacementConfig, rollout: RolloutConfig, scale: Scale
) -> Iterator[Placement]:
    pool, gpu = SandboxPoolConfig(workers=1), scale.gpus > 0
    start_private_cluster(
        num_cpus=4,
        num_gpus=scale.gpus,
        resources={"sandbox": 1.0},
        object_store_memory=300 << 20,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        places = reserve(placement, rollout, pool, gpu)
        yield places
        places.release()
    finally:
        ray.shutdown()


async def _run(
    scale: Scale,
    rollout: RolloutConfig,
    placement: PlacementConfig,
    places: Placement,
    large: bool,
    sleeps: bool,
) -> list[Figure]:
    gpu, colocated = scale.gpus > 0, bool(placement.colocate)
    backend = ("ipc" if colocated else "nccl") if gpu else "gloo"
    model = ModelSource(str(random_model(scale)))
    learning = LearnerConfig(
        advantage="rloo", kl_coefficient=0.0, policy=OptimizerConfig(lr=1e-4), minibatch_size=16,
        gradient_checkpointing=large, logprob_diff_alarm="off", dtype=rollout.dtype,
    )  # fmt: skip
    learner = LearnerGroup.create(learning, placement, gpu, _DEADLINE_S, places.learner)
    sync = WeightSync(learner, WeightsConfig(), backend)
    fleet = RolloutFleet.create(
        rollout, gpu, places.rollout, worker=BenchWorker,
        colocated=sleeps, on_engine_loaded=sync.update_engine,
    )  # fmt: skip
    try:
        await fleet.start(model, backend)
        await fleet.sleep()
        await learner.start(model, 1.0, scale.folder / "faults")
        return [
            *await _parity(fleet, learner, sync, large, exact=not gpu),
            *await _speed(fleet, large),
        ]
    finally:
        await fleet.stop()
        await learner.stop()


async def _parity(
    fleet: RolloutFleet, learner: LearnerGroup, sync: WeightSync, large: bool, exact: bool
) -> list[Figure]:
    """Broadcast after an update, three times, each after a sleep; compare log-probabilities."""
    groups = random_groups(2, 2, 256 if large else 40)
    sequences = [list(t.token_ids) for group in groups for t in group.trajectories]
    figures, seconds = [], []
    for turn in range(_BROADCASTS):
        if turn:
            await fleet.sleep()
            await learner.update([pack(group) for group in groups])
        await sync.push(fleet, turn + 1)
        seconds.append(sync.seconds)
        expected = await learner.token_logprobs(sequences)
        [given] = (await fleet.prompt_logprobs(sequences, _DEADLINE_S)).values()
        difference = compare_logprobs(expected, given)
        violation = difference.violation(exact, None)
        limit = f"{EXACT_LIMIT:g}" if exact else f"99th percentile {ROUNDED_LIMIT:g}"
        name = f"log-prob difference after broadcast {turn + 1}"
        figures += [
            Figure(f"{name}, mean", difference.mean, "nats"),
            Figure(f"{name}, 99th percentile", difference.p99, "nats"),
            Figure(
                f"{name}, maximum", difference.largest, "nats",
                limit, not violation, _UNLIKE,
            ),
        ]  # fmt: skip
    figures.append(Figure("broadcast by", sync.backend))
    figures.append(Figure("one copy of the weights", round(sync.bytes / 2**20, 2), "MiB"))
    figures.append(Figure("broadcast, waking included", round(min(seconds[1:]), 3), "s"))
    awake = []
    for turn in range(_TURNS):
        await sync.push(fleet, _BROADCASTS + turn + 1)
        awake.append(sync.seconds)
    figures.append(Figure("broadcast, engine awake", round(min(awake), 4), "s"))
    if not exact:
        copied = _copy_seconds(sync.bytes)
        figures.append(Figure("one copy of the bytes on the GPU", round(copied, 5), "s"))
        figures.append(Figure("broadcast, times one copy", round(min(awake) / copied, 2)))
    return figures


def _copy_seconds(count: int) -> float:
    """Seconds in which the GPU copies `count` bytes to another place of its memory."""
    source = torch.empty(count, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    seconds = []
    for _ in range(5):
        torch.cuda.synchronize()
        started = time.perf_counter()
        target.copy_(source)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


async def _speed(fleet: RolloutFleet, large: bool) -> list[Figure]:
    """Tokens a second through Ray, as a run asks for them, and by the same engine without Ray."""
    prompts, samples, tokens = (32, 8, 256) if large else (2, 4, 24)
    prompt_ids = [tuple(g.trajectories[0].prompt_ids) for g in random_groups(prompts, 1, 128)]
    if not large:
        prompt_ids = [ids[:20] for ids in prompt_ids]

    def groups(first: int) -> list[list[Request]]:
        return [
            [
                Request(first + p * samples + s, ids, first + p * samples + s, tokens, 1.0)
                for s in range(samples)
            ]
            for p, ids in enumerate(prompt_ids)
        ]

    async def through_ray(first: int) -> float:
        started, count = time.perf_counter(), 0
        dispatcher = Dispatcher(fleet.supervisor, fleet.config)
        async for completion in dispatcher.generate(groups(first)):
            count += len(completion.token_ids)
        return count / (time.perf_counter() - started)

    async def without_ray(first: int) -> float:
        requests = [request for group in groups(first) for request in group]
        actor: Any = fleet.engines[0].actor
        return await asyncio.wait_for(actor.bare_rate.remote(requests), _DEADLINE_S)

    await through_ray(0)  # warms up
    turns = [
        (await through_ray(i * 1_000_000), await without_ray(i * 1_000_000))
        for i in range(1, _TURNS + 1)
    ]
    ratio = statistics.median(ours / bare for ours, bare in turns)
    return [
        Figure("engine", round(statistics.median(ours for ours, _ in turns)), "tokens/s"),
        Figure("engine, share of its speed without Ray", round(ratio, 3)),
    ]
