"""Which engine generates what, and in which order: the dispatcher over scripted engines."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any

import pytest
from ray.exceptions import RayActorError, RayTaskError

from actors.config import RolloutConfig
from actors.errors import RunFailed
from actors.rollout.dispatcher import Dispatcher, assign
from actors.rollout.engine_handle import EngineHandle
from actors.rollout.samples import Completion, Request
from actors.rollout.supervisor import Supervisor


class ScriptedActor:
    """Completes its requests one by one, each when the test calls `advance`."""

    def __init__(self) -> None:
        self.assigned: list[list[int]] = []
        """Sample ids of each call."""
        self._steps: list[asyncio.Queue[BaseException | None]] = []
        self.generate = self

    def options(self, num_returns: str) -> ScriptedActor:
        assert num_returns == "streaming"
        return self

    def remote(
        self, requests: Sequence[Request], version: int, caller: str = "driver"
    ) -> AsyncIterator[Awaitable[tuple[Completion, ...]]]:
        self.assigned.append([request.sample_id for request in requests])
        self._steps.append(asyncio.Queue())
        return self._stream(requests, version, self._steps[-1])

    async def _stream(
        self, requests: Sequence[Request], version: int, steps: asyncio.Queue[BaseException | None]
    ) -> AsyncIterator[Awaitable[tuple[Completion, ...]]]:
        for request in requests:
            if error := await steps.get():
                raise error
            completion = Completion(request.sample_id, (1,), (0.0,), "stop", version)
            yield asyncio.sleep(0, result=(completion,))

    async def advance(
        self, call: int, completions: int = 1, error: BaseException | None = None
    ) -> None:
        """End that many completions of a call, or the call with an error; let everyone react."""
        for _ in range(completions):
            self._steps[call].put_nowait(error)
        for _ in range(50):
            await asyncio.sleep(0)

    async def finish(self) -> None:
        """End every call, also those that are made meanwhile."""
        call = 0
        while call < len(self.assigned):
            await self.advance(call, len(self.assigned[call]))
            call += 1


class UnattendedSupervisor(Supervisor):
    """Takes a failed engine out and never brings it back."""

    def replace(self, handle: EngineHandle, incarnation: int, cause: BaseException | str) -> None:
        handle.loaded = False


class Scene:
    """Some engines with a window of 4 completions each, and their dispatcher."""

    def __init__(self, engines: int = 2, retries: int = 1) -> None:
        config = RolloutConfig(workers=engines, max_num_seqs=2, retries=retries)
        self.actors = [ScriptedActor() for _ in range(engines)]
        self.engines = [EngineHandle(f"e{i}", actor) for i, actor in enumerate(self.actors)]
        for engine in self.engines:
            engine.loaded = True
        self.supervisor = UnattendedSupervisor(self.engines, config, colocated=False)
        self.dispatcher = Dispatcher(self.supervisor, config)

    async def begin(self, groups: Sequence[Sequence[Request]]) -> asyncio.Task[list[int]]:
        """A round in a task of its own, once it has assigned what it could."""

        async def collect() -> list[int]:
            return [done.sample_id async for done in self.dispatcher.generate(groups)]

        task = asyncio.create_task(collect())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return task


def group(first: int, count: int, max_tokens: int = 8) -> list[Request]:
    return [Request(i, (first,), i, max_tokens, 1.0) for i in range(first, first + count)]


def singles(first: int, count: int) -> list[list[Request]]:
    return [group(i, 1) for i in range(first, first + count)]


def test_groups_stay_together_and_the_most_expensive_goes_first() -> None:
    async def check() -> None:
        scene = Scene()
        cheap, long, large = group(0, 4), group(10, 4, max_tokens=50), group(20, 9)
        round_ = await scene.begin([cheap, long, large])
        assert scene.actors[0].assigned == [[10, 11, 12, 13]]
        assert scene.actors[1].assigned == [list(range(20, 29))]
        await scene.actors[0].advance(0, 1)
        assert scene.actors[0].assigned[1:] == [[0, 1, 2, 3]]
        await scene.actors[0].advance(0, 3)
        await scene.actors[0].advance(1, 4)
        await scene.actors[1].advance(0, 9)
        assert await round_ == [10, 11, 12, 13, 0, 1, 2, 3, *range(20, 29)]
        assert [(e.sequences, e.tokens) for e in scene.engines] == [(0, 0), (0, 0)]

    asyncio.run(check())


def test_an_engine_is_assigned_no_group_beyond_its_window_unless_it_is_alone() -> None:
    engines = [EngineHandle(f"e{i}", None) for i in range(2)]
    waiting: deque[Sequence[Request]] = deque(singles(0, 20))
    shares = assign(waiting, engines, window=4)
    assert [(e.name, len(share)) for e, share in shares] == [("e0", 4), ("e1", 4)]
    assert len(waiting) == 12
    lone = EngineHandle("lone", None)
    [(engine, share)] = assign(waiting, [lone], window=4)
    assert (engine, len(share), len(waiting)) == (lone, 12, 0)


def test_a_younger_round_waits_until_the_older_one_is_assigned() -> None:
    async def check() -> None:
        scene = Scene()
        older = await scene.begin(singles(0, 9))
        younger = await scene.begin(singles(100, 1))
        assert [actor.assigned for actor in scene.actors] == [[[0, 2, 4, 6]], [[1, 3, 5, 7]]]
        await scene.actors[0].advance(0)
        assert scene.actors[0].assigned[1:] == [[8]]
        await scene.actors[1].advance(0)
        assert scene.actors[1].assigned[1:] == [[100]]
        for actor in scene.actors:
            await actor.advance(0, 3)
            await actor.advance(1, 1)
        assert sorted(await older) == list(range(9))
        assert await younger == [100]

    asyncio.run(check())


def test_what_a_failed_engine_leaves_is_assigned_when_a_younger_round_makes_room() -> None:
    async def check() -> None:
        scene = Scene(engines=3)
        older = await scene.begin(singles(0, 6))
        younger = await scene.begin(singles(100, 6))
        failed, rescuer, busy = scene.actors
        assert rescuer.assigned == [[1, 4], [101, 104]]
        await failed.advance(0, error=RayActorError())
        assert not scene.engines[0].loaded
        assert len(rescuer.assigned) == 2, "no engine has room"
        await rescuer.advance(1)
        assert rescuer.assigned[2:] == [[0]]
        await rescuer.advance(1)
        assert rescuer.assigned[3:] == [[3]]
        await failed.advance(1, error=RayActorError())
        await rescuer.finish()
        await busy.finish()
        assert sorted(await asyncio.wait_for(older, 5)) == list(range(6))
        assert sorted(await asyncio.wait_for(younger, 5)) == list(range(100, 106))

    asyncio.run(check())


def test_an_error_in_the_request_itself_is_not_retried() -> None:
    async def check() -> None:
        scene = Scene()
        round_ = await scene.begin(singles(0, 1))
        await scene.actors[0].advance(
            0, error=RayTaskError("generate", "...", ValueError("too long"))
        )
        with pytest.raises(RunFailed, match="e0: too long"):
            await round_
        assert scene.engines[0].loaded

    asyncio.run(check())


@pytest.mark.parametrize("retries", [0, 2])
def test_a_request_lost_with_more_engines_than_retries_ends_the_round(retries: int) -> None:
    async def check() -> None:
        scene = Scene(engines=3, retries=retries)
        round_: asyncio.Task[Any] = await scene.begin([group(5, 1)])
        for actor in scene.actors[: retries + 1]:
            await actor.advance(0, error=RayActorError())
        lost = rf"sample 5 \(1 prompt tokens\) was lost with {retries + 1} engines"
        with pytest.raises(RunFailed, match=lost):
            await round_

    asyncio.run(check())
