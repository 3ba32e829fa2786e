"""Which collector gets what, and what becomes of groups whose collector is lost."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from ray.exceptions import RayActorError, RayTaskError

from actors.collectors.dispatch import OrderDispatcher, assign
from actors.collectors.handle import CollectorHandle, shares_of_engines
from actors.collectors.messages import (
    Delivery,
    EngineFailure,
    EnginesView,
    FinishedGroup,
    GroupOrder,
    Order,
    Progress,
    Sampling,
)
from actors.collectors.supervisor import CollectorSupervisor
from actors.collectors.worker import NotStarted
from actors.config import RolloutConfig, SandboxPoolConfig
from actors.errors import RunFailed
from actors.rollout.engine_handle import EngineHandle
from actors.rollout.supervisor import Supervisor
from actors.sandboxes.pool import Loss, SandboxPool
from curriculum import FULL_TASK, cut, synthetic_problems

SUBTASK = cut(synthetic_problems(seed=4, per_tier=1)[0], FULL_TASK, frozenset())
SAMPLING = Sampling(1.0, 1.0, 8)


class ScriptedClient:
    """Finishes groups when the test calls `deliver`."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.cancelled: list[int] = []
        self.views: list[EnginesView] = []
        self._events: dict[int, asyncio.Queue[Delivery | BaseException | None]] = {}

    async def collect(self, order: Order) -> AsyncIterator[Delivery]:
        self.update(order.engines)
        self.orders.append(order)
        events = self._events[order.number] = asyncio.Queue()
        left = {group.index for group in order.groups}
        while left:
            event = await events.get()
            if isinstance(event, BaseException):
                raise event
            if event is None:
                return
            left -= {group.index for group in event.finished}
            yield event

    async def cancel(self, number: int) -> None:
        self.cancelled.append(number)
        self._events[number].put_nowait(None)

    def update(self, view: EnginesView) -> None:
        self.views.append(view)

    async def progress(self, round_number: int) -> Progress:
        return Progress(3, 2)

    @property
    def asked(self) -> list[list[int]]:
        """Indices of the groups of each order."""
        return [[group.index for group in order.groups] for order in self.orders]

    async def deliver(self, order: int, count: int = 99, **other: Any) -> None:
        """Finish the next groups of an order; let everyone react."""
        groups = self.orders[order].groups[:count]
        finished = (FinishedGroup(group.index, 1, (), None, (), b"") for group in groups)
        await self.send(order, Delivery(tuple(finished), **other))

    async def send(self, order: int, event: Delivery | BaseException) -> None:
        self._events[self.orders[order].number].put_nowait(event)
        for _ in range(20):
            await asyncio.sleep(0)


class UnattendedCollectors(CollectorSupervisor):
    """Takes a lost collector out and never brings it back."""

    def replace(self, handle: CollectorHandle, incarnation: int, cause: Any) -> None:
        handle.loaded = False
        self._notify()


class UnattendedEngines(Supervisor):
    """Takes a failed engine out and never brings it back."""

    def replace(self, handle: EngineHandle, incarnation: int, cause: Any) -> None:
        if handle.incarnation == incarnation:
            handle.incarnation += 1
            handle.loaded = False
            self._notify()


class Scene:
    """Some collectors of some engines each, and their dispatcher; an engine's window is 2."""

    def __init__(self, *engines: int, retries: int = 1) -> None:
        config = RolloutConfig(max_num_seqs=1, retries=retries)
        self.clients = [ScriptedClient() for _ in engines]
        self.handles = []
        for number, (client, count) in enumerate(zip(self.clients, engines, strict=True)):
            mine = (EngineHandle(f"e{number}.{i}", None, loaded=True) for i in range(count))
            self.handles.append(
                CollectorHandle(f"collector-{number}", client, tuple(mine), loaded=True)
            )
        every = [engine for handle in self.handles for engine in handle.engines]
        self.engines = UnattendedEngines(every, config, colocated=False)
        self.collectors = UnattendedCollectors(self.handles, config)
        self.pool = SandboxPool([None], SandboxPoolConfig())
        self.dispatcher = OrderDispatcher(self.collectors, self.engines, self.pool, config)

    async def begin(
        self, groups: Sequence[GroupOrder], deadline_s: float = 20
    ) -> asyncio.Task[list[int]]:
        async def collect() -> list[int]:
            stream = self.dispatcher.stream(groups, SAMPLING, True, deadline_s)
            return [group.index async for _, each in stream for group in each.finished]

        task = asyncio.create_task(collect())
        for _ in range(20):
            await asyncio.sleep(0)
        return task


