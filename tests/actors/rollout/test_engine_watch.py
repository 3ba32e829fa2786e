"""Engines whose heartbeats somebody near them asks for: a call for all, and no loss with it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayActorError

from actors.collectors import worker as worker_module
from actors.collectors.worker import CollectorWorker, NotStarted
from actors.config import RolloutConfig
from actors.rollout.engine_handle import EngineHandle
from actors.rollout.supervisor import Supervisor


class Heart:
    """The heartbeat of an actor in this process."""

    def __init__(self) -> None:
        self.asked = 0
        self.fault: Exception | None = None
        self.silent = False

    def remote(self) -> Any:
        self.asked += 1
        return asyncio.ensure_future(self._answer())

    async def _answer(self) -> int:
        if self.silent:
            await asyncio.sleep(60)
        if self.fault:
            raise self.fault
        return 0


class Watch:
    """Says that the engines which the test names are silent."""

    def __init__(self, engines: Sequence[EngineHandle]) -> None:
        self.engines = tuple(engines)
        self.loaded = True
        self.asked: list[list[str]] = []
        self.says: list[EngineHandle] = []
        self.fault: Exception | None = None

    async def silent(
        self, engines: Sequence[EngineHandle], deadline_s: float
    ) -> dict[EngineHandle, str]:
        self.asked.append([engine.name for engine in engines])
        if self.fault:
            raise self.fault
        return {engine: "it hangs" for engine in engines if engine in self.says}


class Replacing(Supervisor):
    """Notes what it would restart."""

    def replace(self, handle: EngineHandle, incarnation: int, cause: Any) -> None:
        handle.incarnation += 1
        self.restarts += 1


class Scene:
    """Two engines with a watch, and one without."""

    def __init__(self) -> None:
        self.hearts = [Heart() for _ in range(3)]
        self.engines = [
            EngineHandle(f"e{i}", SimpleNamespace(heartbeat=heart), loaded=True)
            for i, heart in enumerate(self.hearts)
        ]
        config = RolloutConfig(hang_timeout_s=0.05)
        self.made = Replacing(self.engines, config, colocated=False)
        self.watch = Watch(self.engines[:2])
        self.made.ask_through([self.watch])

    @property
    def asked(self) -> list[int]:
        return [heart.asked for heart in self.hearts]

    @property
    def restarted(self) -> list[int]:
        return [engine.incarnation for engine in self.engines]


def test_one_call_asks_the_engines_of_a_watch_and_the_others_are_asked_themselves() -> None:
    scene = Scene()
    scene.watch.says = [scene.engines[1]]
    asyncio.run(scene.made.check())
    assert scene.watch.asked == [["e0", "e1"]]
    assert scene.asked == [0, 0, 1]
    assert scene.restarted == [0, 1, 0]


@pytest.mark.parametrize("fault", [RayActorError(), TimeoutError(), None])
def test_engines_are_asked_themselves_where_the_watch_is_gone(fault: Exception | None) -> None:
    scene = Scene()
    scene.watch.fault, scene.watch.loaded = fault, fault is not None
    scene.hearts[0].silent = True
    scene.hearts[1].fault = RayActorError()
    asyncio.run(scene.made.check())
    assert scene.asked == [1, 1, 1]
    assert scene.restarted == [1, 1, 0], "the death of the watch hides none of theirs"


def test_an_engine_in_a_broadcast_is_left_alone() -> None:
    scene = Scene()
    scene.watch.says = scene.engines[:2]
    scene.engines[0].updating = True
    asyncio.run(scene.made.check())
    assert (scene.watch.asked, scene.asked) == ([], [0, 1, 1]), "no call for a single engine"
    assert scene.restarted == [0, 0, 0]


def test_a_collector_says_which_of_its_engines_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "forward_logs", lambda _name: None)
    scene, worker = Scene(), CollectorWorker("collector-0")
    with pytest.raises(NotStarted):
        asyncio.run(worker.silent_engines([0], 0.05))
    loaded: Any = object()
    worker._loaded, worker._engines = loaded, scene.engines
    scene.hearts[1].silent = True
    scene.hearts[2].fault = RayActorError()
    silent = asyncio.run(worker.silent_engines([0, 1, 2], 0.05))
    assert list(silent) == [2, 1]
    assert "no answer within 0.05 s (rollout.hang_timeout_s)" in silent[1]
