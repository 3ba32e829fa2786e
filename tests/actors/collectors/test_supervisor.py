"""A collector that dies or hangs is replaced, and what it had others do for it ends."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.exceptions import RayActorError

from actors.cluster import ray_calls
from actors.collectors.handle import CollectorHandle
from actors.collectors.supervisor import CollectorSupervisor
from actors.config import RolloutConfig
from actors.errors import RunFailed
from actors.rollout.engine_handle import EngineHandle
from tests.actors.rollout.clock_fleet import until


class Method:
    """A method of an actor in this process; records its arguments."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.calls: list[tuple[Any, ...]] = []

    def remote(self, *arguments: Any) -> Any:
        self.calls.append(arguments)
        return asyncio.ensure_future(self._answer())

    async def _answer(self) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        if self.answer is asyncio.sleep:
            await asyncio.sleep(60)
        return self.answer


class Scene:
    """Collectors of one engine each, and the supervisor that is tested."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, collectors: int = 2) -> None:
        monkeypatch.setattr(ray_calls, "_POLL_S", 0.01)
        self.killed: list[Any] = []
        monkeypatch.setattr(ray, "kill", lambda actor, **_: self._kill(actor))
        self.actors = [
            SimpleNamespace(heartbeat=Method(1), start=Method()) for _ in range(collectors)
        ]
        self.abandoned = Method()
        engine = SimpleNamespace(abandon=self.abandoned)
        client: Any = None
        self.handles = [
            CollectorHandle(
                f"collector-{i}", client, (EngineHandle(f"e{i}", engine, loaded=True),), actor
            )
            for i, actor in enumerate(self.actors)
        ]
        self.pool = SimpleNamespace(abandon=Method())
        pool: Any = SimpleNamespace(abandon=lambda caller: self.pool.abandon.calls.append(caller))
        config = RolloutConfig(hang_timeout_s=0.05, start_timeout_s=0.2)
        self.changes = 0
        self.made = CollectorSupervisor(
            self.handles, config, lambda handle: (handle.caller, "tokenizer"), pool
        )
        self.made.subscribe(self._changed)

    def _kill(self, actor: Any) -> None:
        self.killed.append(actor)
        if actor.heartbeat.answer is asyncio.sleep:
            actor.heartbeat.answer = 1

    def _changed(self) -> None:
        self.changes += 1

    async def settle(self) -> None:
        await until(lambda: not self.made._restarting)


@pytest.mark.parametrize("fault", [asyncio.sleep, RayActorError()])
def test_one_that_hangs_or_died_is_started_anew_under_another_name(
    monkeypatch: pytest.MonkeyPatch, fault: Any
) -> None:
    async def check() -> None:
        scene = Scene(monkeypatch)
        await scene.made.start()
        assert [actor.start.calls for actor in scene.actors] == [
            [("collector-0.0", "tokenizer")],
            [("collector-1.0", "tokenizer")],
        ]
        scene.actors[1].heartbeat.answer = fault
        await scene.made.check()
        assert scene.killed == [scene.actors[1]]
        assert scene.made.loaded() == [scene.handles[0]]
        assert scene.abandoned.calls == [("collector-1.0",)], "its engines stop"
        assert scene.pool.abandon.calls == ["collector-1.0"], "its programs stop"
        scene.made.replace(scene.handles[1], 0, "told a second time")
        scene.actors[1].heartbeat.answer = 1
        await scene.settle()
        assert scene.actors[1].start.calls[1:] == [("collector-1.1", "tokenizer")]
        assert scene.made.loaded() == scene.handles
        assert (scene.made.restarts, scene.changes) == (1, 3)

    asyncio.run(check())


def test_the_run_ends_where_none_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        scene = Scene(monkeypatch, collectors=1)
        await scene.made.start()
        scene.actors[0].start.answer = RayActorError()
        scene.made.replace(scene.handles[0], 0, "killed by the test")
        scene.made.raise_if_failed()
        await scene.settle()
        with pytest.raises(RunFailed, match="no collector is left: collector-0: restart"):
            scene.made.raise_if_failed()

    asyncio.run(check())


def test_it_keeps_trying_while_another_works(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        scene = Scene(monkeypatch)
        await scene.made.start()
        scene.actors[0].start.answer = RayActorError()
        scene.made.replace(scene.handles[0], 0, "killed by the test")
        await until(lambda: len(scene.actors[0].start.calls) >= 6)
        scene.made.raise_if_failed()
        scene.actors[0].start.answer = None
        await scene.settle()
        assert scene.made.loaded() == scene.handles

    asyncio.run(check())
