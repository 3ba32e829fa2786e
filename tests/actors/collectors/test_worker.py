"""Collectors as actors: the same samples from one or two, also when one of them is killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from actors.collectors.collector import Reading
from actors.collectors.group import CollectorGroup
from actors.config import RolloutConfig, SandboxPoolConfig
from actors.rollout.fleet import RolloutFleet
from actors.rollout.ledger import Ledger
from actors.rollout.round import Round
from actors.rollout.samples import Completion, Request
from actors.rollout.worker import RolloutWorker
from actors.sandboxes.pool import SandboxPool
from curriculum import FULL_TASK, cut, synthetic_problems
from learner.models.source import ModelSource
from learner.tokenizer import train_tokenizer
from sandbox import Limits, SandboxConfig
from tests.actors.rollout.clock_fleet import ClockWorker, until
from tests.actors.trajectories import trajectories_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

PROBLEMS = synthetic_problems(seed=4, per_tier=4)
SUBTASKS = [cut(problem, FULL_TASK, frozenset()) for problem in PROBLEMS]
SAMPLES = 4
CONFIG = RolloutConfig(
    workers=2, max_num_seqs=8, max_model_len=2048, heartbeat_s=0.2, hang_timeout_s=10
)


class SeededWorker(ClockWorker):
    """Writes tokens that follow from the seed alone, all requests at the same time."""

    generate = RolloutWorker.generate

    async def _complete(self, request: Request) -> Completion:
        await asyncio.sleep(0.2 + request.seed % 7 / 10)
        ids = tuple(5 + (request.seed * 31 + k) % 90 for k in range(20))
        version = self.weight_version
        return Completion(request.sample_id, ids, (-0.5,) * len(ids), "stop", version)

    def under_way(self) -> int:
        """Completions that somebody asked for."""
        return sum(map(len, self._under_way.values()))


class Stage:
    """Two engines, two sandboxes, and collectors as a test wants them."""

    def __init__(self, loop: asyncio.Runner) -> None:
        def options(_index: int) -> dict[str, Any]:
            return {"namespace": "collectors"}

        self.loop, self.options = loop, options
        texts = (f"{p.question}\n{p.solution}" for p in PROBLEMS)
        self.tokenizer = train_tokenizer(texts, 400)
        self.fleet = RolloutFleet.create(CONFIG, False, options, worker=SeededWorker)
        sandbox = SandboxConfig(backend="process", limits=Limits(wall_seconds=2.0))
        self.pool = SandboxPool.create(sandbox, SandboxPoolConfig(), "collect", options)
        loop.run(self._start())

    async def _start(self) -> None:
        await asyncio.gather(
            self.fleet.start(ModelSource("no-model"), "gloo"), self.pool.start(120)
        )

    def collectors(self, engines_each: int) -> CollectorGroup:
        config = CONFIG.model_copy(update={"engines_per_collector": engines_each})
        made = CollectorGroup.create(
            self.fleet, self.pool, config, 3, self.tokenizer, Reading(Limits()), None, self.options
        )
        self.loop.run(made.start())
        return made

    def under_way(self) -> int:
        async def ask() -> int:
            calls = (engine.actor.under_way.remote() for engine in self.fleet.engines)
            return sum(await asyncio.gather(*calls))

        return self.loop.run(ask())


@pytest.fixture(scope="module")
def stage(ray_cluster: str) -> Iterator[Stage]:
    with asyncio.Runner() as loop:
        made = Stage(loop)
        yield made
        loop.run(made.pool.stop())
        loop.run(made.fleet.stop())


def samples(finished: Round) -> dict[int, tuple[int, ...]]:
    """The tokens of every sample, by id."""
    return {
        trajectory.sample_id: trajectory.response_ids
        for group in finished.groups
        for trajectory in trajectories_of(group)
    }


async def collected(collectors: CollectorGroup) -> Round:
    ledger = Ledger()
    ledger.asked(range(len(SUBTASKS) * SAMPLES))
    finished = await collectors.collect(SUBTASKS, SAMPLES, 0, 60, ledger)
    ledger.close((s.sample_id for s in finished.samples), {})
    return finished


def test_the_samples_do_not_depend_on_the_collectors_or_their_deaths(stage: Stage) -> None:
    alone = stage.collectors(2)
    expected = stage.loop.run(collected(alone))
    alone.stop()
    assert len(samples(expected)) == len(SUBTASKS) * SAMPLES
    pair = stage.collectors(1)
    assert samples(stage.loop.run(collected(pair))) == samples(expected)

    async def kill_one() -> Round:
        work = asyncio.create_task(collected(pair))
        victim = pair.handles[0]
        pid = await victim.actor.heartbeat.remote()
        await until(lambda: victim.samples > 0)
        await asyncio.sleep(0.3)
        os.kill(pid, signal.SIGKILL)
        finished = await work
        await until(lambda: victim.loaded, 30)
        assert await victim.actor.heartbeat.remote() != pid
        return finished

    disturbed = stage.loop.run(kill_one())
    assert samples(disturbed) == samples(expected), "each once"
    assert [s.outcome for s in disturbed.samples] == [s.outcome for s in expected.samples]
    assert pair.restarts == 1
    assert samples(stage.loop.run(collected(pair))) == samples(expected)
    pair.stop()


def test_engines_and_sandboxes_stop_with_a_cancelled_round_and_a_dead_collector(
    stage: Stage,
) -> None:
    collectors = stage.collectors(2)
    [handle] = collectors.handles

    async def cancel() -> None:
        work = asyncio.create_task(collected(collectors))
        await until(lambda: handle.samples > 0)
        await asyncio.sleep(0.2)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert handle.samples == 0
        await asyncio.sleep(0.1)

    stage.loop.run(cancel())
    assert stage.under_way() == 0

    async def kill() -> None:
        work = asyncio.create_task(collected(collectors))
        pid = await handle.actor.heartbeat.remote()
        await until(lambda: handle.samples > 0)
        await asyncio.sleep(0.2)
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not handle.loaded)
        await asyncio.sleep(0.1)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    stage.loop.run(kill())
    assert stage.under_way() == 0, "nobody waits for them"
    collectors.stop()