def groups(count: int, samples: int = 2) -> list[GroupOrder]:
    return [
        GroupOrder(i, SUBTASK, {samples * i + k: 100 + samples * i + k for k in range(samples)})
        for i in range(count)
    ]


def test_a_lone_collector_gets_a_round_in_one_order() -> None:
    async def check() -> None:
        scene = Scene(1)
        [client] = scene.clients
        round_ = await scene.begin(groups(40))
        assert client.asked == [list(range(40))]
        await client.deliver(0)
        assert await round_ == list(range(40))
        assert scene.handles[0].samples == 0

    asyncio.run(check())


def test_several_get_groups_by_their_engines_and_more_as_they_deliver() -> None:
    async def check() -> None:
        scene = Scene(1, 3)
        small, large = scene.clients
        round_ = await scene.begin(groups(12))
        assert [len(client.asked[0]) for client in scene.clients] == [2, 6], "a window of 4 samples"
        await large.deliver(0, 3)
        assert large.asked[1:] == [[8, 9, 10]]
        await small.deliver(0)
        assert small.asked[1:] == [[11]]
        await small.deliver(1)
        await large.deliver(1)
        rest = large.orders[0].groups[3:]
        finished = tuple(FinishedGroup(group.index, 1, (), None, (), b"") for group in rest)
        await large.send(0, Delivery(finished))
        assert sorted(await round_) == list(range(12))

    asyncio.run(check())


def test_a_younger_round_waits_until_the_older_one_is_assigned() -> None:
    async def check() -> None:
        scene = Scene(1, 1)
        first, second = scene.clients
        older = await scene.begin(groups(5))
        younger = await scene.begin(groups(1))
        assert [len(client.orders) for client in scene.clients] == [1, 1]
        await first.deliver(0)
        assert first.asked[1:] == [[4], [0]]
        assert first.orders[1].round < first.orders[2].round
        for order in (1, 2):
            await first.deliver(order)
        await second.deliver(0)
        assert sorted(await older) == list(range(5))
        assert await younger == [0]

    asyncio.run(check())


@pytest.mark.parametrize(
    "how", [RayActorError(), RayTaskError("collect", "...", NotStarted("restarted"))]
)
def test_what_a_lost_collector_left_is_asked_of_another_with_the_same_seeds(how: Any) -> None:
    async def check() -> None:
        scene = Scene(1, 1)
        lost, other = scene.clients
        asked = groups(4)
        round_ = await scene.begin(asked)
        await lost.deliver(0, 1)
        await lost.send(0, how)
        await other.deliver(0)
        assert other.asked[1:] == [lost.asked[0][1:]]
        assert other.orders[1].groups[0].seeds == asked[lost.asked[0][1]].seeds
        await other.deliver(1)
        assert sorted(await round_) == list(range(4)), "each group once"
        assert [handle.samples for handle in scene.handles] == [0, 0]

    asyncio.run(check())


def test_a_group_that_is_lost_with_every_collector_ends_the_round() -> None:
    async def check() -> None:
        scene = Scene(1, 1, 1)
        round_ = await scene.begin(groups(1))
        for client in scene.clients[:2]:
            await client.send(0, RayActorError())
        with pytest.raises(RunFailed, match=rf"problem {SUBTASK.problem.id}: .* 2 collectors"):
            await round_

    asyncio.run(check())


def test_a_collector_without_engines_hands_back_what_another_can_do() -> None:
    async def check() -> None:
        scene = Scene(1, 1)
        dead, other = scene.clients
        round_ = await scene.begin(groups(2))
        failure = EngineFailure(0, 0, "its process ended")
        await dead.send(0, Delivery((), failures=(failure,), attempts={0: 1, 1: 1}))
        assert dead.cancelled == [dead.orders[0].number]
        assert not scene.handles[0].engines[0].loaded
        assert other.asked == [[1], [0]]
        assert other.orders[1].attempts == {0: 1, 1: 1}, "engines lost so far"
        await other.deliver(0)
        await other.deliver(1)
        assert sorted(await round_) == [0, 1]

    asyncio.run(check())


def test_it_keeps_its_groups_where_no_other_has_engines() -> None:
    async def check() -> None:
        scene = Scene(1)
        [client] = scene.clients
        round_ = await scene.begin(groups(2))
        await client.send(0, Delivery((), failures=(EngineFailure(0, 0, "gone"),)))
        assert client.cancelled == []
        assert client.views[-1].states[0] == (1, False)
        [engine] = scene.handles[0].engines
        engine.loaded = True
        scene.engines.mark_current(engine, 0)
        await asyncio.sleep(0)
        assert client.views[-1].states[0] == (1, True)
        await client.deliver(0)
        await round_

    asyncio.run(check())


