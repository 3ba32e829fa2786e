"""Processor time of the messages that driver and collectors send, for the simulator.

    python -m deploy.bench.fleet.message_costs > costs.json
    stepcoder bench fleet --simulate 512 --costs costs.json

Real Ray actors and real collector code; nothing is generated and no program runs. The load is that
of a fleet: calls and streams of several actors at a time, and completions of 400 tokens to read.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import ray

from actors.collectors.collector import Collector, Reading
from actors.collectors.messages import EnginesView, GroupOrder, Order, Sampling
from actors.config import LoopConfig, RolloutConfig, SandboxPoolConfig
from actors.rollout.samples import Completion, Request
from actors.sandboxes.pool import SandboxPool
from curriculum.subtask import FULL_TASK, cut
from curriculum.synthetic.problems import synthetic_problems
from deploy.bench.fleet.fake_actors import SteadyPool, bench_tokenizer
from sandbox import Limits

ACTORS, TOKENS, SAMPLES = 8, 400, 8
ITEMS, GAP_S = 50, 0.1


class Peer:
    """Answers calls and streams items of the size of a completion."""

    async def ping(self) -> int:
        """Answer."""
        return 0

    async def stream(self, items: int, gap_s: float) -> AsyncIterator[tuple[Completion, ...]]:
        """Yield one completion each `gap_s`."""
        for i in range(items):
            await asyncio.sleep(gap_s)
            yield (Completion(i, tuple(range(TOKENS)), (-0.5,) * TOKENS, "stop", 0),)


class AtOnce:
    """Generates without delay."""

    async def generate(
        self, groups: Sequence[Sequence[Request]], _attempts: Counter[int]
    ) -> AsyncIterator[Completion]:
        """Yield a completion of `TOKENS` tokens for each request."""
        for request in (request for group in groups for request in group):
            ids = tuple(5 + (request.sample_id + k) % 90 for k in range(TOKENS))
            yield Completion(request.sample_id, ids, (-0.5,) * TOKENS, "stop", 0)


async def ray_costs() -> dict[str, float]:
    """Microseconds of this process for a call and for an item of a stream; its idle time."""
    actor: Any = ray.remote(Peer).options(num_cpus=0, max_concurrency=1000)
    peers: list[Any] = [actor.remote() for _ in range(ACTORS)]
    await asyncio.gather(*(peer.ping.remote() for peer in peers))
    began = time.process_time()
    await asyncio.sleep(4)
    idle = (time.process_time() - began) / 4

    async def burst() -> None:
        await asyncio.gather(*(peer.ping.remote() for peer in peers))

    await burst()
    began = time.process_time()
    for _ in range(30):
        await burst()
    call_s = (time.process_time() - began) / (30 * ACTORS)

    async def read(peer: Any) -> None:
        async for item in peer.stream.options(num_returns="streaming").remote(ITEMS, GAP_S):
            await item

    began, started = time.process_time(), time.monotonic()
    await asyncio.gather(*map(read, peers))
    spent = time.process_time() - began - idle * (time.monotonic() - started)
    return {
        "idle_share": idle,
        "call_us": 1e6 * call_s,
        "completion_us": 1e6 * spent / (ACTORS * ITEMS),
    }


async def reading_us() -> float:
    """Microseconds of a collector for a sample: prompt, program, reward, trajectory."""
    problems = synthetic_problems(seed=4, per_tier=16)
    config = RolloutConfig(max_model_len=4096, max_new_tokens=TOKENS)
    generator: Any = AtOnce()
    pool: Any = SteadyPool()
    tokenizer = bench_tokenizer(LoopConfig())
    collector = Collector(generator, pool, tokenizer, config, Reading(Limits()))
    spent: list[float] = []
    for turn in range(4):
        groups = tuple(
            GroupOrder(
                i, cut(p, FULL_TASK, frozenset()), {i * SAMPLES + k: k for k in range(SAMPLES)}
            )
            for i, p in enumerate(problems)
        )
        view = EnginesView(turn, 0, ())
        order = Order(turn, turn, groups, Sampling(1.0, 1.0, TOKENS), {}, view, True, 5.0)
        began = time.process_time()
        async for _ in collector.collect(order):
            pass
        spent.append(1e6 * (time.process_time() - began) / (len(groups) * SAMPLES))
    return min(spent)


async def placing_ns() -> float:
    """Nanoseconds of choosing a sandbox worker, for each worker of the pool."""
    workers, calls = 625, 300
    pool = SandboxPool([None] * workers, SandboxPoolConfig(slots_per_worker=16))
    began = time.process_time()
    for _ in range(calls):
        await pool._least_loaded(set())
    return 1e9 * (time.process_time() - began) / (workers * calls)


def main() -> None:
    """Measure, and print the costs as the simulator reads them."""
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        costs = asyncio.run(ray_costs())
    finally:
        ray.shutdown()
    costs["reading_us"] = asyncio.run(reading_us())
    costs["placing_ns"] = asyncio.run(placing_ns())
    print(json.dumps({name: round(value, 4) for name, value in costs.items()}, indent=1))


if __name__ == "__main__":
    main()
