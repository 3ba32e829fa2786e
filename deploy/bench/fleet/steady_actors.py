"""Ray actors that take a set time: engines and sandboxes without vLLM and without programs.

Around them driver, collectors and all their messages are real, so that what they cost can be
measured at any number of engines.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import ray

from actors.collectors.collector import Reading
from actors.collectors.group import CollectorGroup
from actors.config import LoopConfig, RolloutConfig, SandboxPoolConfig
from actors.recording.writer import WriterProcess
from actors.rollout.fleet import RolloutFleet
from actors.rollout.samples import Completion, Request
from actors.rollout.worker import RolloutWorker
from actors.sandboxes.pool import SandboxPool
from actors.sandboxes.worker import Isolation, Ticket
from deploy.bench.fleet.fake_actors import (
    COMPLETION_TOKENS,
    SteadyLearner,
    SteadyPool,
    bench_tokenizer,
    steady_completion,
    trainer_over,
)
from learner.models.source import ModelSource
from sandbox import Job, Limits, Verdict

GENERATE_S, LEARN_S = 2.0, 0.2
STEPS = 6
PROMPTS_PER_ENGINE, SAMPLES = 16, 8


class SteadyEngine(RolloutWorker):
    """Generates its requests evenly spread over `GENERATE_S`."""

    async def start(self, *_arguments: object) -> dict[str, str]:
        """Load nothing."""
        return {}

    async def heartbeat(self) -> int:
        """Answer."""
        return 0

    async def generate(
        self, requests: Sequence[Request], version: int, _caller: str
    ) -> AsyncIterator[tuple[Completion, ...]]:
        """Yield a completion of fixed length for each request."""
        started = time.monotonic()
        for i, request in enumerate(requests):
            due = started + GENERATE_S * (i + 1) / len(requests)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            yield (steady_completion(request, version),)


class SteadySandbox:
    """Judges at once; every second program passes."""

    def __init__(self) -> None:
        self._pool = SteadyPool()

    async def start(self, _backend: str | None) -> Isolation:
        """Warm nothing."""
        return Isolation("process", "nothing runs", "")

    async def run(self, job: Job, _ticket: Ticket, _backend: str | None) -> Verdict:
        """The verdict."""
        return await self._pool.run(job)

    def stop(self) -> None:
        """Close nothing."""


@dataclass(frozen=True)
class DriverLoad:
    """What a run cost its driver."""

    cpu_us_per_sample: tuple[float, ...]
    """By step: processor time of the driver's process, all its threads [us]."""
    rows: list[dict[str, float]]
    """The metrics by step."""


async def driver_load(engines: int) -> DriverLoad:
    """Train on-policy over so many engines, each on a node, and so with a collector, of its own.

    The first step is left out: there, Ray opens its connections.
    """
    loop = LoopConfig(steps=STEPS, prompts_per_step=PROMPTS_PER_ENGINE * engines, eval_samples=1)
    config = RolloutConfig(
        workers=engines, max_model_len=4096, max_new_tokens=COMPLETION_TOKENS, heartbeat_s=5
    )
    sandboxes = SandboxPoolConfig(workers=1, slots_per_worker=32 * engines)
    worker = ray.remote(SteadySandbox).options(num_cpus=0, max_concurrency=1000)
    fleet = RolloutFleet.create(config, False, worker=SteadyEngine)
    pool = SandboxPool([worker.remote()], sandboxes)
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer, nodes = bench_tokenizer(loop), [f"node {i}" for i in range(engines)]
        collectors = CollectorGroup.create(
            fleet, pool, config, 1, tokenizer, Reading(Limits()), nodes
        )
        learner = SteadyLearner(LEARN_S, reads=False)
        trainer = trainer_over(
            Path(scratch) / "bench", loop, SAMPLES, learner, fleet, pool, collectors, WriterProcess
        )
        try:
            await asyncio.gather(fleet.start(ModelSource("no-model"), "gloo"), pool.start(120))
            await collectors.start()
            async with fleet.heartbeat(), collectors.heartbeat():
                await trainer.run()
        finally:
            collectors.stop()
            await pool.stop()
            await fleet.stop()
        rows = trainer.folder.step_rows()
    spent = [after - before for before, after in pairwise(learner.cpu_s)]
    samples = PROMPTS_PER_ENGINE * engines * SAMPLES
    return DriverLoad(tuple(1e6 * seconds / samples for seconds in spent), rows)