def test_cancelling_a_round_cancels_its_orders() -> None:
    async def check() -> None:
        scene = Scene(1, 1)
        round_ = await scene.begin(groups(2))
        round_.cancel()
        await asyncio.gather(round_, return_exceptions=True)
        assert [len(client.cancelled) for client in scene.clients] == [1, 1]
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(check())


def test_a_missed_deadline_says_how_far_the_round_came() -> None:
    async def check() -> None:
        scene = Scene(1)
        round_ = await scene.begin(groups(8), deadline_s=0.05)
        await scene.clients[0].deliver(0, 2)
        told = r"16 samples asked, 7 generated, 6 judged within 0.05 s"
        with pytest.raises(TimeoutError, match=told):
            await round_
        assert len(scene.clients[0].cancelled) == 1

    asyncio.run(check())


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (TimeoutError("no worker answers"), TimeoutError, "collector-0: no worker answers"),
        (RunFailed("too long"), RunFailed, "collector-0: too long"),
        (LookupError("a bug"), RayTaskError, "a bug"),
    ],
)
def test_an_error_of_a_collectors_work_ends_the_round(
    error: Exception, kind: type[Exception], message: str
) -> None:
    async def check() -> None:
        scene = Scene(1)
        round_ = await scene.begin(groups(1))
        raised = RayTaskError("collect", f"Traceback: {error}", error)
        await scene.clients[0].send(0, raised)
        with pytest.raises(kind, match=message):
            await round_
        assert scene.handles[0].loaded

    asyncio.run(check())


def test_the_loss_of_a_sandbox_worker_counts_once_whoever_saw_it() -> None:
    async def check() -> None:
        scene = Scene(1, 1)
        round_ = await scene.begin(groups(2))
        for client in scene.clients:
            await client.deliver(0, losses=(Loss(0, "a life", 0),))
        await round_
        assert scene.pool.losses == 1

    asyncio.run(check())


def test_collectors_have_engines_of_one_node_shared_evenly() -> None:
    nodes = ["a"] * 5 + ["b"] * 2 + ["a"]
    assert shares_of_engines(nodes, 8) == [[0, 1, 2, 3, 4, 7], [5, 6]]
    assert shares_of_engines(nodes, 4) == [[0, 1, 2], [3, 4, 7], [5, 6]]
    assert shares_of_engines(nodes, 1) == [[0], [1], [2], [3], [4], [7], [5], [6]]


def test_what_has_to_wait_is_left_in_order() -> None:
    handle = CollectorHandle("c", ScriptedClient(), ())
    waiting = deque(groups(5))
    [(_, share)] = assign(waiting, {handle: 1}, window=4)
    assert [group.index for group in share] == [0, 1]
    assert [group.index for group in waiting] == [2, 3, 4]


def test_each_group_goes_to_the_least_loaded_collector_with_room() -> None:
    rng = random.Random(1)
    for _ in range(50):
        window = rng.choice([None, 6, 20])
        engines = {
            CollectorHandle(f"c{i}", ScriptedClient(), (), samples=rng.randrange(9)): rng.choice(
                [1, 2, 8]
            )
            for i in range(rng.randrange(1, 9))
        }
        loads = {handle: handle.samples for handle in engines}
        waiting = deque(groups(rng.randrange(40), samples=rng.choice([1, 4])))
        expected: dict[CollectorHandle, list[int]] = {}
        left = deque(waiting)
        while left:
            able = [h for h, n in engines.items() if window is None or loads[h] < window * n]
            if not able:
                break
            chosen = min(able, key=lambda handle: loads[handle] / engines[handle])
            loads[chosen] += len(left[0].seeds)
            expected.setdefault(chosen, []).append(left.popleft().index)
        made = assign(waiting, engines, window)
        assert {h: [group.index for group in share] for h, share in made} == expected
        assert waiting == left
        assert {handle: handle.samples for handle in engines} == loads


def test_groups_with_the_longest_expected_answers_come_first() -> None:
    scene = Scene(1)
    problems = [SUBTASK.problem.model_copy(update={"question": "q" * 9}) for _ in range(4)]
    lengths = (3, 0, 30, 3)  # a problem without a solution counts as long as its question
    asked = [
        replace(group, subtask=replace(SUBTASK, problem=problem, remainder="x" * length))
        for group, problem, length in zip(groups(4), problems, lengths, strict=True)
    ]

    async def check() -> None:
        task = await scene.begin(asked)
        [client] = scene.clients
        assert client.asked == [[2, 1, 0, 3]]
        assert client.orders[0].groups[0].seeds == asked[2].seeds
        await client.deliver(0)
        assert await task == [2, 1, 0, 3]

    asyncio.run(check())
