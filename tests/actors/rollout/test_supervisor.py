"""Restarts, heartbeats and sleep, on real Ray actors whose engine is a clock."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from actors.config import WeightsConfig
from actors.errors import ActorLost, RunFailed
from actors.rollout.dispatcher import Dispatcher
from actors.rollout.engine_handle import EngineHandle
from actors.rollout.fleet import RolloutFleet
from actors.training.weight_sync import WeightSync
from learner.models.source import ModelSource
from tests.actors.rollout.clock_fleet import (
    DEADLY_PROMPT,
    WINDOW,
    Request,
    create_clock_fleet,
    groups,
    sample_ids,
    until,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


class ScriptedLearner:
    """Broadcasts at once, unless it is told to be lost."""

    lost = False

    async def broadcast(self, version: int, targets: Any) -> int:
        if self.lost:
            raise ActorLost("learner: broadcast: the actor died")
        return 1


class OnLoaded:
    """What the fleet calls with a restarted engine: `WeightSync`, or what a test puts there."""

    def __init__(self) -> None:
        self.learner = ScriptedLearner()
        self.sync = WeightSync(self.learner, WeightsConfig(), "gloo")  # type: ignore[arg-type]
        self.error: Exception | None = None

    async def __call__(self, fleet: RolloutFleet, engine: EngineHandle) -> None:
        if self.error is not None:
            raise self.error
        await self.sync.update_engine(fleet, engine)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def on_loaded() -> OnLoaded:
    return OnLoaded()


@pytest.fixture(scope="module")
def fleet(ray_cluster: str, loop: asyncio.Runner, on_loaded: OnLoaded) -> Iterator[RolloutFleet]:
    made = create_clock_fleet(on_loaded)
    loop.run(made.start(ModelSource("no-model"), "gloo"))
    yield made
    loop.run(made.stop())


@pytest.fixture(autouse=True)
def both_engines_are_ready(
    fleet: RolloutFleet, loop: asyncio.Runner, on_loaded: OnLoaded
) -> Iterator[None]:
    yield
    on_loaded.error, on_loaded.learner.lost = None, False
    fleet.supervisor._failure = None
    loop.run(until(lambda: len(fleet.supervisor.loaded()) == 2))
    loop.run(on_loaded.sync.push(fleet, fleet.version + 1))
    assert len(fleet.supervisor.ready()) == 2


def replace_all(fleet: RolloutFleet) -> None:
    for engine in fleet.engines:
        fleet.supervisor.replace(engine, engine.incarnation, "killed by the test")


def test_rounds_are_served_oldest_first_and_completely(
    fleet: RolloutFleet, loop: asyncio.Runner
) -> None:
    order: deque[int] = deque()

    dispatcher = Dispatcher(fleet.supervisor, fleet.config)

    async def collect(first: int) -> None:
        async for completion in dispatcher.generate(groups(first, 40)):
            order.append(completion.sample_id)

    async def check() -> None:
        async with asyncio.timeout(60), asyncio.TaskGroup() as rounds:
            for first in (0, 100, 200):
                rounds.create_task(collect(first))
                await asyncio.sleep(0.05)

    loop.run(check())
    assert sorted(order) == [i for first in (0, 100, 200) for i in range(first, first + 40)]
    for earlier, later in ((0, 100), (100, 200)):
        begin = next(i for i, sample in enumerate(order) if sample >= later)
        left = [sample for sample in list(order)[begin:] if earlier <= sample < later]
        assert len(left) <= 2 * WINDOW, "only what was under way already"


def test_a_request_that_kills_every_engine_ends_the_round(
    fleet: RolloutFleet, loop: asyncio.Runner
) -> None:
    async def check() -> None:
        restarts = fleet.restarts
        with pytest.raises(
            RunFailed, match=r"sample 7 \(1 prompt tokens\) was lost with 2 engines"
        ):
            await sample_ids(fleet, [[Request(7, DEADLY_PROMPT, 0, 8, 1.0)]])
        assert fleet.restarts == restarts + 2
        assert sum(engine.tokens for engine in fleet.engines) == 0

    loop.run(check())


def test_a_hung_engine_is_replaced_and_its_requests_go_to_another(
    fleet: RolloutFleet, loop: asyncio.Runner
) -> None:
    async def check() -> None:
        restarts = fleet.restarts
        await fleet.engines[1].actor.freeze.remote()
        round_ = asyncio.create_task(sample_ids(fleet, groups(0, 40)))
        await asyncio.sleep(0.3)
        await fleet.supervisor.check()
        assert fleet.restarts == restarts + 1
        assert sorted(await asyncio.wait_for(round_, 60)) == list(range(40))

    loop.run(check())


def test_an_engine_in_a_broadcast_needs_no_heartbeat(
    fleet: RolloutFleet, loop: asyncio.Runner
) -> None:
    async def check() -> None:
        [_, silent] = fleet.engines
        await silent.actor.freeze.remote()
        silent.updating = True
        await fleet.supervisor.check()
        assert silent.loaded
        silent.updating = False
        await fleet.supervisor.check()
        assert not silent.loaded

    loop.run(check())


def test_an_engine_that_dies_while_the_learner_has_the_gpus_loads_after_it(
    fleet: RolloutFleet, loop: asyncio.Runner
) -> None:
    async def check() -> None:
        [dead, _] = fleet.engines
        await fleet.sleep()
        fleet.supervisor.replace(dead, dead.incarnation, "killed by the test")
        await asyncio.sleep(3)
        assert not dead.loaded, "the learner has the memory"
        await fleet.wake_up()
        await until(lambda: dead.loaded)

    loop.run(check())


def test_an_error_while_an_engine_is_updated_reaches_the_round(
    fleet: RolloutFleet, loop: asyncio.Runner, on_loaded: OnLoaded
) -> None:
    async def check() -> None:
        on_loaded.error = ZeroDivisionError("in on_engine_loaded")
        replace_all(fleet)
        with pytest.raises(ZeroDivisionError, match="in on_engine_loaded"):
            await sample_ids(fleet, groups(0, 6))

    loop.run(check())


def test_the_learners_loss_reaches_the_round_and_the_next_push_forgets_it(
    fleet: RolloutFleet, loop: asyncio.Runner, on_loaded: OnLoaded
) -> None:
    async def check() -> None:
        on_loaded.learner.lost = True
        version = fleet.version
        replace_all(fleet)
        with pytest.raises(ActorLost, match="the actor died"):
            await sample_ids(fleet, groups(0, 6))
        with pytest.raises(ActorLost, match="the actor died"):
            await fleet.supervisor.wait_for_change()
        on_loaded.learner.lost = False
        await on_loaded.sync.push(fleet, version + 1)
        assert sorted(await sample_ids(fleet, groups(0, 6))) == list(range(6))

    loop.run(check())


def test_logs_name_the_engine_that_failed_and_its_return(
    fleet: RolloutFleet, loop: asyncio.Runner, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        with caplog.at_level("INFO", logger="actors.cluster.supervision"):
            engine = fleet.engines[0]
            fleet.supervisor.replace(engine, engine.incarnation, "no answer\nwith details")
            fleet.supervisor.replace(engine, engine.incarnation - 1, "reported late")
            await until(lambda: len(fleet.supervisor.ready()) == 2)
        weights = fleet.version
        assert caplog.messages == [
            "rollout-0 failed and is restarted: no answer",
            f"rollout-0 is restarted, with weights {weights}",
        ]

    loop.run(check())
