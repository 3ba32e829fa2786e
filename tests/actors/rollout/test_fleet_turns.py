"""Whose turn it is: several rounds over one fleet, a learner on the engines' GPU, a slow transfer.

The workers are real actors whose engine is a clock: one that writes each completion in a set time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest
import ray

from actors.config import RolloutConfig
from actors.rollout.fleet import RolloutFleet
from actors.rollout.samples import Completion, Request
from actors.rollout.worker import RolloutWorker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

WINDOW = 4
"""Completions that a worker has under way before it gets no more."""


class Clock(RolloutWorker):
    """Writes one completion after the other."""

    async def start(
        self, model_dir: str, weights_backend: str, gpu: bool, colocated: bool
    ) -> dict[str, str]:
        return {}

    async def heartbeat(self) -> int:
        if self.name == "rollout-1":
            await asyncio.sleep(60)
        return 0

    async def generate(
        self, requests: Sequence[Request], version: int
    ) -> AsyncIterator[tuple[Completion, ...]]:
        for request in requests:
            await asyncio.sleep(0.02)
            yield (Completion(request.sample_id, (1,), (0.0,), "stop", version),)

    async def rest(self) -> None:
        pass

    async def wake(self) -> None:
        pass

    def stop(self) -> None:
        pass


@pytest.fixture
def fleet(ray_cluster: None) -> Iterator[RolloutFleet]:
    config = RolloutConfig(workers=2, max_num_seqs=WINDOW // 2, hang_timeout_s=0.5)
    made = RolloutFleet(config, gpu=False, worker=Clock, colocated=True)
    for member in made.members:
        member.loaded = True
    yield made
    for member in made.members:
        ray.kill(member.actor)


def requests(first: int, count: int) -> list[Request]:
    return [Request(i, (i,), i, 8, 1.0) for i in range(first, first + count)]


async def write(fleet: RolloutFleet, asked: list[Request], order: list[int]) -> None:
    async for completion in fleet.generate(asked):
        order.append(completion.sample_id)


def test_rounds_are_served_in_the_order_they_were_asked_and_all_of_them(
    fleet: RolloutFleet,
) -> None:
    """A round that finds every engine full must hear when another's completions make room."""
    order: list[int] = []

    async def check() -> None:
        async with asyncio.timeout(60), asyncio.TaskGroup() as rounds:
            for first in (0, 100, 200):
                rounds.create_task(write(fleet, requests(first, 40), order))
                await asyncio.sleep(0.05)

    asyncio.run(check())
    assert sorted(order) == [i for first in (0, 100, 200) for i in range(first, first + 40)]
    for earlier, later in ((0, 100), (100, 200)):
        begun = next(i for i, sample in enumerate(order) if sample >= later)
        left = [sample for sample in order[begun:] if earlier <= sample < later]
        assert len(left) <= 2 * WINDOW, "only what was under way already"


def test_an_engine_that_dies_while_the_learner_learns_is_loaded_after_it(
    fleet: RolloutFleet,
) -> None:
    async def check() -> None:
        [dead, _] = fleet.members
        await fleet.rest()
        fleet.fail(dead, dead.incarnation, "killed by the test")
        await asyncio.sleep(3)
        assert not dead.loaded, "the learner has the memory"
        await fleet.wake()
        async with asyncio.timeout(60):
            while not dead.loaded:
                await asyncio.sleep(0.1)

    asyncio.run(check())


def test_an_engine_that_takes_weights_is_not_asked_whether_it_lives(fleet: RolloutFleet) -> None:
    async def check() -> None:
        [_, silent] = fleet.members
        silent.updating = True
        await fleet.check()
        assert silent.loaded
        silent.updating = False
        await fleet.check()
        assert not silent.loaded

    asyncio.run(check())
